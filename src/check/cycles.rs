//! Definitions that need each other in a circle.
//!
//! Only arrows that mean "runs" or "is made of" count: a widget that names a workflow does not need it to start.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::incremental::CheckResult;
use crate::catalog::references::{Resolution, resolve};
use crate::catalog::{AttributedFinding, Catalog, Entry, graph};
use crate::definition::schema_validator::RefKind;
use crate::definition::{Id, Kind};
use crate::text::{Code, Finding, Span, codes};

/// What runs or is made of what: a definition, or an action of a connector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Node {
    Definition(Kind, String),
    Action(String, String),
}

/// That one thing needs another, and where it says so.
#[derive(Debug)]
pub(super) struct Edge {
    from: Node,
    to: Node,
    span: Span,
}

impl Node {
    /// The definition that it is, or that it is in.
    fn definition(&self) -> Id {
        match self {
            Node::Definition(kind, name) => Id { kind: *kind, name: name.clone() },
            Node::Action(connector, _) => Id { kind: Kind::Connector, name: connector.clone() },
        }
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Node::Definition(kind, name) => write!(f, "{kind} {name}"),
            Node::Action(connector, action) => write!(f, "action {connector}/{action}"),
        }
    }
}

/// What a definition needs, as far as it is there.
pub(super) fn arrows(catalog: &Catalog, entry: &Entry) -> Box<[Edge]> {
    let arrows = entry.facts.references.iter().filter_map(|reference| {
        let (from, to) = arrow(catalog, entry, reference.to, &reference.name, &reference.pointer)?;
        let found = matches!(resolve(catalog, entry, reference), Resolution::Found(_));
        found.then(|| Edge { from, to, span: entry.span(reference.span) })
    });
    arrows.collect()
}

/// The circles that the arrows of all definitions make.
pub(super) fn check<'a>(memos: impl Iterator<Item = (&'a Entry, &'a CheckResult)>) -> Vec<AttributedFinding> {
    let all: Vec<&Edge> = memos.flat_map(|(_, memo)| &memo.arrows).collect();
    let mut arrows: BTreeMap<Node, BTreeSet<Node>> = BTreeMap::new();
    let mut places: HashMap<(&Node, &Node), Span> = HashMap::new();
    for arrow in in_circles(&all) {
        places.entry((&arrow.from, &arrow.to)).or_insert(arrow.span);
        arrows.entry(arrow.from.clone()).or_default().insert(arrow.to.clone());
    }
    let mut found = Vec::new();
    for circle in graph::cycles(&arrows) {
        let steps: Vec<(&Node, &Node)> = circle.iter().zip(circle.iter().cycle().skip(1)).collect();
        let spans: Vec<Span> = steps.iter().filter_map(|step| places.get(step).copied()).collect();
        let names: Vec<String> = circle.iter().chain(circle.first()).map(Node::to_string).collect();
        let promotion = matches!(circle.first(), Some(Node::Definition(Kind::Environment, _)));
        let (code, verb): (&'static Code, &str) =
            if promotion { (&codes::PROMOTION, "promote") } else { (&codes::CYCLE, "need") };
        let message = match circle.as_slice() {
            [one] => format!("{one} {verb}s itself"),
            _ => format!("these {verb} each other in a circle: {}", names.join(" → ")),
        };
        let Some(first) = spans.first() else { continue };
        let mut finding = Finding::new(code, *first, message).help("break the circle at the arrow that means least");
        for ((_, to), span) in steps.iter().zip(&spans).skip(1).take(8) {
            finding = finding.also(*span, format!("leads to {to}"));
        }
        let members: BTreeSet<Id> = circle.iter().map(Node::definition).collect();
        // The first label of the finding stands in the first definition of the circle.
        let subject = circle.first().map(|first| (&first.definition()).into());
        let finding = Finding { subject, ..finding };
        found.push(AttributedFinding { finding, definitions: members.into_iter().collect(), unattributed: false });
    }
    found
}

/// The arrows that may be part of a circle: without those that lead to what leads nowhere, again and again. What is
/// left is mostly nothing, and in linear time.
fn in_circles<'a>(all: &[&'a Edge]) -> Vec<&'a Edge> {
    let mut leaving: HashMap<&Node, usize> = HashMap::new();
    let mut reaching: HashMap<&Node, Vec<&Edge>> = HashMap::new();
    for arrow in all {
        *leaving.entry(&arrow.from).or_default() += 1;
        reaching.entry(&arrow.to).or_default().push(arrow);
    }
    let mut ends: Vec<&Node> = reaching.keys().copied().filter(|thing| !leaving.contains_key(thing)).collect();
    let mut out: std::collections::HashSet<&Node> = ends.iter().copied().collect();
    while let Some(end) = ends.pop() {
        for arrow in reaching.get(end).into_iter().flatten() {
            let Some(left) = leaving.get_mut(&arrow.from) else { continue };
            *left -= 1;
            if *left == 0 && out.insert(&arrow.from) {
                ends.push(&arrow.from);
            }
        }
    }
    all.iter().copied().filter(|arrow| !out.contains(&arrow.to) && !out.contains(&arrow.from)).collect()
}

fn arrow(catalog: &Catalog, entry: &Entry, to: RefKind, name: &str, pointer: &str) -> Option<(Node, Node)> {
    let this = || Node::Definition(entry.id.kind, entry.id.name.clone());
    match (entry.id.kind, to) {
        // `onFailure` counts too: a workflow that handles its own failure would start itself again and again.
        (Kind::Workflow, RefKind::Definition(Kind::Workflow)) => {
            Some((this(), Node::Definition(Kind::Workflow, name.into())))
        }
        (Kind::Role, RefKind::Definition(Kind::Role)) if catalog.find(Kind::Role, name).is_some() => {
            Some((this(), Node::Definition(Kind::Role, name.into())))
        }
        (Kind::Environment, RefKind::Definition(Kind::Environment)) => {
            Some((this(), Node::Definition(Kind::Environment, name.into())))
        }
        (Kind::Connector, RefKind::Action) => {
            let action = pointer.strip_prefix("/spec/actions/")?.split('/').next()?;
            let (connector, called) = name.split_once('/').unwrap_or((&entry.id.name, name));
            Some((Node::Action(entry.id.name.clone(), action.into()), Node::Action(connector.into(), called.into())))
        }
        (Kind::Entity, RefKind::CanonicalEntity) => {
            let target = catalog
                .of_kind(Kind::Entity)
                .find(|other| other.node("/spec/canonicalName").and_then(crate::text::Node::as_str) == Some(name))?;
            // A field that holds its own kind of record is fine; an entity that extends itself is not.
            (pointer == "/spec/extends").then(|| (this(), Node::Definition(Kind::Entity, target.id.name.clone())))
        }
        _ => None,
    }
}
