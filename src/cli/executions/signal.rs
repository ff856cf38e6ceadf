//! `evenkeel executions signal` and `approve`

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};

use super::super::api_error::ApiError;
use super::super::environment_api::Query;
use super::super::table::text;
use super::super::terminal_text::command_with_name;
use super::super::{json_input, output};
use super::execution_args::ExecutionArgs;

/// Send a signal to an execution
#[derive(Debug, Args)]
#[command(after_help = "\
`ctx.waitForEvent(SIGNAL)` returns the data. A signal that nothing waits for is
refused, unless --keep stores it for a later wait.

Examples:
  evenkeel executions signal 01jd3kx0 payment-received -d '{\"amount\": 12}'")]
pub(super) struct Signal {
    #[command(flatten)]
    execution: ExecutionArgs,
    /// Name of the signal
    #[arg(value_name = "SIGNAL")]
    name: String,
    /// Data as JSON; `@FILE` reads a file, `-` reads stdin
    #[arg(short, long, default_value = "{}", value_name = "JSON")]
    data: String,
    /// Keep the signal for later if nothing waits for it yet
    #[arg(long)]
    keep: bool,
}

/// Approve or reject a request for approval
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel executions approve 01jd3kx0 refund --comment 'checked with finance'
  evenkeel executions approve 01jd3kx0 refund --reject")]
pub(super) struct Approve {
    #[command(flatten)]
    execution: ExecutionArgs,
    /// Name of the approval: the step, or the name in code
    #[arg(value_name = "APPROVAL")]
    name: String,
    /// Reject instead of approving
    #[arg(long)]
    reject: bool,
    /// Comment for the record
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

impl Signal {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let query = vec![("keep", self.keep.then(|| "true".to_owned()))];
        let data = json_input::read(&self.data)?;
        let command = |id: &str, name: &str, option: &str| {
            command_with_name(&format!("evenkeel executions signal {id}"), name, &format!(" -d JSON{option}"))
        };
        send(&self.execution, ["events", &self.name], query, &data, "signal sent", command)
    }
}

impl Approve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let body = json!({"approved": !self.reject, "comment": self.comment});
        let verdict = if self.reject { "rejected" } else { "approved" };
        let command = |id: &str, name: &str, option: &str| {
            command_with_name(&format!("evenkeel executions approve {id}"), name, option)
        };
        send(&self.execution, ["approvals", &self.name], Vec::new(), &body, verdict, command)
    }
}

/// Sends a signal, and prints the result. A refusal lists the names that the execution waits for, each as a command.
fn send(
    ExecutionArgs { id, api }: &ExecutionArgs,
    [kind, name]: [&str; 2],
    query: Query,
    body: &Value,
    result: &str,
    command: impl Fn(&str, &str, &str) -> String,
) -> anyhow::Result<ExitCode> {
    let environment = api.connect()?;
    let response = environment.post(&["executions", id, kind, name], query, body);
    let response = response.map_err(|error| match error.downcast::<ApiError>() {
        Ok(error) => anyhow!(refusal(&error, |name| command(id, name, &environment.option()))),
        Err(other) => other,
    })?;
    if api.output.print_json(&response).is_none() {
        output::data(&format!("{}: {result}\n", text(&response["execution"])));
    }
    Ok(ExitCode::SUCCESS)
}

/// The text of a refusal, with the names that are waited for.
fn refusal(error: &ApiError, command: impl Fn(&str) -> String) -> String {
    // The option of this command sets the parameter of the API.
    let mut text = error.to_string().replace("`keep=true`", "`--keep`");
    let problem = &error.0;
    if problem.code == "NOT_WAITED_FOR" {
        let names: Vec<String> = problem.waiting.iter().map(|name| format!("`{name}`")).collect();
        if let Some(unnamed) = names.iter().find(|name| !text.contains(*name)) {
            let list = if names.len() == 1 { unnamed.clone() } else { names.join(", ") };
            text += &format!("; it waits for {list}");
        }
        for name in &problem.waiting {
            text += &format!("\n  help: {}", command(name));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::api_client::ApiResponse;
    use super::*;

    fn refused(waiting: Value, detail: &str) -> String {
        let value = json!({"status": 409, "code": "NOT_WAITED_FOR", "detail": detail, "waiting": waiting});
        refusal(&ApiError(ApiResponse { status: 409, value }.problem()), |name| format!("approve 01kb {name}"))
    }

    #[test]
    fn a_refusal_lists_the_names_that_are_waited_for() {
        let one = refused(json!(["wait-for-boss"]), "nothing waits for approval `wait-for-bos`");
        assert_eq!(
            one,
            "nothing waits for approval `wait-for-bos`; it waits for `wait-for-boss`\n  help: approve 01kb wait-for-boss"
        );
        let named = refused(json!(["a", "b"]), "there is no approval `x`; `a`, `b` are waited for");
        assert_eq!(
            named,
            "there is no approval `x`; `a`, `b` are waited for\n  help: approve 01kb a\n  help: approve 01kb b"
        );
        assert_eq!(refused(json!([]), "no wait; `keep=true` keeps the event"), "no wait; `--keep` keeps the event");
    }

    #[test]
    fn another_refusal_is_shown_as_it_is() {
        let value = json!({"code": "NOT_FOUND", "detail": "unknown execution `01kb`", "waiting": ["a"]});
        let text = refusal(&ApiError(ApiResponse { status: 404, value }.problem()), |_| unreachable!());
        assert_eq!(text, "unknown execution `01kb`");
    }
}
