//! Deduplication of strings: most keys and short values repeat many times in a file.

use std::collections::HashSet;
use std::sync::Arc;

use super::node::{Document, Node, NodeKind};

/// Maximum size of shared values, in bytes; longer values rarely repeat.
const MAX_SHARED_BYTES: usize = 32;

/// Shares equal keys and short strings among the documents of a file, and frees unused capacity of lists and maps.
pub(super) fn share_strings(documents: &mut [Document]) {
    let mut known = HashSet::new();
    for document in documents {
        share_in_node(&mut document.root, &mut known);
    }
}

fn share_in_node(node: &mut Node, known: &mut HashSet<Arc<str>>) {
    match &mut node.kind {
        NodeKind::Text(text) if text.value.len() <= MAX_SHARED_BYTES => share_text(&mut text.value, known),
        NodeKind::List(items) => {
            items.shrink_to_fit();
            for item in items.iter_mut() {
                share_in_node(item, known);
            }
        }
        NodeKind::Map(entries) => {
            entries.shrink_to_fit();
            for entry in entries {
                share_text(&mut entry.key.name, known);
                share_in_node(&mut entry.value, known);
            }
        }
        _ => {}
    }
}

fn share_text(text: &mut Arc<str>, known: &mut HashSet<Arc<str>>) {
    match known.get(&**text) {
        Some(shared) => *text = Arc::clone(shared),
        None => {
            known.insert(Arc::clone(text));
        }
    }
}
