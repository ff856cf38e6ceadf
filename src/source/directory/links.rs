//! Symbolic links inside of a folder.
//!
//! Kubernetes mounts a ConfigMap as `x.yaml -> ..data/x.yaml` and `..data -> ..2026_11_26`, and swaps `..data` to update it.
//! So a link is followed if its target lies inside of the folder. A target that is read at its own path is not read again
//! through a link, and each other target is read once, so no definition is read twice and no circle is walked for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};

/// Maximum number of links of a folder.
pub(super) const MAX_LINKS: usize = 10_000;

/// The links of a folder.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The folder without links in its path.
    pub(super) root: PathBuf,
    /// Links that were found: their places and depths by the paths that are shown.
    pub(super) found: BTreeMap<String, (PathBuf, usize)>,
    /// Number of links that were found.
    pub(super) count: usize,
    /// Files and folders that were read through a link.
    read: BTreeSet<PathBuf>,
    /// True while a folder is read through a link.
    pub(super) follows: bool,
}

impl Links {
    /// True if a file or folder that is read through a link was not read before.
    pub(super) fn is_first(&mut self, path: &Path) -> bool {
        self.read.insert(path.to_owned())
    }

    /// Adds a link, which is followed after everything else was read.
    pub(super) fn add(&mut self, shown: String, path: PathBuf, depth: usize) {
        self.count += 1;
        if self.count <= MAX_LINKS {
            self.found.insert(shown, (path, depth));
        }
    }
}

/// The path of a file in a folder, or the path that a link leads to, without links in it.
///
/// # Errors
/// It does not exist, or lies outside of the folder.
pub(super) fn resolve(folder: &Path, file: &str) -> std::io::Result<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let target = fs::canonicalize(folder.join(file))?;
    if target.starts_with(fs::canonicalize(folder)?) {
        return Ok(target);
    }
    let message = format!("it is a symbolic link that leads out of its folder, to `{}`", target.display());
    Err(Error::other(message))
}
