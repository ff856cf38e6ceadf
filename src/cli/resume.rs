//! `evenkeel resume`: applies changes again.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::environment_args::ApiArgs;
use super::operation::{operate, print_status};

/// Apply changes again after a suspension or a rollback
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel resume -e live")]
pub(super) struct Resume {
    #[command(flatten)]
    api: ApiArgs,
}

impl Resume {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (_, response) = operate(&self.api, "resume", &json!({}))?;
        print_status(&response, self.api.output)
    }
}
