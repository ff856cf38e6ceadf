//! What a plan may not remove without being told to.
//!
//! Removals are where reconcilers hurt people: an empty folder, a file that could not be read or a renamed directory
//! looks like a wish to delete everything. These rules hold back removals; whoever applies a plan applies none that is
//! named here until somebody says so.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Action, Inventory, Plan, Verb};
use crate::definition::environment::{Budget, Prune};
use crate::definition::{Id, Kind};

/// The share of what is there that one plan removes at most where nothing else is set, in per cent.
const DEFAULT_PERCENT: usize = 20;
/// What it may always remove then.
const DEFAULT_LEAST: usize = 3;

/// What an environment says about removals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunePolicy {
    /// Are definitions removed that are no longer declared?
    pub enabled: bool,
    /// Most that one plan removes; 20% of what is there where left out, and never less than 3.
    pub budget: Option<Budget>,
}

impl From<&Prune> for PrunePolicy {
    fn from(prune: &Prune) -> PrunePolicy {
        PrunePolicy { enabled: prune.enabled.unwrap_or(true), budget: prune.budget }
    }
}

impl PrunePolicy {
    /// How many removals are allowed where this many definitions are there. A share is rounded down, and is at least
    /// one unless it is `0%`.
    pub fn allowed(&self, observed: usize) -> usize {
        let share = |percent: usize| observed.saturating_mul(percent) / 100;
        match self.budget {
            None => share(DEFAULT_PERCENT).max(DEFAULT_LEAST),
            Some(Budget::Count(count)) => count as usize,
            Some(Budget::Percent(0)) => 0,
            Some(Budget::Percent(percent)) => share(usize::from(percent)).max(1),
        }
    }
}

/// What is desired, and how well it is known.
#[derive(Clone, Copy, Debug)]
pub struct DesiredState<'a> {
    /// The definitions.
    pub inventory: &'a Inventory,
    /// Could something not be read, so that nobody can say what is not there?
    pub incomplete: bool,
    /// Is each removal an act of its own, as where somebody deletes a resource? Then nothing left can be what is meant, and
    /// only the budget guards it.
    pub deliberate: bool,
}

/// Removals that are held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedRemovals {
    /// Why.
    pub reason: BlockedReason,
    /// The definitions that are not removed, sorted, each as `Kind/name`.
    pub ids: Vec<String>,
    /// A sentence that says what to do.
    pub message: String,
}

/// Why removals are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BlockedReason {
    /// The environment removes nothing.
    Disabled,
    /// Something of the source could not be read.
    Incomplete,
    /// The source is empty, and was not.
    EmptySource,
    /// The definition says that it is to stay.
    Protected,
    /// More would be removed than the environment allows at once.
    Budget,
    /// Something that stays refers to it.
    StillReferenced,
}

impl BlockedReason {
    /// True if no approval permits the removal: the declared state is unknown, empty or protected.
    pub fn is_final(self) -> bool {
        matches!(self, BlockedReason::EmptySource | BlockedReason::Incomplete | BlockedReason::Protected)
    }

    /// The word for conditions and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            BlockedReason::Disabled => "Disabled",
            BlockedReason::Incomplete => "Incomplete",
            BlockedReason::EmptySource => "EmptySource",
            BlockedReason::Protected => "Protected",
            BlockedReason::Budget => "Budget",
            BlockedReason::StillReferenced => "StillReferenced",
        }
    }
}

/// The removals of a plan that may not be made, by reason; a removal may be held back for several.
///
/// `observed` is everything that is there, whoever made it: what was made by hand can refer to what a source declares.
pub fn guard(
    plan: &Plan,
    policy: &PrunePolicy,
    observed: &Inventory,
    desired: &DesiredState<'_>,
) -> Vec<BlockedRemovals> {
    let deletes: Vec<&Action> = plan.actions.iter().filter(|action| action.action == Verb::Delete).collect();
    if deletes.is_empty() {
        return Vec::new();
    }
    let all = || deletes.iter().map(|action| &action.id).collect::<BTreeSet<&Id>>();
    let counted: BTreeSet<&Id> = all().into_iter().filter(|id| counts(id)).collect();
    let mut blocked = Vec::new();
    let mut block = |reason, ids: BTreeSet<&Id>, message: String| {
        if !ids.is_empty() {
            blocked.push(BlockedRemovals { reason, ids: ids.into_iter().map(ToString::to_string).collect(), message });
        }
    };
    if !policy.enabled {
        let message = "`sync.prune.enabled` is false, so nothing is removed; remove by hand, or set it to true";
        block(BlockedReason::Disabled, all(), message.into());
    }
    if desired.incomplete {
        let message = "something of the source could not be read, so nobody knows what is gone; correct it first";
        block(BlockedReason::Incomplete, all(), message.into());
    }
    if !desired.deliberate && !desired.inventory.keys().any(counts) && observed.keys().any(counts) {
        let message = "the source declares nothing while definitions are there; check its path and branch";
        block(BlockedReason::EmptySource, all(), message.into());
    }
    let protected = |id: &&Id| observed.get(*id).is_some_and(|object| object.protected);
    let message = "they are annotated `evenkeel.dev/prune: disabled`; change the annotation first, then remove them";
    block(BlockedReason::Protected, all().into_iter().filter(protected).collect(), message.into());
    let (there, most) = {
        let there = observed.keys().filter(|id| counts(id)).count();
        (there, policy.allowed(there))
    };
    if counted.len() > most {
        let message = format!(
            "{} of {there} definitions would be removed and {most} may be at once; approve the removal, or raise \
             `sync.prune.budget`",
            counted.len()
        );
        block(BlockedReason::Budget, counted, message);
    }
    let (referenced, by) = still_referenced(plan, observed);
    let named: Vec<String> = by.iter().take(10).map(|id| format!("`{id}`")).collect();
    let more = if by.len() > named.len() { format!(" and {} more", by.len() - named.len()) } else { String::new() };
    let message = format!("{}{more} would refer to what is gone; change or remove them first", named.join(", "));
    block(BlockedReason::StillReferenced, referenced, message);
    blocked
}

/// An environment is what others run in, and not one of them.
fn counts(id: &Id) -> bool {
    id.kind != Kind::Environment
}

/// What is removed while something that stays as it is needs it; and what that is.
fn still_referenced<'a>(plan: &'a Plan, observed: &'a Inventory) -> (BTreeSet<&'a Id>, BTreeSet<&'a Id>) {
    // What moves keeps its content, and with it what it needs.
    let changed = |action: &&Action| action.action != Verb::Move;
    let changed: BTreeSet<&Id> = plan.actions.iter().filter(changed).map(|action| &action.id).collect();
    let deletes = plan.actions.iter().filter(|action| action.action == Verb::Delete);
    let deletes: BTreeSet<&Id> = deletes.map(|action| &action.id).collect();
    let mut referenced = BTreeSet::new();
    let mut by = BTreeSet::new();
    for (id, object) in observed.iter().filter(|(id, _)| !changed.contains(id)) {
        for need in object.needs.iter().filter_map(|need| deletes.get(need)) {
            referenced.insert(*need);
            by.insert(id);
        }
    }
    (referenced, by)
}

#[cfg(test)]
mod tests;
