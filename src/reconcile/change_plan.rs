//! The plan from the live generation to a candidate, with the guards that stop removals.

use std::sync::Arc;

use super::candidate::Candidate;
use super::live_generation::LiveGeneration;
use super::scope::Scope;
use crate::definition::Kind;
use crate::plan::{
    self, BlockedReason, BlockedRemovals, DesiredState, Inventory, Plan, PlanOptions, PrunePolicy, Verb,
};
use crate::store::manifest::Item;

/// A plan and the guards that stop it.
pub(super) type GuardedPlan = (Arc<Plan>, Vec<BlockedRemovals>);

/// Plans a candidate. `incomplete`: some of the source could not be read.
pub(super) fn plan_change(
    scope: &Scope,
    live: Option<&LiveGeneration>,
    candidate: &Candidate,
    incomplete: bool,
) -> GuardedPlan {
    let empty = Inventory::new();
    let observed = live.map_or(&empty, LiveGeneration::inventory);
    let plan = plan::plan(observed, &candidate.inventory, &options(scope));
    let policy = PrunePolicy::from(&scope.document.spec.sync.prune);
    let desired = DesiredState { inventory: &candidate.inventory, incomplete, deliberate: is_of_cluster(scope) };
    let mut blocked = plan::guard(&plan, &policy, observed, &desired);
    if blocked.iter().all(|blocked| blocked.reason != BlockedReason::EmptySource) {
        blocked.extend(emptied(scope, live, &plan, candidate));
    }
    (Arc::new(plan), blocked)
}

/// A plan without actions.
pub(super) fn empty_plan(scope: &Scope, live: Option<&LiveGeneration>) -> Arc<Plan> {
    let empty = Inventory::new();
    let live = live.map_or(&empty, LiveGeneration::inventory);
    Arc::new(plan::plan(live, live, &options(scope)))
}

fn options(scope: &Scope) -> PlanOptions<'_> {
    PlanOptions { environment: scope.key() }
}

/// True if all definitions come from resources of a cluster, where each removal is deliberate.
fn is_of_cluster(scope: &Scope) -> bool {
    let spec = &scope.document.spec;
    let only = spec.source.as_ref().is_none_or(|source| source.git.is_none() && source.directory.is_none());
    scope.context.source_context.cluster.is_some() && only && spec.sources.iter().all(|source| source.cluster.is_some())
}

/// The guard against empty sources for an environment that still has definitions from the API, which make it look as if
/// the source declared some.
fn emptied(
    scope: &Scope,
    live: Option<&LiveGeneration>,
    plan: &Plan,
    candidate: &Candidate,
) -> Option<BlockedRemovals> {
    let is_definition = |item: &Arc<Item>| item.id.kind != Kind::Environment;
    let is_declared = |item: &Arc<Item>| is_definition(item) && !item.is_api_owned();
    // An override stands in for a definition of the source, also after it has ended.
    let was_declared = |item: &Arc<Item>| is_declared(item) || is_definition(item) && item.overrides_until().is_some();
    let removals = plan.actions.iter().filter(|action| action.action == Verb::Delete);
    let removed: Vec<String> = removals.map(|action| action.id.to_string()).collect();
    let observed = live.is_some_and(|live| live.items().any(was_declared));
    if removed.is_empty() || is_of_cluster(scope) || !observed || candidate.manifest.items.values().any(is_declared) {
        return None;
    }
    let message =
        "the source declares nothing while definitions exist; check its path and branch, or approve the removal";
    let message = message.to_owned();
    Some(BlockedRemovals { reason: BlockedReason::EmptySource, ids: removed, message })
}
