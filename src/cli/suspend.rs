//! `evenkeel suspend`: stops applying changes to an environment.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::api_client::{ApiClient, environment_name};
use super::environment_api::operate;
use super::output;

/// Stop applying changes to an environment
#[derive(Debug, Args)]
#[command(after_help = "\
The active generation keeps serving. `evenkeel resume` ends the suspension.

Examples:
  evenkeel suspend live --reason 'incident 1234'")]
pub(super) struct Suspend {
    /// Environment to suspend
    #[arg(value_parser = environment_name)]
    environment: String,
    /// Reason to show in the status
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    client: ApiClient,
}

impl Suspend {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let body = self.reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
        operate(&self.client, &self.environment, "suspend", &body)?;
        let name = &self.environment;
        output::data(&format!("{name}: suspended; `evenkeel resume {name}` ends the suspension\n"));
        Ok(ExitCode::SUCCESS)
    }
}
