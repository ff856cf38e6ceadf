//! `evenkeel reconcile`: reconciles an environment without waiting for its interval.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::environment_args::ApiArgs;
use super::operation::{operate, print_status};

/// Reconcile an environment now and print its status
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status:
  0  the environment is ready
  1  the environment is not ready
  2  the server cannot be reached

Examples:
  evenkeel reconcile -e live")]
pub(super) struct Reconcile {
    #[command(flatten)]
    api: ApiArgs,
}

impl Reconcile {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (_, response) = operate(&self.api, "reconcile", &json!({}))?;
        print_status(&response, self.api.output)
    }
}
