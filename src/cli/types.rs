//! `evenkeel types`: prints TypeScript declarations.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::output;
use crate::reconcile::validate;
use crate::workflow::declarations;

/// Print TypeScript declarations for workflow code
#[derive(Debug, Args)]
#[command(after_help = "\
The types are global, so code imports nothing: an editor completes connectors,
actions, inputs and outputs of `ctx` in `export default async function (ctx)`.

Examples:
  evenkeel types --out evenkeel.d.ts")]
pub(super) struct Types {
    /// Folder of definitions, or one file
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Write to a file, only if its content changes
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Types {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let validated = validate::folder(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        if validated.catalog.entries.is_empty() {
            output::findings(&validated);
            return Ok(ExitCode::FAILURE);
        }
        // Definitions with errors do not prevent completion of the others: authors edit code and definitions together.
        let text = declarations(&validated.catalog);
        if !validated.is_valid() {
            output::note("some definitions have errors, so types may be missing; see `evenkeel validate`");
        }
        match self.out {
            None => output::data(&text),
            Some(file) => {
                if std::fs::read(&file).ok().as_deref() != Some(text.as_bytes()) {
                    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
