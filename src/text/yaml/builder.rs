//! Builds document trees from parser events.

use std::collections::HashMap;

use granit_parser::{ErrorKind, ScalarStyle, StructureStyle, Tag};

use super::lines::line_start;
use super::syntax_error::{self, ErrorContext};
use crate::text::codes;
use crate::text::finding::Finding;
use crate::text::limits::ReadLimits;
use crate::text::node::{Entry, Node, NodeKind};
use crate::text::span::Range;
use crate::text::tree::{MapBuilder, ReadBudget, duplicate, excerpt, finding, range, slice, too_deep};

mod keys;
mod layout;
mod value;

use keys::{MapState, classify_key, merged_maps, plain_key};

/// The type of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CollectionKind {
    List,
    Map,
}

/// Builds the documents of one file.
pub(super) struct Builder<'a> {
    text: &'a str,
    limits: &'a ReadLimits,
    findings: &'a mut Vec<Finding>,
    budget: ReadBudget,
    /// Budget of the copies of anchored values, of the same size.
    anchor_budget: ReadBudget,
    anchors: HashMap<usize, AnchoredValue>,
    stack: Vec<OpenCollection>,
    root: Option<Node>,
    /// End of the last token, without trailing blanks.
    cursor: usize,
    /// Start of the document's content.
    start: usize,
    /// The start of an unquoted template that is being skipped, and the number of maps that are open within it.
    template: Option<(usize, usize)>,
}

/// A list or map that is still open.
struct OpenCollection {
    start: usize,
    /// True within brackets, where indentation has no meaning.
    flow: bool,
    /// True if the collection has brackets of its own; the map in `[a: b]` has none.
    bracket: bool,
    anchor: usize,
    /// The budget before this collection, from which its size follows.
    before: ReadBudget,
    /// Nesting of lists and maps, this one included.
    height: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { map: MapBuilder, state: MapState, merge: Option<Merge> },
}

struct Merge {
    key: Range,
    /// Index at which the merged entries are inserted.
    position: usize,
    maps: Vec<Vec<Entry>>,
}

/// A copy of an anchored value, for its aliases.
struct AnchoredValue {
    node: Node,
    nodes: usize,
    bytes: usize,
    height: usize,
}

/// A tag and its position.
type Tagged<'t> = Option<(&'t Tag, Range)>;

impl<'a> Builder<'a> {
    pub(super) fn new(text: &'a str, limits: &'a ReadLimits, findings: &'a mut Vec<Finding>) -> Builder<'a> {
        Builder {
            text,
            limits,
            findings,
            budget: ReadBudget::new(limits),
            anchor_budget: ReadBudget::new(limits),
            anchors: HashMap::new(),
            stack: Vec::new(),
            root: None,
            cursor: 0,
            start: 0,
            template: None,
        }
    }

    /// Discards an incomplete document and continues at an offset.
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

    /// The value of the document; `None` if it is empty.
    pub(super) fn finish_document(&mut self, end: usize) -> Option<Node> {
        self.cursor = self.cursor.max(end);
        self.root.take().filter(|root| !(root.is_null() && root.span.start == root.span.end))
    }

    pub(super) fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Number of findings so far.
    pub(super) fn finding_count(&self) -> usize {
        self.findings.len()
    }

    /// Reports a syntax error at an offset.
    pub(super) fn report_syntax_error(&mut self, kind: &ErrorKind, at: usize) {
        let bracket = self.stack.iter().rev().find(|open| open.bracket).map(|open| open.start);
        let context = ErrorContext { text: self.text, at, before: self.cursor.min(at), start: self.start, bracket };
        let finding = syntax_error::describe(kind, &context);
        // An unquoted template is reported at its start; errors that result from it are not reported.
        let line = line_start(self.text, at);
        let reported = self.findings.last().is_some_and(|last| {
            last.message == syntax_error::UNQUOTED_TEMPLATE
                && last.span().is_some_and(|span| span.start as usize >= line)
        });
        if !reported {
            self.findings.push(finding);
        }
    }

    /// Reports directives between the last document and `start`. Only `%YAML 1.2` is accepted.
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
                    let message = "only YAML 1.2 is supported; other versions interpret the same text differently";
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
        let span = self.scalar_range(style, tag, start, end);
        let before = self.budget;
        self.budget.charge(1, value.len(), self.limits, span)?;
        // The parser reports `~` for an empty value.
        let value = if start == end && style == ScalarStyle::Plain { "" } else { value };
        let is_key = self.expects_key();
        if is_key {
            self.check_indentation(span);
        }
        let node = if is_key && tag.is_none() && style == ScalarStyle::Plain {
            plain_key(value, span)
        } else {
            self.value(value, style, tag, span)
        };
        self.remember_anchor(anchor, &node, &before, 0)?;
        self.cursor = self.cursor.max(span.end as usize);
        self.attach(node, 0, span);
        Ok(())
    }

    pub(super) fn open(
        &mut self,
        kind: CollectionKind,
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
        if bracket && syntax_error::is_template(self.text, start) {
            self.template = Some((start, 1));
            return Ok(());
        }
        let here = range(start, end);
        if self.stack.len() >= self.limits.depth {
            return Err(too_deep(self.limits, here));
        }
        let before = self.budget;
        self.budget.charge(1, 0, self.limits, here)?;
        self.check_collection_tag(kind, tag);
        let content = match kind {
            CollectionKind::List => Content::List(Vec::new()),
            CollectionKind::Map => Content::Map { map: MapBuilder::default(), state: MapState::Key, merge: None },
        };
        self.stack.push(OpenCollection { start, flow, bracket, anchor, before, height: 1, content });
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
            Content::List(items) => NodeKind::List(items),
            Content::Map { mut map, merge, .. } => {
                if let Some(merge) = merge {
                    map.merge(merge.position, merge.maps.into_iter().flatten());
                }
                NodeKind::Map(map.finish())
            }
        };
        let node = Node { kind, span };
        self.remember_anchor(open.anchor, &node, &open.before, open.height)?;
        self.attach(node, open.height, span);
        Ok(())
    }

    pub(super) fn alias(&mut self, anchor: usize, start: usize, end: usize) -> Result<(), Finding> {
        if self.template.is_some() {
            return Ok(());
        }
        let here = range(start, end);
        self.cursor = self.cursor.max(end);
        let Some(anchored) = self.anchors.get(&anchor) else {
            let message = format!("`{}` is within the value that it refers to", excerpt(slice(self.text, here)));
            self.report(finding(&codes::SYNTAX, here, message).help("a value cannot contain itself; write it out"));
            self.attach_null(here);
            return Ok(());
        };
        if self.stack.len() + anchored.height > self.limits.depth {
            return Err(too_deep(self.limits, here));
        }
        self.budget.charge(anchored.nodes, anchored.bytes, self.limits, here)?;
        let (node, height) = (anchored.node.clone(), anchored.height);
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
        self.attach_null(here);
    }

    /// True if the next value is a key.
    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(OpenCollection { content: Content::Map { state: MapState::Key, .. }, .. }))
    }

    /// Stores a copy of an anchored value.
    fn remember_anchor(
        &mut self,
        anchor: usize,
        node: &Node,
        before: &ReadBudget,
        height: usize,
    ) -> Result<(), Finding> {
        if anchor == 0 {
            return Ok(());
        }
        let (nodes, bytes) = self.budget.since(before);
        self.anchor_budget.charge(nodes, bytes, self.limits, node.span)?;
        self.anchors.insert(anchor, AnchoredValue { node: node.clone(), nodes, bytes, height });
        Ok(())
    }

    /// Replaces an alias that was reported by `null`, so that no further finding results from it.
    fn attach_null(&mut self, at: Range) {
        if let Some(OpenCollection { content: Content::Map { state, .. }, .. }) = self.stack.last_mut() {
            match state {
                MapState::Key => {
                    *state = MapState::Ignored;
                    return;
                }
                MapState::Merge(_) => *state = MapState::Ignored,
                MapState::Value(_) | MapState::Ignored => {}
            }
        }
        self.attach(Node { kind: NodeKind::Null, span: at }, 0, at);
    }

    /// Adds a complete value to its parent. `at` is the position of the value, which differs from its span for an alias.
    fn attach(&mut self, node: Node, height: usize, at: Range) {
        let Some(parent) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        parent.height = parent.height.max(height + 1);
        match &mut parent.content {
            Content::List(items) => items.push(node),
            Content::Map { map, state, merge } => match std::mem::replace(state, MapState::Key) {
                MapState::Key => {
                    let (next, found) = classify_key(node, at, self.text);
                    *state = next;
                    self.findings.extend(found);
                }
                MapState::Ignored => {}
                MapState::Value(name) => map.insert_or_report(name, node, self.text, self.findings),
                MapState::Merge(name) => match (merge, merged_maps(node)) {
                    (Some(first), _) => self.findings.push(duplicate(self.text, name, first.key)),
                    (merge @ None, Ok(maps)) => *merge = Some(Merge { key: name, position: map.len(), maps }),
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
