//! The operator's Environment documents.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::validate::Validator;
use crate::catalog::{EnvironmentSelection, Input, RawDocument, Snapshot};
use crate::definition::Spec;
use crate::definition::environment::EnvironmentSpec;
use crate::source::{UnreadableFile, directory};

/// Maximum number of environments of one process.
const MAX_ENVIRONMENTS: usize = 1000;

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

impl EnvironmentDocument {
    /// The environment with its own document, for validation.
    pub fn selection(&self) -> EnvironmentSelection {
        EnvironmentSelection { name: self.name.clone(), document: Some(self.document.clone()) }
    }
}

/// Reads the Environment documents of a folder or file.
///
/// # Errors
/// They cannot be read, or one of them has errors.
pub fn documents(path: &Path) -> anyhow::Result<Vec<EnvironmentDocument>> {
    let (snapshot, unreadable) = directory::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    documents_in(&snapshot, &unreadable)
}

/// The Environment documents of a snapshot.
///
/// # Errors
/// One of them has errors, or two have one name.
pub(super) fn documents_in(
    snapshot: &Snapshot,
    unreadable: &[UnreadableFile],
) -> anyhow::Result<Vec<EnvironmentDocument>> {
    let input = Input { snapshot: snapshot.clone(), ..Input::default() };
    let validated = Validator::new().validate(&input, unreadable);
    let mut documents: Vec<EnvironmentDocument> = Vec::new();
    for entry in &validated.catalog.entries {
        let Some(Spec::Environment(spec)) = entry.spec() else { continue };
        let name = entry.id.name.clone();
        // Other definitions in the folder are the concern of a source; an invalid Environment is an error here.
        if entry.partial {
            let (path, line) = entry.place();
            bail!("Environment `{name}` at {path}:{line} has errors; `evenkeel validate` shows them");
        }
        let document: RawDocument = entry.origin.base.clone();
        if let Some(other) = documents.iter().find(|other| other.name == name) {
            let (first, second) = (&other.document.path, &document.path);
            bail!("Environment `{name}` is defined twice, in {first} and {second}; remove one of them");
        }
        documents.push(EnvironmentDocument { key: name.clone(), name, document, spec: (**spec).clone() });
    }
    if documents.len() > MAX_ENVIRONMENTS {
        bail!("there are more than {MAX_ENVIRONMENTS} Environments");
    }
    Ok(documents)
}
