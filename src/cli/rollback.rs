//! `evenkeel rollback`: activates an earlier generation.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::environment_args::ApiArgs;
use super::operation::{operate, print_activated};

/// Activate an earlier generation of an environment
#[derive(Debug, Args)]
#[command(after_help = "\
The revision that is rolled back is not applied again. A newer revision is,
and so is this one after `evenkeel resume`.

Examples:
  evenkeel history -e live      # find the generation
  evenkeel rollback -e live 41")]
pub(super) struct Rollback {
    /// Number of the generation to activate
    generation: u64,
    #[command(flatten)]
    api: ApiArgs,
}

impl Rollback {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (environment, response) = operate(&self.api, "rollback", &json!({"to": self.generation}))?;
        print_activated(&environment, &response, self.api.output)
    }
}
