//! The output format that most commands share.

use std::process::ExitCode;

use serde_json::Value;

use super::output;

/// Output for people or for tools.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(super) enum OutputFormat {
    Human,
    Json,
}

impl OutputFormat {
    /// Prints the value and returns the exit code if the format is JSON.
    pub(super) fn print_json(self, value: &Value) -> Option<ExitCode> {
        (self == OutputFormat::Json).then(|| {
            output::data(&format!("{value:#}\n"));
            ExitCode::SUCCESS
        })
    }
}
