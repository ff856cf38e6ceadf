//! Declared or observed definitions, and inventories of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call_place::{CallPlace, call_places};
use super::canonical;
use crate::catalog::references::{Resolution, resolve};
use crate::catalog::{Catalog, Entry};
use crate::definition::{Id, is_name};
use crate::text::Digest;

/// The annotation that keeps a definition from being removed when it leaves its source, with the value `disabled`.
pub const PRUNE_ANNOTATION: &str = "evenkeel.dev/prune";

/// A declared or observed definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The identity.
    pub id: Id,
    /// Digest of the canonical document.
    pub digest: Digest,
    /// The canonical document as text, which takes less memory than a value: few of the held documents are compared.
    text: Box<str>,
    /// The place of the declaration.
    pub place: SourceLocation,
    /// The other definitions that it refers to.
    pub needs: BTreeSet<Id>,
    /// True if it must not be removed.
    pub protected: bool,
    /// Contents of the files that it refers to, for diffs.
    pub files: Files,
    /// Its uses of actions and workflows. Empty if it was read from a store, which keeps no positions.
    pub calls: Box<[CallPlace]>,
}

/// The place of a declaration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceLocation {
    /// The name of the source.
    pub source: String,
    /// The revision of the source.
    pub revision: String,
    /// Path of the file from the root of the source.
    pub path: String,
    /// The first line, from 1.
    pub line: u32,
}

impl SourceLocation {
    /// True if both are in the same file of the same source, at any line and revision.
    pub fn is_same_file(&self, other: &SourceLocation) -> bool {
        self.path == other.path && self.source == other.source
    }
}

/// Contents of files by path from the root of the source.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// Definitions by identity.
pub type Inventory = BTreeMap<Id, Arc<Object>>;

impl Object {
    /// An object of a canonical document, from which the digest and the protection are derived.
    pub fn new(id: Id, document: Value, place: SourceLocation, needs: BTreeSet<Id>) -> Object {
        let text = document.to_string().into_boxed_str();
        let digest = Digest::of(text.as_bytes());
        let annotation = document.get("metadata").and_then(|metadata| metadata.get("annotations"));
        let annotation = annotation.and_then(|annotations| annotations.get(PRUNE_ANNOTATION)).and_then(Value::as_str);
        let protected = annotation == Some("disabled");
        Object { id, digest, text, place, needs, protected, files: Files::new(), calls: Box::default() }
    }

    /// The object with the files that it refers to. Their digests become part of the document, so that the object changes
    /// when a file changes.
    #[must_use]
    pub fn with_files(self, files: Files) -> Object {
        if files.is_empty() {
            return self;
        }
        let mut document = self.document();
        let digests = files.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes).to_string().into()));
        document["files"] = Value::Object(digests.collect());
        Object { files, calls: self.calls, ..Object::new(self.id, document, self.place, self.needs) }
    }

    /// The canonical document as text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The canonical document ([`canonical::document`]).
    pub fn document(&self) -> Value {
        // Written by `new`, so parsing cannot fail.
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// The object of a definition; `None` if it has no name or has schema errors.
pub fn object(catalog: &Catalog, entry: &Entry, source: &str, revision: &str) -> Option<Object> {
    if entry.partial || entry.id.name.is_empty() {
        return None;
    }
    let document = canonical::document(entry.definition.as_ref()?)?;
    let place = SourceLocation {
        source: source.to_owned(),
        revision: revision.to_owned(),
        path: entry.source.path().to_owned(),
        line: entry.source.position(entry.document.root.span.start).line,
    };
    let needed = |reference| match resolve(catalog.untracked(), entry, reference) {
        Resolution::Found(Some(id)) if id != entry.id => Some(id),
        _ => None,
    };
    let needs = entry.facts.references.iter().filter_map(needed).collect();
    Some(Object { calls: call_places(entry), ..Object::new(entry.id.clone(), document, place, needs) })
}

/// The objects of a catalog. Of two definitions with the same identity the first is used; the check reports both.
pub fn inventory(catalog: &Catalog, source: &str, revision: &str) -> Inventory {
    let objects: Vec<Option<Object>> =
        catalog.entries.par_iter().map(|entry| object(catalog, entry, source, revision)).collect();
    let mut inventory = Inventory::new();
    for object in objects.into_iter().flatten() {
        inventory.entry(object.id.clone()).or_insert_with(|| Arc::new(object));
    }
    inventory
}

/// Parses an identity written as `Kind/name`.
pub fn parse_id(text: &str) -> Option<Id> {
    let (kind, name) = text.split_once('/')?;
    Some(Id { kind: kind.parse().ok()?, name: Some(name).filter(|name| is_name(name))?.to_owned() })
}

/// Serialization of identities as `Kind/name`.
pub(super) mod id_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::definition::Id;

    pub(in crate::plan) fn serialize<S: Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(in crate::plan) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        super::parse_id(&text).ok_or_else(|| de::Error::custom("not an identity such as `Workflow/sync`"))
    }
}
