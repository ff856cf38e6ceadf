//! The output format that most commands share.

use std::process::ExitCode;

use serde_json::Value;

use super::output;
use crate::text::render as report;

/// Output for people or for tools.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(super) enum OutputFormat {
    Human,
    Json,
}

/// The formats of findings, so that help and completions list them as they list those of other commands.
impl clap::ValueEnum for report::OutputFormat {
    fn value_variants<'a>() -> &'a [report::OutputFormat] {
        &report::OutputFormat::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
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
