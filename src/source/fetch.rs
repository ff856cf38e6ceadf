//! The interface of a source: a fetch of a whole revision, or an error with a reason.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::unreadable::UnreadableFile;
use crate::catalog::Snapshot;

/// A source of definitions. Calls block: make them on threads that may wait.
pub trait Source: fmt::Debug + Send + Sync {
    /// Fetches the current revision.
    ///
    /// Unchanged files are not read again, and an unchanged revision returns the same `Arc` as before.
    ///
    /// # Errors
    /// [`FetchError`] unless the revision is complete and trusted before `deadline`.
    fn fetch(&self, deadline: Instant) -> Result<Arc<Fetched>, FetchError>;

    /// Reads a file of a fetched revision, whether or not it is a definition.
    ///
    /// # Errors
    /// [`FetchError`] if the revision has no such regular file, or the file is larger than [`MAX_ASSET_BYTES`].
    fn read(&self, fetched: &Fetched, path: &str) -> Result<Vec<u8>, FetchError>;
}

/// Maximum size of a file that is not a definition, such as a workflow's code, in bytes.
pub const MAX_ASSET_BYTES: usize = 4 << 20;

/// A fetched revision.
#[derive(Debug)]
pub struct Fetched {
    /// The revision.
    pub revision: Revision,
    /// The files of the revision.
    pub snapshot: Snapshot,
    /// Files that cannot be read, as findings.
    pub unreadable: Vec<UnreadableFile>,
    /// True if the previous revision is not an ancestor of this one, as after a forced push. False if that cannot be
    /// determined.
    pub rewritten: bool,
}

/// The revision of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The name that people see: `main@sha1:…` with the whole commit, or `sha256:…` of a folder's content.
    pub name: String,
    /// The commit, 40 hexadecimal digits; empty for a folder.
    pub commit: String,
    /// Commit time in Unix seconds, as the commit states it; 0 if unknown. The value is not trusted: it is shown, and
    /// never used to order revisions.
    pub committed: i64,
    /// Author, as the commit states it; without control characters, at most 200 characters.
    pub author: String,
    /// First line of the commit message; without control characters, at most 200 characters.
    pub subject: String,
}

/// Error of a fetch. The active generation keeps serving.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    /// Kind of failure, in one word for conditions and metrics.
    pub reason: FetchReason,
    /// One sentence without secrets and without content of files.
    pub message: String,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it, and Display is what people see")]
pub enum FetchReason {
    /// The server cannot be reached, or the connection broke.
    Unreachable,
    /// The deadline passed.
    TimedOut,
    /// The server rejects the credentials.
    Unauthorized,
    /// The repository does not exist, or the credentials may not see it.
    RepositoryNotFound,
    /// The branch, tag, version or commit does not exist.
    RevisionNotFound,
    /// The revision has no such folder.
    PathNotFound,
    /// The host key or certificate is not trusted.
    UntrustedHost,
    /// The commit carries no signature.
    Unsigned,
    /// The signature does not match the commit.
    BadSignature,
    /// The signature is by a key that is not trusted.
    UntrustedKey,
    /// The key has expired.
    ExpiredKey,
    /// The key was revoked.
    RevokedKey,
    /// The SSH signature was made for another purpose than Git.
    WrongNamespace,
    /// A limit is exceeded.
    TooLarge,
    /// The received or stored data is damaged.
    Corrupt,
    /// The definition of the source is invalid, for example its URL has an unknown scheme.
    Invalid,
    /// A secret that the source needs is missing.
    SecretMissing,
    /// The folder or the local state cannot be read.
    Unreadable,
}

impl fmt::Display for FetchReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
