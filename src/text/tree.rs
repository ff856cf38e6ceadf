//! Parts shared by the YAML and JSON readers: maps without duplicate keys, and counted limits.

use std::collections::HashMap;
use std::collections::hash_map::{Entry as Slot, RandomState};
use std::hash::BuildHasher;

use super::codes::{self, Code};
use super::finding::Finding;
use super::limits::ReadLimits;
use super::node::{Entry, Key, Node};
use super::span::{Range, SourceId};

/// Maximum number of findings about one file. A file with more is most likely not a definition file.
pub(super) const MAX_FINDINGS: usize = 1000;

/// Maximum size of maps that are searched linearly for duplicates, which is faster than hashing for small maps.
const MAX_LINEAR_ENTRIES: usize = 8;

/// A finding at a range of the file being read.
pub(super) fn finding(code: &'static Code, range: Range, message: impl Into<String>) -> Finding {
    Finding::new(code, range.within(SourceId::UNKNOWN), message)
}

/// The finding that ends the reading of a file with too many errors.
pub(super) fn too_many(range: Range) -> Finding {
    let message = format!("more than {MAX_FINDINGS} errors in one file; the rest of it is not read");
    finding(&codes::LIMIT, range, message).help("correct the first ones, and check that this is the file you meant")
}

/// The range between two offsets. Files are smaller than 4 GiB ([`super::encoding::check_size`]).
pub(super) fn range(start: usize, end: usize) -> Range {
    Range { start: start as u32, end: end.max(start) as u32 }
}

/// The text at a range; empty if the range is invalid.
pub(super) fn slice(text: &str, range: Range) -> &str {
    text.get(range.start as usize..range.end as usize).unwrap_or_default()
}

/// Shortens a text for a message: one line of at most 40 characters, without backquotes, which would end the quotation.
pub(super) fn excerpt(text: &str) -> String {
    const MAX_CHARACTERS: usize = 40;
    let line = text.lines().next().unwrap_or_default().trim_end();
    let short: String =
        line.chars().take(MAX_CHARACTERS).map(|character| if character == '`' { '\'' } else { character }).collect();
    if short.len() < line.len() || line.len() < text.trim_end().len() { short + "…" } else { short }
}

/// The remaining number of values and string bytes of a file. Charged before any copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadBudget {
    nodes: usize,
    bytes: usize,
}

impl ReadBudget {
    pub(super) fn new(limits: &ReadLimits) -> ReadBudget {
        ReadBudget { nodes: limits.nodes, bytes: limits.string_bytes }
    }

    /// Charges `nodes` values with `bytes` of strings.
    ///
    /// # Errors
    /// The limit that would be exceeded.
    pub(super) fn charge(&mut self, nodes: usize, bytes: usize, limits: &ReadLimits, at: Range) -> Result<(), Finding> {
        let help = "split the file; every use of an alias counts as much as what it stands for";
        match (self.nodes.checked_sub(nodes), self.bytes.checked_sub(bytes)) {
            (Some(nodes), Some(bytes)) => {
                *self = ReadBudget { nodes, bytes };
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

    /// Values and bytes charged since an earlier state.
    pub(super) fn since(&self, earlier: &ReadBudget) -> (usize, usize) {
        (earlier.nodes - self.nodes, earlier.bytes - self.bytes)
    }
}

/// The finding for lists and maps that nest too deep.
pub(super) fn too_deep(limits: &ReadLimits, at: Range) -> Finding {
    finding(&codes::LIMIT, at, format!("lists and maps are nested more than {} deep", limits.depth))
        .help("flatten the value, or check for brackets that are never closed")
}

/// A map being read.
#[derive(Debug, Default)]
pub(super) struct MapBuilder {
    entries: Vec<Entry>,
    /// Index by the hash of the key, into `entries`; filled once the map has more than [`MAX_LINEAR_ENTRIES`] keys. Storing
    /// hashes instead of keys saves a copy of every key; the random state prevents crafted collisions.
    hashes: HashMap<u64, usize>,
    state: Option<RandomState>,
}

impl MapBuilder {
    /// Adds an entry.
    ///
    /// # Errors
    /// The position of the first entry with the same key; the new entry is dropped.
    pub(super) fn insert(&mut self, entry: Entry) -> Result<(), Range> {
        let Some(first) = self.register(&entry.key.name) else {
            self.entries.push(entry);
            return Ok(());
        };
        Err(self.entries.get(first).map_or(entry.key.span, |first| first.key.span))
    }

    /// Adds an entry, or reports a duplicate key.
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

    /// The entries in insertion order.
    pub(super) fn finish(self) -> Vec<Entry> {
        self.entries
    }

    /// Inserts the entries of merged maps at index `place`. Explicit keys win over merged ones, and earlier maps over
    /// later ones.
    pub(super) fn merge(&mut self, place: usize, merged: impl Iterator<Item = Entry>) {
        let rest = self.entries.len();
        for entry in merged {
            // An existing key overrides the merged one, by the rules of `<<`.
            let _overridden = self.insert(entry);
        }
        // Move the new entries from the end to the position of `<<`. This invalidates `hashes`, which is not used afterwards.
        if let Some(tail) = self.entries.get_mut(place.min(rest)..) {
            tail.rotate_left(rest - place.min(rest));
        }
    }

    /// Returns the index of an equal key, or records the key as new.
    fn register(&mut self, name: &str) -> Option<usize> {
        let next = self.entries.len();
        if next < MAX_LINEAR_ENTRIES {
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
                // A hash collision is practically impossible; it is resolved correctly nevertheless.
                if same { Some(*slot.get()) } else { self.position(name) }
            }
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| &*entry.key.name == name)
    }
}

/// The finding for a duplicate key.
pub(super) fn duplicate(text: &str, second: Range, first: Range) -> Finding {
    let name = excerpt(slice(text, second).trim_matches(['"', '\'']));
    finding(&codes::DUPLICATE_KEY, second, format!("the key `{name}` occurs twice in one map"))
        .label("again here")
        .also(first.within(SourceId::UNKNOWN), "first here")
        .help("remove one of the two")
}
