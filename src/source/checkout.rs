//! Checkouts of Git repositories: the folders in them that are repositories of their own.

use std::path::Path;

/// True if a folder is a submodule or another repository inside of the checkout that `root` is part of. Clones in a folder
/// that is itself in no repository are ordinary folders.
pub(super) fn is_submodule(folder: &Path, root: &Path) -> bool {
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    is_repository(folder) && root.canonicalize().is_ok_and(|root| root.ancestors().any(is_repository))
}

/// `.git` is a folder in a clone, and a file in a submodule and a worktree.
fn is_repository(folder: &Path) -> bool {
    folder.join(".git").symlink_metadata().is_ok()
}
