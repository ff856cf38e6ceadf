//! `evenkeel run`: starts a workflow.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::api_error::ApiError;
use super::environment_api::EnvironmentApi;
use super::environment_args::{ApiArgs, environment_name};
use super::execution_view::{describe_wait, wait_command};
use super::style::Style;
use super::{json_input, output, response_view};
use crate::api::execution::{Execution, ExecutionSummary};
use crate::store::queue::ExecutionStatus;

/// First interval at which `--wait` reads the status; it grows to the second.
const POLL_INTERVALS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Start a workflow and print its result
#[derive(Debug, Args)]
#[command(after_help = "\
Prints the output of an Instant workflow, and the execution ID of a Standard or
Long one. With --wait, prints the output of any workflow; stderr shows the ID,
and what the execution waits for.

Exit status:
  0  the workflow completed or, without --wait, was started
  1  the execution failed
  2  the workflow cannot be started

Examples:
  evenkeel run welcome -i '{\"name\": \"Ada\"}'
  evenkeel run sync-contact -i @contact.json --tenant acme --wait")]
pub(super) struct Run {
    /// Workflow to start
    #[arg(value_parser = environment_name)]
    workflow: String,
    /// Input as JSON; `@FILE` reads a file, `-` reads stdin
    #[arg(short, long, default_value = "{}", value_name = "JSON")]
    input: String,
    /// Tenant to run for
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Wait for the end of the execution
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    api: ApiArgs,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let input: Value = json_input::read(&self.input)?;
        let environment = self.api.connect()?;
        let tenant = self.tenant.as_deref().map(|tenant| ("x-evenkeel-tenant", tenant));
        let headers: Vec<(&str, &str)> = tenant.into_iter().collect();
        let path = ["workflows", &*self.workflow, "runs"];
        let response = match environment.send(&path, Vec::new(), &input, &headers) {
            Ok(response) => response,
            Err(error) => return failed(error, &environment),
        };
        match (response.status, response.value["execution"].as_str()) {
            (202, Some(id)) if self.wait => self.wait_for_end(id, &environment),
            (202, Some(id)) => {
                if self.api.output.print_json(&response.value).is_none() {
                    output::note(&format!("started; `{}` shows the result", show(id, &environment)));
                    output::data(&format!("{id}\n"));
                }
                Ok(ExitCode::SUCCESS)
            }
            _ => {
                output::data(&format!("{:#}\n", response.value));
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// Waits until the execution ends. Its own timeout bounds the wait.
    fn wait_for_end(&self, id: &str, environment: &EnvironmentApi) -> anyhow::Result<ExitCode> {
        output::note(&format!("started {id}"));
        let mut interval = POLL_INTERVALS.0;
        let mut shown = String::new();
        loop {
            let value = environment.get(&["executions", id], Vec::new())?;
            let execution: Execution = response_view::parse(&value, "an execution")?;
            let summary = &execution.summary;
            if summary.status.is_final() {
                return Ok(self.print_end(&execution, &value, environment));
            }
            let waits = waits(summary, environment);
            if !waits.is_empty() && waits != shown {
                output::note(waits.trim_end());
                shown = waits;
            }
            std::thread::sleep(interval);
            interval = (interval * 3 / 2).min(POLL_INTERVALS.1);
        }
    }

    fn print_end(&self, execution: &Execution, value: &Value, environment: &EnvironmentApi) -> ExitCode {
        let is_completed = execution.summary.status == ExecutionStatus::Completed;
        if self.api.output.print_json(value).is_none() && is_completed {
            output::data(&format!("{:#}\n", execution.output));
        }
        if is_completed {
            return ExitCode::SUCCESS;
        }
        let message = execution.error.as_ref().map_or("no message", |error| error.message.as_str());
        let ExecutionSummary { id, status, .. } = &execution.summary;
        output::failure(&format!("{status}: {message}; `{}` shows the steps", show(id, environment)));
        ExitCode::FAILURE
    }
}

/// A failed execution exits with 1; any other error, such as an unknown workflow, with 2.
fn failed(error: anyhow::Error, environment: &EnvironmentApi) -> anyhow::Result<ExitCode> {
    match error.downcast_ref::<ApiError>().and_then(|error| error.0.execution.as_deref()) {
        Some(id) => {
            output::failure(&format!("failed: {error}; `{}` shows the steps", show(id, environment)));
            Ok(ExitCode::FAILURE)
        }
        None => Err(error),
    }
}

/// The command that shows an execution.
fn show(id: &str, environment: &EnvironmentApi) -> String {
    format!("evenkeel executions show {id}{}", environment.option())
}

/// The subjects that an execution waits for, each with the command that ends the wait.
fn waits(execution: &ExecutionSummary, environment: &EnvironmentApi) -> String {
    // Without the remaining time, which changes by itself.
    let style = Style::default();
    let lines = execution.waits_for.iter().map(|wait| {
        let command = wait_command(wait, &execution.id, environment).map(|command| format!("  {command}\n"));
        format!("waits for {}\n{}", describe_wait(wait, style), command.unwrap_or_default())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::api_client::{ApiClient, ApiResponse};
    use super::super::execution_view::summary;
    use super::*;

    fn environment() -> EnvironmentApi {
        let client = ApiClient { server: String::new(), token: None };
        EnvironmentApi { client, environment: "live".into(), is_chosen: false }
    }

    #[test]
    fn a_wait_is_shown_with_the_command_that_ends_it() {
        let execution = summary(&json!({"waitsFor": [
            {"kind": "approval", "name": "ship", "until": "2026-11-29T12:15:00Z"},
            {"kind": "sleep", "name": "7ms", "until": "2026-11-29T12:15:00Z"}]}));
        let execution: ExecutionSummary = serde_json::from_value(execution).unwrap();
        assert_eq!(
            waits(&execution, &environment()),
            "waits for approval `ship` until 2026-11-29T12:15:00Z\n  evenkeel executions approve 01kb ship\nwaits for \
             2026-11-29T12:15:00Z\n"
        );
    }

    #[test]
    fn only_a_failed_execution_is_a_result() {
        let problem = |value: Value| ApiError(ApiResponse { status: 500, value }.problem()).into();
        let broken = failed(problem(json!({"code": "X", "detail": "it broke", "execution": "01kb"})), &environment());
        assert_eq!(broken.unwrap(), ExitCode::FAILURE);
        assert!(failed(problem(json!({"detail": "unknown workflow"})), &environment()).is_err());
    }
}
