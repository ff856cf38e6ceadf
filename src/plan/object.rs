//! Declared or observed definitions, and inventories of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    /// True if it was made through the API, and does not override a definition of a source.
    pub manual: bool,
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
    /// Path of the file from the root of the source.
    pub path: String,
    /// The first line, from 1.
    pub line: u32,
}

impl SourceLocation {
    /// True if both are in the same file of the same source, at any line.
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
        let (manual, files, calls) = (false, Files::new(), Box::default());
        Object { id, digest, text, place, needs, protected, manual, files, calls }
    }

    /// The object with the files that it refers to. Their digests become part of the document, so that the object changes
    /// when a file changes. The line ends of a text do not count: those of a checkout differ from those of the commit.
    #[must_use]
    pub fn with_files(self, files: Files) -> Object {
        if files.is_empty() {
            return self;
        }
        let files: Files = files.into_iter().map(|(path, bytes)| (path, with_unix_line_ends(bytes))).collect();
        let mut document = self.document();
        let digests = files.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes).to_string().into()));
        document["files"] = Value::Object(digests.collect());
        let (manual, calls) = (self.manual, self.calls);
        Object { manual, files, calls, ..Object::new(self.id, document, self.place, self.needs) }
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

/// A text with the line ends of Unix; other bytes are unchanged.
fn with_unix_line_ends(bytes: Arc<[u8]>) -> Arc<[u8]> {
    let text = std::str::from_utf8(&bytes).ok().filter(|text| text.contains("\r\n") && !text.contains('\0'));
    match text {
        Some(text) => text.replace("\r\n", "\n").into_bytes().into(),
        None => bytes,
    }
}

/// The object of a definition; `None` if it has no name or has schema errors.
pub fn object(catalog: &Catalog, entry: &Entry, source: &str) -> Option<Object> {
    if entry.partial || entry.id.name.is_empty() {
        return None;
    }
    let document = canonical::document(entry.definition.as_ref()?)?;
    // A definition with patches is declared where its base is.
    let (path, line) = entry.source.line_of(entry.document.root.span.start);
    let place = SourceLocation { source: source.to_owned(), path: path.to_owned(), line };
    let needed = |reference| match resolve(catalog.untracked(), entry, reference) {
        Resolution::Found(Some(id)) if id != entry.id => Some(id),
        _ => None,
    };
    let needs = entry.facts.references.iter().filter_map(needed).collect();
    Some(Object { calls: call_places(entry), ..Object::new(entry.id.clone(), document, place, needs) })
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
