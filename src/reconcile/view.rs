//! The view of an environment for readers, besides its status.

use std::sync::Arc;

use super::validate::Validated;
use crate::catalog::RawDocument;
use crate::store::manifest::Manifest;

/// A snapshot of an environment for readers: replaced as a whole after each pass.
#[derive(Debug, Default)]
pub struct EnvironmentView {
    /// Manifest of the active generation.
    pub manifest: Option<Arc<Manifest>>,
    /// Validation of the revision that was read last, with its findings.
    pub validated: Option<Arc<Validated>>,
    /// Prefix of the paths that are shown.
    pub shown_under: String,
    /// The Environment document that the last pass used.
    pub document: Option<RawDocument>,
}
