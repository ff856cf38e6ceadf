//! `evenkeel types`: what `ctx` is, for editors.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::output;
use crate::reconcile::validate;
use crate::workflow::declarations;

/// Print TypeScript declarations of what workflows' code may use, for editors.
///
/// With the file beside the code, such as `evenkeel.d.ts`, `export default async function (ctx: WelcomeCtx)` completes
/// connectors, actions, inputs and outputs. Nothing is imported: the types are global.
#[derive(Debug, Args)]
pub(super) struct Types {
    /// A folder of definitions, or one file.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Write them into this file instead, such as `evenkeel.d.ts`; it is touched only where they changed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Types {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let examined = validate::folder(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        if examined.catalog.entries.is_empty() {
            output::findings(&examined);
            return Ok(ExitCode::FAILURE);
        }
        // Of definitions with mistakes the rest is still worth completing: code is written while they change.
        let text = declarations(&examined.catalog);
        if !examined.is_valid() {
            output::note("some definitions have mistakes, so that types may be missing; see `evenkeel validate`");
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
