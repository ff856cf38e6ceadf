//! `evenkeel executions show`

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::super::environment_api::EnvironmentApi;
use super::super::environment_status::short_digest;
use super::super::execution_view::Execution;
use super::super::style::Style;
use super::super::table::{excerpt, text};
use super::super::times::duration;
use super::super::{output, response_view};
use super::{ExecutionArgs, steps};
use crate::store::queue::ExecutionStatus;

/// Show an execution, its steps, and what it waits for
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel executions show 01jd3kx0")]
pub(super) struct Show {
    #[command(flatten)]
    execution: ExecutionArgs,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let ExecutionArgs { id, api } = self.execution;
        let environment = api.connect()?;
        let response = environment.get(&["executions", &id], Vec::new())?;
        if let Some(code) = api.output.print_json(&response) {
            return Ok(code);
        }
        let execution = response_view::parse(&response).context("the server's response is not an execution")?;
        output::data(&human(&execution, &environment, Style::of_stdout()));
        Ok(ExitCode::SUCCESS)
    }
}

fn human(execution: &Execution, environment: &EnvironmentApi, style: Style) -> String {
    let paint = style.paint();
    let status = execution.status.as_str();
    let status = match execution.status {
        ExecutionStatus::Completed => paint.green(status),
        ExecutionStatus::Failed | ExecutionStatus::TimedOut | ExecutionStatus::Cancelled => paint.red(status),
        _ => paint.bold(status),
    };
    let cancelling = if execution.cancel_requested && !execution.has_ended() { ", cancellation requested" } else { "" };
    let mut lines = format!("{}  {status}{cancelling}\n", paint.bold(&execution.id));
    let Execution { workflow, version, tier, .. } = execution;
    let digest = match short_digest(&execution.digest) {
        "" => String::new(),
        digest => format!(", generation {digest}"),
    };
    lines += &style.field("workflow", &format!("{workflow} v{version} ({tier}){digest}"));
    lines += &style.field("started by", &execution.origin());
    lines += &style.field("accepted", &style.with_age(&execution.created_at));
    if let Some(milliseconds) = execution.duration_ms {
        lines += &style.field("took", &format!("{}, attempt {}", duration(milliseconds), execution.attempt));
    }
    // The trace ID of a `traceparent`: version, trace, span and flags.
    let trace = execution.trace.split('-').nth(1).unwrap_or(&execution.trace);
    let optional = [
        ("tenant", &*execution.tenant),
        ("event", &*execution.event),
        ("parent", &*execution.parent),
        ("trace", trace),
    ];
    for (label, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
        lines += &style.field(label, value);
    }
    for wait in &execution.waits_for {
        lines += &style.field("waits for", &wait.describe(style));
        if let Some(command) = wait.command(&execution.id, environment) {
            // Not folded: a command to copy.
            lines += &format!("              {command}\n");
        }
    }
    lines += &style.field("input", &excerpt(&execution.input.to_string()));
    let error = &execution.error;
    if error.is_null() && execution.has_ended() {
        lines += &style.field("output", &excerpt(&execution.output.to_string()));
    } else if !error.is_null() {
        let code = text(&error["code"]);
        let code = if code.is_empty() { code } else { format!("{code}: ") };
        lines += &style.field("error", &format!("{code}{}", execution.error_message()));
        if let Some(file) = error["file"].as_str() {
            lines += &style.field("at", &format!("{file}:{}:{}", error["line"], error["column"]));
        }
    }
    if !execution.steps.is_empty() {
        lines += "\n";
        lines += &steps::table(&execution.steps, style);
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::api_client::ApiClient;
    use super::*;

    fn shown(value: &Value) -> String {
        let client = ApiClient { server: String::new(), token: None };
        let environment = EnvironmentApi { client, environment: "live".into(), is_chosen: true };
        let execution = response_view::parse(value).unwrap();
        human(&execution, &environment, Style::with(None, "2026-11-29T12:00:00Z"))
    }

    #[test]
    fn a_waiting_execution_shows_the_wait_and_the_command() {
        let text = shown(&json!({
            "id": "01kb", "status": "Waiting", "workflow": "pay", "version": 2, "tier": "Long", "digest": "sha256:aa",
            "triggeredBy": "webhook", "source": "orders", "createdAt": "2026-11-29T11:55:00Z", "durationMs": null,
            "tenant": null, "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "input": {"a": 1},
            "output": null, "error": null, "cancelRequested": false,
            "waitsFor": [{"kind": "approval", "name": "ship", "until": "2026-11-29T12:14:00Z"}],
        }));
        assert_eq!(
            text,
            "01kb  Waiting\n  workflow    pay v2 (Long), generation sha256:aa\n  started by  webhook orders\n  accepted    \
             2026-11-29T11:55:00Z (5 min ago)\n  trace       0af7651916cd43dd8448eb211c80319c\n  waits for   approval \
             `ship` until 2026-11-29T12:14:00Z (14 min left)\n              evenkeel executions approve 01kb ship -e live\n  \
             input       {\"a\":1}\n"
        );
    }

    #[test]
    fn a_failed_execution_shows_the_error_with_its_place_and_how_long_it_took() {
        let text = shown(&json!({
            "id": "01kb", "status": "Failed", "workflow": "pay", "version": 2, "tier": "Instant", "triggeredBy": "manual",
            "createdAt": "2026-11-29T11:55:00Z", "durationMs": 10_674.2, "attempt": 3, "input": {}, "cancelRequested": true,
            "error": {"code": "SCRIPT_ERROR", "message": "bad input", "file": "a.ts", "line": 20, "column": 3},
            "steps": [{"name": "one", "kind": "step", "status": "Completed", "startedAt": "2026-11-29T11:55:00Z",
                "finishedAt": "2026-11-29T11:55:01Z", "output": 1}],
        }));
        for part in [
            "took        10.7 s, attempt 3\n",
            "error       SCRIPT_ERROR: bad input\n",
            "at          a.ts:20:3\n",
            "\nSTARTED ",
            "01kb  Failed\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("output "), "{text}");
    }
}
