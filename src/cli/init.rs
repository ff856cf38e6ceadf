//! `evenkeel init`: creates a first set of definitions, and the files around them.

mod ci;
mod files;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use self::ci::CiHost;
use self::files::NewFile;
use super::output;
use super::project::write_new;
use crate::reconcile::validate;
use crate::workflow::declarations;

/// Create a first set of definitions
#[derive(Debug, Args)]
#[command(after_help = "\
Writes definitions, a README, a .gitignore, the schema that editors complete
from, and the types of workflow code. Existing files are kept; nothing is
written if a definition would have to be replaced.

Examples:
  evenkeel init definitions
  evenkeel init --template minimal --ci github
  evenkeel dev definitions")]
pub(super) struct Init {
    /// Folder to write to; created if it does not exist
    #[arg(default_value = ".")]
    path: PathBuf,
    /// First definitions: one tested action, or a tour of all kinds
    #[arg(long, value_enum, default_value = "tour", value_name = "TEMPLATE")]
    template: Template,
    /// Write a CI job that validates, tests and plans
    #[arg(long, value_enum, value_name = "HOST")]
    ci: Option<CiHost>,
}

/// A set of first definitions. Variants have no comments, so that the help stays short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    Minimal,
    Tour,
}

impl Init {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        std::fs::create_dir_all(&self.path).with_context(|| format!("cannot create {}", self.path.display()))?;
        let definitions = match self.template {
            Template::Minimal => files::minimal(),
            Template::Tour => files::tour(),
        };
        let taken = |file: &&NewFile| self.path.join(&*file.path).symlink_metadata().is_ok();
        let existing: Vec<&str> = definitions.iter().filter(taken).map(|file| &*file.path).collect();
        if !existing.is_empty() {
            bail!(
                "files exist already: {}; nothing was written; choose another folder, or remove them",
                existing.join(", ")
            );
        }
        for file in &definitions {
            write_new(&self.path.join(&*file.path), &file.text)?;
            wrote(&self.path.join(&*file.path));
        }
        let mut around = files::around();
        around.push(NewFile::new("evenkeel.d.ts", self.types()?));
        for file in around {
            keep_or_write(&self.path.join(&*file.path), &file.text)?;
        }
        if let Some(host) = self.ci {
            for file in ci::files(host, &self.path)? {
                keep_or_write(Path::new(&*file.path), &file.text)?;
            }
        }
        output::note(&self.next_steps());
        Ok(ExitCode::SUCCESS)
    }

    /// The types of the code in the folder, which may hold other definitions too.
    fn types(&self) -> anyhow::Result<String> {
        let validated = validate::folder(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(declarations(&validated.catalog))
    }

    fn next_steps(&self) -> String {
        let shown = self.path.display();
        let mut steps =
            format!("\nnext:\n  evenkeel validate {shown}\n  evenkeel test {shown}\n  evenkeel dev {shown}");
        if let Some(host) = self.ci {
            steps += &format!("\n\n{}", host.next_step());
        }
        steps
    }
}

fn wrote(path: &Path) {
    output::note(&format!("wrote {}", path.display()));
}

/// Writes a file unless it exists.
fn keep_or_write(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.symlink_metadata().is_ok() {
        output::note(&format!("kept {}, which exists", path.display()));
        return Ok(());
    }
    write_new(path, text)?;
    wrote(path);
    Ok(())
}
