//! `evenkeel promote`: activates the generation of another environment.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::environment_args::{ApiArgs, environment_name};
use super::operation::{operate, print_activated};
use super::output;

/// Activate the generation of one environment in another
#[derive(Debug, Args)]
#[command(after_help = "\
Copies the definitions and applies the overlays and the selector of the target.
Overrides in the source environment are copied as well; each is reported as a
warning.

Examples:
  evenkeel promote --from staging -e live")]
pub(super) struct Promote {
    /// Environment to copy from, as NAME or NAMESPACE/NAME
    #[arg(long, value_name = "ENVIRONMENT", value_parser = environment_name)]
    from: String,
    #[command(flatten)]
    api: ApiArgs,
}

impl Promote {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (environment, response) = operate(&self.api, "promote", &json!({"from": self.from}))?;
        for warning in response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            output::warning(warning);
        }
        print_activated(&environment, &response, self.api.output)
    }
}
