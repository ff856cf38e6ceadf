//! The graph of references between definitions.

use std::collections::{BTreeMap, BTreeSet};

use super::definitions::Catalog;
use super::entry::Entry;
use super::references::{Resolution, resolve};
use crate::definition::Id;
use crate::definition::schema_validator::Reference;

/// A reference from one definition to another.
#[derive(Debug)]
pub struct Edge<'a> {
    /// The target.
    pub to: Id,
    /// The definition that holds the reference.
    pub from: &'a Entry,
    /// The reference.
    pub by: &'a Reference,
}

/// The references of every definition by its identity, in the order of the document.
pub fn edges(catalog: &Catalog) -> BTreeMap<&Id, Vec<Edge<'_>>> {
    let mut edges: BTreeMap<&Id, Vec<Edge>> = BTreeMap::new();
    for entry in &catalog.entries {
        for by in &entry.facts.references {
            if let Resolution::Found(Some(to)) = resolve(catalog.untracked(), entry, by) {
                edges.entry(&entry.id).or_default().push(Edge { to, from: entry, by });
            }
        }
    }
    edges
}

/// The cycles of a graph, each as its nodes in order, starting with the smallest. Each node is in at most one of the
/// returned cycles, so that one mistake is reported once.
pub fn cycles<N: Ord + Clone>(edges: &BTreeMap<N, BTreeSet<N>>) -> Vec<Vec<N>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Open,
        Done,
    }
    let mut states: BTreeMap<N, State> = BTreeMap::new();
    let mut found = Vec::new();
    for start in edges.keys() {
        if states.contains_key(start) {
            continue;
        }
        // Depth first with an explicit stack: a chain of ten thousand definitions must not overflow the thread's.
        let mut path: Vec<(N, Vec<N>)> = vec![(start.clone(), targets(edges, start))];
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
                    let mut cycle: Vec<N> = path[at..].iter().map(|(node, _)| node.clone()).collect();
                    let smallest = cycle.iter().enumerate().min_by(|a, b| a.1.cmp(b.1)).map_or(0, |(at, _)| at);
                    cycle.rotate_left(smallest);
                    let known = |other: &Vec<N>| other.iter().any(|node| cycle.contains(node));
                    if !found.iter().any(known) {
                        found.push(cycle);
                    }
                }
                None => {
                    states.insert(next.clone(), State::Open);
                    let rest = targets(edges, &next);
                    path.push((next, rest));
                }
            }
        }
    }
    found
}

fn targets<N: Ord + Clone>(edges: &BTreeMap<N, BTreeSet<N>>, node: &N) -> Vec<N> {
    edges.get(node).into_iter().flatten().rev().cloned().collect()
}
