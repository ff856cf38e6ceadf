//! One side of `evenkeel plan`: the definitions of a folder or of a Git revision.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::ci_links::GitHost;
use super::environment_file::ChosenEnvironment;
use super::output::report_of;
use crate::catalog::{EnvironmentSelection, Snapshot};
use crate::plan::render::ReviewSide;
use crate::reconcile::desired::{DesiredSet, declared_environments, desired_set};
use crate::reconcile::validate::Validator;
use crate::source::{Fetched, MAX_ASSET_BYTES, UnreadableFile, directory, git};
use crate::text::render::reported;

/// Number of shown digits of a commit.
const SHORT_COMMIT: usize = 10;

/// The files of one side of a comparison.
pub(super) struct PlanFiles {
    /// Folder or revision, as people read it.
    pub(super) name: String,
    snapshot: Snapshot,
    unreadable: Vec<UnreadableFile>,
    origin: Origin,
    /// Folder of the definitions in its repository; empty for the root, and if it is in none.
    folder: String,
    validator: Validator,
}

/// The place that files are read from.
enum Origin {
    /// A folder; true if it is in a Git repository.
    Folder(PathBuf, bool),
    /// A commit of a repository, with the folder of the definitions.
    Commit { repository: PathBuf, commit: String, path: Option<String> },
}

/// One side of a comparison: the desired set of an environment.
pub(super) struct PlanSide {
    /// Folder or revision, as people read it.
    pub(super) name: String,
    pub(super) desired: DesiredSet,
    origin: Origin,
    folder: String,
}

impl PlanFiles {
    /// Names of the Environments that the files declare.
    pub(super) fn environments(&mut self) -> Vec<String> {
        declared_environments(&mut self.validator, &self.snapshot)
    }

    /// Checks that the files of a repository are those that the operator's document reads. Adds a remark if there are more.
    ///
    /// # Errors
    /// The document reads another folder.
    pub(super) fn expect_source(&self, chosen: &ChosenEnvironment, notes: &mut Vec<String>) -> anyhow::Result<()> {
        let key = &chosen.key;
        if chosen.has_sources {
            notes.push(format!("`{key}` reads several sources: only `plan -e {key} --server …` covers all of them"));
        }
        let Some(folder) = &chosen.source_folder else { return Ok(()) };
        let folder = folder.trim_start_matches("./").trim_matches('/').trim_matches('.');
        if folder != self.folder {
            let shown = |folder: &str| if folder.is_empty() { "its root".to_owned() } else { format!("`{folder}`") };
            bail!(
                "cannot plan for `{key}`: in the repository, its source reads {}, and this is {}; name that folder",
                shown(folder),
                shown(&self.folder)
            );
        }
        Ok(())
    }

    /// The desired set of an environment.
    ///
    /// # Errors
    /// Fails if a file that a definition names cannot be read.
    pub(super) fn desired(mut self, environment: &EnvironmentSelection) -> anyhow::Result<PlanSide> {
        let read = |file: &str| self.origin.read(file).with_context(|| format!("cannot read {file}"));
        let desired = desired_set(&mut self.validator, &self.snapshot, &self.unreadable, environment, read)?;
        Ok(PlanSide { name: self.name, desired, origin: self.origin, folder: self.folder })
    }
}

impl Origin {
    fn read(&self, file: &str) -> anyhow::Result<Vec<u8>> {
        let root = match self {
            Origin::Folder(root, _) => root,
            Origin::Commit { repository, commit, path } => {
                return Ok(git::local_file(repository, commit, path.as_deref(), file)?);
            }
        };
        let bytes = directory::read_inside(root, file, MAX_ASSET_BYTES + 1)?;
        if bytes.len() > MAX_ASSET_BYTES {
            bail!("the file has more than {MAX_ASSET_BYTES} bytes");
        }
        Ok(bytes)
    }

    fn commit(&self) -> Option<&str> {
        match self {
            Origin::Folder(..) => None,
            Origin::Commit { commit, .. } => Some(commit),
        }
    }
}

impl PlanSide {
    /// The side as a review names it, with its findings and, in a CI job, the addresses of its files.
    pub(super) fn review(&self, host: Option<&GitHost>) -> ReviewSide {
        let host = host.filter(|_| !matches!(self.origin, Origin::Folder(_, false)));
        ReviewSide {
            name: self.name.clone(),
            commit: self.origin.commit().map(str::to_owned),
            folder: self.folder.clone(),
            url: host.map(|host| host.files_at(self.origin.commit())),
            findings: reported(&report_of(&self.desired.validated)),
        }
    }
}

/// Reads a folder or file.
pub(super) fn read_folder(path: &Path) -> anyhow::Result<PlanFiles> {
    let (mut snapshot, unreadable) =
        directory::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let root = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let inside = repository_of(root).ok();
    let is_in_repository = inside.is_some();
    let folder = inside.and_then(|(_, folder)| folder).unwrap_or_default();
    if is_in_repository {
        snapshot.set_repository_folder(&folder);
    }
    let origin = Origin::Folder(root.to_owned(), is_in_repository);
    let (name, validator) = (path.display().to_string(), Validator::new());
    Ok(PlanFiles { name, snapshot, unreadable, origin, folder, validator })
}

/// Reads a folder at a revision of the repository that contains it.
pub(super) fn read_revision(folder: &Path, revision: &str) -> anyhow::Result<PlanFiles> {
    let (repository, path) = repository_of(folder)?;
    let Fetched { snapshot, unreadable, revision: found, .. } = git::local(&repository, revision, path.as_deref())?;
    let name = revision_name(revision, &found.commit);
    let folder = path.clone().unwrap_or_default();
    let origin = Origin::Commit { repository, commit: found.commit, path };
    Ok(PlanFiles { name, snapshot, unreadable, origin, folder, validator: Validator::new() })
}

/// Reads and validates a folder at the state that a plan compares with: at the merge base of the earlier and the later
/// revision, or for `REVISION..` at the earlier one itself. Adds a remark if the merge base is another commit.
pub(super) fn read_base(
    folder: &Path,
    earlier: &str,
    later: &str,
    notes: &mut Vec<String>,
) -> anyhow::Result<PlanFiles> {
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
    let files = read_revision(folder, &base.commit)?;
    Ok(PlanFiles { name: format!("{revision}...@{short}"), ..files })
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
