//! Definitions that need each other in a circle.
//!
//! Only arrows that mean "runs" or "is made of" count: a widget that names a workflow does not need it to start.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::memory::Memo;
use crate::catalog::references::{Resolution, resolve};
use crate::catalog::{Catalog, Entry, Found, graph};
use crate::definition::shape::RefKind;
use crate::definition::{Id, Kind};
use crate::text::{Code, Finding, Span, codes};

/// What runs or is made of what: a definition, or an action of a connector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Thing {
    Definition(Kind, String),
    Action(String, String),
}

/// That one thing needs another, and where it says so.
#[derive(Debug)]
pub(super) struct Arrow {
    from: Thing,
    to: Thing,
    span: Span,
}

impl Thing {
    /// The definition that it is, or that it is in.
    fn definition(&self) -> Id {
        match self {
            Thing::Definition(kind, name) => Id { kind: *kind, name: name.clone() },
            Thing::Action(connector, _) => Id { kind: Kind::Connector, name: connector.clone() },
        }
    }
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Thing::Definition(kind, name) => write!(f, "{kind} {name}"),
            Thing::Action(connector, action) => write!(f, "action {connector}/{action}"),
        }
    }
}

/// What a definition needs, as far as it is there.
pub(super) fn arrows(catalog: &Catalog, entry: &Entry) -> Box<[Arrow]> {
    let arrows = entry.facts.references.iter().filter_map(|reference| {
        let (from, to) = arrow(catalog, entry, reference.to, &reference.name, &reference.pointer)?;
        let found = matches!(resolve(catalog, entry, reference), Resolution::Found(_));
        found.then(|| Arrow { from, to, span: entry.span(reference.span) })
    });
    arrows.collect()
}

/// The circles that the arrows of all definitions make.
pub(super) fn check<'a>(memos: impl Iterator<Item = (&'a Entry, &'a Memo)>) -> Vec<Found> {
    let all: Vec<&Arrow> = memos.flat_map(|(_, memo)| &memo.arrows).collect();
    let mut arrows: BTreeMap<Thing, BTreeSet<Thing>> = BTreeMap::new();
    let mut places: HashMap<(&Thing, &Thing), Span> = HashMap::new();
    for arrow in in_circles(&all) {
        places.entry((&arrow.from, &arrow.to)).or_insert(arrow.span);
        arrows.entry(arrow.from.clone()).or_default().insert(arrow.to.clone());
    }
    let mut found = Vec::new();
    for circle in graph::cycles(&arrows) {
        let steps: Vec<(&Thing, &Thing)> = circle.iter().zip(circle.iter().cycle().skip(1)).collect();
        let spans: Vec<Span> = steps.iter().filter_map(|step| places.get(step).copied()).collect();
        let names: Vec<String> = circle.iter().chain(circle.first()).map(Thing::to_string).collect();
        let promotion = matches!(circle.first(), Some(Thing::Definition(Kind::Environment, _)));
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
        let members: BTreeSet<Id> = circle.iter().map(Thing::definition).collect();
        found.push(Found { finding, of: members.into_iter().collect(), beyond: false });
    }
    found
}

/// The arrows that may be part of a circle: without those that lead to what leads nowhere, again and again. What is
/// left is mostly nothing, and in linear time.
fn in_circles<'a>(all: &[&'a Arrow]) -> Vec<&'a Arrow> {
    let mut leaving: HashMap<&Thing, usize> = HashMap::new();
    let mut reaching: HashMap<&Thing, Vec<&Arrow>> = HashMap::new();
    for arrow in all {
        *leaving.entry(&arrow.from).or_default() += 1;
        reaching.entry(&arrow.to).or_default().push(arrow);
    }
    let mut ends: Vec<&Thing> = reaching.keys().copied().filter(|thing| !leaving.contains_key(thing)).collect();
    let mut out: std::collections::HashSet<&Thing> = ends.iter().copied().collect();
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

fn arrow(catalog: &Catalog, entry: &Entry, to: RefKind, name: &str, pointer: &str) -> Option<(Thing, Thing)> {
    let this = || Thing::Definition(entry.id.kind, entry.id.name.clone());
    match (entry.id.kind, to) {
        // `onFailure` counts too: a workflow that handles its own failure would start itself again and again.
        (Kind::Workflow, RefKind::Definition(Kind::Workflow)) => {
            Some((this(), Thing::Definition(Kind::Workflow, name.into())))
        }
        (Kind::Role, RefKind::Definition(Kind::Role)) if catalog.find(Kind::Role, name).is_some() => {
            Some((this(), Thing::Definition(Kind::Role, name.into())))
        }
        (Kind::Environment, RefKind::Definition(Kind::Environment)) => {
            Some((this(), Thing::Definition(Kind::Environment, name.into())))
        }
        (Kind::Connector, RefKind::Action) => {
            let action = pointer.strip_prefix("/spec/actions/")?.split('/').next()?;
            let (connector, called) = name.split_once('/').unwrap_or((&entry.id.name, name));
            Some((Thing::Action(entry.id.name.clone(), action.into()), Thing::Action(connector.into(), called.into())))
        }
        (Kind::Entity, RefKind::CanonicalEntity) => {
            let target = catalog
                .of_kind(Kind::Entity)
                .find(|other| other.node("/spec/canonicalName").and_then(crate::text::Node::as_str) == Some(name))?;
            // A field that holds its own kind of record is fine; an entity that extends itself is not.
            (pointer == "/spec/extends").then(|| (this(), Thing::Definition(Kind::Entity, target.id.name.clone())))
        }
        _ => None,
    }
}
