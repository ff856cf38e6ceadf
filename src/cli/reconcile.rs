//! `evenkeel reconcile`: reconciles an environment without waiting for its interval.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::api_client::{ApiClient, environment_name};
use super::environment_api::operate;
use super::environment_status;
use super::output_format::OutputFormat;

/// Reconcile an environment now and print its status
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel reconcile live")]
pub(super) struct Reconcile {
    /// Environment to reconcile
    #[arg(value_parser = environment_name)]
    environment: String,
    /// Reconcile now, which the command always does
    #[arg(long, hide = true)]
    now: bool,
    #[command(flatten)]
    client: ApiClient,
}

impl Reconcile {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let response = operate(&self.client, &self.environment, "reconcile", &json!({}))?;
        Ok(environment_status::print(&response["status"], OutputFormat::Human))
    }
}
