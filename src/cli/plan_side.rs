//! One side of `evenkeel plan`: the definitions of a folder or of a Git revision.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::ci_links::GitHost;
use super::output::report_of;
use crate::catalog;
use crate::plan::render::ReviewSide;
use crate::plan::{Inventory, Object, inventory};
use crate::reconcile::candidate::with_files;
use crate::reconcile::validate::{self, Validated};
use crate::source::{MAX_ASSET_BYTES, directory, git};
use crate::text::render::reported;

/// Source name of the objects on both sides: two folders are two states of one source.
const SOURCE: &str = "definitions";

/// Number of shown digits of a commit.
const SHORT_COMMIT: usize = 10;

/// One side of a comparison.
pub(super) struct PlanSide {
    /// Folder or revision, as people read it.
    pub(super) name: String,
    pub(super) validated: Validated,
    /// The commit of a revision.
    commit: Option<String>,
    /// Folder of the definitions in its repository; empty for the root, and if it is in none.
    folder: String,
    /// True if the folder is in a Git repository.
    is_in_repository: bool,
    /// Contents of the files that definitions refer to.
    assets: BTreeMap<String, Arc<[u8]>>,
}

impl PlanSide {
    /// The definitions with their file contents.
    pub(super) fn inventory(&self) -> Inventory {
        let catalog = &self.validated.catalog;
        let mut inventory = inventory(catalog, SOURCE, &self.name);
        for entry in catalog.entries.iter().filter(|entry| catalog::assets_of(entry).next().is_some()) {
            if let Some(object) = inventory.get_mut(&entry.id) {
                *object = Arc::new(with_files(Object::clone(object), entry, &self.assets));
            }
        }
        inventory
    }

    /// The side as a review names it, with its findings and, in a CI job, the addresses of its files.
    pub(super) fn review(&self, host: Option<&GitHost>) -> ReviewSide {
        let host = host.filter(|_| self.is_in_repository);
        ReviewSide {
            name: self.name.clone(),
            commit: self.commit.clone(),
            folder: self.folder.clone(),
            url: host.map(|host| host.files_at(self.commit.as_deref())),
            findings: reported(&report_of(&self.validated)),
        }
    }
}

fn assets(
    validated: &Validated,
    read: impl Fn(&str) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<BTreeMap<String, Arc<[u8]>>> {
    let read = |file: String| {
        let bytes = read(&file).with_context(|| format!("cannot read {file}"))?;
        Ok((file, bytes.into()))
    };
    catalog::assets(&validated.catalog).into_iter().map(read).collect()
}

/// Reads and validates a folder or file.
pub(super) fn read_folder(path: &Path) -> anyhow::Result<PlanSide> {
    let (mut snapshot, unreadable) =
        directory::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let root = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let inside = repository_of(root).ok();
    let is_in_repository = inside.is_some();
    let folder = inside.and_then(|(_, folder)| folder).unwrap_or_default();
    if is_in_repository {
        snapshot.set_repository_folder(&folder);
    }
    let validated = validate::with(&snapshot, unreadable);
    let assets = assets(&validated, |file| {
        let bytes = directory::read_inside(root, file, MAX_ASSET_BYTES + 1)?;
        if bytes.len() > MAX_ASSET_BYTES {
            bail!("the file has more than {MAX_ASSET_BYTES} bytes");
        }
        Ok(bytes)
    })?;
    Ok(PlanSide { name: path.display().to_string(), validated, commit: None, folder, is_in_repository, assets })
}

/// Reads and validates a folder at a revision of the repository that contains it.
pub(super) fn read_revision(folder: &Path, revision: &str) -> anyhow::Result<PlanSide> {
    let (repository, path) = repository_of(folder)?;
    let fetched = git::local(&repository, revision, path.as_deref())?;
    let validated = validate::with(&fetched.snapshot, fetched.unreadable);
    let commit = fetched.revision.commit;
    let assets = assets(&validated, |file| Ok(git::local_file(&repository, &commit, path.as_deref(), file)?))?;
    let name = revision_name(revision, &commit);
    let folder = path.unwrap_or_default();
    Ok(PlanSide { name, validated, commit: Some(commit), folder, is_in_repository: true, assets })
}

/// Reads and validates a folder at the state that a plan compares with: at the merge base of the earlier and the later
/// revision, or for `REVISION..` at the earlier one itself. Adds a remark if the merge base is another commit.
pub(super) fn read_base(
    folder: &Path,
    earlier: &str,
    later: &str,
    notes: &mut Vec<String>,
) -> anyhow::Result<PlanSide> {
    let revision = earlier.strip_suffix("...").unwrap_or(earlier);
    if let Some(exact) = revision.strip_suffix("..") {
        return read_revision(folder, exact);
    }
    let (repository, _) = repository_of(folder)?;
    let base = git::merge_base(&repository, revision, later)?;
    if base.is_earlier {
        return read_revision(folder, revision);
    }
    let short = base.commit.get(..SHORT_COMMIT).unwrap_or(&base.commit);
    notes.push(format!(
        "compared with the merge base of `{revision}` and `{later}`, {short}; `--from {revision}..` compares with \
         `{revision}` itself"
    ));
    let side = read_revision(folder, &base.commit)?;
    Ok(PlanSide { name: format!("{revision}...@{short}"), ..side })
}

/// `main@4f0c2d1a3b`; only the digits if the revision is a commit.
fn revision_name(revision: &str, commit: &str) -> String {
    let short = commit.get(..SHORT_COMMIT).unwrap_or(commit);
    if revision.len() >= 7 && commit.starts_with(&revision.to_ascii_lowercase()) {
        return short.to_owned();
    }
    format!("{revision}@{short}")
}

/// Root of the repository that contains a folder, and the folder's path in it with `/` separators (`None` for the root).
fn repository_of(folder: &Path) -> anyhow::Result<(PathBuf, Option<String>)> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = folder.canonicalize().with_context(|| format!("cannot read {}", folder.display()))?;
    // `.git` is a file in worktrees and submodules.
    let Some(root) = folder.ancestors().find(|folder| folder.join(".git").exists()) else {
        bail!("{} is not in a Git repository; compare two folders instead", folder.display())
    };
    let inside = folder.strip_prefix(root).unwrap_or(Path::new(""));
    let parts: Option<Vec<&str>> = inside.iter().map(|part| part.to_str()).collect();
    let path = parts.with_context(|| format!("the path of {} is not UTF-8", folder.display()))?.join("/");
    Ok((root.to_owned(), Some(path).filter(|path| !path.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_named_shortly() {
        let commit = "4f0c2d1a3b5e6f70819243546576879809a0b1c2";
        assert_eq!(revision_name("main", commit), "main@4f0c2d1a3b");
        assert_eq!(revision_name(commit, commit), "4f0c2d1a3b");
        assert_eq!(revision_name("4F0C2D1", commit), "4f0c2d1a3b");
        assert_eq!(revision_name("HEAD~2", commit), "HEAD~2@4f0c2d1a3b");
    }
}
