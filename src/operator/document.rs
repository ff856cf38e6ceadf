//! An Environment resource as the document of an environment.

use serde_json::{Value, json};

use super::resources::Resource;
use super::status::{self, DefinitionObserver, Verdict};
use crate::catalog::{Input, RawDocument, Snapshot};
use crate::definition::environment::{DeletionPolicy, EnvironmentSpec};
use crate::definition::{Kind, Spec};
use crate::reconcile::document::EnvironmentDocument;
use crate::reconcile::validate::Validator;
use crate::reconcile::view::EnvironmentView;

/// Reads and validates an Environment resource.
///
/// # Errors
/// Fails with the verdict for its status if it is invalid.
pub fn read(key: &str, resource: &Resource) -> Result<EnvironmentDocument, Box<Verdict>> {
    let mut snapshot = Snapshot::of([(resource.file.path.clone(), resource.file.bytes.clone())]);
    // References lead to definitions outside this snapshot.
    snapshot.alone = true;
    let validated = Validator::new().validate(&Input { snapshot, ..Input::default() }, &[]);
    let entry = validated.catalog.entries.iter().find(|entry| entry.id.kind == Kind::Environment);
    let spec = entry.filter(|entry| !entry.partial).and_then(|entry| entry.spec());
    if let (Some(Spec::Environment(spec)), Some(entry)) = (spec, entry) {
        let document = entry.origin.base.clone();
        return Ok(EnvironmentDocument {
            key: key.to_owned(),
            name: entry.id.name.clone(),
            document,
            spec: (**spec).clone(),
        });
    }
    let view = EnvironmentView { validated: Some(validated.into()), ..EnvironmentView::default() };
    let observed = DefinitionObserver::new(&view).observe(resource);
    let first = observed.findings.first().cloned().unwrap_or_default();
    let text = |key: &str| first[key].as_str().unwrap_or_default();
    let message = format!("{}: {} at {}", text("code"), text("message"), text("pointer"));
    Err(Box::new(Verdict { findings: observed.findings, ..status::refused("InvalidDefinition", message) }))
}

/// Replaces the spec with the effective one. The document changes too, since everything is derived from it.
#[must_use]
pub fn with_effective_spec(environment: EnvironmentDocument, spec: EnvironmentSpec) -> EnvironmentDocument {
    if spec.egress == environment.spec.egress {
        return environment;
    }
    let mut document: Value = serde_json::from_slice(&environment.document.bytes).unwrap_or_default();
    document["spec"]["egress"] = json!(spec.egress);
    let bytes = document.to_string().into_bytes().into();
    EnvironmentDocument { document: RawDocument { bytes, ..environment.document }, spec, ..environment }
}

/// The deletion policy of an Environment resource, also of an invalid one (default: `Delete`).
pub(super) fn deletion_policy(resource: &Resource) -> DeletionPolicy {
    let document: Value = serde_json::from_slice(&resource.file.bytes).unwrap_or_default();
    match document.pointer("/spec/deletionPolicy").and_then(Value::as_str) {
        Some("Orphan") => DeletionPolicy::Orphan,
        _ => DeletionPolicy::Delete,
    }
}
