//! Removals that need an explicit approval.
//!
//! Removals are the most dangerous actions of a reconciler: an empty folder, an unreadable file or a renamed directory
//! looks like a request to delete everything. The caller must not apply a removal that these rules block unless it is
//! approved.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::model::{Action, Plan, Verb};
use super::object::Inventory;
use crate::definition::environment::{Budget, Prune};
use crate::definition::{Id, Kind};

/// Default maximum share of the observed definitions that one plan removes, in percent.
const DEFAULT_PERCENT: usize = 20;
/// Number of removals that the default always allows.
const DEFAULT_MINIMUM: usize = 3;

/// The policy of an environment for removals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunePolicy {
    /// True if definitions that are no longer declared are removed.
    pub enabled: bool,
    /// Maximum number of removals of one plan; default: 20% of the observed definitions, and at least 3.
    pub budget: Option<Budget>,
}

impl From<&Prune> for PrunePolicy {
    fn from(prune: &Prune) -> PrunePolicy {
        PrunePolicy { enabled: prune.enabled.unwrap_or(true), budget: prune.budget }
    }
}

impl PrunePolicy {
    /// The number of removals that are allowed if this many definitions are observed. A share is rounded down, and is at
    /// least one unless it is `0%`.
    pub fn allowed(&self, observed: usize) -> usize {
        let share = |percent: usize| observed.saturating_mul(percent) / 100;
        match self.budget {
            None => share(DEFAULT_PERCENT).max(DEFAULT_MINIMUM),
            Some(Budget::Count(count)) => count as usize,
            Some(Budget::Percent(0)) => 0,
            Some(Budget::Percent(percent)) => share(usize::from(percent)).max(1),
        }
    }
}

/// The desired definitions, and how completely they are known.
#[derive(Clone, Copy, Debug)]
pub struct DesiredState<'a> {
    /// The definitions.
    pub inventory: &'a Inventory,
    /// True if a part of the source could not be read, so that a missing definition may be in that part.
    pub incomplete: bool,
    /// True if each removal is a deliberate act, such as the deletion of a resource. An empty source is then allowed, and
    /// only the budget limits removals.
    pub deliberate: bool,
}

/// Removals that are blocked for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedRemovals {
    /// The reason.
    pub reason: BlockedReason,
    /// The blocked definitions, sorted, each as `Kind/name`.
    pub ids: Vec<String>,
    /// The cause and the remedy, in one sentence.
    pub message: String,
}

/// The reason for which removals are blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BlockedReason {
    /// Removals are disabled in the environment.
    Disabled,
    /// A part of the source could not be read.
    Incomplete,
    /// The source became empty.
    EmptySource,
    /// The definition is annotated to be kept.
    Protected,
    /// The plan removes more than the environment allows at once.
    Budget,
    /// A definition that is kept refers to it.
    StillReferenced,
}

impl BlockedReason {
    /// True if no approval permits the removal, as the declared state is unknown. The digest of a plan names each removal,
    /// so an approval of it permits all others.
    pub fn is_final(self) -> bool {
        self == BlockedReason::Incomplete
    }

    /// The name in conditions and metrics.
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

/// The blocked removals of a plan by reason. A removal may be blocked for several reasons.
///
/// `observed` are all definitions including overrides, which may refer to definitions of a source.
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
        let message =
            "`sync.prune.enabled` is false, so nothing is removed; remove them through the API, or set it to true";
        block(BlockedReason::Disabled, all(), message.into());
    }
    if desired.incomplete {
        let message = "a part of the source could not be read, so its definitions are unknown; correct it first";
        block(BlockedReason::Incomplete, all(), message.into());
    }
    if !desired.deliberate && !desired.inventory.keys().any(counts) && observed.keys().any(counts) {
        let message = "the source declares nothing while definitions exist; check its path and branch, or approve the \
                       removal";
        block(BlockedReason::EmptySource, all(), message.into());
    }
    let protected = |id: &&Id| observed.get(*id).is_some_and(|object| object.protected);
    let message = "they are annotated `evenkeel.dev/prune: disabled`; change the annotation first, then remove them, or \
                   approve the removal";
    block(BlockedReason::Protected, all().into_iter().filter(protected).collect(), message.into());
    let total = observed.keys().filter(|id| counts(id)).count();
    let allowed = policy.allowed(total);
    if counted.len() > allowed {
        let message = format!(
            "{} of {total} definitions would be removed, and at most {allowed} may be removed at once; approve the removal, or \
             raise `sync.prune.budget`",
            counted.len()
        );
        block(BlockedReason::Budget, counted, message);
    }
    let (referenced, by) = still_referenced(plan, observed);
    let named: Vec<String> = by.iter().take(10).map(|id| format!("`{id}`")).collect();
    let more = if by.len() > named.len() { format!(" and {} more", by.len() - named.len()) } else { String::new() };
    let message = format!("{}{more} would refer to removed definitions; change or remove them first", named.join(", "));
    block(BlockedReason::StillReferenced, referenced, message);
    blocked
}

/// True if a definition counts for the budget. The environment itself does not.
fn counts(id: &Id) -> bool {
    id.kind != Kind::Environment
}

/// Removed definitions that an unchanged definition needs, and those that need them.
fn still_referenced<'a>(plan: &'a Plan, observed: &'a Inventory) -> (BTreeSet<&'a Id>, BTreeSet<&'a Id>) {
    // A definition that is moved, or adopted with the same content, keeps its references.
    let changed = |action: &&Action| action.before != action.after;
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
