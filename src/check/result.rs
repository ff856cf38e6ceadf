//! The result of checking one definition.

use super::cycles::Edge;
use crate::catalog::dependencies::Key;
use crate::text::Finding;

/// The result of checking one definition.
#[derive(Debug)]
pub(super) struct CheckResult {
    pub(super) findings: Box<[Finding]>,
    /// The definitions and actions that it runs or is made of.
    pub(super) edges: Box<[Edge]>,
    /// Names of the secrets that it uses.
    pub(super) secrets: Box<[Box<str>]>,
    /// Dependencies of the result, sorted.
    pub(super) dependencies: Box<[Key]>,
}
