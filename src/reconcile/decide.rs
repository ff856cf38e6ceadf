//! The decision of a pass, as a pure function: no store, no network, no clock, nothing asynchronous.
//!
//! ```text
//! NotFetched ──► Fetch ──► Fetched ──► Propose ──► Planned ──► Unchanged | Wait | Apply
//!      └► Suspended           └► HeldBack   └► Refused ──► Refuse
//! ```
//!
//! The actor asks at each stage and carries the decision out. Every guard, approval, override and backoff is decided here.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::drift_backoff::DriftBackoff;
use super::reason::{Reason, ReconcileError};
use super::status::{
    BlockedPrune, ConditionStatus, Controls, Drift, DriftKind, HeldRevision, MAX_LISTED, Pending, Verdict,
};
use crate::definition::environment::SyncMode;
use crate::plan::{BlockedReason, BlockedRemovals, Plan, Verb};
use crate::store::{Cause, Generation, Micros};
use crate::text::Digest;

/// Maximum number of removals that a message names.
const MAX_NAMED: usize = 3;

/// The revision of each source, by the name of the source.
pub(super) type Revisions = BTreeMap<String, String>;

/// The time of a decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Wall clock, which overrides expire by.
    pub(super) wall: Micros,
    /// Monotonic clock, which the drift backoff expires by.
    pub(super) monotonic: Instant,
}

/// The environment as this process observes it, with what the reconciler remembers.
#[derive(Clone, Debug)]
pub(super) struct Observed<'a> {
    /// Key of the environment.
    pub(super) key: &'a str,
    /// The generation that this process serves.
    pub(super) generation: Option<&'a Generation>,
    /// Digest of the Environment document in that generation.
    pub(super) document: Option<Digest>,
    /// True if the active generation cannot be read, so that an earlier one serves.
    pub(super) unreadable: bool,
    /// Revisions that were applied last according to the status.
    pub(super) last_applied: &'a Revisions,
    /// Overrides that serve, also those that have expired.
    pub(super) overrides: Vec<Drift>,
    /// The heals of the last hour.
    pub(super) backoff: &'a DriftBackoff,
}

/// The desired state, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Desired<'a> {
    /// `spec.suspend` of the Environment document.
    pub(super) suspend: bool,
    /// `spec.sync.mode` of the Environment document.
    pub(super) mode: SyncMode,
    /// Progress of the pass.
    pub(super) stage: Stage<'a>,
}

/// Progress of a pass.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage<'a> {
    /// The sources have not been fetched.
    NotFetched,
    /// The sources hold these revisions.
    Fetched(&'a Revisions),
    /// The definitions cannot become a generation.
    Refused(&'a ReconcileError),
    /// The definitions are valid and planned against the generation that serves.
    Planned(PlannedChange<'a>),
}

/// A candidate with its plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannedChange<'a> {
    /// Revisions that the candidate is made from.
    pub(super) revisions: &'a Revisions,
    /// Digest of the Environment document in the candidate.
    pub(super) document: Option<Digest>,
    /// The plan from the live generation to the candidate.
    pub(super) plan: &'a Plan,
    /// Guards that stop the plan.
    pub(super) blocked: &'a [BlockedRemovals],
    /// Removals that the candidate leaves out, so that the rest can be applied.
    pub(super) withheld: &'a [BlockedRemovals],
    /// Definitions that keep their last good version, or are absent, because of errors.
    pub(super) held: &'a [String],
}

/// The next step of a pass.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// Fetch the sources.
    Fetch,
    /// Validate and plan the fetched revisions.
    Propose,
    /// Stop: the environment is suspended.
    Suspended(Verdict),
    /// Stop: the revisions were left by a rollback or promotion.
    HeldBack {
        /// The rollback or promotion that holds them back.
        held: HeldRevision,
        /// Overrides that serve.
        drift: Vec<Drift>,
        /// The verdict for the status.
        verdict: Verdict,
    },
    /// Stop: the definitions cannot become a generation. No plan waits any more.
    Refuse(Verdict),
    /// Nothing is to be applied.
    Unchanged(PlanStatus),
    /// The plan waits.
    Wait {
        /// Parts of the status that follow from the plan.
        status: PlanStatus,
        /// The plan that waits.
        pending: Pending,
        /// The verdict for the status.
        verdict: Verdict,
    },
    /// Activate the candidate.
    Apply {
        /// Parts of the status that follow from the plan.
        status: PlanStatus,
        /// Cause of the new generation.
        cause: Cause,
        /// The operator who approved the plan, or `reconciler`.
        actor: String,
        /// True if the plan undoes a change that no source made, which counts for the drift backoff.
        heals_drift: bool,
        /// True if an approval permits the plan, which is used up by applying it.
        uses_approval: bool,
    },
}

/// Parts of the status that follow from a plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlanStatus {
    /// Definitions that serve although they are not declared so.
    pub(super) drift: Vec<Drift>,
    /// The first definitions that are held because of errors.
    pub(super) held: Vec<String>,
    /// Removals that guards stop.
    pub(super) blocked: Vec<BlockedPrune>,
}

/// Decides the next step of a pass.
pub(super) fn decide(observed: &Observed<'_>, desired: &Desired<'_>, controls: &Controls, now: Now) -> Decision {
    match desired.stage {
        Stage::NotFetched => suspended(observed, desired, controls).map_or(Decision::Fetch, Decision::Suspended),
        Stage::Fetched(revisions) => held_back(observed, revisions, controls).unwrap_or(Decision::Propose),
        Stage::Refused(error) => Decision::Refuse(refusal(error)),
        Stage::Planned(change) => planned(observed, desired.mode, &change, controls, now),
    }
}

/// The verdict of an error; the live generation keeps serving.
pub(super) fn refusal(error: &ReconcileError) -> Verdict {
    Verdict {
        ready: ConditionStatus::False,
        reason: error.reason,
        message: error.message.clone(),
        stalled: error.stalled,
        reconciling: false,
    }
}

/// The live generation and its processes, after nothing remained to apply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rollout<'a> {
    /// The revisions that are live.
    pub(super) revisions: &'a Revisions,
    /// Definitions that are held because of errors.
    pub(super) held: &'a [String],
    /// The reason why some of them are held although they have no errors.
    pub(super) unready: Option<&'a str>,
    /// Errors in these revisions.
    pub(super) errors: usize,
    /// Removals that were withheld.
    pub(super) withheld: &'a [BlockedRemovals],
    /// Number of the active generation.
    pub(super) generation: u64,
    /// Processes that serve the environment.
    pub(super) replicas: usize,
    /// Processes that serve another generation.
    pub(super) behind: usize,
    /// Key of the environment.
    pub(super) key: &'a str,
    /// Digest of the plan of the withheld removals.
    pub(super) approvable: Option<Digest>,
    /// The sentence about a source that declares nothing.
    pub(super) empty: Option<&'a str>,
    /// The errors of the Environment document, of which the last good version counts.
    pub(super) document_error: Option<&'a str>,
}

/// The verdict about an environment that has nothing left to apply: ready once every process serves it.
pub(super) fn conclude(rollout: &Rollout<'_>) -> Verdict {
    let revision = joined(rollout.revisions);
    let verdict = |ready, reason, message| Verdict { ready, reason, message, stalled: false, reconciling: false };
    if let Some(first) = rollout.withheld.iter().find(|blocked| blocked.reason != BlockedReason::Disabled) {
        return refusal(&held_up(first, rollout.key, rollout.approvable));
    }
    if !rollout.held.is_empty() || rollout.errors > 0 {
        let first = rollout.held.first().map_or_else(String::new, |first| format!("; the first is {first}"));
        let unready = rollout.unready.map_or_else(String::new, |unready| format!("; {unready}"));
        let message = format!(
            "{revision}: {} errors; {} definitions keep their last good version or are absent{first}{unready}",
            rollout.errors,
            rollout.held.len(),
        );
        return verdict(ConditionStatus::False, Reason::Isolated, message);
    }
    if let Some(error) = rollout.document_error {
        let message = format!("{error}; the last good version of the Environment document is in effect");
        return refusal(&ReconcileError::stalled(Reason::InvalidEnvironment, message));
    }
    if let Some(empty) = rollout.empty {
        return refusal(&ReconcileError::stalled(Reason::NothingDeclared, empty));
    }
    if rollout.behind > 0 {
        let message = format!(
            "{} of {} processes do not serve generation {} yet",
            rollout.behind, rollout.replicas, rollout.generation
        );
        return Verdict { reconciling: true, ..verdict(ConditionStatus::False, Reason::Progressing, message) };
    }
    verdict(ConditionStatus::True, Reason::Applied, format!("{revision} is live"))
}

/// Definitions that serve although they are not declared so: overrides, and what `plan` would undo although no source
/// changed.
pub(super) fn drift(observed: &Observed<'_>, plan: Option<&Plan>) -> Vec<Drift> {
    let Some(generation) = observed.generation else { return Vec::new() };
    let overridden: BTreeSet<&str> = observed.overrides.iter().map(|drift| drift.id.as_str()).collect();
    let mut all = observed.overrides.clone();
    for action in plan.iter().flat_map(|plan| &plan.actions) {
        let id = action.id.to_string();
        if overridden.contains(id.as_str()) {
            continue;
        }
        // The plan undoes the drift, so the drift is its opposite.
        let how = match action.action {
            Verb::Create => DriftKind::Removed,
            Verb::Delete => DriftKind::Added,
            Verb::Update | Verb::Move | Verb::Adopt => DriftKind::Changed,
        };
        all.push(Drift { id, how, who: generation.actor.clone(), at: generation.at, until: None });
    }
    all
}

/// A waiting plan for the status.
pub(super) fn pending(plan: &Plan, reason: Reason) -> Pending {
    Pending { plan: plan.digest, reason, summary: serde_json::to_value(plan.summary).unwrap_or_default() }
}

fn suspended(observed: &Observed<'_>, desired: &Desired<'_>, controls: &Controls) -> Option<Verdict> {
    let message = match &controls.suspended {
        Some(request) => {
            format!("suspended by {}: nothing is applied until `evenkeel resume -e {}`", request.by, observed.key)
        }
        None if desired.suspend => "nothing is applied while its Environment document says `suspend: true`".to_owned(),
        None => return None,
    };
    let ready = if observed.generation.is_some() { ConditionStatus::True } else { ConditionStatus::False };
    Some(Verdict { ready, reason: Reason::Suspended, message, stalled: false, reconciling: false })
}

/// The verdict on revisions that a rollback or promotion left: a source still holds one of them, and it is not live.
/// A newer revision makes the request meaningless.
fn held_back(observed: &Observed<'_>, revisions: &Revisions, controls: &Controls) -> Option<Decision> {
    let held = controls.held_back.as_ref()?;
    let live = observed.generation.map(|generation| &generation.revisions);
    let was_left = |(source, revision): (&String, &String)| {
        revisions.get(source) == Some(revision) && live.and_then(|live| live.get(source)) != Some(revision)
    };
    if !held.revisions.iter().any(was_left) {
        return None;
    }
    let message = format!(
        "generation {} serves at the request of {}; the revision that was left is not applied again until a newer one \
         exists or `evenkeel resume -e {}` is run",
        observed.generation.map_or(0, |generation| generation.number),
        held.by,
        observed.key
    );
    let verdict =
        Verdict { ready: ConditionStatus::True, reason: Reason::HeldBack, message, stalled: false, reconciling: false };
    Some(Decision::HeldBack { held: held.clone(), drift: drift(observed, None), verdict })
}

fn planned(
    observed: &Observed<'_>,
    mode: SyncMode,
    change: &PlannedChange<'_>,
    controls: &Controls,
    now: Now,
) -> Decision {
    let plan = change.plan;
    // The revision was applied, so a difference of the active generation does not come from a source.
    let same_revision = observed.last_applied == change.revisions
        || observed.generation.is_some_and(|generation| generation.revisions == *change.revisions);
    let document_changed = observed.generation.is_some() && observed.document != change.document;
    let approval = controls.approved.as_ref().filter(|approved| approved.plan == plan.digest);
    let is_drift = same_revision && !document_changed && approval.is_none() && !plan.actions.is_empty();
    let status = PlanStatus {
        drift: drift(observed, is_drift.then_some(plan)),
        held: change.held.iter().take(MAX_LISTED).cloned().collect(),
        blocked: change.blocked.iter().chain(change.withheld).map(BlockedPrune::from).collect(),
    };
    if plan.actions.is_empty() && !observed.unreadable {
        return Decision::Unchanged(status);
    }
    // The operator who wrote an override has set its end: it waits for no approval, and no other writer made it.
    let ends_overrides = is_drift && is_end_of_overrides(observed, plan, now);
    let may_wait = approval.is_none() && !ends_overrides;
    let wait = guarded(observed, change, approval.is_some())
        .or_else(|| if may_wait { delayed(observed, mode, is_drift, now) } else { None });
    if let Some(error) = wait {
        return Decision::Wait { status, pending: pending(plan, error.reason), verdict: refusal(&error) };
    }
    Decision::Apply {
        status,
        cause: if is_drift || plan.actions.is_empty() { Cause::Heal } else { Cause::Source },
        actor: approval.map_or_else(|| "reconciler".to_owned(), |approved| approved.by.clone()),
        heals_drift: is_drift && !ends_overrides,
        uses_approval: approval.is_some(),
    }
}

/// True if a plan does nothing else than to end overrides that have expired.
fn is_end_of_overrides(observed: &Observed<'_>, plan: &Plan, now: Now) -> bool {
    let expired = observed.overrides.iter().filter(|drift| drift.until.is_some_and(|until| until <= now.wall));
    let expired: BTreeSet<&str> = expired.map(|drift| drift.id.as_str()).collect();
    !plan.actions.is_empty() && plan.actions.iter().all(|action| expired.contains(action.id.to_string().as_str()))
}

/// The guard that stops a plan. Nothing permits removals while a part of the source cannot be read; an approval of the
/// plan permits all others, as the plan names each of them.
fn guarded(observed: &Observed<'_>, change: &PlannedChange<'_>, approved: bool) -> Option<ReconcileError> {
    let mut blocked = change.blocked.iter().filter(|blocked| blocked.reason != BlockedReason::Disabled);
    let stops = blocked.clone().find(|blocked| blocked.reason.is_final());
    let first = stops.or_else(|| blocked.next().filter(|_| !approved))?;
    Some(held_up(first, observed.key, Some(change.plan.digest)))
}

/// The error of removals that a guard stops: names them, and the commands that show and approve their plan.
fn held_up(blocked: &BlockedRemovals, key: &str, plan: Option<Digest>) -> ReconcileError {
    let named: Vec<&str> = blocked.ids.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = blocked.ids.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let approval = match plan.filter(|_| !blocked.reason.is_final()) {
        Some(plan) => format!(", `evenkeel apply -e {key} --digest {plan}` approves it"),
        None => String::new(),
    };
    let message = format!(
        "{}: the removal of {}{more} waits; `evenkeel plan --server … -e {key}` shows it{approval}",
        blocked.message,
        named.join(", ")
    );
    ReconcileError::stalled(Reason::PruneBlocked, message)
}

/// The mode or backoff that delays a plan without an approval.
fn delayed(observed: &Observed<'_>, mode: SyncMode, is_drift: bool, now: Now) -> Option<ReconcileError> {
    let key = observed.key;
    let remedy = || format!("`evenkeel plan --server … -e {key}` shows it, `evenkeel apply -e {key} --yes` heals it");
    match mode {
        SyncMode::Manual if is_drift => {
            let message =
                format!("the live generation differs from the declared one{}; {}", expired(observed, now), remedy());
            Some(ReconcileError::stalled(Reason::AwaitingApproval, message))
        }
        SyncMode::Manual => {
            let message = format!("a plan waits for `evenkeel apply -e {key}`");
            Some(ReconcileError::stalled(Reason::AwaitingApproval, message))
        }
        SyncMode::Report if is_drift => {
            let message = format!(
                "the live generation differs from the declared one{}; it is only reported (sync.mode): {}",
                expired(observed, now),
                remedy()
            );
            Some(ReconcileError::retryable(Reason::Drifted, message))
        }
        _ if is_drift && observed.backoff.waits(now.monotonic).is_some() => {
            let message = "another writer keeps undoing applied definitions; the next heal waits";
            Some(ReconcileError::retryable(Reason::ConflictLoop, message))
        }
        _ => None,
    }
}

/// A clause that names overrides which have expired and still serve.
fn expired(observed: &Observed<'_>, now: Now) -> String {
    let mut expired = observed.overrides.iter().filter(|drift| drift.until.is_some_and(|until| until <= now.wall));
    match (expired.next(), expired.count()) {
        (None, _) => String::new(),
        (Some(first), 0) => format!(": the override of {} has ended", first.id),
        (Some(first), more) => format!(": the overrides of {} and {more} more have ended", first.id),
    }
}

/// Revisions in one line.
fn joined(revisions: &Revisions) -> String {
    revisions.values().map(String::as_str).collect::<Vec<_>>().join(", ")
}
