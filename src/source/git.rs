//! Git repositories as sources: a bare, shallow fetch, and files from the object database. There is never a checkout.
//!
//! ```text
//! url ──► relay (deadline, bytes, one host) ──► remote (list, fetch) ──► cache (one repository, one fetch for all)
//!                                                                          │
//!          Fetched ◄── tree (only what changed) ◄── signature ◄── select ◄─┘
//! ```
//!
//! Calls block. They end at their deadline, except while the operating system resolves the host's name.

mod cache;
mod commit;
mod error;
mod git_source;
mod known_hosts;
mod links;
mod local;
mod openpgp;
mod options;
mod relay;
mod remote;
mod repository_format;
mod select;
mod signature;
mod ssh_signature;
mod tree;
mod url;

pub use cache::GitRepositories;
pub use git_source::Git;
pub use local::{MergeBase, local, local_file, merge_base};
pub use options::{Budgets, Credentials, CredentialsProvider, GitOptions};
