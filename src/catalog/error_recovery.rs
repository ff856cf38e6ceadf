//! Repairs a definition that has schema errors, so that one misspelt field does not hide other errors of the same document.
//!
//! Misspelt names become the ones that they resemble, wrong values are removed, and what a type requires gets a
//! placeholder. Items of lists stay where they are, as checks name them by their position. The result is checked and never
//! run. [`Recovery`] remembers the repairs: a finding that follows from one is no finding of its own.

use std::sync::Arc;

use crate::definition::Kind;
use crate::definition::schema_validator::nearest;
use crate::text::{Code, Document, Entry, Finding, Key, Node, NodeKind, Range, Span, TextStyle, codes};

/// Maximum number of schema errors of one document from which to recover.
const MAX_ERRORS: usize = 100;
/// Maximum number of repairs that make a document readable as its type.
const MAX_REPAIRS: usize = 200;

/// Fields of a spec whose absence other checks report.
fn needed(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Connector => &["baseUrl", "auth", "actions", "entities", "events", "settings"],
        Kind::Widget => &["connectors", "actions", "forms"],
        Kind::Connection => &["connector", "method", "credentials", "settings", "scope", "tenant", "user"],
        _ => &[],
    }
}

/// Codes of findings that compare parts of a field of the spec with each other, or with other fields.
fn comparing(kind: Kind, field: &str) -> Vec<&'static Code> {
    match (kind, field) {
        (Kind::Widget, "actions") => vec![&codes::UNREACHABLE, &codes::DEAD_END, &codes::UNUSED],
        (Kind::Widget, "connectors") => vec![&codes::PRIMARY],
        (Kind::Widget, "forms") => vec![&codes::UNUSED],
        (Kind::Connector, "auth") => vec![&codes::AUTH_DEFAULT],
        (Kind::Connector, "actions" | "entities" | "events") => vec![&codes::CAPABILITY, &codes::CANONICAL_MISSING],
        (Kind::Connection, _) => vec![&codes::AUTH_SETTING, &codes::MISSING_FIELD, &codes::AT_MOST_ONE],
        (Kind::Entity, "fields") => vec![&codes::ENTITY_FIELD],
        _ => Vec::new(),
    }
}

/// The repairs of a definition.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The maps with a repaired member, and its name.
    members: Vec<(Range, Box<str>)>,
    /// Codes of findings that may follow from a repair.
    doubtful: Vec<&'static Code>,
    /// True if a placeholder was added. Findings about it are placed at the name of the definition.
    placeholders: bool,
}

impl Recovery {
    /// True if a finding does not follow from a repair. `name` is the place of the definition's name.
    pub fn trusts(&self, finding: &Finding, document: &Document, name: Range) -> bool {
        let Some(span) = finding.span().filter(|span| span.source == document.source) else { return true };
        let range = Range { start: span.start, end: span.end };
        if self.doubtful.contains(&finding.code) || self.placeholders && range == name {
            return false;
        }
        let map = innermost_map(&document.root, range.start);
        let help = finding.help.as_deref().unwrap_or_default();
        let follows = |(repaired, member): &(Range, Box<str>)| {
            map == Some(*repaired) && (finding.message.contains(&**member) || help.contains(&**member))
        };
        !self.members.iter().any(follows)
    }
}

/// The place of the innermost map around a position.
fn innermost_map(node: &Node, at: u32) -> Option<Range> {
    let inside = |from: u32, to: u32| from <= at && at < to.max(from + 1);
    let entry = node.entries().iter().find(|entry| inside(entry.key.span.start, entry.value.extent().end));
    let item = node.items().iter().find(|item| inside(item.extent().start, item.extent().end));
    let inner = match entry {
        // A key belongs to the map that it is in.
        Some(entry) if inside(entry.key.span.start, entry.key.span.end) => None,
        Some(entry) => innermost_map(&entry.value, at),
        None => item.and_then(|item| innermost_map(item, at)),
    };
    inner.or(matches!(node.kind, NodeKind::Map(_)).then_some(node.span))
}

fn has_parts(node: &Node) -> bool {
    !node.entries().is_empty() || !node.items().is_empty()
}

/// Repairs a document until `read` accepts it. `None` if a field that other checks need cannot be repaired.
pub(super) fn recover<T>(
    document: &Document,
    kind: Kind,
    findings: &[Finding],
    read: impl Fn(&Node) -> Result<T, (Range, String)>,
) -> Option<(T, Recovery)> {
    // A document with more errors is most likely not of this kind, and each finding walks the whole document.
    if findings.len() > MAX_ERRORS {
        return None;
    }
    let mut repair = Repair { kind, root: document.root.clone(), recovery: Recovery::default(), placeholders: 0 };
    for finding in findings {
        repair.finding(finding, document)?;
    }
    for _ in 0..MAX_REPAIRS {
        match read(&repair.root) {
            Ok(value) => return Some((value, repair.recovery)),
            Err((range, message)) => repair.unreadable(range, &message)?,
        }
    }
    None
}

struct Repair {
    kind: Kind,
    root: Node,
    recovery: Recovery,
    /// Number of placeholders. Each has a place of its own beyond the file.
    placeholders: u32,
}

/// The remedy of a misspelt word: `did you mean `x`?`.
fn suggestion(finding: &Finding) -> Option<&str> {
    finding.help.as_deref()?.strip_prefix("did you mean `")?.split('`').next()
}

impl Repair {
    /// Repairs the place of a finding.
    fn finding(&mut self, finding: &Finding, document: &Document) -> Option<()> {
        let Span { start, end, .. } = finding.span()?;
        let map = innermost_map(&document.root, start);
        let field = document.root.get("spec").and_then(|spec| {
            let around =
                |entry: &&Entry| entry.key.span.start <= start && start < entry.value.extent().end.max(start + 1);
            spec.entries().iter().rfind(around).map(|entry| entry.key.name.to_string())
        });
        let field = field.unwrap_or_default();
        self.recovery.doubtful.extend(comparing(self.kind, &field));
        let may_stay = [&codes::EXACTLY_ONE, &codes::AT_MOST_ONE, &codes::MISSING_FIELD].contains(&finding.code);
        if may_stay {
            // Fields that exclude each other are all doubtful.
            self.recovery
                .members
                .extend(map.filter(|_| finding.code != &codes::MISSING_FIELD).map(|map| (map, "".into())));
            return Some(());
        }
        let (kind, is_unknown) = (self.kind, finding.code == &codes::UNKNOWN_FIELD);
        let is_spec = document.root.get("spec").is_some_and(|spec| Some(spec.span) == map);
        let suggestion = suggestion(finding);
        let members = &mut self.recovery.members;
        repair_at(&mut self.root, Range { start, end }, &mut |entry, is_free| {
            members.extend(map.map(|map| (map, (*entry.key.name).into())));
            match suggestion {
                Some(name) if is_unknown && is_free(name) => {
                    entry.key.name = name.into();
                    return Some(true);
                }
                Some(word) if finding.code == &codes::NOT_ALLOWED => {
                    if let NodeKind::Text(text) = &mut entry.value.kind {
                        text.value = word.into();
                        return Some(true);
                    }
                }
                _ => {}
            }
            let name = &*entry.key.name;
            let intended = if is_unknown { nearest(name, needed(kind).iter().copied()) } else { None };
            let is_needed = is_spec && (needed(kind).contains(&name) || intended.is_some());
            (!is_needed).then_some(false)
        })
    }

    /// Repairs a value that cannot be read as its type.
    fn unreadable(&mut self, range: Range, message: &str) -> Option<()> {
        if let Some(rest) = message.strip_prefix("missing field `") {
            let name = rest.split('`').next()?;
            let map = node_at(&mut self.root, range, &|node| matches!(node.kind, NodeKind::Map(_)))?;
            let at = u32::MAX - self.placeholders;
            (self.placeholders, self.recovery.placeholders) = (self.placeholders + 1, true);
            let span = Range { start: at, end: at };
            let value = Node { kind: NodeKind::text("missing", TextStyle::Plain), span };
            self.recovery.members.push((range, name.into()));
            map.entries_mut()?.push(Entry { key: Key { name: name.into(), span }, value });
            return Some(());
        }
        let value = node_at(&mut self.root, range, &|_| true)?;
        value.kind = next_placeholder(&value.kind, message)?;
        self.recovery.placeholders = true;
        Some(())
    }
}

/// The next value to try where a value cannot be read.
fn next_placeholder(kind: &NodeKind, message: &str) -> Option<NodeKind> {
    let text = |text: &str| NodeKind::text(text, TextStyle::Plain);
    let variant = message.split_once("expected ").and_then(|(_, rest)| rest.split('`').nth(1));
    Some(match kind {
        NodeKind::Text(before) => match variant.filter(|_| message.starts_with("unknown variant")) {
            Some(variant) if variant != &*before.value => text(variant),
            _ if &*before.value == "1h" => NodeKind::Number(1.into()),
            _ => text("1h"),
        },
        NodeKind::Number(_) => NodeKind::Bool(false),
        NodeKind::Bool(_) => NodeKind::List(Vec::new()),
        NodeKind::List(_) => NodeKind::Map(Vec::new()),
        NodeKind::Null => text("missing"),
        NodeKind::Map(_) => return None,
    })
}

/// The innermost node with exactly this place.
fn node_at<'a>(node: &'a mut Node, range: Range, fits: &dyn Fn(&Node) -> bool) -> Option<&'a mut Node> {
    if node.span == range && fits(node) {
        return Some(node);
    }
    match &mut node.kind {
        NodeKind::Map(entries) => entries.iter_mut().find_map(|entry| node_at(&mut entry.value, range, fits)),
        NodeKind::List(items) => items.iter_mut().find_map(|item| node_at(item, range, fits)),
        _ => None,
    }
}

/// The repair of an entry; the second argument states if its map has no entry of a name.
type Decision<'a> = dyn FnMut(&mut Entry, &dyn Fn(&str) -> bool) -> Option<bool> + 'a;

/// Repairs the innermost entry of a map that a place lies in: `decide` changes it (`true`), removes it (`false`), or may
/// not. An item of a list becomes null.
fn repair_at(node: &mut Node, range: Range, decide: &mut Decision<'_>) -> Option<()> {
    let inside = |from: u32, to: u32| from <= range.start && range.start < to.max(from + 1);
    match &mut node.kind {
        NodeKind::Map(entries) => {
            let holds = |entry: &Entry| inside(entry.key.span.start, entry.value.extent().end);
            // The place may lie in a part that another finding removed.
            let Some(at) = entries.iter().position(holds) else { return Some(()) };
            let Entry { key, value } = &mut entries[at];
            let is_key = inside(key.span.start, key.span.end);
            if !is_key && value.span != range && has_parts(value) {
                return repair_at(value, range, decide);
            }
            let names: Vec<Arc<str>> = entries.iter().map(|entry| Arc::clone(&entry.key.name)).collect();
            if !decide(&mut entries[at], &|name| !names.iter().any(|known| **known == *name))? {
                entries.remove(at);
            }
            Some(())
        }
        NodeKind::List(items) => {
            let holds = |item: &Node| inside(item.extent().start, item.extent().end);
            let Some(item) = items.iter_mut().find(|item| holds(item)) else { return Some(()) };
            if item.span != range && has_parts(item) {
                return repair_at(item, range, decide);
            }
            item.kind = NodeKind::Null;
            Some(())
        }
        _ => Some(()),
    }
}
