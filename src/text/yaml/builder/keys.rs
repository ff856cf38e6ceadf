//! Keys of maps.

use crate::text::codes;
use crate::text::finding::Finding;
use crate::text::node::{Entry, Key, Node, NodeKind, TextStyle};
use crate::text::scalar::{self, Plain};
use crate::text::span::Range;
use crate::text::tree::{excerpt, finding, slice};

/// The state of an open map.
pub(super) enum MapState {
    /// A key follows.
    Key,
    /// The value of this key follows.
    Value(Key),
    /// The value of `<<` follows.
    Merge(Range),
    /// The value of an invalid key follows and is dropped.
    Ignored,
}

/// Resolves a key without quotes or tag: its text, or the scalar that YAML reads it as.
pub(super) fn plain_key(value: &str, span: Range) -> Node {
    let kind = match scalar::plain(value) {
        Plain::Text => NodeKind::text(value, TextStyle::Plain),
        Plain::Null => NodeKind::Null,
        Plain::Bool(value) => NodeKind::Bool(value),
        Plain::Number(number) | Plain::Ambiguous(number) | Plain::TooLarge(number) => NodeKind::Number(number),
        Plain::NotFinite => NodeKind::Number(0.into()),
    };
    Node { kind, span }
}

/// Converts a value in key position to the next state of the map, with a finding if it is not a valid key.
pub(super) fn classify_key(node: Node, at: Range, text: &str) -> (MapState, Option<Finding>) {
    match node.kind {
        NodeKind::Text(name) if name.style == TextStyle::Plain && &*name.value == "<<" => (MapState::Merge(at), None),
        NodeKind::Text(name) => (MapState::Value(Key { name: name.value, span: at }), None),
        NodeKind::List(_) | NodeKind::Map(_) => {
            let message =
                format!("{} cannot be a key", if matches!(node.kind, NodeKind::List(_)) { "a list" } else { "a map" });
            let help = "keys are strings; quote the text if it is meant as one";
            (MapState::Ignored, Some(finding(&codes::KEY_TYPE, at, message).help(help)))
        }
        NodeKind::Null | NodeKind::Bool(_) | NodeKind::Number(_) => {
            let name = slice(text, at);
            if name.is_empty() {
                let finding = finding(&codes::KEY_TYPE, at, "a key is missing before `:`").help("write the key's name");
                return (MapState::Ignored, Some(finding));
            }
            let message = format!("the key `{}` is {}, and keys are strings", excerpt(name), node.kind_name());
            let finding = finding(&codes::KEY_TYPE, at, message).help(format!("quote it: `\"{}\"`", excerpt(name)));
            (MapState::Value(Key { name: name.into(), span: at }), Some(finding))
        }
    }
}

/// The maps that `<<` merges.
///
/// # Errors
/// The type of a value that cannot be merged.
pub(super) fn merged_maps(node: Node) -> Result<Vec<Vec<Entry>>, &'static str> {
    let kind = node.kind_name();
    match node.kind {
        NodeKind::Map(entries) => Ok(vec![entries]),
        NodeKind::List(items) => items
            .into_iter()
            .map(|item| match item.kind {
                NodeKind::Map(entries) => Ok(entries),
                _ => Err("a list that contains another type"),
            })
            .collect(),
        _ => Err(kind),
    }
}
