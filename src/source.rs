//! Where definitions come from. Each source gives a [`crate::catalog::Snapshot`]: paths and bytes at one revision.

pub mod directory;
