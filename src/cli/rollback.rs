//! `evenkeel rollback`: activates an earlier generation.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::api_client::{ApiClient, environment_name};
use super::environment_api::{operate, print_activated};

/// Activate an earlier generation of an environment
#[derive(Debug, Args)]
#[command(after_help = "\
The revision that is rolled back is not applied again. A newer revision is,
and so is this one after `evenkeel resume`.

Examples:
  evenkeel history live      # find the generation
  evenkeel rollback live 41")]
pub(super) struct Rollback {
    /// Environment to change
    #[arg(value_parser = environment_name)]
    environment: String,
    /// Number of the generation to activate
    generation: u64,
    #[command(flatten)]
    client: ApiClient,
}

impl Rollback {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let response = operate(&self.client, &self.environment, "rollback", &json!({"to": self.generation}))?;
        Ok(print_activated(&self.environment, &response))
    }
}
