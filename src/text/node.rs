//! The document tree: JSON's data model, each value with its position in the file.

use std::borrow::Cow;
use std::sync::Arc;

use super::span::{Range, SourceId};

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file that contains it.
    pub source: SourceId,
    /// The root value.
    pub root: Node,
}

/// A value and its position.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub kind: NodeKind,
    /// The position of the value. For a block scalar (`|`, `>`) from its header to its last line.
    pub span: Range,
}

/// A JSON value. YAML is read by the core schema of YAML 1.2, so `no`, `on` and `y` are strings.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// `null`, `~` or an empty value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of 64 bits, signed or unsigned, or a finite float.
    Number(serde_json::Number),
    /// A string.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file. Keys are unique: a duplicate is reported and dropped.
    Map(Vec<Entry>),
}

/// A string with its notation, which is needed to locate a position within its value in the file.
#[derive(Clone, Debug)]
pub struct Text {
    /// The string's value.
    pub value: Arc<str>,
    /// The notation.
    pub style: TextStyle,
}

/// The notation of a string.
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

/// A key and its position.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key's text.
    pub name: Arc<str>,
    /// The position of the key, quotes included.
    pub span: Range,
}

impl NodeKind {
    /// A string value.
    pub(crate) fn text(value: &str, style: TextStyle) -> NodeKind {
        NodeKind::Text(Text { value: value.into(), style })
    }
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

    /// The entries of a map; empty for any other value.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            NodeKind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; empty for any other value.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            NodeKind::List(items) => items,
            _ => &[],
        }
    }

    /// The string; `None` for any other value.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Text(text) => Some(&text.value),
            _ => None,
        }
    }

    /// True if the value is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, NodeKind::Null)
    }

    /// The type of the value as messages name it.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            NodeKind::Null => "null",
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Number(_) => "a number",
            NodeKind::Text(_) => "a string",
            NodeKind::List(_) => "a list",
            NodeKind::Map(_) => "a map",
        }
    }

    /// The value at a JSON pointer (RFC 6901).
    pub fn pointer(&self, pointer: &str) -> Option<&Node> {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let part = unescaped(part);
            node = match &node.kind {
                NodeKind::Map(_) => node.get(&part)?,
                NodeKind::List(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The value at a JSON pointer (RFC 6901), mutable.
    pub fn pointer_mut(&mut self, pointer: &str) -> Option<&mut Node> {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let part = unescaped(part);
            node = match &mut node.kind {
                NodeKind::Map(entries) => &mut entries.iter_mut().find(|entry| *entry.key.name == *part)?.value,
                NodeKind::List(items) => items.get_mut(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The entries of a map, mutable.
    pub fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.kind {
            NodeKind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value without positions.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(value) => Value::Bool(*value),
            NodeKind::Number(value) => Value::Number(value.clone()),
            NodeKind::Text(text) => Value::String(text.value.to_string()),
            NodeKind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            NodeKind::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.name.to_string(), entry.value.to_json())).collect())
            }
        }
    }

    /// The range from the first to the last byte of the value, including all nested values.
    ///
    /// Wider than `span` if an alias was expanded, as expanded values keep the position of their definition.
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

    /// Shifts the value and all nested values from one offset to another.
    pub fn move_by(&mut self, from: u32, to: u32) {
        let moved = |range: Range| Range {
            start: range.start.saturating_sub(from) + to,
            end: range.end.saturating_sub(from) + to,
        };
        self.span = moved(self.span);
        match &mut self.kind {
            NodeKind::List(items) => items.iter_mut().for_each(|item| item.move_by(from, to)),
            NodeKind::Map(entries) => {
                for entry in entries {
                    entry.key.span = moved(entry.key.span);
                    entry.value.move_by(from, to);
                }
            }
            _ => {}
        }
    }

    /// The bytes of the file that correspond to `range` of this string's value.
    ///
    /// Exact for strings that the file contains verbatim (plain, quoted without escapes, `|` blocks). For all other
    /// strings the range of the whole value, as a wide position is better than a wrong one.
    pub fn locate(&self, file: &str, range: std::ops::Range<usize>) -> Range {
        let NodeKind::Text(text) = &self.kind else { return self.span };
        let (start, end) = (self.span.start as usize, self.span.end as usize);
        let Some(written) = file.get(start..end) else { return self.span };
        let found = match text.style {
            TextStyle::Plain if written == &*text.value => Some(start + range.start..start + range.end),
            TextStyle::Quoted if written.get(1..written.len().saturating_sub(1)) == Some(&*text.value) => {
                Some(start + 1 + range.start..start + 1 + range.end)
            }
            TextStyle::Literal => {
                let first = literal_offset(written, &text.value, range.start);
                // The end follows from the last character in the range; the character after it may be on another line.
                let inside = text.value.get(..range.end).and_then(|value| value.char_indices().next_back());
                let last = inside.filter(|(at, _)| *at >= range.start).map_or(first, |(at, last)| {
                    literal_offset(written, &text.value, at).map(|at| at + last.len_utf8())
                });
                first.zip(last).map(|(first, last)| start + first..start + last)
            }
            _ => None,
        };
        match found {
            // The span of a block excludes its final line break.
            Some(found) => {
                Range { start: found.start as u32, end: found.end.max(found.start).min(end.max(found.start)) as u32 }
            }
            None => self.span,
        }
    }
}

impl Entry {
    /// The range from the key's first byte to the value's last.
    pub fn span(&self) -> Range {
        Range { start: self.key.span.start, end: self.value.span.end.max(self.key.span.end) }
    }
}

/// Escapes a key as a reference token of a JSON pointer (RFC 6901, section 3).
pub fn escaped(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) { key.replace('~', "~0").replace('/', "~1").into() } else { key.into() }
}

/// Decodes a reference token of a JSON pointer to the key.
pub fn unescaped(part: &str) -> Cow<'_, str> {
    if part.contains('~') { part.replace("~1", "/").replace("~0", "~").into() } else { part.into() }
}

/// Converts an offset in the value of a `|` block to an offset in its source text: the same line, shifted by the
/// block's indentation.
fn literal_offset(written: &str, value: &str, offset: usize) -> Option<usize> {
    let before = value.get(..offset.min(value.len()))?;
    let line = before.matches('\n').count();
    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
    let content = value.lines().nth(line).unwrap_or("");
    let mut at = 0;
    for (number, text) in written.split_inclusive('\n').enumerate() {
        // The first line of the source text is the header (`|`, `|-`, `|2`).
        if number == line + 1 {
            let text = text.trim_end_matches(['\n', '\r']);
            let indentation = text.len().checked_sub(content.len()).filter(|_| text.ends_with(content))?;
            return Some(at + indentation + column);
        }
        at += text.len();
    }
    None
}

/// The JSON pointer (RFC 6901) of the innermost value that contains a range. A range within a key yields the pointer of
/// the entry. Empty (the whole document) if no nested value contains the range.
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
