//! `evenkeel init`: creates a first set of definitions.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use super::output;

/// Create a first set of definitions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel init definitions
  evenkeel dev definitions")]
pub(super) struct Init {
    /// Folder to write to; created if it does not exist
    #[arg(default_value = ".")]
    path: PathBuf,
}

/// The quickstart example, which the tests run.
const FILES: [(&str, &str); 5] = [
    ("1-environment.yaml", include_str!("../../examples/quickstart/1-environment.yaml")),
    ("2-connector.yaml", include_str!("../../examples/quickstart/2-connector.yaml")),
    ("3-workflow.yaml", include_str!("../../examples/quickstart/3-workflow.yaml")),
    ("4-widget.yaml", include_str!("../../examples/quickstart/4-widget.yaml")),
    ("welcome.ts", include_str!("../../examples/quickstart/welcome.ts")),
];

impl Init {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        std::fs::create_dir_all(&self.path).with_context(|| format!("cannot create {}", self.path.display()))?;
        let existing: Vec<&str> =
            FILES.iter().map(|(name, _)| *name).filter(|name| self.path.join(name).exists()).collect();
        if !existing.is_empty() {
            bail!("files exist already: {}; nothing was written", existing.join(", "));
        }
        for (name, text) in FILES {
            write_new(&self.path.join(name), text)?;
            output::note(&format!("wrote {}", self.path.join(name).display()));
        }
        let shown = self.path.display();
        output::note(&format!("\nnext:\n  evenkeel validate {shown}\n  evenkeel test {shown}\n  evenkeel dev {shown}"));
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a new file; fails if one exists.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
