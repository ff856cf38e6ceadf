//! Removes the parts of a definition that have schema errors, so that one misspelt field does not hide errors elsewhere
//! in the same document.
//!
//! A part is removed only if its absence causes no finding of another check. Otherwise the definition is not checked
//! further until its schema errors are corrected.

use crate::definition::Kind;
use crate::definition::schema_validator::nearest;
use crate::text::{Document, Entry, Finding, Node, Span, codes};

/// Maximum number of schema errors of one document from which to recover.
const MAX_ERRORS: usize = 100;

/// Maps whose entries are independent of each other.
fn independent(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Connector => &["/spec/actions", "/spec/events", "/spec/auth/methods"],
        Kind::Widget => &["/spec/forms"],
        _ => &[],
    }
}

/// Fields of a spec whose absence other checks report.
fn needed(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Connector => &["baseUrl", "auth", "actions", "entities", "events", "settings"],
        Kind::Widget => &["connectors", "actions", "forms"],
        Kind::Connection => &["connector", "method", "credentials", "settings", "scope", "tenant", "user"],
        _ => &[],
    }
}

/// The document without the parts that the findings are in; `None` if one of them must not be removed.
pub(super) fn without_errors(document: &Document, kind: Kind, findings: &[Finding]) -> Option<Document> {
    // A document with more errors is most likely not of this kind, and each finding walks the whole document.
    if findings.len() > MAX_ERRORS {
        return None;
    }
    let entities = document.root.pointer("/spec/entities").map_or(&[][..], Node::entries);
    let fields: Vec<String> =
        entities.iter().map(|entity| format!("/spec/entities/{}/fields", entity.key.name)).collect();
    let groups: Vec<&str> = independent(kind).iter().copied().chain(fields.iter().map(String::as_str)).collect();
    let mut remainder = document.clone();
    for span in findings.iter().map(|finding| (finding.code, finding.span())) {
        let (code, Some(span)) = span else { return None };
        let inside = groups.iter().any(|group| remove(&mut remainder.root, group, span, |_| true));
        let droppable = |entry: &Entry| {
            let name = &*entry.key.name;
            // A misspelt field may be a needed one.
            let intended =
                if code == &codes::UNKNOWN_FIELD { nearest(name, needed(kind).iter().copied()) } else { None };
            !needed(kind).contains(&name) && intended.is_none()
        };
        if !inside && !is_removed(document, &remainder, span) && !remove(&mut remainder.root, "/spec", span, droppable)
        {
            return None;
        }
    }
    Some(remainder)
}

/// Removes the entry of a map that a place lies in, if `may` allows it.
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

/// True if the part that a place lies in was removed because of another finding.
fn is_removed(before: &Document, after: &Document, span: Span) -> bool {
    fn depth(node: &Node, span: Span) -> usize {
        let within =
            node.entries().iter().filter(|entry| entry.span().start <= span.start && span.start < entry.span().end);
        within.map(|entry| 1 + depth(&entry.value, span)).max().unwrap_or(0)
    }
    depth(&after.root, span) < depth(&before.root, span)
}
