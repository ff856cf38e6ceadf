//! One look at an environment: from what is active and what is declared to what is done about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::candidate::Candidate;
use super::clock::now;
use super::engine::{ActivationRequest, Reconciler};
use super::lease_renewal::{LEASE_SECONDS, LeaseRenewal};
use super::propose::Proposal;
use super::reason::{Reason, ReconcileError};
use super::sources::{FETCH_DEADLINE, MergedSources, Sources};
use super::status::{
    BlockedPrune, ConditionKind, ConditionStatus, Controls, HeldRevision, MAX_LISTED, Pending, Status,
};
use crate::definition::environment::SyncMode;
use crate::definition::{Id, Kind};
use crate::plan::{BlockedReason, BlockedRemovals, Plan};
use crate::source::FetchReason;
use crate::store::{Cause, Lease, StoreError};

/// Looks after which the stored generation is read back and compared.
const VERIFY_EVERY: u64 = 10;
/// First wait after a failure; it doubles up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// How a look ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassOutcome {
    /// Something went live.
    Applied,
    /// Everything is as declared.
    Unchanged,
    /// It waits: suspended, for approval, or for peace.
    Waiting,
    /// It could not be done.
    Failed,
    /// Another process leads.
    Following,
}

impl PassOutcome {
    fn as_str(self) -> &'static str {
        match self {
            PassOutcome::Applied => "applied",
            PassOutcome::Unchanged => "unchanged",
            PassOutcome::Waiting => "waiting",
            PassOutcome::Failed => "failed",
            PassOutcome::Following => "following",
        }
    }
}

impl Reconciler {
    /// Looks once, publishes what came of it, and gives the time to wait before the next look.
    pub(super) async fn look(&mut self) -> Duration {
        let started = Instant::now();
        self.looks += 1;
        self.beat.tick();
        let mut status = self.status.clone();
        let ended = match self.try_look(&mut status).await {
            Ok(ended) => ended,
            // Somebody else was faster: what they say of the environment stands.
            Err(refused) if refused.reason.is_lost_race() => {
                tracing::info!(environment = self.given.key, reason = refused.reason.as_str(), "{}", refused.message);
                (self.renewing, self.follows) = (None, self.context.shared);
                return jittered(Duration::from_secs(1));
            }
            Err(refused) => {
                tracing::warn!(environment = self.given.key, reason = refused.reason.as_str(), "{}", refused.message);
                Self::refuse(&mut status, &refused, now());
                PassOutcome::Failed
            }
        };
        self.publish(status, ended).await;
        self.beat.tick();
        let metrics = &self.context.metrics;
        metrics.reconciled(&self.given.key, ended.as_str(), started.elapsed());
        let interval = self.given.spec.interval.map_or(Duration::from_mins(1), |interval| interval.0);
        self.failures = if ended == PassOutcome::Failed { self.failures.saturating_add(1) } else { 0 };
        let wait = match ended {
            PassOutcome::Failed => {
                FIRST_RETRY.saturating_mul(1 << self.failures.min(10).saturating_sub(1)).min(interval)
            }
            // Whoever leads may be gone, and then nobody says so.
            PassOutcome::Following => interval.min(Duration::from_secs(u64::from(LEASE_SECONDS))),
            _ => self.fights.waits(Instant::now()).map_or(interval, |wait| wait.min(interval)),
        };
        let rolling_out = self.status.condition(ConditionKind::Reconciling).is_some();
        let wait = if rolling_out { wait.min(Duration::from_secs(1)) } else { wait };
        if ended == PassOutcome::Failed { jittered(wait) } else { self.wake_for_overrides(jittered(wait)) }
    }

    /// The store has news: another process activated something, or somebody asked for something. Looks where it
    /// concerns this environment, and gives the time to wait then.
    pub(super) async fn news(&mut self) -> Option<Duration> {
        let controls = self.controls().await.unwrap_or_default();
        let hinted = self.store().state(self.key(), "hint").await.ok().flatten();
        let asked = controls != self.seen || hinted != self.hinted;
        let active = self.store().active(self.key()).await.ok().flatten();
        let other =
            active.is_some_and(|active| self.live.as_ref().is_none_or(|live| live.generation.number != active.number));
        let waits_for_others = self.status.condition(ConditionKind::Reconciling).is_some();
        if asked || other || waits_for_others {
            (self.seen, self.hinted) = (controls, hinted);
            return Some(self.look().await);
        }
        if self.follows {
            let mut status = self.status.clone();
            if self.read_status(&mut status).await.is_ok() {
                self.publish(status, PassOutcome::Following).await;
            }
        }
        None
    }

    /// A hint came to a process that does not lead: the one that does is told.
    pub(super) async fn pass_on(&mut self) {
        if self.follows {
            let hint = serde_json::json!(format!("{:016x}", rand::random::<u64>()));
            if let Err(error) = self.store().put_state(self.key(), "hint", &hint).await {
                tracing::warn!(environment = self.given.key, "a hint is lost: {error}");
            }
            self.hinted = Some(hint);
        }
    }

    async fn try_look(&mut self, status: &mut Status) -> Result<PassOutcome, ReconcileError> {
        // What was said last, by whichever process, stands until something else is true.
        if self.looks == 1 || self.context.shared {
            self.read_status(status).await?;
            self.status = status.clone();
        }
        self.follows = false;
        if self.context.is_leader.as_ref().is_some_and(|leads| !*leads.borrow()) {
            // Whoever leads looks at the sources; here is served what they make active.
            (self.renewing, self.follows) = (None, true);
            self.follow().await?;
            return Ok(PassOutcome::Following);
        }
        if !self.context.shared {
            return self.lead(status, None).await;
        }
        let name = format!("environment/{}", self.key());
        let lease = self.store().acquire_lease(&name, &self.context.replica, LEASE_SECONDS).await?;
        let Some(lease) = lease else {
            (self.renewing, self.follows) = (None, true);
            self.follow().await?;
            return Ok(PassOutcome::Following);
        };
        if self.renewing.as_ref().is_none_or(|renewing| !renewing.holds(&lease)) {
            self.renewing = Some(LeaseRenewal::start(Arc::clone(&self.context.store), &lease));
        }
        self.lead(status, Some(&lease)).await
    }

    pub(super) async fn read_status(&self, status: &mut Status) -> Result<(), StoreError> {
        if let Some(stored) = self.store().state(self.key(), "status").await?
            && let Ok(stored) = serde_json::from_value(stored)
        {
            *status = stored;
        }
        Ok(())
    }

    /// What the one does that leads.
    async fn lead(&mut self, status: &mut Status, lease: Option<&Lease>) -> Result<PassOutcome, ReconcileError> {
        // Read before the sources are asked: what they answer is newer than this.
        self.follow().await?;
        if self.looks.is_multiple_of(VERIFY_EVERY) {
            self.verify().await?;
        }
        let controls = self.controls().await?;
        self.seen.clone_from(&controls);
        status.suspended.clone_from(&controls.suspended);
        if self.given.spec.suspend || controls.suspended.is_some() {
            self.describe(status);
            let message = match &controls.suspended {
                Some(asked) => {
                    format!("suspended by {}: nothing is applied until `evenkeel resume {}`", asked.by, self.key())
                }
                None => "nothing is applied while its Environment document says `suspend: true`".to_owned(),
            };
            let ready = if self.live.is_some() { ConditionStatus::True } else { ConditionStatus::False };
            status.set(ConditionKind::Ready, ready, Reason::Suspended, message, now());
            status.clear(ConditionKind::Stalled);
            status.clear(ConditionKind::Reconciling);
            return Ok(PassOutcome::Waiting);
        }
        if self.sources.is_none() {
            let sources = Sources::new(&self.given, &self.context.source_context);
            let sources = sources.map_err(|error| ReconcileError {
                reason: Reason::Source(error.reason),
                message: error.message,
                stalled: true,
            })?;
            self.sources = Some(sources);
        }
        let joined = self.fetch().await?;
        self.fetched_at = Instant::now();
        status.last_attempted = joined.revisions();
        self.see_rewritten(status, &joined);
        // What others asked for is theirs to take back: a newer revision just makes it meaningless.
        status.held_back = controls.held_back.clone().filter(|held| self.holds_back(held, &joined));
        if status.held_back.is_some() {
            return Ok(self.held_back(status, &controls));
        }
        let proposal = self.propose(&joined, controls.approved.as_ref().map(|approved| approved.plan)).await;
        self.count_findings(status);
        self.count_work();
        let proposal = proposal.inspect_err(|_| {
            self.pending = None;
            status.pending = None;
            status.blocked.clear();
        })?;
        self.decide(status, &controls, lease, proposal, &joined).await
    }

    /// Says which sources hold a history that does not follow from what was there before, until they hold one that does.
    fn see_rewritten(&self, status: &mut Status, joined: &MergedSources) {
        let before = std::mem::take(&mut status.history_rewritten);
        for (name, fetched) in &joined.parts {
            let revision = &fetched.revision.name;
            let known = before.get(name) == Some(revision);
            if fetched.rewritten && !known {
                self.context.metrics.history_rewritten(&self.given.key);
                tracing::warn!(
                    environment = self.given.key,
                    source = name,
                    revision,
                    "HistoryRewritten: it does not follow from what was there before"
                );
            }
            if fetched.rewritten || known {
                status.history_rewritten.insert(name.clone(), revision.clone());
            }
        }
    }

    pub(super) async fn fetch(&mut self) -> Result<MergedSources, ReconcileError> {
        let Some(mut sources) = self.sources.take() else {
            return Err(ReconcileError {
                reason: Reason::Source(FetchReason::Invalid),
                message: "there is no source".into(),
                stalled: true,
            });
        };
        let started = Instant::now();
        let fetching = tokio::task::spawn_blocking(move || {
            let fetched = sources.fetch(started + FETCH_DEADLINE);
            (sources, fetched)
        });
        // A library that does not come back is left behind with its thread; the next look starts with new sources.
        let fetched = tokio::time::timeout(FETCH_DEADLINE + Duration::from_secs(15), fetching).await;
        let failed = |reason: &str, message: String| ReconcileError {
            reason: Reason::FetchFailed,
            message: format!("{reason}: {message}"),
            stalled: false,
        };
        let joined = match fetched {
            Ok(Ok((sources, joined))) => {
                self.sources = Some(sources);
                joined.map_err(|(name, error)| {
                    let place = if name == super::sources::ONLY { String::new() } else { format!("source {name}: ") };
                    failed(&error.reason.to_string(), format!("{place}{}", error.message))
                })
            }
            Ok(Err(_)) => Err(failed("Corrupt", "reading the source failed unexpectedly".into())),
            Err(_) => Err(failed("TimedOut", "the source does not answer".into())),
        };
        let result = if joined.is_ok() { "ok" } else { "failed" };
        self.context.metrics.fetched(&self.given.key, result, started.elapsed());
        joined
    }

    /// Does a source still hold the revision that somebody went back from?
    fn holds_back(&self, held: &HeldRevision, joined: &MergedSources) -> bool {
        let now = joined.revisions();
        let live = self.live.as_ref().map(|live| &live.generation.revisions);
        let left = |source: &str, revision: &String| live.and_then(|live| live.get(source)) != Some(revision);
        held.revisions.iter().any(|(source, revision)| now.get(source) == Some(revision) && left(source, revision))
    }

    /// An earlier generation was asked for: this revision is not applied again.
    fn held_back(&self, status: &mut Status, controls: &Controls) -> PassOutcome {
        self.describe(status);
        self.see_drift(status, None);
        status.pending = None;
        status.blocked.clear();
        if let Some(live) = &self.live {
            status.last_applied.clone_from(&live.generation.revisions);
        }
        let by = controls.held_back.as_ref().map_or("", |held| held.by.as_str());
        let message = format!(
            "generation {} serves, as {by} asked; the revision that was left is not applied again, a newer one or \
             `evenkeel resume {}` is",
            status.generation,
            self.key()
        );
        status.set(ConditionKind::Ready, ConditionStatus::True, Reason::HeldBack, message, now());
        status.clear(ConditionKind::Stalled);
        status.clear(ConditionKind::Reconciling);
        PassOutcome::Waiting
    }

    pub(super) async fn decide(
        &mut self,
        status: &mut Status,
        controls: &Controls,
        lease: Option<&Lease>,
        proposal: Proposal,
        joined: &MergedSources,
    ) -> Result<PassOutcome, ReconcileError> {
        let Proposal { candidate, plan, mut blocked, withheld, held } = proposal;
        status.held.clone_from(&held);
        status.held.truncate(MAX_LISTED);
        let (withheld_plan, withheld) = withheld.unzip();
        let withheld = withheld.unwrap_or_default();
        status.blocked = blocked.iter().chain(&withheld).map(BlockedPrune::from).collect();
        // This revision was applied, whatever is active now: a difference is not the source's.
        let same_revision = status.last_applied == joined.revisions()
            || self.live.as_ref().is_some_and(|live| live.generation.revisions == joined.revisions());
        let own = Id { kind: Kind::Environment, name: self.given.name.clone() };
        let document = |candidate: &Candidate| candidate.inventory.get(&own).map(|object| object.digest);
        let given_changed = self.live.as_ref().is_some_and(|live| document(&live.candidate) != document(&candidate));
        let approved = controls.approved.as_ref().filter(|approved| approved.plan == plan.digest).cloned();
        let is_drift = same_revision && !given_changed && approved.is_none() && !plan.actions.is_empty();
        self.see_drift(status, is_drift.then_some(&*plan));
        blocked.retain(|one| one.reason != BlockedReason::Disabled);
        if plan.actions.is_empty() && !self.unreadable {
            self.pending = None;
            status.pending = None;
            self.settled(status, joined, &held).await?;
            self.withhold(status, withheld_plan, &withheld);
            return Ok(PassOutcome::Unchanged);
        }
        self.pending = Some(Arc::clone(&plan));
        if let Some(waits) = self.waits(&blocked, approved.is_some(), is_drift) {
            let summary = serde_json::to_value(plan.summary).unwrap_or_default();
            status.pending = Some(Pending { plan: plan.digest, reason: waits.reason, summary });
            self.describe(status);
            Self::refuse(status, &waits, now());
            return Ok(PassOutcome::Waiting);
        }
        // Requester for while this look was on its way.
        if self.controls().await?.suspended.is_some() {
            return Ok(PassOutcome::Waiting);
        }
        let cause = if is_drift || plan.actions.is_empty() { Cause::Heal } else { Cause::Source };
        let actor = approved.as_ref().map_or_else(|| "reconciler".to_owned(), |approved| approved.by.clone());
        let going = ActivationRequest { cause, actor, revisions: joined.revisions() };
        self.go_live(candidate, &plan, going, lease).await?;
        if approved.is_some() {
            // It was for this time only.
            let used = self.controls().await?;
            self.put_controls(&Controls { approved: None, ..used }).await?;
        }
        if is_drift && self.fights.healed(Instant::now()) {
            self.context.metrics.fight(&self.given.key);
        }
        status.pending = None;
        status.blocked = withheld.iter().map(BlockedPrune::from).collect();
        self.pending = None;
        self.see_drift(status, None);
        self.settled(status, joined, &held).await?;
        let rest = match withheld.is_empty() {
            true => None,
            // What was withheld is planned anew against what is live now: that is the plan to approve.
            false => self.propose(joined, None).await?.withheld.map(|(plan, _)| plan),
        };
        self.withhold(status, rest, &withheld);
        self.went_live(joined, same_revision);
        if let Err(refused) = self.forget().await {
            tracing::warn!(environment = self.given.key, "old generations cannot be forgotten: {}", refused.message);
        }
        Ok(PassOutcome::Applied)
    }

    /// Removals were left out of what was applied: they wait.
    fn withhold(&mut self, status: &mut Status, plan: Option<Arc<Plan>>, withheld: &[BlockedRemovals]) {
        let Some(first) = withheld.iter().find(|one| one.reason != BlockedReason::Disabled) else { return };
        if let Some(plan) = plan {
            let summary = serde_json::to_value(plan.summary).unwrap_or_default();
            status.pending = Some(Pending { plan: plan.digest, reason: Reason::PruneBlocked, summary });
            self.pending = Some(plan);
        }
        let refused = ReconcileError { reason: Reason::PruneBlocked, message: first.message.clone(), stalled: true };
        Self::refuse(status, &refused, now());
    }

    /// Why a plan is not applied now; `None` where it is.
    fn waits(&self, blocked: &[BlockedRemovals], approved: bool, is_drift: bool) -> Option<ReconcileError> {
        let name = self.key();
        let waits = |reason: Reason, message: String, stalled| Some(ReconcileError { reason, message, stalled });
        // What is never right is not made right by an approval.
        let may_be_approved =
            |one: &&BlockedRemovals| matches!(one.reason, BlockedReason::Budget | BlockedReason::StillReferenced);
        let hard = blocked.iter().find(|one| !may_be_approved(one));
        if let Some(one) = hard.or(blocked.first().filter(|_| !approved)) {
            return waits(
                Reason::PruneBlocked,
                format!("{}; `evenkeel plan --server … -e {name}` shows it", one.message),
                true,
            );
        }
        if approved {
            return None;
        }
        match self.given.spec.sync.mode {
            SyncMode::Manual if is_drift => {
                let message = format!("what serves is not what is declared{}; {}", self.ended(), self.heals());
                waits(Reason::AwaitingApproval, message, true)
            }
            SyncMode::Manual => {
                waits(Reason::AwaitingApproval, format!("a plan waits for `evenkeel apply -e {name}`"), true)
            }
            SyncMode::Report if is_drift => {
                let ended = self.ended();
                let message = format!(
                    "what serves is not what is declared{ended}; it is reported only (sync.mode): {}",
                    self.heals()
                );
                waits(Reason::Drifted, message, false)
            }
            _ if is_drift => self.fights.waits(Instant::now()).and_then(|_| {
                waits(Reason::ConflictLoop, "somebody keeps changing what is healed; the next heal waits".into(), false)
            }),
            _ => None,
        }
    }

    /// What to do about drift that nobody heals by themselves.
    fn heals(&self) -> String {
        let name = &self.given.key;
        format!("`evenkeel plan --server … -e {name}` shows it, `evenkeel apply -e {name} --yes` heals it")
    }

    /// Says that overrides have ended and still serve, where they do.
    fn ended(&self) -> String {
        let now = now();
        let items = self.live.iter().flat_map(|live| live.candidate.manifest.items.values());
        let mut ended = items.filter(|item| item.overrides_until().is_some_and(|until| until <= now));
        match (ended.next(), ended.count()) {
            (None, _) => String::new(),
            (Some(first), 0) => format!(": the override of {} has ended", first.id),
            (Some(first), more) => format!(": the overrides of {} and {more} more have ended", first.id),
        }
    }

    /// An override that ends before the next look makes it earlier.
    fn wake_for_overrides(&self, wait: Duration) -> Duration {
        let items = self.live.iter().flat_map(|live| live.candidate.manifest.items.values());
        let now = now();
        // One that has ended already could not be taken back: looking harder does not help.
        let next = items.filter_map(|item| item.overrides_until()).filter(|until| *until > now).min();
        let left = next.map(|until| Duration::from_micros(until.saturating_sub(now).max(0) as u64));
        left.map_or(wait, |left| wait.min(left + Duration::from_millis(50)))
    }
}

/// Up to a tenth longer or shorter, so that many environments do not ask at the same moment.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}
