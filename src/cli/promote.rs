//! `evenkeel promote`: activates the generation of another environment.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::api_client::{ApiClient, environment_name};
use super::environment_api::{operate, print_activated};
use super::output;

/// Activate the generation of one environment in another
#[derive(Debug, Args)]
#[command(after_help = "\
Copies the definitions exactly. Overrides in the source environment are copied
as well; each is reported as a warning.

Examples:
  evenkeel promote staging live")]
pub(super) struct Promote {
    /// Environment to copy from
    #[arg(value_parser = environment_name)]
    from: String,
    /// Environment to change
    #[arg(value_parser = environment_name)]
    to: String,
    #[command(flatten)]
    client: ApiClient,
}

impl Promote {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let response = operate(&self.client, &self.to, "promote", &json!({"from": self.from}))?;
        for warning in response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            output::note(&format!("warning: {warning}"));
        }
        Ok(print_activated(&self.to, &response))
    }
}
