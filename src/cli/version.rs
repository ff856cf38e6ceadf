//! `evenkeel version`: prints the version.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::output;
use super::output_format::OutputFormat;
use crate::definition::API_VERSION;

/// Print the version of this program
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel version
  evenkeel version -o json")]
pub(super) struct Version {
    /// Output format
    #[arg(short, long, default_value = "human", value_name = "FORMAT")]
    output: OutputFormat,
}

impl Version {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let version = env!("CARGO_PKG_VERSION");
        let document = json!({"version": version, "apiVersion": API_VERSION});
        if self.output.print_json(&document).is_none() {
            output::data(&format!("evenkeel {version}\n"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
