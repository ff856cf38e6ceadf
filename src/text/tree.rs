//! What the readers of both formats share: maps without duplicates, and the limits that are counted.

use std::collections::HashMap;
use std::collections::hash_map::{Entry as Slot, RandomState};
use std::hash::BuildHasher;

use super::{Code, Entry, Finding, Key, Node, Range, ReadLimits, SourceId, codes};

/// Mistakes told about one file. A file with more is most likely not what its name says, and a list of a hundred
/// thousand findings helps nobody.
pub(super) const MAX_FINDINGS: usize = 1000;

/// Maps up to this size are searched for duplicates one by one, which is faster than hashing.
const SMALL: usize = 8;

/// A finding at a range of the file being read.
pub(super) fn finding(code: &'static Code, range: Range, message: impl Into<String>) -> Finding {
    Finding::new(code, range.within(SourceId::UNKNOWN), message)
}

/// The finding that ends a file with too many mistakes.
pub(super) fn too_many(range: Range) -> Finding {
    let message = format!("more than {MAX_FINDINGS} mistakes in one file, the rest of it is not read");
    finding(&codes::LIMIT, range, message).help("correct the first ones, and check that this is the file you meant")
}

/// The range between two offsets. Files are smaller than 4 GiB ([`super::encoding::fits`]).
pub(super) fn range(start: usize, end: usize) -> Range {
    Range { start: start as u32, end: end.max(start) as u32 }
}

/// What stands at a range; nothing where it is none.
pub(super) fn slice(text: &str, range: Range) -> &str {
    text.get(range.start as usize..range.end as usize).unwrap_or_default()
}

/// A part of the text for a message: one line, not too long, without backquotes that would end the quotation.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 40;
    let line = text.lines().next().unwrap_or_default().trim_end();
    let short: String =
        line.chars().take(MOST).map(|character| if character == '`' { '\'' } else { character }).collect();
    if short.len() < line.len() || line.len() < text.trim_end().len() { short + "…" } else { short }
}

/// What is left of the values and bytes that a file may have. Charged before anything is copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(limits: &ReadLimits) -> Budget {
        Budget { nodes: limits.nodes, bytes: limits.string_bytes }
    }

    /// Takes `nodes` values with `bytes` of strings, or says which limit that would pass.
    pub(super) fn charge(&mut self, nodes: usize, bytes: usize, limits: &ReadLimits, at: Range) -> Result<(), Finding> {
        let help = "split the file; every use of an alias counts as much as what it stands for";
        match (self.nodes.checked_sub(nodes), self.bytes.checked_sub(bytes)) {
            (Some(nodes), Some(bytes)) => {
                *self = Budget { nodes, bytes };
                Ok(())
            }
            (None, _) => {
                Err(finding(&codes::LIMIT, at, format!("more than {} values in one file", limits.nodes)).help(help))
            }
            (_, None) => {
                let message = format!("more than {} bytes of strings in one file", limits.string_bytes);
                Err(finding(&codes::LIMIT, at, message).help(help))
            }
        }
    }

    /// Values and bytes taken since an earlier state.
    pub(super) fn since(&self, earlier: &Budget) -> (usize, usize) {
        (earlier.nodes - self.nodes, earlier.bytes - self.bytes)
    }
}

/// The finding for lists and maps nested too deeply.
pub(super) fn too_deep(limits: &ReadLimits, at: Range) -> Finding {
    finding(&codes::LIMIT, at, format!("lists and maps are nested more than {} deep", limits.depth))
        .help("flatten the value, or check for brackets that are never closed")
}

/// A map being read.
#[derive(Debug, Default)]
pub(super) struct MapBuilder {
    entries: Vec<Entry>,
    /// Hash of a key → its place in `entries`; filled once the map has more than [`SMALL`] keys. Holding hashes
    /// instead of keys saves a copy of every key; the random state keeps collisions out of an author's hands.
    hashes: HashMap<u64, usize>,
    state: Option<RandomState>,
}

impl MapBuilder {
    /// Adds an entry unless its key is there; then where the key stands that was first.
    pub(super) fn insert(&mut self, entry: Entry) -> Result<(), Range> {
        let Some(first) = self.register(&entry.key.name) else {
            self.entries.push(entry);
            return Ok(());
        };
        Err(self.entries.get(first).map_or(entry.key.span, |first| first.key.span))
    }

    /// Adds an entry, or reports that its key is there already.
    pub(super) fn insert_or_report(&mut self, key: Key, value: Node, text: &str, findings: &mut Vec<Finding>) {
        let second = key.span;
        if let Err(first) = self.insert(Entry { key, value }) {
            findings.push(duplicate(text, second, first));
        }
    }

    /// The number of entries so far.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries in the order they were added.
    pub(super) fn finish(self) -> Vec<Entry> {
        self.entries
    }

    /// Adds entries of merged maps at `place` of the map, except for keys that are there: explicit keys win, then
    /// earlier maps.
    pub(super) fn merge(&mut self, place: usize, merged: impl Iterator<Item = Entry>) {
        let rest = self.entries.len();
        for entry in merged {
            // A key that is there already is overridden on purpose.
            let _overridden = self.insert(entry);
        }
        // The new entries stand at the end; bring them to where `<<` stood. `hashes` is not used after this.
        if let Some(tail) = self.entries.get_mut(place.min(rest)..) {
            tail.rotate_left(rest - place.min(rest));
        }
    }

    /// Index of an equal key; none and the key remembered where it is new.
    fn register(&mut self, name: &str) -> Option<usize> {
        let next = self.entries.len();
        if next < SMALL {
            return self.position(name);
        }
        let state = self.state.get_or_insert_with(|| {
            let state = RandomState::new();
            self.hashes =
                self.entries.iter().enumerate().map(|(at, entry)| (state.hash_one(&*entry.key.name), at)).collect();
            state
        });
        match self.hashes.entry(state.hash_one(name)) {
            Slot::Vacant(slot) => {
                slot.insert(next);
                None
            }
            Slot::Occupied(slot) => {
                let same = self.entries.get(*slot.get()).is_some_and(|entry| &*entry.key.name == name);
                // Two keys with one hash: never seen in practice, and still answered correctly.
                if same { Some(*slot.get()) } else { self.position(name) }
            }
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| &*entry.key.name == name)
    }
}

/// The finding for a key that is there already.
pub(super) fn duplicate(text: &str, second: Range, first: Range) -> Finding {
    let name = excerpt(slice(text, second).trim_matches(['"', '\'']));
    finding(&codes::DUPLICATE_KEY, second, format!("the key `{name}` is there twice in one map"))
        .label("again here")
        .also(first.within(SourceId::UNKNOWN), "first here")
        .help("remove one of the two")
}
