//! The order of actions, and the dependants of changed definitions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::model::{Action, MAX_DEPENDANTS, Verb};
use super::object::Inventory;
use crate::definition::Id;

/// The actions in order: creations, updates and moves, each after the definitions that it needs; then removals, each after
/// the definitions that needed it. Cycles are broken at their smallest name; otherwise the order is by name.
pub(super) fn sorted(actions: Vec<Action>, observed: &Inventory, desired: &Inventory) -> Vec<Action> {
    let (deletes, others): (Vec<Action>, Vec<Action>) =
        actions.into_iter().partition(|action| action.action == Verb::Delete);
    let mut sorted = in_order_of_need(others, desired);
    let mut deletes = in_order_of_need(deletes, observed);
    deletes.reverse();
    sorted.extend(deletes);
    sorted
}

/// Depth first with an explicit stack, each definition after those that it needs.
fn in_order_of_need(actions: Vec<Action>, inventory: &Inventory) -> Vec<Action> {
    let mut waiting: BTreeMap<Id, Action> = actions.into_iter().map(|action| (action.id.clone(), action)).collect();
    let roots: Vec<Id> = waiting.keys().cloned().collect();
    let mut seen: BTreeSet<&Id> = BTreeSet::new();
    let mut sorted = Vec::with_capacity(waiting.len());
    let needs = |id: &Id| inventory.get_key_value(id).map(|(id, object)| (id, object.needs.iter()));
    for root in &roots {
        let Some((root, rest)) = needs(root).filter(|(root, _)| !seen.contains(root)) else { continue };
        seen.insert(root);
        let mut path = vec![(root, rest)];
        while let Some((id, rest)) = path.last_mut() {
            let Some(next) = rest.next() else {
                sorted.extend(waiting.remove(*id));
                path.pop();
                continue;
            };
            if let Some((next, rest)) = needs(next).filter(|(next, _)| !seen.contains(next)) {
                seen.insert(next);
                path.push((next, rest));
            }
        }
    }
    // Every action concerns a definition of the inventory; if one does not, it must not get lost.
    sorted.extend(waiting.into_values());
    sorted
}

/// Sets the dependants of each changed or removed definition: those that need it directly or indirectly, before or after.
pub(super) fn dependants(actions: &mut [Action], observed: &Inventory, desired: &Inventory) {
    let concerned = |action: &Action| matches!(action.action, Verb::Update | Verb::Delete | Verb::Adopt);
    if !actions.iter().any(concerned) {
        return;
    }
    let mut needed_by: HashMap<&Id, BTreeSet<&Id>> = HashMap::new();
    for (id, object) in observed.iter().chain(desired) {
        for need in &object.needs {
            needed_by.entry(need).or_default().insert(id);
        }
    }
    for action in actions.iter_mut().filter(|action| concerned(action)) {
        let mut found: BTreeSet<&Id> = BTreeSet::new();
        let mut open = vec![&action.id];
        while let Some(id) = open.pop() {
            for &by in needed_by.get(id).into_iter().flatten() {
                if *by != action.id && found.insert(by) {
                    open.push(by);
                }
            }
        }
        action.dependants_total = found.len();
        action.dependants = found.into_iter().take(MAX_DEPENDANTS).map(ToString::to_string).collect();
    }
}
