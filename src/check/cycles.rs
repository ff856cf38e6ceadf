//! Cycles of definitions that need each other.
//!
//! Only references that mean "runs" or "is made of" count: a widget that names a workflow does not need it to start.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::catalog::references::{Resolution, resolve};
use crate::catalog::{AttributedFinding, CatalogView, Entry, graph};
use crate::definition::schema_validator::ReferenceKind;
use crate::definition::{Id, Kind};
use crate::text::{Code, Finding, Span, codes};

/// A definition, or an action of a connector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Node {
    Definition(Kind, String),
    Action(String, String),
}

/// A reference by which one node needs another.
#[derive(Debug)]
pub(super) struct Edge {
    from: Node,
    to: Node,
    span: Span,
}

impl Node {
    /// The definition, or the connector of the action.
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

/// The references of a definition to nodes that exist.
pub(super) fn edges(catalog: CatalogView<'_>, entry: &Entry) -> Box<[Edge]> {
    let edges = entry.facts.references.iter().filter_map(|reference| {
        let (from, to) = edge(catalog, entry, reference.to, &reference.name, &reference.pointer)?;
        let found = matches!(resolve(catalog, entry, reference), Resolution::Found(_));
        found.then(|| Edge { from, to, span: entry.span(reference.span) })
    });
    edges.collect()
}

/// The findings about cycles among the edges of all definitions.
pub(super) fn check<'a>(edges: impl Iterator<Item = &'a Edge>) -> Vec<AttributedFinding> {
    let all: Vec<&Edge> = edges.collect();
    let mut edges: BTreeMap<Node, BTreeSet<Node>> = BTreeMap::new();
    let mut places: HashMap<(&Node, &Node), Span> = HashMap::new();
    for edge in in_cycles(&all) {
        places.entry((&edge.from, &edge.to)).or_insert(edge.span);
        edges.entry(edge.from.clone()).or_default().insert(edge.to.clone());
    }
    let mut found = Vec::new();
    for cycle in graph::cycles(&edges) {
        let steps: Vec<(&Node, &Node)> = cycle.iter().zip(cycle.iter().cycle().skip(1)).collect();
        let spans: Vec<Span> = steps.iter().filter_map(|step| places.get(step).copied()).collect();
        let names: Vec<String> = cycle.iter().chain(cycle.first()).map(Node::to_string).collect();
        let promotion = matches!(cycle.first(), Some(Node::Definition(Kind::Environment, _)));
        let (code, verb): (&'static Code, &str) =
            if promotion { (&codes::PROMOTION, "promote") } else { (&codes::CYCLE, "need") };
        let message = match cycle.as_slice() {
            [node] => format!("{node} {verb}s itself"),
            _ => format!("these {verb} each other in a circle: {}", names.join(" → ")),
        };
        let Some(first) = spans.first() else { continue };
        let mut finding = Finding::new(code, *first, message).help("remove the least important of these references");
        for ((_, to), span) in steps.iter().zip(&spans).skip(1).take(8) {
            finding = finding.also(*span, format!("leads to {to}"));
        }
        let members: BTreeSet<Id> = cycle.iter().map(Node::definition).collect();
        // The first label of the finding is in the first definition of the cycle.
        let subject = cycle.first().map(|first| Box::new((&first.definition()).into()));
        let finding = Finding { subject, ..finding };
        found.push(AttributedFinding { finding, definitions: members.into_iter().collect(), unattributed: false });
    }
    found
}

/// The edges that may be part of a cycle: those that remain after nodes without outgoing edges are removed repeatedly.
/// Takes linear time, and usually leaves nothing.
fn in_cycles<'a>(all: &[&'a Edge]) -> Vec<&'a Edge> {
    let mut outgoing: HashMap<&Node, usize> = HashMap::new();
    let mut incoming: HashMap<&Node, Vec<&Edge>> = HashMap::new();
    for edge in all {
        *outgoing.entry(&edge.from).or_default() += 1;
        incoming.entry(&edge.to).or_default().push(edge);
    }
    let mut ends: Vec<&Node> = incoming.keys().copied().filter(|node| !outgoing.contains_key(node)).collect();
    let mut removed: std::collections::HashSet<&Node> = ends.iter().copied().collect();
    while let Some(end) = ends.pop() {
        for edge in incoming.get(end).into_iter().flatten() {
            let Some(remaining) = outgoing.get_mut(&edge.from) else { continue };
            *remaining -= 1;
            if *remaining == 0 && removed.insert(&edge.from) {
                ends.push(&edge.from);
            }
        }
    }
    all.iter().copied().filter(|edge| !removed.contains(&edge.to) && !removed.contains(&edge.from)).collect()
}

fn edge(catalog: CatalogView<'_>, entry: &Entry, to: ReferenceKind, name: &str, pointer: &str) -> Option<(Node, Node)> {
    let this = || Node::Definition(entry.id.kind, entry.id.name.clone());
    match (entry.id.kind, to) {
        // `onFailure` counts too: a workflow that handles its own failure would start itself endlessly.
        (Kind::Workflow, ReferenceKind::Definition(Kind::Workflow)) => {
            Some((this(), Node::Definition(Kind::Workflow, name.into())))
        }
        (Kind::Role, ReferenceKind::Definition(Kind::Role)) if catalog.find(Kind::Role, name).is_some() => {
            Some((this(), Node::Definition(Kind::Role, name.into())))
        }
        (Kind::Environment, ReferenceKind::Definition(Kind::Environment)) => {
            Some((this(), Node::Definition(Kind::Environment, name.into())))
        }
        (Kind::Connector, ReferenceKind::Action) => {
            let action = pointer.strip_prefix("/spec/actions/")?.split('/').next()?;
            let (connector, called) = name.split_once('/').unwrap_or((&entry.id.name, name));
            Some((Node::Action(entry.id.name.clone(), action.into()), Node::Action(connector.into(), called.into())))
        }
        (Kind::Entity, ReferenceKind::CanonicalEntity) => {
            let target = catalog
                .of_kind(Kind::Entity)
                .find(|other| other.node("/spec/canonicalName").and_then(crate::text::Node::as_str) == Some(name))?;
            // A field may hold records of its own entity; an entity must not extend itself.
            (pointer == "/spec/extends").then(|| (this(), Node::Definition(Kind::Entity, target.id.name.clone())))
        }
        _ => None,
    }
}
