//! Places in documents.

use serde_json::Value;

use crate::catalog::Entry;
use crate::text::{Node, escaped};

/// A value of a document without its positions.
pub(super) fn value(entry: &Entry, pointer: &str) -> Option<Value> {
    entry.node(pointer).map(Node::to_json)
}

/// The pointer of a part of a value in a document: the deepest part that the document has.
pub(super) fn existing(entry: &Entry, base: &str, pointer: &str) -> String {
    let mut at = format!("{base}{pointer}");
    while at.len() > base.len() && entry.node(&at).is_none() {
        at.truncate(at.rfind('/').unwrap_or(0).max(base.len()));
    }
    at
}

/// A part of a pointer.
pub(super) fn part(name: &str) -> String {
    format!("/{}", escaped(name))
}
