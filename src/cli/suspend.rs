//! `evenkeel suspend`: stops applying changes to an environment.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::environment_args::ApiArgs;
use super::operation::operate;
use super::output;

/// Stop applying changes to an environment
#[derive(Debug, Args)]
#[command(after_help = "\
The active generation keeps serving. `evenkeel resume` ends the suspension.

Examples:
  evenkeel suspend -e live --reason 'incident 1234'")]
pub(super) struct Suspend {
    /// Reason to show in the status
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    api: ApiArgs,
}

impl Suspend {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let body = self.reason.as_ref().map_or_else(|| json!({}), |reason| json!({"reason": reason}));
        let (name, response) = operate(&self.api, "suspend", &body)?;
        if self.api.output.print_json(&response).is_none() {
            output::data(&format!("{name}: suspended; `evenkeel resume -e {name}` ends the suspension\n"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
