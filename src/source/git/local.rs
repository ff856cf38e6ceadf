//! Revisions of a repository on this disk, for plans between two of them.

use std::path::Path;
use std::time::{Duration, Instant};

use git2::{ErrorCode, Repository};

use super::tree::{self, Walk};
use super::{Budgets, fail, revision_of};
use crate::source::{FetchError, FetchReason, Fetched};

/// Longest time that is spent on reading a revision.
const LONGEST: Duration = Duration::from_mins(5);

/// A revision of a repository on this disk, such as `HEAD`, `main~2`, a tag or a commit. Only reads.
///
/// `repository` may be any folder of its checkout; `path` is the folder of definitions, from the repository's root.
///
/// # Errors
/// `RepositoryNotFound`, `RevisionNotFound`, `PathNotFound`, or a limit that was passed.
pub fn local(repository: &Path, revision: &str, path: Option<&str>) -> Result<Fetched, FetchError> {
    let shown = repository.display();
    let opened = Repository::discover(repository).map_err(|error| match error.code() {
        ErrorCode::Owner => fail(
            FetchReason::Unreadable,
            format!("the repository at {shown} belongs to another user; see safe.directory"),
        ),
        _ => fail(FetchReason::RepositoryNotFound, format!("there is no Git repository at {shown}")),
    })?;
    let missing = |_| {
        let revision = super::printable(revision, 100);
        fail(FetchReason::RevisionNotFound, format!("the repository at {shown} has no revision `{revision}`"))
    };
    let commit = opened.revparse_single(revision).and_then(|object| object.peel_to_commit()).map_err(missing)?;
    let path = path.unwrap_or("").trim_matches('/');
    let root = commit.tree().map_err(|error| tree::broken(&error))?;
    let root = tree::subtree(&opened, root, path)?;
    let odb = opened.odb().map_err(|error| tree::broken(&error))?;
    let (budgets, deadline) = (Budgets::default(), Instant::now() + LONGEST);
    let walk = Walk { repository: &opened, odb: &odb, budgets: &budgets, deadline };
    let (mut snapshot, unreadable) = walk.root(&root, None)?.flatten(None);
    snapshot.shown_under = path.to_owned();
    let revision = revision_of(&commit, &super::printable(revision, 100));
    Ok(Fetched { revision, snapshot, unreadable, rewritten: false })
}
