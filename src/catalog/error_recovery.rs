//! A definition with mistakes in its shape, without the parts that hold them: so that one misspelt field does not hide
//! what is wrong elsewhere in the same document.
//!
//! Only parts are left out whose absence makes no other check find something that is not there. Where that cannot be
//! said, nothing is salvaged, and the mistakes in the shape come first.

use crate::definition::Kind;
use crate::definition::schema_validator::nearest;
use crate::text::{Document, Entry, Finding, Node, Span, codes};

/// Most mistakes of one document that are worked around.
const MOST: usize = 100;

/// Maps whose entries stand for themselves.
fn independent(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Connector => &["/spec/actions", "/spec/events", "/spec/auth/methods"],
        Kind::Widget => &["/spec/forms"],
        _ => &[],
    }
}

/// Fields of a spec that other checks miss when they are not there.
fn needed(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Connector => &["baseUrl", "auth", "actions", "entities", "events", "settings"],
        Kind::Widget => &["connectors", "actions", "forms"],
        Kind::Connection => &["connector", "method", "credentials", "settings", "scope", "tenant", "user"],
        _ => &[],
    }
}

/// The document without the parts that the findings are in; `None` where nothing may be left out.
pub(super) fn salvage(document: &Document, kind: Kind, findings: &[Finding]) -> Option<Document> {
    // Beyond that it is another kind of document, and every finding walks what is left.
    if findings.len() > MOST {
        return None;
    }
    let entities = document.root.pointer("/spec/entities").map_or(&[][..], Node::entries);
    let fields: Vec<String> =
        entities.iter().map(|entity| format!("/spec/entities/{}/fields", entity.key.name)).collect();
    let groups: Vec<&str> = independent(kind).iter().copied().chain(fields.iter().map(String::as_str)).collect();
    let mut salvaged = document.clone();
    for span in findings.iter().map(|finding| (finding.code, finding.span())) {
        let (code, Some(span)) = span else { return None };
        let inside = groups.iter().any(|group| remove(&mut salvaged.root, group, span, |_| true));
        let droppable = |entry: &Entry| {
            let name = &*entry.key.name;
            // A misspelt field may be one of those that are needed.
            let meant = if code == &codes::UNKNOWN_FIELD { nearest(name, needed(kind).iter().copied()) } else { None };
            !needed(kind).contains(&name) && meant.is_none()
        };
        if !inside && !already_gone(document, &salvaged, span) && !remove(&mut salvaged.root, "/spec", span, droppable)
        {
            return None;
        }
    }
    Some(salvaged)
}

/// Removes the entry of a map that a place lies in.
fn remove(root: &mut Node, group: &str, span: Span, may: impl Fn(&Entry) -> bool) -> bool {
    let Some(entries) = root.pointer_mut(group).and_then(Node::entries_mut) else { return false };
    let holds =
        |entry: &Entry| entry.span().start <= span.start && span.start < entry.span().end.max(entry.span().start + 1);
    match entries.iter().position(|entry| holds(entry) && may(entry)) {
        Some(at) => {
            entries.remove(at);
            true
        }
        None => false,
    }
}

/// Was the part that a place lies in left out because of another finding?
fn already_gone(before: &Document, after: &Document, span: Span) -> bool {
    fn depth(node: &Node, span: Span) -> usize {
        let within =
            node.entries().iter().filter(|entry| entry.span().start <= span.start && span.start < entry.span().end);
        within.map(|entry| 1 + depth(&entry.value, span)).max().unwrap_or(0)
    }
    depth(&after.root, span) < depth(&before.root, span)
}
