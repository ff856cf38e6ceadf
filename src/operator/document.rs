//! An Environment resource as the document that an environment is run by.

use serde_json::{Value, json};

use super::resources::Resource;
use super::status::{self, ObservedDefinition, Verdict};
use crate::catalog::{Input, RawDocument, Snapshot};
use crate::definition::environment::EnvironmentSpec;
use crate::definition::{Kind, Spec};
use crate::reconcile::document::EnvironmentDocument;
use crate::reconcile::validate::Validator;
use crate::reconcile::view::EnvironmentView;

/// Reads an Environment resource by the checks that `validate` runs.
///
/// # Errors
/// What its status says where the shape of it is wrong.
pub fn read(key: &str, resource: &Resource) -> Result<EnvironmentDocument, Box<Verdict>> {
    let mut snapshot = Snapshot::of([(resource.file.path.clone(), resource.file.bytes.clone())]);
    // What it refers to is elsewhere.
    snapshot.alone = true;
    let examined = Validator::new().validate(&Input { snapshot, ..Input::default() }, &[]);
    let entry = examined.catalog.entries.iter().find(|entry| entry.id.kind == Kind::Environment);
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
    let view = EnvironmentView { validated: Some(examined.into()), ..EnvironmentView::default() };
    let seen = ObservedDefinition::of(&view).see(resource);
    let first = seen.findings.first().cloned().unwrap_or_default();
    let text = |key: &str| first[key].as_str().unwrap_or_default();
    let message = format!("{}: {} at {}", text("code"), text("message"), text("pointer"));
    Err(Box::new(Verdict { findings: seen.findings, ..status::refused("InvalidDefinition", message) }))
}

/// The same with what is effective of it: where the operator's rules narrow it, the document says so too, as everything is
/// made from the document.
#[must_use]
pub fn narrowed(given: EnvironmentDocument, spec: EnvironmentSpec) -> EnvironmentDocument {
    if spec.egress == given.spec.egress {
        return given;
    }
    let mut document: Value = serde_json::from_slice(&given.document.bytes).unwrap_or_default();
    document["spec"]["egress"] = json!(spec.egress);
    let bytes = document.to_string().into_bytes().into();
    EnvironmentDocument { document: RawDocument { bytes, ..given.document }, spec, ..given }
}
