//! `evenkeel restore`: restores a removed definition.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::api_client::{ApiClient, environment_name};
use super::environment_api::{operate, print_activated};
use crate::definition::Id;

/// Restore a removed definition while its undo window is open
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel restore Connector/orbit-crm -e live")]
pub(super) struct Restore {
    /// Definition, as KIND/NAME
    #[arg(value_name = "KIND/NAME")]
    id: Id,
    /// Environment of the definition
    #[arg(short, long, value_name = "ENVIRONMENT", value_parser = environment_name)]
    environment: String,
    #[command(flatten)]
    client: ApiClient,
}

impl Restore {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let response = operate(&self.client, &self.environment, "restore", &json!({"id": self.id.to_string()}))?;
        Ok(print_activated(&self.environment, &response))
    }
}
