//! The one integration binary: a module per subject.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on must fail")]

mod architecture;
mod calls;
mod cli;
mod dev;
mod examples;
mod hostile;
mod incremental;
mod overlays;
mod page;
mod planted;
mod readme;
mod schemas;
mod support;
mod upstream;
