//! `evenkeel executions cancel`

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::super::output;
use super::super::table::text;
use super::execution_args::ExecutionArgs;

/// Request the cancellation of an execution
#[derive(Debug, Args)]
#[command(after_help = "\
The execution ends at its next call or wait.

Examples:
  evenkeel executions cancel 01jd3kx0")]
pub(super) struct Cancel {
    #[command(flatten)]
    execution: ExecutionArgs,
}

impl Cancel {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let ExecutionArgs { id, api } = self.execution;
        let response = api.connect()?.post(&["executions", &id, "cancel"], Vec::new(), &json!({}))?;
        if api.output.print_json(&response).is_none() {
            output::data(&format!("{}: cancellation requested\n", text(&response["execution"])));
        }
        Ok(ExitCode::SUCCESS)
    }
}
