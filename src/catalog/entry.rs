//! One definition with its source.

use std::sync::Arc;

use super::error_recovery::Recovery;
use super::input::Origin;
use crate::definition::schema_validator::Facts;
use crate::definition::{Definition, Id, Spec};
use crate::text::{Document, Finding, Node, Range, Source, Span, unescaped};

/// A definition with its place in a file and its content.
#[derive(Debug)]
pub struct Entry {
    /// The identity.
    pub id: Id,
    /// The file that it was read from, or the parts of files that it is composed of.
    pub source: Arc<Source>,
    /// The documents that it was made from.
    pub origin: Origin,
    /// The document; its places are places in `source`, see [`Entry::span`].
    pub document: Document,
    /// The place of its name.
    pub name_span: Range,
    /// References, templates and marked values.
    pub facts: Facts,
    /// The typed definition, with repairs of the parts that have schema errors; `None` if they cannot be repaired.
    pub definition: Option<Definition>,
    /// True if parts were repaired because of schema errors. Such a definition is checked and never run.
    pub partial: bool,
    /// The repairs.
    pub(super) recovery: Recovery,
    /// See [`Entry::stamp`].
    pub(super) stamp: u64,
}

impl Entry {
    /// The place in a file of a range of the document.
    pub fn span(&self, range: Range) -> Span {
        self.source.original_span(self.document.source, range)
    }

    /// The text that the document was read from.
    pub fn text(&self) -> &str {
        self.source.text()
    }

    /// The file and line of the name.
    pub fn place(&self) -> (&str, u32) {
        self.source.line_of(self.name_span.start)
    }

    /// The file and line of the key at a JSON pointer.
    pub fn place_of(&self, pointer: &str) -> (&str, u32) {
        self.source.line_of(self.key_range(pointer).start)
    }

    /// The identity of this value within the process: two entries have the same stamp only if they are the same entry.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The value at a JSON pointer of the document.
    pub fn node(&self, pointer: &str) -> Option<&Node> {
        self.document.root.pointer(pointer)
    }

    /// The place of the key at a JSON pointer: of the value for an item of a list, of the name if the document has no
    /// such value.
    pub fn key_span(&self, pointer: &str) -> Span {
        self.span(self.key_range(pointer))
    }

    fn key_range(&self, pointer: &str) -> Range {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        let key = unescaped(key);
        let entry = self.node(parent).and_then(|parent| parent.entry(&key));
        let range = entry.map(|entry| entry.key.span).or_else(|| self.node(pointer).map(|node| node.span));
        range.unwrap_or(self.name_span)
    }

    /// The place of the value at a JSON pointer; of the name if the document has no such value.
    pub fn value_span(&self, pointer: &str) -> Span {
        self.span(self.node(pointer).map_or(self.name_span, |node| node.span))
    }

    /// True if a finding about the typed definition does not follow from the repair of a schema error.
    pub fn trusts(&self, finding: &Finding) -> bool {
        !self.partial || self.recovery.trusts(finding, &self.document, self.name_span)
    }

    /// The typed spec, if the definition could be typed.
    pub fn spec(&self) -> Option<&Spec> {
        self.definition.as_ref().map(|definition| &definition.spec)
    }
}
