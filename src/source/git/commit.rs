//! Commits: resolution of references, the revision that is shown, and detection of rewritten history.

use git2::{Commit, ObjectType, Oid, Repository};

use super::error::{broken, fail, printable};
use crate::source::{FetchError, FetchReason, Revision};

/// Maximum length of the author and the subject, in characters.
const MAX_SHOWN_CHARS: usize = 200;
/// Maximum number of tags that point to tags.
const MAX_PEELED: usize = 5;

/// The commit that an object is, or that a tag points to.
pub(super) fn peel(repository: &Repository, id: Oid) -> Result<Commit<'_>, FetchError> {
    let mut object = repository.find_object(id, None).map_err(|error| broken(&error))?;
    for _ in 0..MAX_PEELED {
        match object.kind() {
            Some(ObjectType::Tag) => {
                let target = object.as_tag().map_or(id, git2::Tag::target_id);
                object = repository.find_object(target, None).map_err(|error| broken(&error))?;
            }
            _ => break,
        }
    }
    let no_commit = |_| fail(FetchReason::RevisionNotFound, "the tag or branch does not name a commit");
    object.into_commit().map_err(no_commit)
}

/// The revision of a commit that was chosen by `name`.
pub(super) fn revision_of(commit: &Commit<'_>, name: &str) -> Revision {
    let id = commit.id().to_string();
    let text = |bytes: &[u8]| printable(&String::from_utf8_lossy(bytes), MAX_SHOWN_CHARS);
    Revision {
        name: format!("{name}@sha1:{id}"),
        commit: id,
        committed: commit.time().seconds(),
        author: text(commit.author().name_bytes()),
        subject: text(commit.summary_bytes().unwrap_or_default()),
    }
}

/// True if the previous revision is not an ancestor of this one. False if that cannot be determined: a shallow fetch has
/// one commit, which still names its parents.
pub(super) fn is_rewritten(repository: &Repository, before: &Revision, now: &Commit<'_>) -> bool {
    let Ok(before) = Oid::from_str(&before.commit) else { return false };
    let parents = parents_of(now);
    if before == now.id() || parents.contains(&before) {
        return false;
    }
    if !repository.is_shallow() {
        return repository.graph_descendant_of(now.id(), before).is_ok_and(|descends| !descends);
    }
    let shares = |before: Commit<'_>| parents_of(&before).iter().any(|parent| parents.contains(parent));
    // A root commit has no predecessor, and an amended commit is a sibling of the original.
    parents.is_empty() || parents.len() == 1 && repository.find_commit(before).is_ok_and(shares)
}

/// Parents as the commit names them: the library hides those beyond the shallow boundary.
fn parents_of(commit: &Commit<'_>) -> Vec<Oid> {
    let header = String::from_utf8_lossy(commit.raw_header_bytes()).into_owned();
    let lines = header.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| Oid::from_str(line.strip_prefix("parent ")?).ok()).collect()
}
