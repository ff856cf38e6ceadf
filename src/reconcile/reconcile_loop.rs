//! One pass of an environment: it observes, decides and carries the decision out.
//!
//! ```text
//! lease ──► load active ──► controls ──► fetch ──► propose ──► preflight ──► decide ──► activate ──► status
//!              │                                      │            │           │
//!              └── follower: serve it      refused ◄──┴────────────┴───────────┘   the live one keeps serving
//! ```
//!
//! The active generation is loaded before the sources are fetched: a fetch is never older than what it replaces, and a
//! generation that became active in between makes the activation stale.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::active_generation::ActivationRequest;
use super::clock::now;
use super::decide::{Decision, PlanStatus, Rollout, Stage, conclude, drift, pending, refusal};
use super::empty_source;
use super::leadership::Role;
use super::live_generation::LiveGeneration;
use super::propose::Proposal;
use super::reason::{Reason, ReconcileError};
use super::reconciler::Reconciler;
use super::schedule::{PassOutcome, Timing, jittered};
use super::sources::MergedSources;
use super::status::{BlockedPrune, ConditionKind, Controls, MAX_LISTED, Status};
use super::status_log::repetitions;
use super::status_writer::{record_drift, record_rewritten_history};
use crate::plan::{BlockedReason, BlockedRemovals, Plan, Verb};
use crate::store::{Audit, Lease, Micros};

/// Interval of passes unless `spec.interval` says otherwise.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);
/// Wait after another process was faster.
const LOST_RACE_WAIT: Duration = Duration::from_secs(1);

impl Reconciler {
    /// Runs a pass, publishes the status and returns the wait before the next pass.
    pub(super) async fn reconcile(&mut self) -> Duration {
        let started = Instant::now();
        self.schedule.start_pass();
        self.heartbeat.tick();
        let mut status = self.status.current().clone();
        let mut result = self.pass(&mut status).await;
        let outcome = result.as_ref().map_or(PassOutcome::Failed, |outcome| *outcome);
        if result.as_ref().err().is_none_or(|error| !error.reason.is_lost_race())
            && self.end_expired_overrides(&status, outcome).await
        {
            // What waits is planned against the new generation.
            result = self.pass(&mut status).await;
        }
        let outcome = match result {
            Ok(outcome) => outcome,
            // The status that the faster process wrote stands.
            Err(error) if error.reason.is_lost_race() => {
                tracing::info!(
                    environment = self.scope.key(),
                    reason = error.reason.as_str(),
                    error = error.message,
                    "another process was faster"
                );
                self.leadership.lose(&self.scope);
                return jittered(LOST_RACE_WAIT, rand::random());
            }
            Err(error) => {
                if let Some(repetitions) = repetitions(self.scope.key(), &error) {
                    tracing::warn!(
                        environment = self.scope.key(),
                        reason = error.reason.as_str(),
                        error = error.message,
                        repetitions,
                        "the pass failed"
                    );
                }
                status.conclude(&refusal(&error), now());
                PassOutcome::Failed
            }
        };
        if outcome != PassOutcome::Following {
            self.watch_secrets(&mut status).await;
        }
        self.publish(status, outcome).await;
        self.heartbeat.tick();
        self.scope.metrics().reconciled(self.scope.key(), outcome.as_str(), started.elapsed());
        let timing = self.timing(now());
        self.schedule.next_wait(outcome, &timing, rand::random())
    }

    /// Reacts to a change of the store: runs a pass if another process activated a generation or an operator requested
    /// something, and returns the wait before the next pass then.
    pub(super) async fn react_to_store(&mut self) -> Option<Duration> {
        let is_requested = self.inbox.receive(&self.scope).await;
        let active = self.scope.store().active(self.scope.key()).await.ok().flatten();
        let live = self.active.live().map(|live| live.generation.number);
        let is_other = active.is_some_and(|active| live != Some(active.number));
        let is_rolling_out = self.status.current().condition(ConditionKind::Reconciling).is_some();
        if is_requested || is_other || is_rolling_out {
            return Some(self.reconcile().await);
        }
        if self.leadership.follows()
            && let Ok(status) = self.status.stored(&self.scope).await
        {
            self.publish(status, PassOutcome::Following).await;
        }
        None
    }

    /// Forwards a push notification to the process that leads, if another one does.
    pub(super) async fn forward_push(&mut self) {
        if self.leadership.follows() {
            self.inbox.forward_push(&self.scope).await;
        }
    }

    pub(super) async fn publish(&mut self, status: Status, outcome: PassOutcome) {
        // The view first, so that readers of the status find what it refers to.
        self.publish_view();
        let vault = self.active.runtime().map(|active| Arc::clone(&active.runtime.vault)).unwrap_or_default();
        self.status.publish(&self.scope, &vault, status, outcome).await;
    }

    fn timing(&self, now: Micros) -> Timing {
        let items = self.active.live().into_iter().flat_map(LiveGeneration::items);
        let next = items.filter_map(|item| item.overrides_until()).filter(|until| *until > now).min();
        Timing {
            interval: self.scope.document.spec.interval.map_or(DEFAULT_INTERVAL, |interval| interval.0),
            backoff: self.backoff.waits(Instant::now()),
            rolling_out: self.status.current().condition(ConditionKind::Reconciling).is_some(),
            override_expires_in: next.map(|until| Duration::from_micros(until.saturating_sub(now).max(0) as u64)),
        }
    }

    async fn pass(&mut self, status: &mut Status) -> Result<PassOutcome, ReconcileError> {
        // The status that any process wrote last stands until something else is true.
        if self.schedule.is_first() || self.scope.context.shared {
            *status = self.status.refresh(&self.scope).await?.clone();
        }
        match self.leadership.acquire(&self.scope).await? {
            Role::Leader(lease) => self.lead(status, lease.as_ref()).await,
            Role::Follower => {
                self.load_active().await?;
                Ok(PassOutcome::Following)
            }
        }
    }

    async fn lead(&mut self, status: &mut Status, lease: Option<&Lease>) -> Result<PassOutcome, ReconcileError> {
        self.load_active().await?;
        if self.schedule.verifies() {
            self.active.verify(&self.scope).await?;
        }
        let controls = self.scope.controls().await?;
        self.inbox.saw_controls(&controls);
        status.suspended.clone_from(&controls.suspended);
        if let Decision::Suspended(verdict) = self.decide(status, Stage::NotFetched, &controls) {
            self.active.describe(&self.scope, status);
            status.conclude(&verdict, now());
            return Ok(PassOutcome::Waiting);
        }
        let merged = self.sources.fetch(&self.scope).await?;
        let revisions = merged.revisions();
        status.last_attempted.clone_from(&revisions);
        record_rewritten_history(&self.scope, status, &merged);
        let decision = self.decide(status, Stage::Fetched(&revisions), &controls);
        status.held_back = None;
        if let Decision::HeldBack { held, drift, verdict } = decision {
            self.active.describe(&self.scope, status);
            record_drift(&self.scope, status, drift);
            status.held_back = Some(held);
            status.pending = None;
            status.blocked.clear();
            if let Some(live) = self.active.live() {
                status.last_applied.clone_from(&live.generation.revisions);
            }
            status.conclude(&verdict, now());
            return Ok(PassOutcome::Waiting);
        }
        let approved = controls.approved.as_ref().map(|approved| approved.plan);
        self.secrets.forget_candidate();
        let proposed = self.propose(&merged, approved).await;
        if let Some(validated) = proposed.validated {
            self.status.record_validation(&self.scope, status, validated, self.builder.stats());
        }
        let ready = match proposed.result {
            Ok(proposal) => self.preflight(status, &controls, proposal, &merged).await,
            Err(error) => Err(error),
        };
        match ready {
            Ok(proposal) => self.carry_out(status, &controls, lease, proposal, &merged).await,
            Err(error) => {
                self.status.set_plan(None);
                status.pending = None;
                status.blocked.clear();
                if let Decision::Refuse(verdict) = self.decide(status, Stage::Refused(&error), &controls) {
                    status.conclude(&verdict, now());
                }
                if let Some(repetitions) = repetitions(self.scope.key(), &error) {
                    tracing::warn!(
                        environment = self.scope.key(),
                        reason = error.reason.as_str(),
                        error = error.message,
                        repetitions,
                        "the revision was refused"
                    );
                }
                Ok(PassOutcome::Failed)
            }
        }
    }

    /// Decides on a proposal and carries the decision out.
    pub(super) async fn carry_out(
        &mut self,
        status: &mut Status,
        controls: &Controls,
        lease: Option<&Lease>,
        proposal: Proposal,
        merged: &MergedSources,
    ) -> Result<PassOutcome, ReconcileError> {
        let decision = self.decide_on(status, controls, &proposal, merged);
        let Proposal { candidate, plan, withheld, held, unready, compiled, .. } = proposal;
        let (withheld_plan, withheld) = withheld.unzip();
        let withheld = withheld.unwrap_or_default();
        let revisions = merged.revisions();
        match decision {
            Decision::Unchanged(changes) => {
                self.record_plan(status, changes);
                self.active.update_places(&candidate);
                self.status.set_plan(None);
                status.pending = None;
                self.settle(status, merged, &held, unready.as_deref(), &withheld, withheld_plan).await?;
                Ok(PassOutcome::Unchanged)
            }
            Decision::Apply { status: changes, cause, actor, heals_drift, uses_approval } => {
                let same_revision = status.last_applied == revisions || self.active.revisions() == revisions;
                self.record_plan(status, changes);
                self.status.set_plan(Some(Arc::clone(&plan)));
                // A suspension that arrived during the pass holds.
                let fresh = self.scope.controls().await?;
                if fresh.suspended.is_some() {
                    return Ok(PassOutcome::Waiting);
                }
                let request = ActivationRequest { cause, actor, revisions };
                let compiled = match compiled {
                    Some(compiled) => *compiled,
                    None => self.active.compile(&self.scope, &mut self.builder, &candidate)?,
                };
                self.activate(candidate, compiled, &plan, request, lease).await?;
                self.record_adoptions(&plan).await;
                if uses_approval {
                    let controls = self.scope.controls().await?;
                    self.scope.put_controls(&Controls { approved: None, ..controls }).await?;
                }
                if heals_drift && self.backoff.healed(Instant::now()) {
                    self.scope.metrics().conflict_loop(self.scope.key());
                }
                self.status.set_plan(None);
                status.pending = None;
                status.blocked = withheld.iter().map(BlockedPrune::from).collect();
                let drift = drift(&self.observed(status), None);
                record_drift(&self.scope, status, drift);
                // Withheld removals are planned against the new generation: that is the plan to approve.
                let rest = match withheld.is_empty() {
                    true => None,
                    false => self.propose_rest(merged).await?,
                };
                self.settle(status, merged, &held, unready.as_deref(), &withheld, rest).await?;
                self.count_applied(merged, same_revision);
                if let Err(error) = self.retention.apply(&self.scope).await {
                    tracing::warn!(environment = self.scope.key(), %error, "removing old generations failed");
                }
                Ok(PassOutcome::Applied)
            }
            Decision::Wait { status: changes, pending, verdict } => {
                self.record_plan(status, changes);
                self.status.set_plan(Some(plan));
                status.pending = Some(pending);
                self.active.describe(&self.scope, status);
                status.conclude(&verdict, now());
                Ok(PassOutcome::Waiting)
            }
            other => {
                tracing::error!(environment = self.scope.key(), ?other, "a planned revision led to another decision");
                Ok(PassOutcome::Failed)
            }
        }
    }

    /// Records definitions from the API that a source has adopted, which are not the API's to change any more.
    async fn record_adoptions(&self, plan: &Plan) {
        let revisions = self.active.revisions();
        let adopted = plan.actions.iter().filter(|action| action.action == Verb::Adopt);
        for action in adopted.take(MAX_LISTED) {
            let (id, place) = (action.id.to_string(), &action.place);
            let same = action.before == action.after;
            let revision = revisions.get(&place.source).map(String::as_str);
            tracing::info!(
                environment = self.scope.key(),
                definition = id,
                source = place.source,
                revision,
                path = place.path,
                line = place.line,
                same,
                "a source adopted a definition from the API"
            );
            let place = format!("{}:{}", place.path, place.line);
            let line = Audit {
                at: 0,
                environment: self.scope.key().to_owned(),
                actor: "reconciler".to_owned(),
                action: "Adopt".to_owned(),
                details: json!({"id": id, "place": place, "revision": revision, "same": same}),
            };
            // The generation is live, so a failure here must not look as if it were not.
            if let Err(error) = self.scope.store().append_audit(&line).await {
                tracing::error!(?line, %error, "writing the audit log failed");
            }
        }
    }

    /// The plan of the removals that the new generation withholds.
    async fn propose_rest(&mut self, merged: &MergedSources) -> Result<Option<Arc<Plan>>, ReconcileError> {
        let proposal = self.propose(merged, None).await.result?;
        Ok(proposal.withheld.map(|(plan, _)| plan))
    }

    /// Concludes a pass with nothing left to apply, except for the withheld removals of a plan.
    async fn settle(
        &mut self,
        status: &mut Status,
        merged: &MergedSources,
        held: &[String],
        unready: Option<&str>,
        withheld: &[BlockedRemovals],
        plan: Option<Arc<Plan>>,
    ) -> Result<(), ReconcileError> {
        self.active.describe(&self.scope, status);
        let revisions = merged.revisions();
        status.last_applied.clone_from(&revisions);
        let replicas = self.scope.store().replicas(self.scope.key()).await?;
        let plan = plan.filter(|_| withheld.iter().any(|blocked| blocked.reason != BlockedReason::Disabled));
        let empty = empty_source::describe(&self.scope, self.active.live(), self.status.validated());
        let rollout = Rollout {
            revisions: &revisions,
            held,
            unready,
            errors: status.errors,
            withheld,
            generation: status.generation,
            replicas: replicas.len(),
            behind: replicas.iter().filter(|replica| Some(replica.digest) != status.digest).count(),
            key: self.scope.key(),
            approvable: plan.as_ref().map(|plan| plan.digest),
            empty: empty.as_deref(),
            document_error: self.scope.document_error.as_deref(),
        };
        status.conclude(&conclude(&rollout), now());
        if let Some(plan) = plan {
            status.pending = Some(pending(&plan, Reason::PruneBlocked));
            self.status.set_plan(Some(plan));
        }
        Ok(())
    }

    fn record_plan(&self, status: &mut Status, changes: PlanStatus) {
        record_drift(&self.scope, status, changes.drift);
        (status.held, status.blocked) = (changes.held, changes.blocked);
    }

    /// Counts the revisions of an activation. `again`: they were live before.
    fn count_applied(&self, merged: &MergedSources, again: bool) {
        let (metrics, key) = (self.scope.metrics(), self.scope.key());
        for (name, fetched) in &merged.parts {
            metrics.applied(key, name, &fetched.revision.name);
            if fetched.revision.committed > 0 && !again {
                let seconds = (now() / 1_000_000).saturating_sub(fetched.revision.committed).max(0);
                metrics.went_live(key, Duration::from_secs(seconds as u64));
            }
        }
    }
}
