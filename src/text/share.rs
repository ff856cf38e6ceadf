//! The strings of a file's documents, each held once: keys and words repeat endlessly.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Document, Kind, Node};

/// Values up to this many bytes are looked for; longer ones are mostly there once.
const SHORT: usize = 32;

/// Shares equal keys and short strings among the documents of a file, and gives spare room in lists and maps back.
pub(super) fn share(documents: &mut [Document]) {
    let mut known = HashSet::new();
    for document in documents {
        of_node(&mut document.root, &mut known);
    }
}

fn of_node(node: &mut Node, known: &mut HashSet<Arc<str>>) {
    match &mut node.kind {
        Kind::Text(text) if text.value.len() <= SHORT => of_text(&mut text.value, known),
        Kind::List(items) => {
            items.shrink_to_fit();
            for item in items.iter_mut() {
                of_node(item, known);
            }
        }
        Kind::Map(entries) => {
            entries.shrink_to_fit();
            for entry in entries {
                of_text(&mut entry.key.name, known);
                of_node(&mut entry.value, known);
            }
        }
        _ => {}
    }
}

fn of_text(text: &mut Arc<str>, known: &mut HashSet<Arc<str>>) {
    match known.get(&**text) {
        Some(same) => *text = Arc::clone(same),
        None => {
            known.insert(Arc::clone(text));
        }
    }
}
