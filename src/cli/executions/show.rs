//! `evenkeel executions show`

use std::process::ExitCode;

use clap::Args;

use super::super::environment_api::EnvironmentApi;
use super::super::execution_view::{describe_wait, origin, wait_command};
use super::super::style::Style;
use super::super::table::excerpt;
use super::super::times::duration;
use super::super::{output, response_view};
use super::execution_args::ExecutionArgs;
use super::steps;
use crate::api::execution::{Execution, ExecutionSummary};
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
        let execution = response_view::parse(&response, "an execution")?;
        output::data(&human(&execution, &environment, Style::of_stdout()));
        Ok(ExitCode::SUCCESS)
    }
}

fn human(execution: &Execution, environment: &EnvironmentApi, style: Style) -> String {
    let summary = &execution.summary;
    let mut lines = heading(execution, style);
    let version = summary.version.map_or_else(String::new, |version| format!(" v{version}"));
    let generation = summary.generation.map_or_else(String::new, |number| format!(", generation {number}"));
    let ExecutionSummary { workflow, tier, .. } = summary;
    lines += &style.field("workflow", &format!("{workflow}{version} ({}){generation}", tier.as_str()));
    lines += &style.field("started by", &origin(summary));
    lines += &style.field("accepted", &style.with_age(summary.created_at));
    if let Some(milliseconds) = summary.duration_ms {
        lines += &style.field("took", &format!("{}, attempt {}", duration(milliseconds), summary.attempt));
    }
    // The trace ID of a `traceparent`: version, trace, span and flags.
    let trace = summary.trace.as_deref().map(|trace| trace.split('-').nth(1).unwrap_or(trace));
    let optional = [
        ("tenant", summary.tenant.as_deref()),
        ("event", summary.event.as_deref()),
        ("parent", summary.parent.as_deref()),
        ("trace", trace),
    ];
    for (label, value) in optional {
        lines += &value.map_or_else(String::new, |value| style.field(label, value));
    }
    for wait in &summary.waits_for {
        lines += &style.field("waits for", &describe_wait(wait, style));
        if let Some(command) = wait_command(wait, &summary.id, environment) {
            // Not folded: a command to copy.
            lines += &format!("              {command}\n");
        }
    }
    lines += &style.field("input", &excerpt(&execution.input.to_string()));
    lines += &result(execution, style);
    if !execution.steps.is_empty() {
        lines += "\n";
        lines += &steps::table(&execution.steps, style);
    }
    lines
}

fn heading(execution: &Execution, style: Style) -> String {
    let (paint, summary) = (style.paint(), &execution.summary);
    let status = summary.status.as_str();
    let status = match summary.status {
        ExecutionStatus::Completed => paint.green(status),
        ExecutionStatus::Failed | ExecutionStatus::TimedOut | ExecutionStatus::Cancelled => paint.red(status),
        _ => paint.bold(status),
    };
    let is_cancelling = execution.cancel_requested && !summary.status.is_final();
    let cancelling = if is_cancelling { ", cancellation requested" } else { "" };
    format!("{}  {status}{cancelling}\n", paint.bold(&summary.id))
}

/// The output, or the error with its place.
fn result(execution: &Execution, style: Style) -> String {
    let Some(error) = &execution.error else {
        return match execution.summary.status.is_final() {
            true => style.field("output", &excerpt(&execution.output.to_string())),
            false => String::new(),
        };
    };
    let code = error.code.as_ref().map_or_else(String::new, |code| format!("{code}: "));
    let mut lines = style.field("error", &format!("{code}{}", error.message));
    if let Some(file) = &error.file {
        let position = [error.line, error.column].into_iter().flatten().map(|number| format!(":{number}"));
        lines += &style.field("at", &format!("{file}{}", position.collect::<String>()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::api_client::ApiClient;
    use super::super::super::execution_view::summary;
    use super::*;

    fn shown(more: &Value) -> String {
        let client = ApiClient { server: String::new(), token: None };
        let environment = EnvironmentApi { client, environment: "live".into(), is_chosen: true };
        let mut value = summary(more);
        for (name, member) in [("headers", json!({})), ("worker", Value::Null), ("output", Value::Null)] {
            value[name] = member;
        }
        human(&serde_json::from_value(value).unwrap(), &environment, Style::with(None, "2026-11-29T12:00:00Z"))
    }

    #[test]
    fn a_waiting_execution_shows_the_wait_and_the_command() {
        let text = shown(&json!({
            "triggeredBy": "webhook", "source": "orders", "input": {"a": 1}, "error": null, "cancelRequested": false,
            "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "steps": [],
            "waitsFor": [{"kind": "approval", "name": "ship", "until": "2026-11-29T12:14:00Z"}],
        }));
        assert_eq!(
            text,
            "01kb  Waiting\n  workflow    pay v2 (Long), generation 3\n  started by  webhook orders\n  accepted    \
             2026-11-29T11:55:00Z (5 min ago)\n  trace       0af7651916cd43dd8448eb211c80319c\n  waits for   approval \
             `ship` until 2026-11-29T12:14:00Z (14 min left)\n              evenkeel executions approve 01kb ship -e live\n  \
             input       {\"a\":1}\n"
        );
    }

    #[test]
    fn a_failed_execution_shows_the_error_with_its_place_and_how_long_it_took() {
        let step = json!({"name": "one", "order": 0, "kind": "step", "attempt": 1, "status": "Completed", "input": null,
            "output": 1, "error": null, "startedAt": "2026-11-29T11:55:00Z", "finishedAt": "2026-11-29T11:55:01Z",
            "waitsUntil": null});
        let text = shown(&json!({
            "status": "Failed", "durationMs": 10_674.2, "attempt": 3, "input": {}, "cancelRequested": true,
            "error": {"code": "SCRIPT_ERROR", "message": "bad input", "file": "a.ts", "line": 20, "column": 3},
            "steps": [step],
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
