//! Operations on plans: the inverse of a plan, and its application to identities and contents.

use std::collections::BTreeMap;

use super::build::reason;
use super::file_diff::FileDiff;
use super::model::{Action, Plan, Verb};
use super::object::{Inventory, Object, SourceLocation};
use crate::definition::Id;
use crate::text::Digest;

/// The state of one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionState {
    /// Digest of the content.
    pub digest: Digest,
    /// The place of the declaration.
    pub place: SourceLocation,
}

/// A plan that was made for a different state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{id}` is not what the plan was made for; plan again")]
pub struct StalePlan {
    /// The first definition whose state differs.
    pub id: Id,
}

/// The state of each definition of an inventory.
pub fn state(inventory: &Inventory) -> BTreeMap<Id, DefinitionState> {
    let entry = |(id, object): (&Id, &std::sync::Arc<Object>)| {
        (id.clone(), DefinitionState { digest: object.digest, place: object.place.clone() })
    };
    inventory.iter().map(entry).collect()
}

/// The state after a plan is applied.
///
/// # Errors
/// A definition that the plan touches is not in the state that the plan was made for.
pub fn apply(state: &BTreeMap<Id, DefinitionState>, plan: &Plan) -> Result<BTreeMap<Id, DefinitionState>, StalePlan> {
    let mut state = state.clone();
    for action in &plan.actions {
        if state.get(&action.id).map(|known| known.digest) != action.before {
            return Err(StalePlan { id: action.id.clone() });
        }
        match action.after {
            Some(digest) => state.insert(action.id.clone(), DefinitionState { digest, place: action.place.clone() }),
            None => state.remove(&action.id),
        };
    }
    Ok(state)
}

impl Plan {
    /// The plan that undoes this one. Its inverse is this plan.
    ///
    /// Class, dependants and reasons of the class stay those of this plan, as they concern the same two contents. Plan in
    /// the opposite direction to learn which changes of the inverse are breaking.
    #[must_use]
    pub fn inverse(&self) -> Plan {
        let mut plan = self.clone();
        std::mem::swap(&mut plan.from, &mut plan.to);
        plan.actions = self.actions.iter().rev().map(inverse).collect();
        plan.with_digest()
    }
}

fn inverse(action: &Action) -> Action {
    let mut action = action.clone();
    action.action = match action.action {
        Verb::Create => Verb::Delete,
        Verb::Delete => Verb::Create,
        same @ (Verb::Update | Verb::Move | Verb::Adopt) => same,
    };
    std::mem::swap(&mut action.before, &mut action.after);
    std::mem::swap(&mut action.renamed_from, &mut action.renamed_to);
    if let Some(was) = &mut action.was {
        std::mem::swap(was, &mut action.place);
    }
    for change in &mut action.changes {
        change.kind = change.kind.inverse();
        std::mem::swap(&mut change.before, &mut change.after);
    }
    action.files = action.files.iter().map(FileDiff::inverse).collect();
    action.reason = reason(&action);
    action
}
