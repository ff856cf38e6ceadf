//! Where definitions come from: something that has a revision and files.
//!
//! A [`Source`] gives a whole [`Snapshot`] or an error that says why not, never a part. Nothing in this room decides
//! what happens then.

pub mod directory;
pub mod encrypted;
pub mod git;
pub mod push_notification;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::catalog::Snapshot;
use directory::Unreadable;

/// A place that definitions come from. Calls block: they are made on threads that may wait.
pub trait Source: fmt::Debug + Send + Sync {
    /// What the source holds now.
    ///
    /// Fetches cost as little as the source allows: what is known already is not read again, and a snapshot of an
    /// unchanged revision is the same `Arc` as before.
    ///
    /// # Errors
    /// Where it cannot be had before `deadline`, completely, and as it is trusted.
    fn fetch(&self, deadline: Instant) -> Result<Arc<Fetched>, FetchError>;

    /// A file of a fetched revision, definition or not.
    ///
    /// # Errors
    /// Where the revision has no such plain file, or it is larger than [`MAX_ASSET_BYTES`].
    fn read(&self, fetched: &Fetched, path: &str) -> Result<Vec<u8>, FetchError>;
}

/// Largest file that is read beside definitions, such as a workflow's code.
pub const MAX_ASSET_BYTES: usize = 4 << 20;

/// What a source held.
#[derive(Debug)]
pub struct Fetched {
    /// What it was at.
    pub revision: Revision,
    /// Its files.
    pub snapshot: Snapshot,
    /// What could not be read, as findings.
    pub unreadable: Vec<Unreadable>,
    /// Does history no longer lead from the revision before to this one, as after a forced push? `false` where that
    /// cannot be told.
    pub rewritten: bool,
}

/// What a source was at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// As people read it: `main@sha1:…` with the whole commit, or `sha256:…` of a folder's content.
    pub name: String,
    /// The commit, 40 hexadecimal digits; empty where there is none.
    pub commit: String,
    /// When it was committed, in unix seconds, as the commit says; 0 where it is not known. May be anything: it is
    /// shown, and never used to order revisions.
    pub committed: i64,
    /// Who wrote it, as the commit says; without control characters, at most 200 characters.
    pub author: String,
    /// The first line of its message; without control characters, at most 200 characters.
    pub subject: String,
}

/// Why a source gave nothing. What serves keeps serving.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    /// What kind of failure, in one word for conditions and metrics.
    pub reason: FetchReason,
    /// One sentence, without secrets and without content of files.
    pub message: String,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it, and Display is what people see")]
pub enum FetchReason {
    /// The server cannot be reached, or the connection broke.
    Unreachable,
    /// It took longer than it may.
    TimedOut,
    /// The server asks for other credentials.
    Unauthorized,
    /// There is no such repository.
    RepositoryNotFound,
    /// There is no such branch, tag, version or commit.
    RevisionNotFound,
    /// The revision has no such folder.
    PathNotFound,
    /// The host key or certificate is not the one that is trusted.
    UntrustedHost,
    /// The commit carries no signature.
    Unsigned,
    /// The signature does not fit the commit.
    BadSignature,
    /// The signature is by a key that is not trusted.
    UntrustedKey,
    /// The key had expired.
    ExpiredKey,
    /// The key was revoked.
    RevokedKey,
    /// An SSH signature made for something else than Git.
    WrongNamespace,
    /// Larger than it may be.
    TooLarge,
    /// What was received is broken.
    Corrupt,
    /// The source is written in a way that cannot be used, such as an unknown scheme.
    Invalid,
    /// A secret that it needs is not there.
    SecretMissing,
    /// The folder cannot be read.
    Unreadable,
}

impl fmt::Display for FetchReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
