//! `evenkeel executions`: lists, shows and controls executions.

mod list;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::execution_api::ExecutionApi;
use super::table::{text, time};
use super::{json_input, output};

/// List, show and control executions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel executions list --status Failed --since 2h
  evenkeel executions retry 01jd3kx0")]
pub(super) struct Executions {
    #[command(subcommand)]
    command: ExecutionCommand,
}

#[derive(Debug, Subcommand)]
enum ExecutionCommand {
    List(list::List),
    Show(show::Show),
    Logs(Logs),
    Cancel(Cancel),
    Retry(Retry),
    Signal(Signal),
    Approve(Approve),
}

/// Print the log of an execution
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel executions logs 01jd3kx0")]
struct Logs {
    /// Execution ID or a unique prefix of it
    #[arg(value_name = "EXECUTION")]
    id: String,
    #[command(flatten)]
    api: ExecutionApi,
}

/// Request the cancellation of an execution
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel executions cancel 01jd3kx0")]
struct Cancel {
    /// Execution ID or a unique prefix of it
    #[arg(value_name = "EXECUTION")]
    id: String,
    #[command(flatten)]
    api: ExecutionApi,
}

/// Start a finished execution again with the same input
#[derive(Debug, Args)]
#[command(after_help = "\
Runs the version of the workflow that is live now, and prints the ID of the new
execution.

Examples:
  evenkeel executions retry 01jd3kx0")]
struct Retry {
    /// Execution ID or a unique prefix of it
    #[arg(value_name = "EXECUTION")]
    id: String,
    #[command(flatten)]
    api: ExecutionApi,
}

/// Send a signal to an execution
#[derive(Debug, Args)]
#[command(after_help = "\
`ctx.waitForEvent(SIGNAL)` returns the data.

Examples:
  evenkeel executions signal 01jd3kx0 payment-received -d '{\"amount\": 12}'")]
struct Signal {
    /// Execution ID or a unique prefix of it
    #[arg(value_name = "EXECUTION")]
    id: String,
    /// Name of the signal
    #[arg(value_name = "SIGNAL")]
    name: String,
    /// Data as JSON; `@FILE` reads a file, `-` reads stdin
    #[arg(short, long, default_value = "{}", value_name = "JSON")]
    data: String,
    #[command(flatten)]
    api: ExecutionApi,
}

/// Approve or reject a request for approval
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel executions approve 01jd3kx0 refund --comment 'checked with finance'
  evenkeel executions approve 01jd3kx0 refund --reject")]
struct Approve {
    /// Execution ID or a unique prefix of it
    #[arg(value_name = "EXECUTION")]
    id: String,
    /// Name of the approval: the step, or the name in code
    #[arg(value_name = "APPROVAL")]
    name: String,
    /// Reject instead of approving
    #[arg(long)]
    reject: bool,
    /// Comment for the record
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    api: ExecutionApi,
}

impl Executions {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            ExecutionCommand::List(command) => command.run(),
            ExecutionCommand::Show(command) => command.run(),
            ExecutionCommand::Logs(command) => command.run(),
            ExecutionCommand::Cancel(command) => command.run(),
            ExecutionCommand::Retry(command) => command.run(),
            ExecutionCommand::Signal(command) => command.run(),
            ExecutionCommand::Approve(command) => command.run(),
        }
    }
}

impl Logs {
    fn run(self) -> anyhow::Result<ExitCode> {
        let response = self.api.get(&format!("/v1/executions/{}/logs", self.id), &[])?;
        if let Some(code) = self.api.output.print_json(&response) {
            return Ok(code);
        }
        for line in response["lines"].as_array().into_iter().flatten() {
            let (level, message) = (text(&line["level"]), text(&line["message"]));
            output::data(&format!("{} {level:<5} {message}\n", time(&line["at"])));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Cancel {
    fn run(self) -> anyhow::Result<ExitCode> {
        let response = self.api.post(&format!("/v1/executions/{}/cancel", self.id), &json!({}))?;
        output::data(&format!("{}: cancellation requested\n", text(&response["execution"])));
        Ok(ExitCode::SUCCESS)
    }
}

impl Retry {
    fn run(self) -> anyhow::Result<ExitCode> {
        let response = self.api.post(&format!("/v1/executions/{}/retry", self.id), &json!({}))?;
        output::data(&format!("{}\n", text(&response["execution"])));
        Ok(ExitCode::SUCCESS)
    }
}

impl Signal {
    fn run(self) -> anyhow::Result<ExitCode> {
        let path = format!("/v1/executions/{}/events/{}", self.id, self.name);
        let response = self.api.post(&path, &json_input::read(&self.data)?)?;
        output::data(&format!("{}: signal sent\n", text(&response["execution"])));
        Ok(ExitCode::SUCCESS)
    }
}

impl Approve {
    fn run(self) -> anyhow::Result<ExitCode> {
        let path = format!("/v1/executions/{}/approvals/{}", self.id, self.name);
        let body = json!({"approved": !self.reject, "comment": self.comment});
        let response = self.api.post(&path, &body)?;
        let verdict = if self.reject { "rejected" } else { "approved" };
        output::data(&format!("{}: {verdict}\n", text(&response["execution"])));
        Ok(ExitCode::SUCCESS)
    }
}
