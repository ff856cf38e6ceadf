//! Trees from events.

use std::collections::HashMap;

use granit_parser::{ErrorKind, ScalarStyle, StructureStyle, Tag};

use super::super::scalar::{self, Plain};
use super::super::tree::{Budget, MapBuilder, duplicate, excerpt, finding, range, slice, too_deep};
use super::super::{Entry, Finding, Key, Kind, Node, Range, ReadLimits, Text, TextStyle, codes};
use super::mistake::{self, Place};

mod layout;
mod value;

pub(super) use layout::{line_start, tab_indentation};

/// What kind of collection opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    List,
    Map,
}

/// Builds the documents of one file.
pub(super) struct Builder<'a> {
    text: &'a str,
    limits: &'a ReadLimits,
    findings: &'a mut Vec<Finding>,
    budget: Budget,
    /// Values held for aliases are copies; they have a budget of their own, of the same size.
    held: Budget,
    anchors: HashMap<usize, Held>,
    stack: Vec<Open>,
    root: Option<Node>,
    /// End of the last thing read, without trailing blanks.
    cursor: usize,
    /// Start of the document's content.
    start: usize,
    /// An unquoted template being stepped over: its start, and the maps open within.
    template: Option<(usize, usize)>,
}

/// A list or map that is still open.
struct Open {
    start: usize,
    /// Within brackets, where indentation means nothing.
    flow: bool,
    /// Has brackets of its own; the map in `[a: b]` has none.
    bracket: bool,
    anchor: usize,
    /// The budget before it, to know its size.
    before: Budget,
    /// Levels of lists and maps within, itself included.
    height: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { map: MapBuilder, key: Slot, merge: Option<Merge> },
}

/// What a map waits for.
enum Slot {
    Key,
    Value(Key),
    /// The value of `<<`.
    Merged(Range),
    /// The value of a key that cannot be used.
    Ignored,
}

struct Merge {
    key: Range,
    /// Index of the entry before which the merged entries belong.
    place: usize,
    maps: Vec<Vec<Entry>>,
}

/// An anchored value, for its aliases.
struct Held {
    node: Node,
    nodes: usize,
    bytes: usize,
    height: usize,
}

type Tagged<'t> = Option<(&'t Tag, Range)>;

impl<'a> Builder<'a> {
    pub(super) fn new(text: &'a str, limits: &'a ReadLimits, findings: &'a mut Vec<Finding>) -> Builder<'a> {
        Builder {
            text,
            limits,
            findings,
            budget: Budget::new(limits),
            held: Budget::new(limits),
            anchors: HashMap::new(),
            stack: Vec::new(),
            root: None,
            cursor: 0,
            start: 0,
            template: None,
        }
    }

    /// Forgets a document that was given up and goes on at an offset.
    pub(super) fn start_at(&mut self, offset: usize) {
        self.stack.clear();
        self.root = None;
        self.template = None;
        self.start_document(offset);
    }

    pub(super) fn start_document(&mut self, offset: usize) {
        self.anchors.clear();
        self.cursor = offset;
        self.start = offset;
    }

    /// The document's value, `None` where there is nothing in it.
    pub(super) fn finish_document(&mut self, end: usize) -> Option<Node> {
        self.cursor = self.cursor.max(end);
        self.root.take().filter(|root| !(root.is_null() && root.span.start == root.span.end))
    }

    pub(super) fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn findings(&self) -> usize {
        self.findings.len()
    }

    /// Reports a syntax error at an offset.
    pub(super) fn mistake(&mut self, kind: &ErrorKind, at: usize) {
        let bracket = self.stack.iter().rev().find(|open| open.bracket).map(|open| open.start);
        let place = Place { text: self.text, at, before: self.cursor.min(at), start: self.start, bracket };
        let finding = mistake::explain(kind, &place);
        // An unquoted template is told where it starts, and its consequences are not told again.
        let line = line_start(self.text, at);
        let told = self.findings.last().is_some_and(|last| {
            last.message == mistake::UNQUOTED_TEMPLATE && last.span().is_some_and(|span| span.start as usize >= line)
        });
        if !told {
            self.findings.push(finding);
        }
    }

    /// Reports directives between the last document and `start`; `%YAML 1.2` alone is one that changes nothing.
    pub(super) fn check_directives(&mut self, start: usize, version: Option<(u32, u32)>) {
        let from = self.cursor;
        let Some(between) = self.text.get(from..start).filter(|between| between.contains('%')) else { return };
        let mut at = from;
        for line in between.split_inclusive('\n') {
            if line.starts_with('%') {
                let here = range(at, at + line.trim_end().len());
                if !line.starts_with("%YAML ") {
                    let message = format!("the directive `{}` is not supported", excerpt(line));
                    self.report(finding(&codes::SYNTAX, here, message).help("remove the line"));
                } else if version != Some((1, 2)) {
                    let message = "only YAML 1.2 is read; other versions give other meanings to the same text";
                    self.report(finding(&codes::SYNTAX, here, message).help("write `%YAML 1.2`, or remove the line"));
                }
            }
            at += line.len();
        }
    }

    pub(super) fn scalar(
        &mut self,
        value: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Tagged<'_>,
        start: usize,
        end: usize,
    ) -> Result<(), Finding> {
        if self.template.is_some() {
            return Ok(());
        }
        let span = self.place(style, tag, start, end);
        let before = self.budget;
        self.budget.charge(1, value.len(), self.limits, span)?;
        // The parser gives `~` for a value that is not there.
        let value = if start == end && style == ScalarStyle::Plain { "" } else { value };
        let is_key = self.expects_key();
        if is_key {
            self.check_indentation(span);
        }
        let node = if is_key && tag.is_none() && style == ScalarStyle::Plain {
            value::plain_key(value, span)
        } else {
            self.value(value, style, tag, span)
        };
        self.hold(anchor, &node, &before, 0)?;
        self.cursor = self.cursor.max(span.end as usize);
        self.attach(node, 0, span);
        Ok(())
    }

    pub(super) fn open(
        &mut self,
        shape: Shape,
        style: StructureStyle,
        anchor: usize,
        tag: Tagged<'_>,
        start: usize,
        end: usize,
    ) -> Result<(), Finding> {
        let flow = style == StructureStyle::Flow;
        let bracket = flow && end > start;
        if let Some((_, depth)) = &mut self.template {
            *depth += 1;
            return Ok(());
        }
        if bracket && mistake::is_template(self.text, start) {
            self.template = Some((start, 1));
            return Ok(());
        }
        let here = range(start, end);
        if self.stack.len() >= self.limits.depth {
            return Err(too_deep(self.limits, here));
        }
        let before = self.budget;
        self.budget.charge(1, 0, self.limits, here)?;
        self.check_collection_tag(shape, tag);
        let content = match shape {
            Shape::List => Content::List(Vec::new()),
            Shape::Map => Content::Map { map: MapBuilder::default(), key: Slot::Key, merge: None },
        };
        self.stack.push(Open { start, flow, bracket, anchor, before, height: 1, content });
        self.cursor = self.cursor.max(here.end as usize);
        Ok(())
    }

    pub(super) fn close(&mut self, end: usize) -> Result<(), Finding> {
        if let Some((start, depth)) = self.template {
            self.template = (depth > 1).then_some((start, depth - 1));
            if depth == 1 {
                self.finish_template(start, end);
            }
            return Ok(());
        }
        let Some(open) = self.stack.pop() else { return Ok(()) };
        if open.bracket {
            self.cursor = self.cursor.max(end);
        }
        let span = range(open.start, self.cursor);
        let kind = match open.content {
            Content::List(items) => Kind::List(items),
            Content::Map { mut map, merge, .. } => {
                if let Some(merge) = merge {
                    map.merge(merge.place, merge.maps.into_iter().flatten());
                }
                Kind::Map(map.finish())
            }
        };
        let node = Node { kind, span };
        self.hold(open.anchor, &node, &open.before, open.height)?;
        self.attach(node, open.height, span);
        Ok(())
    }

    pub(super) fn alias(&mut self, anchor: usize, start: usize, end: usize) -> Result<(), Finding> {
        if self.template.is_some() {
            return Ok(());
        }
        let here = range(start, end);
        self.cursor = self.cursor.max(end);
        let Some(held) = self.anchors.get(&anchor) else {
            let message = format!("`{}` stands within the value that it refers to", excerpt(slice(self.text, here)));
            self.report(finding(&codes::SYNTAX, here, message).help("a value cannot contain itself; write it out"));
            self.attach_nothing(here);
            return Ok(());
        };
        if self.stack.len() + held.height > self.limits.depth {
            return Err(too_deep(self.limits, here));
        }
        self.budget.charge(held.nodes, held.bytes, self.limits, here)?;
        let (node, height) = (held.node.clone(), held.height);
        self.attach(node, height, here);
        Ok(())
    }

    pub(super) fn unknown_alias(&mut self, name: &str, start: usize, end: usize) {
        if self.template.is_some() {
            return;
        }
        let here = range(start, end);
        let message = format!("the alias `*{}` has no anchor before it", excerpt(name));
        let help = "define it with `&name` earlier in this document; if it is text, quote it";
        self.report(finding(&codes::SYNTAX, here, message).help(help));
        self.cursor = self.cursor.max(end);
        self.attach_nothing(here);
    }

    /// Is the next value a key?
    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Open { content: Content::Map { key: Slot::Key, .. }, .. }))
    }

    /// Keeps a copy of an anchored value.
    fn hold(&mut self, anchor: usize, node: &Node, before: &Budget, height: usize) -> Result<(), Finding> {
        if anchor == 0 {
            return Ok(());
        }
        let (nodes, bytes) = self.budget.since(before);
        self.held.charge(nodes, bytes, self.limits, node.span)?;
        self.anchors.insert(anchor, Held { node: node.clone(), nodes, bytes, height });
        Ok(())
    }

    /// Puts `null` in place of an alias that was reported, so that nothing else is reported for it.
    fn attach_nothing(&mut self, at: Range) {
        if let Some(Open { content: Content::Map { key, .. }, .. }) = self.stack.last_mut() {
            match key {
                Slot::Key => {
                    *key = Slot::Ignored;
                    return;
                }
                Slot::Merged(_) => *key = Slot::Ignored,
                Slot::Value(_) | Slot::Ignored => {}
            }
        }
        self.attach(Node { kind: Kind::Null, span: at }, 0, at);
    }

    /// Puts a finished value where it belongs; `at` is where it stands, which differs from its span for an alias.
    fn attach(&mut self, node: Node, height: usize, at: Range) {
        let Some(parent) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        parent.height = parent.height.max(height + 1);
        match &mut parent.content {
            Content::List(items) => items.push(node),
            Content::Map { map, key, merge } => match std::mem::replace(key, Slot::Key) {
                Slot::Key => {
                    let (slot, found) = key_of(node, at, self.text);
                    *key = slot;
                    self.findings.extend(found);
                }
                Slot::Ignored => {}
                Slot::Value(name) => map.insert_or_report(name, node, self.text, self.findings),
                Slot::Merged(name) => match (merge, maps_of(node)) {
                    (Some(first), _) => self.findings.push(duplicate(self.text, name, first.key)),
                    (merge @ None, Ok(maps)) => *merge = Some(Merge { key: name, place: map.len(), maps }),
                    (None, Err(kind)) => {
                        let message = format!("`<<` merges maps, and this is {kind}");
                        let help =
                            "write an alias of a map (`<<: *name`) or a list of them; quote `\"<<\"` if it is a key";
                        self.findings.push(finding(&codes::MERGE_KEY, at, message).help(help));
                    }
                },
            },
        }
    }
}

/// The key that a value makes, and what is wrong with it.
fn key_of(node: Node, at: Range, text: &str) -> (Slot, Option<Finding>) {
    match node.kind {
        Kind::Text(name) if name.style == TextStyle::Plain && &*name.value == "<<" => (Slot::Merged(at), None),
        Kind::Text(name) => (Slot::Value(Key { name: name.value, span: at }), None),
        Kind::List(_) | Kind::Map(_) => {
            let message =
                format!("{} cannot be a key", if matches!(node.kind, Kind::List(_)) { "a list" } else { "a map" });
            let help = "keys are strings; quote the text if it is meant as one";
            (Slot::Ignored, Some(finding(&codes::KEY_TYPE, at, message).help(help)))
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => {
            let name = slice(text, at);
            if name.is_empty() {
                let finding = finding(&codes::KEY_TYPE, at, "a key is missing before `:`").help("write the key's name");
                return (Slot::Ignored, Some(finding));
            }
            let message = format!("the key `{}` is {}, and keys are strings", excerpt(name), node.kind_name());
            let finding = finding(&codes::KEY_TYPE, at, message).help(format!("quote it: `\"{}\"`", excerpt(name)));
            (Slot::Value(Key { name: name.into(), span: at }), Some(finding))
        }
    }
}

/// The maps that `<<` is given, or what it is given instead.
fn maps_of(node: Node) -> Result<Vec<Vec<Entry>>, &'static str> {
    let kind = node.kind_name();
    match node.kind {
        Kind::Map(entries) => Ok(vec![entries]),
        Kind::List(items) => items
            .into_iter()
            .map(|item| match item.kind {
                Kind::Map(entries) => Ok(entries),
                _ => Err("a list with something else in it"),
            })
            .collect(),
        _ => Err(kind),
    }
}
