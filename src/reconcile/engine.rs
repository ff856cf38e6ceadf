//! One environment's reconciler: what is active is followed, what is declared is proposed, what may go live goes live.
//!
//! ```text
//! look:  active? ──► follow (load by digest, swap)
//!        lease ──► fetch ──► propose (examine, isolate) ──► plan ──► guard, mode, approval ──► go live
//!                     │              │                                    │
//!                     └── refused ◄──┴────────────────────────────────────┘   status says why; what serves keeps serving
//! ```
//!
//! The active generation is read before the sources are asked: a fetch is never older than what it replaces, and a
//! generation that became active meanwhile makes the activation stale.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use super::active::{Active, Pointer, Work};
use super::candidate::{self, Candidate, KnownContents};
use super::context::Context;
use super::document::EnvironmentDocument;
use super::drift_backoff::DriftBackoff;
use super::heartbeat::Heartbeat;
use super::lease_renewal::LeaseRenewal;
use super::reason::{Reason, ReconcileError};
use super::sources::Sources;
use super::status::{ConditionKind, ConditionStatus, Controls, Status};
use super::validate::Validator;
use super::view::EnvironmentView;
use crate::definition::{Id, Kind};
use crate::net;
use crate::plan::{Plan, Verb};
use crate::store::{Activation, Cause, Generation, Lease, Micros, Store, StoreError, Tombstone};

/// What serves.
#[derive(Debug)]
pub(super) struct LiveGeneration {
    pub(super) generation: Generation,
    pub(super) candidate: Arc<Candidate>,
}

/// The reconciler of one environment.
#[derive(Debug)]
pub struct Reconciler {
    pub(super) context: Arc<Context>,
    pub(super) given: EnvironmentDocument,
    pub(super) pointer: Pointer,
    pub(super) live: Option<LiveGeneration>,
    /// The number of the active generation, which the next one replaces; 0 where there is none.
    pub(super) active: u64,
    /// Could the active generation not be read, so that another one serves?
    pub(super) unreadable: bool,
    /// What serves, for the heartbeat.
    pub(super) serving: Arc<ArcSwapOption<Generation>>,
    /// What is shown beside the status.
    pub(super) view: Arc<ArcSwap<EnvironmentView>>,
    /// Keeps the lease between looks.
    pub(super) renewing: Option<LeaseRenewal>,
    pub(super) sources: Option<Sources>,
    pub(super) examiner: Validator,
    pub(super) known: KnownContents,
    pub(super) status: Status,
    pub(super) published: watch::Sender<Arc<Status>>,
    pub(super) fights: DriftBackoff,
    /// The pending plan, whole, for those who ask.
    pub(super) pending: Option<Arc<Plan>>,
    /// The last look at the sources, refused or not, for those who ask for findings.
    pub(super) looked: Option<Arc<super::validate::Validated>>,
    /// Counts looks, for what is not done at each of them.
    pub(super) looks: u64,
    pub(super) failures: u32,
    pub(super) swept: Option<Instant>,
    /// When the sources were last heard.
    pub(super) fetched_at: Instant,
    /// What was asked for when it was looked last.
    pub(super) seen: Controls,
    /// Files of a definition that is being brought back.
    pub(super) brought: BTreeMap<String, Arc<[u8]>>,
    /// The last hint that another process passed on.
    pub(super) hinted: Option<serde_json::Value>,
    /// Does another process lead?
    pub(super) follows: bool,
    pub(super) beat: Arc<Heartbeat>,
}

/// What a generation is activated with.
#[derive(Clone, Debug)]
pub(super) struct ActivationRequest {
    pub(super) cause: Cause,
    pub(super) actor: String,
    pub(super) revisions: BTreeMap<String, String>,
}

impl Reconciler {
    /// A reconciler that has looked at nothing yet.
    pub fn new(
        context: Arc<Context>,
        given: EnvironmentDocument,
        pointer: Pointer,
        published: watch::Sender<Arc<Status>>,
        beat: Arc<Heartbeat>,
    ) -> Reconciler {
        Reconciler {
            context,
            given,
            pointer,
            live: None,
            active: 0,
            unreadable: false,
            serving: Arc::default(),
            view: Arc::default(),
            renewing: None,
            sources: None,
            examiner: Validator::new(),
            known: KnownContents::default(),
            status: Status::default(),
            published,
            fights: DriftBackoff::default(),
            pending: None,
            looked: None,
            looks: 0,
            failures: 0,
            // A process that just started has other things to do.
            swept: Some(Instant::now()),
            fetched_at: Instant::now(),
            seen: Controls::default(),
            brought: BTreeMap::new(),
            hinted: None,
            follows: false,
            beat,
        }
    }

    /// What it is known by among all environments.
    pub(super) fn key(&self) -> &str {
        &self.given.key
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.context.store
    }

    pub(super) fn shown_under(&self) -> String {
        self.sources.as_ref().map(|sources| sources.shown_under().to_owned()).unwrap_or_default()
    }

    /// Compiles a candidate and makes it what serves here.
    pub(super) fn swap(&mut self, candidate: &Candidate, generation: &Generation) -> Result<(), ReconcileError> {
        let active = self.compile(candidate)?;
        self.serve(active, candidate, generation);
        Ok(())
    }

    fn compile(&mut self, candidate: &Candidate) -> Result<Active, ReconcileError> {
        let broken = |message: String| ReconcileError::stalled(Reason::CompileFailed, message);
        let before = self.pointer.load();
        let mut runtime = tokio::task::block_in_place(|| {
            let before = before.as_ref().map(|before| &*before.runtime);
            candidate.compile(&self.given.name, self.context.identities.as_ref(), before)
        })
        .map_err(broken)?;
        runtime.environment.clone_from(&self.given.key);
        if let Some(cluster) = &self.context.source_context.cluster {
            Arc::make_mut(&mut runtime.vault).cluster = Some(cluster.secrets(&self.given));
        }
        self.examiner.count_compiled(&runtime);
        let kept = before.as_ref().filter(|before| before.runtime.egress == runtime.egress);
        let client = match kept {
            Some(before) => before.client.clone(),
            None => super::policy(&runtime.egress, self.context.allow_loopback)
                .and_then(|policy| Ok(net::Client::new(policy)?))
                .map_err(|error| broken(format!("{error:#}")))?,
        };
        let asset = |path: &str| candidate.assets.get(path).map(|bytes| bytes.to_vec());
        let work = tokio::task::block_in_place(|| {
            Work::compile(&candidate.examined.catalog, &asset, before.as_ref().map(|before| &before.work))
        })
        .map_err(broken)?;
        let examined = Arc::clone(&candidate.examined);
        Ok(Active {
            work,
            runtime: Arc::new(runtime),
            client,
            validated: examined,
            current: true,
            number: 0,
            revisions: BTreeMap::new(),
        })
    }

    fn serve(&mut self, mut active: Active, candidate: &Candidate, generation: &Generation) {
        active.number = generation.number;
        active.revisions.clone_from(&generation.revisions);
        self.pointer.store(active);
        self.serving.store(Some(Arc::new(generation.clone())));
        let metrics = &self.context.metrics;
        metrics.generation(&self.given.key, generation.number);
        metrics.replica_generation(&self.given.key, generation.number);
        for kind in Kind::ALL {
            let count = candidate.inventory.keys().filter(|id| id.kind == kind).count();
            metrics.definitions(&self.given.key, kind, count);
        }
    }

    /// Stores a candidate, makes it active, and serves it: in this order, so that a crash anywhere leaves either the old
    /// generation or the new one.
    pub(super) async fn go_live(
        &mut self,
        candidate: Arc<Candidate>,
        plan: &Plan,
        going: ActivationRequest,
        lease: Option<&Lease>,
    ) -> Result<Generation, ReconcileError> {
        // Whatever cannot be compiled is found before anything is written.
        let active = self.compile(&candidate)?;
        let store = Arc::clone(&self.context.store);
        store.put_objects(&candidate.objects).await?;
        let candidate = candidate.stored();
        let (buried, risen) = self.graves(plan);
        let activation = Activation {
            environment: self.given.key.clone(),
            expected: self.active,
            digest: candidate.digest,
            revisions: going.revisions,
            cause: going.cause,
            actor: going.actor,
            plan: Some(plan.digest),
            summary: serde_json::to_value(plan.summary).unwrap_or_default(),
            tombstones: buried,
            restored: risen,
        };
        let generation = store.activate(&activation, lease).await?;
        self.serve(active, &candidate, &generation);
        tracing::info!(
            environment = self.given.key, generation = generation.number, digest = %generation.digest.short(),
            cause = generation.cause.as_str(), actor = generation.actor, revisions = ?generation.revisions,
            since_fetch_ms = self.fetched_at.elapsed().as_micros() as f64 / 1000.0, "live"
        );
        (self.active, self.unreadable) = (generation.number, false);
        self.live = Some(LiveGeneration { generation: generation.clone(), candidate });
        // It is live, whatever becomes of the report.
        if let Err(error) = store.report_replica(&self.context.replica, &self.given.key, &generation).await {
            tracing::warn!(environment = self.given.key, "what serves cannot be reported: {error}");
        }
        Ok(generation)
    }

    /// Tombstones of what a plan removes, and those that its creations end.
    fn graves(&self, plan: &Plan) -> (Vec<Tombstone>, Vec<Id>) {
        let window = self.given.spec.sync.prune.undo_window.map_or(7 * 24 * 3600, |window| window.0.as_secs());
        let mut buried = Vec::new();
        let mut risen = Vec::new();
        for action in &plan.actions {
            match (action.action, &self.live) {
                (Verb::Delete, Some(live)) => {
                    let item = live.candidate.manifest.items.get(&action.id);
                    let grave = item.map(|item| candidate::TombstonePayload::of(item, &live.candidate));
                    buried.push(Tombstone {
                        id: action.id.to_string(),
                        item: grave.and_then(|grave| serde_json::to_value(grave).ok()).unwrap_or_default(),
                        generation: live.generation.number,
                        at: 0,
                        window: Micros::try_from(window).unwrap_or(i64::MAX / 1_000_000).saturating_mul(1_000_000),
                    });
                }
                (Verb::Create, _) => risen.push(action.id.clone()),
                _ => {}
            }
        }
        (buried, risen)
    }

    pub(super) async fn controls(&self) -> Result<Controls, StoreError> {
        let stored = self.store().state(self.key(), "controls").await?;
        Ok(stored.and_then(|stored| serde_json::from_value(stored).ok()).unwrap_or_default())
    }

    pub(super) async fn put_controls(&self, controls: &Controls) -> Result<(), StoreError> {
        let value = serde_json::to_value(controls).map_err(|error| StoreError::Refused(error.to_string()))?;
        self.store().put_state(self.key(), "controls", &value).await.map(|_| ())
    }

    /// What the status says of a refusal: what serves keeps serving.
    pub(super) fn refuse(status: &mut Status, refused: &ReconcileError, now: Micros) {
        status.set(ConditionKind::Ready, ConditionStatus::False, refused.reason, &refused.message, now);
        status.clear(ConditionKind::Reconciling);
        if refused.stalled {
            status.set(ConditionKind::Stalled, ConditionStatus::True, refused.reason, &refused.message, now);
        } else {
            status.clear(ConditionKind::Stalled);
        }
    }
}
