//! `evenkeel fmt`: formats definition files.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use super::output;
use crate::catalog::is_foreign;
use crate::source::directory;
use crate::text::format;

/// Format definition files
#[derive(Debug, Args)]
#[command(after_help = "\
Keeps comments and the meaning. YAML: apiVersion, kind, metadata and spec in
this order, Unix line ends, no trailing spaces, no repeated blank lines, one
line break at the end. JSON: two spaces of indentation.

Exit status:
  0  success
  1  --check found a file to change, or a file cannot be formatted

Examples:
  evenkeel fmt
  evenkeel fmt --check definitions")]
pub(super) struct Fmt {
    /// Folder of definitions, or one file
    #[arg(default_value = ".")]
    path: PathBuf,
    /// List the files that would change, without changing them
    #[arg(long)]
    check: bool,
}

impl Fmt {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (snapshot, _) =
            directory::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let root =
            if self.path.is_file() { self.path.parent().unwrap_or(&self.path).to_owned() } else { self.path.clone() };
        if self.path.is_symlink() && self.path.is_file() {
            bail!("{} is a symbolic link; name the file itself", self.path.display());
        }
        let mut code = ExitCode::SUCCESS;
        let mut changed = 0;
        for file in snapshot
            .files
            .iter()
            .filter(|file| !is_foreign(&file.path) && format::is_evenkeel_file(&file.path, &file.bytes))
        {
            let path = root.join(&*file.path);
            // A link stays a link: its target may be written by another tool, such as a mounted ConfigMap.
            if path.ancestors().take_while(|path| *path != root).any(Path::is_symlink) {
                continue;
            }
            let shown = path.strip_prefix(".").unwrap_or(&path).display();
            match format::format(&file.path, &file.bytes) {
                Ok(text) if text.as_bytes() == &*file.bytes => {}
                Ok(_) if self.check => {
                    output::data(&format!("{shown}\n"));
                    code = ExitCode::FAILURE;
                    changed += 1;
                }
                Ok(text) => {
                    replace(&path, &text).with_context(|| format!("cannot write {shown}"))?;
                    output::data(&format!("{shown}\n"));
                    changed += 1;
                }
                Err(reason) => {
                    output::note(&format!("{shown}: not formatted: {reason}; see `evenkeel validate`"));
                    code = ExitCode::FAILURE;
                }
            }
        }
        let verb = if self.check { "would change" } else { "changed" };
        output::note(&format!("{} {verb}", output::count(changed, "file")));
        Ok(code)
    }
}

/// Writes a temporary file in the same folder and renames it: a full disk must not leave half of a definition.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.evenkeel-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    let permissions = std::fs::metadata(path)?.permissions();
    let moved = std::fs::set_permissions(&temporary, permissions).and_then(|()| std::fs::rename(&temporary, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    moved
}
