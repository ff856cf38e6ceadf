//! Who needs whom.

use std::collections::{BTreeMap, BTreeSet};

use super::references::{Resolution, resolve};
use super::{Catalog, Entry};
use crate::definition::Id;
use crate::definition::schema_validator::Reference;

/// One arrow: a definition needs another, by this reference.
#[derive(Debug)]
pub struct Edge<'a> {
    /// The definition that is needed.
    pub to: Id,
    /// The definition that needs it.
    pub from: &'a Entry,
    /// Where it says so.
    pub by: &'a Reference,
}

/// The arrows of every definition, by its identity; in the order of the document.
pub fn edges(catalog: &Catalog) -> BTreeMap<&Id, Vec<Edge<'_>>> {
    let mut edges: BTreeMap<&Id, Vec<Edge>> = BTreeMap::new();
    for entry in &catalog.entries {
        for by in &entry.facts.references {
            if let Resolution::Found(Some(to)) = resolve(catalog, entry, by) {
                edges.entry(&entry.id).or_default().push(Edge { to, from: entry, by });
            }
        }
    }
    edges
}

/// The circles among nodes of a graph, each as its nodes in order, starting with the smallest. A node is in at most one
/// of the circles that are returned, so that one mistake is not reported from each of its ends.
pub fn cycles<N: Ord + Clone>(arrows: &BTreeMap<N, BTreeSet<N>>) -> Vec<Vec<N>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Open,
        Done,
    }
    let mut states: BTreeMap<N, State> = BTreeMap::new();
    let mut found = Vec::new();
    for start in arrows.keys() {
        if states.contains_key(start) {
            continue;
        }
        // Depth first with a stack of its own: a chain of ten thousand definitions must not exhaust the real one.
        let mut path: Vec<(N, Vec<N>)> = vec![(start.clone(), targets(arrows, start))];
        states.insert(start.clone(), State::Open);
        while let Some((node, rest)) = path.last_mut() {
            let Some(next) = rest.pop() else {
                states.insert(node.clone(), State::Done);
                path.pop();
                continue;
            };
            match states.get(&next) {
                Some(State::Done) => {}
                Some(State::Open) => {
                    let at = path.iter().position(|(node, _)| *node == next).unwrap_or(0);
                    let mut circle: Vec<N> = path[at..].iter().map(|(node, _)| node.clone()).collect();
                    let smallest = circle.iter().enumerate().min_by(|a, b| a.1.cmp(b.1)).map_or(0, |(at, _)| at);
                    circle.rotate_left(smallest);
                    let known = |other: &Vec<N>| other.iter().any(|node| circle.contains(node));
                    if !found.iter().any(known) {
                        found.push(circle);
                    }
                }
                None => {
                    states.insert(next.clone(), State::Open);
                    let rest = targets(arrows, &next);
                    path.push((next, rest));
                }
            }
        }
    }
    found
}

fn targets<N: Ord + Clone>(arrows: &BTreeMap<N, BTreeSet<N>>, node: &N) -> Vec<N> {
    arrows.get(node).into_iter().flatten().rev().cloned().collect()
}
