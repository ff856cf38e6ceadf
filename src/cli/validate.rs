//! `evenkeel validate`: every mistake in a folder, at once.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::output;
use crate::reconcile::validate;
use crate::text::Severity;
use crate::text::render::OutputFormat;

/// Check definitions: every mistake at once, with its place and what to do.
///
/// Exits with 0 where there is no error, 1 where there is one, and 2 where the folder cannot be read.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// A folder of definitions, or one file.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// How to report: human, json, sarif, junit, github.
    #[arg(short, long, default_value = "human", value_name = "FORM")]
    output: OutputFormat,
    /// Count warnings as errors.
    #[arg(long)]
    strict: bool,
}

impl Validate {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut examined =
            validate::folder(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        if self.strict {
            for finding in &mut examined.findings {
                finding.severity = Severity::Error;
            }
        }
        let code = output::report(&examined, self.output);
        // The process ends here: taking a large catalog apart value by value would take a tenth of the whole time.
        std::mem::forget(examined);
        Ok(code)
    }
}
