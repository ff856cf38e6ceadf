//! `evenkeel fmt`: one way to write definitions.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::output;
use crate::catalog::is_foreign;
use crate::source::directory;
use crate::text::format;

/// Bring files into one form: comments and order stay, meaning never changes.
///
/// YAML gets its envelope in order (apiVersion, kind, metadata, spec), Unix line ends, no trailing spaces, one line break
/// at its end and no repeated blank lines. JSON is indented by two. Exits with 1 where `--check` finds a file to change,
/// or a file cannot be read as it is.
#[derive(Debug, Args)]
pub(super) struct Fmt {
    /// A folder of definitions, or one file.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Change nothing, and name the files that would change.
    #[arg(long)]
    check: bool,
}

impl Fmt {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (snapshot, _) =
            directory::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let root =
            if self.path.is_file() { self.path.parent().unwrap_or(&self.path).to_owned() } else { self.path.clone() };
        let mut code = ExitCode::SUCCESS;
        let mut changed = 0;
        for file in snapshot
            .files
            .iter()
            .filter(|file| !is_foreign(&file.path) && format::is_evenkeel_file(&file.path, &file.bytes))
        {
            let path = root.join(&*file.path);
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
                    output::note(&format!("{shown}: left as it is: {reason}; see `evenkeel validate`"));
                    code = ExitCode::FAILURE;
                }
            }
        }
        let verb = if self.check { "would change" } else { "changed" };
        output::note(&format!("{} {verb}", output::count(changed, "file")));
        Ok(code)
    }
}

/// RawDocument beside the file and moved over it: a full disk must not leave half of a definition.
fn replace(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.evenkeel-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    let permissions = std::fs::metadata(path)?.permissions();
    let moved = std::fs::set_permissions(&beside, permissions).and_then(|()| std::fs::rename(&beside, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    moved
}
