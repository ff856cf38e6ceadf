//! Local folders as sources.
//!
//! Symbolic links are followed inside the folder only, see [`links`]. Files and folders whose name starts with a dot,
//! `node_modules`, and paths that `.evenkeelignore` or `exclude` name are ignored. In a checkout, submodules are passed
//! over with a warning: a commit does not hold their files either.

mod links;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use self::walk::{StampedFiles, Walk, read_file};
use super::fetch::{FetchError, FetchReason, Fetched, MAX_ASSET_BYTES, Revision, Source};
use super::unreadable::UnreadableFile;
use crate::catalog::{File, Snapshot};
use crate::text::Digest;

/// Reads a folder, or a single file as the only one of its folder.
///
/// # Errors
/// The error of the operating system if the path itself cannot be read.
pub fn read(path: &Path) -> std::io::Result<(Snapshot, Vec<UnreadableFile>)> {
    let mut walk = Walk::new(path, &[]);
    walk.all(path)?;
    Ok((walk.snapshot, walk.unreadable))
}

/// Reads at most `max_bytes` bytes of a regular file, given by its path relative to a folder.
///
/// # Errors
/// The cause if the file cannot be read, or its path leads out of the folder, also by a symbolic link.
pub fn read_inside(folder: &Path, file: &str, max_bytes: usize) -> std::io::Result<Vec<u8>> {
    if file.split('/').any(|part| matches!(part, "" | "." | "..") || part.contains(['\\', '\0'])) {
        return Err(std::io::Error::other("it leads out of the folder"));
    }
    read_file(&links::resolve(folder, file)?, max_bytes)
}

/// A folder as a source that is fetched repeatedly.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    exclude: Vec<String>,
    last: Mutex<LastRead>,
}

/// The result of the last fetch.
#[derive(Debug, Default)]
struct LastRead {
    files: StampedFiles,
    fetched: Option<Arc<Fetched>>,
}

impl Directory {
    /// Creates a source of the definitions in a folder, or of one file.
    pub fn new(path: impl Into<PathBuf>) -> Directory {
        Directory::excluding(path, Vec::new())
    }

    /// Creates a source of the definitions in a folder without the paths that match `exclude`, see
    /// [`IgnoreRules`](crate::definition::ignore_rules::IgnoreRules).
    pub fn excluding(path: impl Into<PathBuf>, exclude: Vec<String>) -> Directory {
        Directory { path: path.into(), exclude, last: Mutex::default() }
    }
}

impl Source for Directory {
    fn fetch(&self, deadline: Instant) -> Result<Arc<Fetched>, FetchError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut walk = Walk::new(&self.path, &self.exclude);
        walk.deadline = Some(deadline);
        walk.before = Some(std::mem::take(&mut last.files));
        let walked = walk.all(&self.path);
        last.files = if walked.is_ok() { walk.stamped } else { walk.before.unwrap_or_default() };
        walked.map_err(|error| self.failed(&error))?;
        if let Some(fetched) = &last.fetched
            && same(&fetched.snapshot, &walk.snapshot)
            && fetched.unreadable.len() == walk.unreadable.len()
            && fetched.unreadable.iter().zip(&walk.unreadable).all(|(a, b)| a.path == b.path && a.finding == b.finding)
        {
            return Ok(Arc::clone(fetched));
        }
        let (snapshot, unreadable) = (walk.snapshot, walk.unreadable);
        let name = digest(&snapshot, &unreadable).to_string();
        let (commit, author, subject) = (String::new(), String::new(), String::new());
        let revision = Revision { name, commit, committed: 0, author, subject };
        let fetched = Arc::new(Fetched { revision, snapshot, unreadable, rewritten: false });
        last.fetched = Some(Arc::clone(&fetched));
        Ok(fetched)
    }

    fn read(&self, fetched: &Fetched, path: &str) -> Result<Vec<u8>, FetchError> {
        let fail = |reason, message| Err(FetchError { reason, message });
        let missing = || format!("the folder has no regular file `{path}`");
        // The walk found only names inside the folder; a link may lead elsewhere since.
        if !fetched.snapshot.names.contains(path) {
            return fail(FetchReason::PathNotFound, missing());
        }
        let folder = if self.path.is_file() { self.path.parent().unwrap_or(Path::new("")) } else { &self.path };
        let Ok(place) = links::resolve(folder, path) else { return fail(FetchReason::PathNotFound, missing()) };
        let read = read_file(&place, MAX_ASSET_BYTES + 1);
        match read {
            Ok(bytes) if bytes.len() > MAX_ASSET_BYTES => {
                let message = format!("`{path}` has more than the {MAX_ASSET_BYTES} bytes that are read");
                fail(FetchReason::TooLarge, message)
            }
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => fail(FetchReason::PathNotFound, missing()),
            Err(error) => fail(FetchReason::Unreadable, format!("`{path}` cannot be read: {error}")),
        }
    }
}

impl Directory {
    fn failed(&self, error: &std::io::Error) -> FetchError {
        let path = self.path.display();
        let (reason, message) = match error.kind() {
            std::io::ErrorKind::NotFound => (FetchReason::PathNotFound, format!("there is no folder `{path}`")),
            std::io::ErrorKind::TimedOut => {
                (FetchReason::TimedOut, format!("reading the folder `{path}` did not end before the deadline"))
            }
            _ => (FetchReason::Unreadable, format!("the folder `{path}` cannot be read: {error}")),
        };
        FetchError { reason, message }
    }
}

/// True if both snapshots hold the same files with the same bytes.
fn same(before: &Snapshot, now: &Snapshot) -> bool {
    let file = |(a, b): (&File, &File)| a.path == b.path && (Arc::ptr_eq(&a.bytes, &b.bytes) || a.bytes == b.bytes);
    before.alone == now.alone
        && before.files.len() == now.files.len()
        && before.files.iter().zip(&now.files).all(file)
        && before.names == now.names
        && before.code == now.code
}

/// The digest of a folder's content, independent of its location.
fn digest(snapshot: &Snapshot, unreadable: &[UnreadableFile]) -> Digest {
    let files = snapshot.files.iter().flat_map(|file| [file.path.as_bytes(), &*file.bytes]);
    // Of files that are neither definitions nor code, only the name counts.
    let names = snapshot.names.iter().map(String::as_bytes);
    let code = snapshot.code.iter().flat_map(|(path, bytes)| [path.as_bytes(), &**bytes]);
    let broken = unreadable.iter().flat_map(|broken| [broken.path.as_bytes(), broken.finding.code.id.as_bytes()]);
    Digest::of_parts(files.chain(names).chain(code).chain(broken))
}

#[cfg(test)]
mod tests;
