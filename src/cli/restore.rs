//! `evenkeel restore`: restores a removed definition.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::environment_args::ApiArgs;
use super::operation::{operate, print_activated};
use crate::definition::Id;

/// Restore a removed definition while its undo window is open
#[derive(Debug, Args)]
#[command(after_help = "\
`evenkeel status` lists the definitions that can be restored.

Examples:
  evenkeel restore Connector/orbit-crm -e live")]
pub(super) struct Restore {
    /// Definition, as KIND/NAME
    #[arg(value_name = "KIND/NAME")]
    id: Id,
    #[command(flatten)]
    api: ApiArgs,
}

impl Restore {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (environment, response) = operate(&self.api, "restore", &json!({"id": self.id.to_string()}))?;
        print_activated(&environment, &response, self.api.output)
    }
}
