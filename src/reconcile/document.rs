//! The operator's Environment document.

use crate::catalog::RawDocument;
use crate::definition::environment::EnvironmentSpec;

/// The operator's document of an environment.
#[derive(Clone, Debug)]
pub struct EnvironmentDocument {
    /// Key of the environment among those of all processes: its name, or `namespace.name` on Kubernetes.
    pub key: String,
    /// Name of the environment in its document.
    pub name: String,
    /// The document as it was read.
    pub document: RawDocument,
    /// The parsed specification.
    pub spec: EnvironmentSpec,
}
