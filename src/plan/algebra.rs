//! What can be done with plans as values: to undo one, and to apply one to identities and contents.

use std::collections::BTreeMap;

use super::build::reason;
use super::{Action, Inventory, Plan, SourceLocation, Verb};
use crate::definition::Id;
use crate::text::Digest;

/// What stands at an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionState {
    /// The content.
    pub digest: Digest,
    /// Where it is declared.
    pub place: SourceLocation,
}

/// A plan that was made for something else than what is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{id}` is not what the plan was made for; plan again")]
pub struct StalePlan {
    /// The first definition that is something else.
    pub id: Id,
}

/// Identities with their content and place.
pub fn state(inventory: &Inventory) -> BTreeMap<Id, DefinitionState> {
    let slot = |(id, object): (&Id, &std::sync::Arc<super::Object>)| {
        (id.clone(), DefinitionState { digest: object.digest, place: object.place.clone() })
    };
    inventory.iter().map(slot).collect()
}

/// What a plan makes of what is there.
///
/// # Errors
/// Where a definition that the plan touches is not as the plan found it.
pub fn apply(state: &BTreeMap<Id, DefinitionState>, plan: &Plan) -> Result<BTreeMap<Id, DefinitionState>, StalePlan> {
    let mut state = state.clone();
    for action in &plan.actions {
        if state.get(&action.id).map(|slot| slot.digest) != action.before {
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
    /// The plan that undoes this one; its inverse is this one again.
    ///
    /// ChangeClass, dependants and the reasons of a class stay those of this plan: they are about the same two contents. Plan
    /// the other way round to learn what undoing breaks.
    #[must_use]
    pub fn inverse(&self) -> Plan {
        let mut plan = self.clone();
        std::mem::swap(&mut plan.from, &mut plan.to);
        plan.actions = self.actions.iter().rev().map(inverse).collect();
        plan.sealed()
    }
}

fn inverse(action: &Action) -> Action {
    let mut action = action.clone();
    action.action = match action.action {
        Verb::Create => Verb::Delete,
        Verb::Delete => Verb::Create,
        same @ (Verb::Update | Verb::Move) => same,
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
    action.reason = reason(&action);
    action
}
