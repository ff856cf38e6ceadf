//! Revisions of a local repository, for plans between two of them.

use std::path::Path;
use std::time::{Duration, Instant};

use git2::{Commit, ErrorCode, Repository};

use super::commit::revision_of;
use super::error::{broken, fail, printable};
use super::options::Budgets;
use super::repository_format::{UNSHALLOW, incomplete, unsupported};
use super::tree::{self, Walk};
use crate::definition::schema_validator::nearest;
use crate::source::{FetchError, FetchReason, Fetched, MAX_ASSET_BYTES, ignore_file};

/// Timeout of reading a revision.
const READ_TIMEOUT: Duration = Duration::from_mins(5);

/// Maximum number of references that a suggestion is chosen from.
const MAX_REFERENCES: usize = 1000;

/// Reads a revision of a local repository, such as `HEAD`, `main~2`, a tag or a commit. Changes nothing.
///
/// `repository` may be any folder of its checkout; `path` is the folder of definitions, relative to the repository's root.
///
/// # Errors
/// `RepositoryNotFound`, `RevisionNotFound`, `PathNotFound`, or `TooLarge` if a limit is exceeded.
pub fn local(repository: &Path, revision: &str, path: Option<&str>) -> Result<Fetched, FetchError> {
    let opened = open(repository)?;
    read(&opened, repository, revision, path).map_err(|error| explained(&opened, error))
}

fn read(opened: &Repository, shown: &Path, revision: &str, path: Option<&str>) -> Result<Fetched, FetchError> {
    let commit = commit_of(opened, shown, revision)?;
    let path = path.unwrap_or("").trim_matches('/');
    let root = commit.tree().map_err(|error| broken(&error))?;
    let root = tree::subtree(opened, root, path)?;
    let odb = opened.odb().map_err(|error| broken(&error))?;
    let (budgets, deadline) = (Budgets::default(), Instant::now() + READ_TIMEOUT);
    let (rules, problems) = ignore_file::rules(tree::ignore_file(opened, &root)?, &[]);
    let walk = Walk { repository: opened, odb: &odb, budgets: &budgets, deadline, rules: &rules };
    let (mut snapshot, mut unreadable) = walk.root(&root, None)?.flatten(None);
    unreadable.extend(problems);
    snapshot.set_repository_folder(path);
    let revision = revision_of(&commit, &printable(revision, 100));
    Ok(Fetched { revision, snapshot, unreadable, rewritten: false })
}

/// Reads a file of a revision, whether or not it is a definition. `path` is relative to the folder of definitions, `folder`.
///
/// # Errors
/// Those of [`local`], and `PathNotFound` if there is no such regular file.
pub fn local_file(repository: &Path, commit: &str, folder: Option<&str>, path: &str) -> Result<Vec<u8>, FetchError> {
    let opened = open(repository)?;
    let read = || {
        let root = commit_of(&opened, repository, commit)?.tree().map_err(|error| broken(&error))?;
        let root = tree::subtree(&opened, root, folder.unwrap_or("").trim_matches('/'))?;
        tree::blob(&opened, root, path, MAX_ASSET_BYTES)
    };
    read().map_err(|error| explained(&opened, error))
}

/// The common ancestor of two revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeBase {
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// True if it is the earlier revision itself.
    pub is_earlier: bool,
}

/// The best common ancestor of an earlier and a later revision of a local repository, as `git merge-base` finds it.
///
/// # Errors
/// `RepositoryNotFound` or `RevisionNotFound`, also if the revisions have no common ancestor.
pub fn merge_base(repository: &Path, earlier: &str, later: &str) -> Result<MergeBase, FetchError> {
    let opened = open(repository)?;
    let (left, right) = (commit_of(&opened, repository, earlier)?.id(), commit_of(&opened, repository, later)?.id());
    match opened.merge_base(left, right) {
        Ok(base) => Ok(MergeBase { commit: base.to_string(), is_earlier: base == left }),
        Err(error) if error.code() == ErrorCode::NotFound => {
            let [earlier, later] = [earlier, later].map(|name| printable(name, 100));
            let exact = format!("`{earlier}..` compares with `{earlier}` itself");
            let message = if opened.is_shallow() {
                format!(
                    "this clone is shallow, and the merge base of `{earlier}` and `{later}` is not in it; {UNSHALLOW}; {exact}"
                )
            } else {
                format!("`{earlier}` and `{later}` have no common ancestor; {exact}")
            };
            Err(fail(FetchReason::RevisionNotFound, message))
        }
        Err(error) => Err(explained(&opened, broken(&error))),
    }
}

/// An error with the reason why an object is missing, if the clone is known to lack some.
fn explained(opened: &Repository, error: FetchError) -> FetchError {
    match incomplete(opened).filter(|_| error.reason == FetchReason::Corrupt) {
        Some(reason) => fail(FetchReason::Unreadable, reason),
        None => error,
    }
}

fn open(repository: &Path) -> Result<Repository, FetchError> {
    let shown = repository.display();
    Repository::discover(repository).map_err(|error| match error.code() {
        ErrorCode::Owner => fail(
            FetchReason::Unreadable,
            format!("the repository at {shown} belongs to another user; see safe.directory"),
        ),
        _ if let Some(reason) = unsupported(repository) => fail(FetchReason::Unreadable, reason),
        _ => fail(FetchReason::RepositoryNotFound, format!("there is no Git repository at {shown}")),
    })
}

fn commit_of<'r>(opened: &'r Repository, shown: &Path, revision: &str) -> Result<Commit<'r>, FetchError> {
    let missing = |_| {
        let near = nearest_reference(opened, revision).map(|near| format!("; did you mean `{near}`?"));
        let hint = match (opened.is_shallow(), near) {
            (true, near) => {
                format!("; this clone is shallow, so it has few commits: {UNSHALLOW}{}", near.unwrap_or_default())
            }
            (false, Some(near)) => near,
            (false, None) => "; expected a branch, a tag or a commit".to_owned(),
        };
        let (shown, revision) = (shown.display(), printable(revision, 100));
        fail(FetchReason::RevisionNotFound, format!("the repository at {shown} has no revision `{revision}`{hint}"))
    };
    opened.revparse_single(revision).and_then(|object| object.peel_to_commit()).map_err(missing)
}

/// The branch or tag whose name is most similar to a revision.
fn nearest_reference(opened: &Repository, revision: &str) -> Option<String> {
    let references = opened.references().ok()?.flatten().take(MAX_REFERENCES);
    let names: Vec<String> =
        references.filter_map(|reference| reference.shorthand().ok().map(|name| printable(name, 100))).collect();
    nearest(revision, names.iter().map(String::as_str)).map(str::to_owned)
}
