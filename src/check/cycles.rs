//! Definitions that need each other in a circle.
//!
//! Only arrows that mean "runs" or "is made of" count: a widget that names a workflow does not need it to start.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::references::{Resolution, resolve};
use crate::catalog::{Catalog, Entry, graph};
use crate::definition::Kind;
use crate::definition::shape::RefKind;
use crate::text::{Code, Finding, Span, codes};

/// What runs or is made of what: a definition, or an action of a connector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Definition(Kind, String),
    Action(String, String),
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Thing::Definition(kind, name) => write!(f, "{kind} {name}"),
            Thing::Action(connector, action) => write!(f, "action {connector}/{action}"),
        }
    }
}

pub(super) fn check(catalog: &Catalog, findings: &mut Vec<Finding>) {
    let mut arrows: BTreeMap<Thing, BTreeSet<Thing>> = BTreeMap::new();
    let mut places: BTreeMap<(Thing, Thing), Span> = BTreeMap::new();
    for entry in &catalog.entries {
        for reference in &entry.facts.references {
            let Some((from, to)) = arrow(catalog, entry, reference.to, &reference.name, &reference.pointer) else {
                continue;
            };
            if matches!(resolve(catalog, entry, reference), Resolution::Found(_)) {
                places.entry((from.clone(), to.clone())).or_insert_with(|| entry.span(reference.span));
                arrows.entry(from).or_default().insert(to);
            }
        }
    }
    for circle in graph::cycles(&arrows) {
        let steps: Vec<(&Thing, &Thing)> = circle.iter().zip(circle.iter().cycle().skip(1)).collect();
        let spans: Vec<Span> = steps.iter().map(|&(from, to)| places[&(from.clone(), to.clone())]).collect();
        let names: Vec<String> = circle.iter().chain(circle.first()).map(Thing::to_string).collect();
        let promotion = matches!(circle.first(), Some(Thing::Definition(Kind::Environment, _)));
        let (code, verb): (&'static Code, &str) =
            if promotion { (&codes::PROMOTION, "promote") } else { (&codes::CYCLE, "need") };
        let message = match circle.as_slice() {
            [one] => format!("{one} {verb}s itself"),
            _ => format!("these {verb} each other in a circle: {}", names.join(" → ")),
        };
        let mut finding = Finding::new(code, spans[0], message).help("break the circle at the arrow that means least");
        for ((_, to), span) in steps.iter().zip(&spans).skip(1).take(8) {
            finding = finding.also(*span, format!("leads to {to}"));
        }
        findings.push(finding);
    }
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
