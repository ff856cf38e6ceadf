//! The tree that every file is read into: JSON's data model, each value with its place.

use std::borrow::Cow;
use std::sync::Arc;

use super::{SourceId, Span};

/// A range of bytes within one file, end exclusive. Half the size of a [`Span`]; the document knows the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Range {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Range {
    /// This range in a file.
    pub fn within(self, source: SourceId) -> Span {
        Span { source, start: self.start, end: self.end }
    }
}

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file it came from.
    pub source: SourceId,
    /// Its value.
    pub root: Node,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it stands. For a block scalar (`|`, `>`) from its header to its last line.
    pub span: Range,
}

/// The values of JSON; YAML is read by its 1.2 core schema, so that `no`, `on` and `y` are strings.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of 64 bits, signed or unsigned, or a finite float.
    Number(serde_json::Number),
    /// A string.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file. Keys are unique: a duplicate is reported and left out.
    Map(Vec<Entry>),
}

/// A string and how it was written, so that a place inside its value can be found in the file.
#[derive(Clone, Debug)]
pub struct Text {
    /// The string's value.
    pub value: Arc<str>,
    /// How it was written.
    pub style: TextStyle,
}

/// How a string was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextStyle {
    /// Without quotes.
    Plain,
    /// `'…'` or `"…"`.
    Quoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// One key of a map and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// A key with its place.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key's text.
    pub name: Arc<str>,
    /// Where the key stands, quotes included.
    pub span: Range,
}

impl Node {
    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry under a key of a map.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key.name == key)
    }

    /// The entries of a map, none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list, none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// The string, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(&text.value),
            _ => None,
        }
    }

    /// Is it `null`?
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// What a person calls this kind of value.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// The value at a JSON pointer (RFC 6901), `None` where there is nothing.
    pub fn pointer(&self, pointer: &str) -> Option<&Node> {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let part = unescaped(part);
            node = match &node.kind {
                Kind::Map(_) => node.get(&part)?,
                Kind::List(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The same, to change it.
    pub fn pointer_mut(&mut self, pointer: &str) -> Option<&mut Node> {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let part = unescaped(part);
            node = match &mut node.kind {
                Kind::Map(entries) => &mut entries.iter_mut().find(|entry| *entry.key.name == *part)?.value,
                Kind::List(items) => items.get_mut(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The entries of a map, to change them.
    pub fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value without places.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::Text(text) => Value::String(text.value.to_string()),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.name.to_string(), entry.value.to_json())).collect())
            }
        }
    }

    /// From the first to the last byte of it and of everything in it.
    pub fn extent(&self) -> Range {
        let mut extent = self.span;
        let mut widen = |range: Range| {
            extent.start = extent.start.min(range.start);
            extent.end = extent.end.max(range.end);
        };
        self.items().iter().map(Node::extent).for_each(&mut widen);
        for entry in self.entries() {
            widen(entry.key.span);
            widen(entry.value.extent());
        }
        extent
    }

    /// Moves it and everything in it from one offset to another.
    pub fn move_by(&mut self, from: u32, to: u32) {
        let moved = |range: Range| Range {
            start: range.start.saturating_sub(from) + to,
            end: range.end.saturating_sub(from) + to,
        };
        self.span = moved(self.span);
        match &mut self.kind {
            Kind::List(items) => items.iter_mut().for_each(|item| item.move_by(from, to)),
            Kind::Map(entries) => {
                for entry in entries {
                    entry.key.span = moved(entry.key.span);
                    entry.value.move_by(from, to);
                }
            }
            _ => {}
        }
    }

    /// The bytes of the file that hold `range` of this string's value.
    ///
    /// Exact for strings that stand in the file as they are (plain, quoted without escapes, `|` blocks); the
    /// whole value for the others, as a place that may be wrong is worse than one that is wide.
    pub fn locate(&self, file: &str, range: std::ops::Range<usize>) -> Range {
        let Kind::Text(text) = &self.kind else { return self.span };
        let (start, end) = (self.span.start as usize, self.span.end as usize);
        let Some(written) = file.get(start..end) else { return self.span };
        let found = match text.style {
            TextStyle::Plain if written == &*text.value => Some(start + range.start..start + range.end),
            TextStyle::Quoted if written.get(1..written.len().saturating_sub(1)) == Some(&*text.value) => {
                Some(start + 1 + range.start..start + 1 + range.end)
            }
            TextStyle::Literal => {
                let first = in_literal(written, &text.value, range.start);
                // The end is found by the last character within: the next one may stand on another line.
                let inside = text.value.get(..range.end).and_then(|value| value.char_indices().next_back());
                let last = inside
                    .filter(|(at, _)| *at >= range.start)
                    .map_or(first, |(at, last)| in_literal(written, &text.value, at).map(|at| at + last.len_utf8()));
                first.zip(last).map(|(first, last)| start + first..start + last)
            }
            _ => None,
        };
        match found {
            // A line break at the end of a block is not within its span.
            Some(found) => {
                Range { start: found.start as u32, end: found.end.max(found.start).min(end.max(found.start)) as u32 }
            }
            None => self.span,
        }
    }
}

impl Entry {
    /// From the key's first byte to the value's last.
    pub fn span(&self) -> Range {
        Range { start: self.key.span.start, end: self.value.span.end.max(self.key.span.end) }
    }
}

/// A key as a part of a JSON pointer (RFC 6901, 3).
pub fn escaped(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) { key.replace('~', "~0").replace('/', "~1").into() } else { key.into() }
}

/// A part of a JSON pointer as the key that it means.
pub fn unescaped(part: &str) -> Cow<'_, str> {
    if part.contains('~') { part.replace("~1", "/").replace("~0", "~").into() } else { part.into() }
}

/// Offset in a `|` block as written of an offset in its value: same line, moved by the block's indentation.
fn in_literal(written: &str, value: &str, offset: usize) -> Option<usize> {
    let before = value.get(..offset.min(value.len()))?;
    let line = before.matches('\n').count();
    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
    let content = value.lines().nth(line).unwrap_or("");
    let mut at = 0;
    for (number, text) in written.split_inclusive('\n').enumerate() {
        // The first line of what is written is the header (`|`, `|-`, `|2`).
        if number == line + 1 {
            let text = text.trim_end_matches(['\n', '\r']);
            let indentation = text.len().checked_sub(content.len()).filter(|_| text.ends_with(content))?;
            return Some(at + indentation + column);
        }
        at += text.len();
    }
    None
}

/// The JSON pointer (RFC 6901) of the innermost value of a document that holds a range; of a map's entry where the range
/// stands in its key. Empty, the whole document, where nothing else holds it.
pub fn pointer_at(root: &Node, range: Range) -> String {
    let holds = |from: u32, to: u32| from <= range.start && range.end <= to;
    let mut pointer = String::new();
    let mut node = root;
    loop {
        let entry = node.entries().iter().find(|entry| holds(entry.key.span.start, entry.value.extent().end));
        if let Some(entry) = entry {
            pointer.push('/');
            pointer.push_str(&escaped(&entry.key.name));
            node = &entry.value;
            continue;
        }
        let within = |item: &(usize, &Node)| {
            let extent = item.1.extent();
            holds(extent.start, extent.end)
        };
        match node.items().iter().enumerate().find(within) {
            Some((index, item)) => {
                pointer.push_str(&format!("/{index}"));
                node = item;
            }
            None => return pointer,
        }
    }
}
