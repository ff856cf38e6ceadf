//! Sources of definitions: Git repositories and folders, which have a revision and files.
//!
//! A [`Source`] returns a whole [`Snapshot`](crate::catalog::Snapshot) or an error with a reason, never a part. This
//! module does not decide what happens after an error.

mod checkout;
pub mod directory;
pub mod encrypted;
mod fetch;
pub mod git;
mod ignore_file;
pub mod push_notification;
mod unreadable;

pub use fetch::{FetchError, FetchReason, Fetched, MAX_ASSET_BYTES, Revision, Source};
pub use unreadable::UnreadableFile;
