//! The operator's Environment documents.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::validate::Validator;
use crate::catalog::{EnvironmentSelection, ForeignFile, Input, RawDocument, Snapshot, describe_foreign};
use crate::definition::environment::EnvironmentSpec;
use crate::definition::{Kind, Spec};
use crate::source::{UnreadableFile, directory};
use crate::text::Severity;

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

/// The Environment documents of a folder, and the errors of those that cannot be used.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// The documents without errors.
    pub(super) list: Vec<EnvironmentDocument>,
    /// Errors by the name of the environment.
    pub(super) errors: BTreeMap<String, String>,
    /// Paths of files that cannot be read, each with its first error: they may hold any document.
    unreadable: BTreeMap<String, String>,
    /// Files that hold documents of other tools.
    foreign: Vec<ForeignFile>,
}

/// Reads the Environment documents of a folder or file. A file whose text cannot be read is logged: it may hold a document,
/// and as well be a definition of a source.
///
/// # Errors
/// They cannot be read, one of them has errors, or all that is there are files that cannot be read.
pub fn documents(path: &Path) -> anyhow::Result<Vec<EnvironmentDocument>> {
    let (snapshot, unreadable) = directory::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let Documents { list, errors, unreadable, .. } = documents_in(&snapshot, &unreadable)?;
    if let Some(error) = errors.into_values().next() {
        bail!("{error}; `evenkeel validate` shows all errors");
    }
    for error in unreadable.into_values() {
        if list.is_empty() {
            bail!("{error}; `evenkeel validate` shows all errors");
        }
        tracing::warn!(error, "a file that may hold an Environment cannot be read");
    }
    Ok(list)
}

/// The Environment documents of a snapshot.
///
/// # Errors
/// There are too many.
pub(super) fn documents_in(snapshot: &Snapshot, unreadable: &[UnreadableFile]) -> anyhow::Result<Documents> {
    let input = Input { snapshot: snapshot.clone(), ..Input::default() };
    let validated = Validator::new().validate(&input, unreadable);
    let mut documents = Documents { foreign: validated.foreign().to_vec(), ..Documents::default() };
    let sources = &validated.catalog.sources;
    for finding in validated.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        let Some(span) = finding.span() else { continue };
        let error = || format!("{}: {}: {}", sources.display_position(span), finding.code.id, finding.message);
        match &finding.subject {
            None => {
                let path = sources.find(span.source).map(|source| source.path().to_owned()).unwrap_or_default();
                documents.unreadable.entry(path).or_insert_with(error);
            }
            Some(subject) if subject.kind == Kind::Environment.as_str() => {
                documents.errors.entry(subject.name.to_string()).or_insert_with(error);
            }
            // Other definitions in the folder are the concern of a source.
            Some(_) => {}
        }
    }
    for entry in validated.catalog.entries.iter().filter(|entry| entry.id.kind == Kind::Environment) {
        let name = entry.id.name.clone();
        let (path, line) = entry.place();
        match entry.spec() {
            Some(Spec::Environment(spec)) if !entry.partial => {
                // What it refers to may come from its sources, so only errors of the document itself count.
                documents.errors.remove(&name);
                let document: RawDocument = entry.origin.base.clone();
                if let Some(other) = documents.list.iter().find(|other| other.name == name) {
                    let (first, second) = (&other.document.path, &document.path);
                    let error = format!("Environment `{name}` is defined twice, in {first} and {second}");
                    documents.errors.insert(name, error);
                    continue;
                }
                documents.list.push(EnvironmentDocument { key: name.clone(), name, document, spec: (**spec).clone() });
            }
            _ => {
                let error = || format!("Environment `{name}` at {path}:{line} has errors");
                documents.errors.entry(name.clone()).or_insert_with(error);
            }
        }
    }
    documents.list.retain(|document| !documents.errors.contains_key(&document.name));
    if documents.list.len() > MAX_ENVIRONMENTS {
        bail!("there are more than {MAX_ENVIRONMENTS} Environments");
    }
    Ok(documents)
}

impl Documents {
    /// The reason why the document of a running environment is not in effect or is missing without having been removed;
    /// `None` if it was removed.
    pub(super) fn problem(&self, running: &EnvironmentDocument) -> Option<String> {
        if let Some(error) = self.errors.get(&running.name) {
            return Some(error.clone());
        }
        if let Some(error) = self.unreadable.get(&*running.document.path).or(self.unreadable.values().next()) {
            return Some(error.clone());
        }
        let path = &running.document.path;
        let replaced = self.foreign.iter().find(|file| file.path == *path);
        if let Some(file) = replaced.filter(|file| file.replaces(&running.document)) {
            let (now, remedy) = describe_foreign(&file.bytes);
            return Some(format!("{path} held the document, and now holds {now}; {remedy}, or remove the file"));
        }
        // Like a source that became empty: a folder that is not mounted looks the same.
        self.list.is_empty().then(|| "the folder holds no Environment any more".to_owned())
    }
}
