//! `evenkeel resume`: applies changes again.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::api_client::{ApiClient, environment_name};
use super::environment_api::operate;
use super::environment_status;
use super::output_format::OutputFormat;

/// Apply changes again after a suspension or a rollback
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel resume live")]
pub(super) struct Resume {
    /// Environment to resume
    #[arg(value_parser = environment_name)]
    environment: String,
    #[command(flatten)]
    client: ApiClient,
}

impl Resume {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let response = operate(&self.client, &self.environment, "resume", &json!({}))?;
        Ok(environment_status::print(&response["status"], OutputFormat::Human))
    }
}
