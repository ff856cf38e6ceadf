//! `evenkeel executions retry`

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::super::output;
use super::super::table::text;
use super::execution_args::ExecutionArgs;

/// Start a finished execution again with the same input
#[derive(Debug, Args)]
#[command(after_help = "\
Runs the version of the workflow that is live now, and prints the ID of the new
execution.

Examples:
  evenkeel executions retry 01jd3kx0")]
pub(super) struct Retry {
    #[command(flatten)]
    execution: ExecutionArgs,
}

impl Retry {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let ExecutionArgs { id, api } = self.execution;
        let response = api.connect()?.post(&["executions", &id, "retry"], Vec::new(), &json!({}))?;
        if api.output.print_json(&response).is_none() {
            output::data(&format!("{}\n", text(&response["execution"])));
        }
        Ok(ExitCode::SUCCESS)
    }
}
