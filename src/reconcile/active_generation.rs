//! The active generation of an environment: loaded by digest, verified, repaired, activated and served.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::task::block_in_place;

use super::active::{Active, Pointer, Work};
use super::candidate::{self, Candidate, TombstonePayload};
use super::candidate_builder::CandidateBuilder;
use super::live_generation::LiveGeneration;
use super::readiness::Problem;
use super::reason::{Reason, ReconcileError};
use super::scope::Scope;
use super::status::Status;
use super::status_log;
use crate::definition::{Id, Kind};
use crate::net;
use crate::plan::{Object, Plan, Verb};
use crate::store::manifest::Manifest;
use crate::store::{Activation, Cause, Generation, Lease, Micros, StoreError, Tombstone};
use crate::text::Digest;

/// Generations that are tried if the active one cannot be read.
const MAX_FALLBACKS: u32 = 20;
/// Time that a removed definition can be restored, in seconds.
const DEFAULT_UNDO_SECONDS: u64 = 7 * 24 * 3600;

/// A request to activate a candidate.
#[derive(Clone, Debug)]
pub(super) struct ActivationRequest {
    pub(super) cause: Cause,
    pub(super) actor: String,
    pub(super) revisions: BTreeMap<String, String>,
}

/// The generation of an environment that this process serves, and the number of the active one.
#[derive(Debug)]
pub(super) struct ActiveGeneration {
    pointer: Pointer,
    /// The generation that serves, for the heartbeat.
    serving: Arc<ArcSwapOption<Generation>>,
    live: Option<LiveGeneration>,
    /// Number of the active generation, which the next one replaces; 0 before the first one.
    number: u64,
    unreadable: bool,
    /// The problems of the generation that serves, as reported in the log.
    problems: Vec<Problem>,
    /// Notified when a call needs a secret that cannot be resolved.
    failed: Arc<Notify>,
}

impl ActiveGeneration {
    /// Serves nothing yet; `pointer` and `serving` are updated with each generation that serves. `failed` is notified when
    /// a call needs a secret that cannot be resolved.
    pub(super) fn new(
        pointer: Pointer,
        serving: Arc<ArcSwapOption<Generation>>,
        failed: Arc<Notify>,
    ) -> ActiveGeneration {
        ActiveGeneration { pointer, serving, live: None, number: 0, unreadable: false, problems: Vec::new(), failed }
    }

    /// The generation that serves.
    pub(super) fn live(&self) -> Option<&LiveGeneration> {
        self.live.as_ref()
    }

    /// True if the active generation cannot be read, so that an earlier one serves.
    pub(super) fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// The manifest of the generation that serves.
    pub(super) fn manifest(&self) -> Option<&Arc<Manifest>> {
        self.live.as_ref().map(|live| &live.candidate.manifest)
    }

    /// The revisions that serve.
    pub(super) fn revisions(&self) -> BTreeMap<String, String> {
        self.live.as_ref().map(|live| live.generation.revisions.clone()).unwrap_or_default()
    }

    /// The runtime that serves.
    pub(super) fn runtime(&self) -> Option<Arc<Active>> {
        self.pointer.load()
    }

    /// Takes over the places of declarations from a candidate with the same definitions. A later plan then shows where they
    /// were declared last, as a comparison of two revisions does.
    pub(super) fn update_places(&mut self, candidate: &Candidate) {
        let Some(live) = &mut self.live else { return };
        let known = &live.candidate.inventory;
        let is_same = |(id, object): (&Id, &Arc<Object>)| {
            known.get(id).is_some_and(|known| Arc::ptr_eq(known, object) || known.place == object.place)
        };
        if candidate.inventory.iter().all(is_same) {
            return;
        }
        let inventory = candidate.inventory.clone();
        live.candidate = Arc::new(Candidate { inventory, ..Candidate::clone(&live.candidate) });
    }

    /// Describes the generation that serves in a status.
    pub(super) fn describe(&self, scope: &Scope, status: &mut Status) {
        scope.key().clone_into(&mut status.environment);
        let Some(live) = &self.live else { return };
        status.generation = live.generation.number;
        status.digest = Some(live.generation.digest);
        status.applied_at = live.generation.at;
        status.definitions = live.candidate.inventory.len();
    }

    /// Loads the active generation unless it serves already. If it cannot be read, the newest readable one serves, and
    /// the next activation replaces the broken one.
    ///
    /// # Errors
    /// The store cannot be read, or the generation cannot be compiled.
    pub(super) async fn load(
        &mut self,
        scope: &Scope,
        builder: &mut CandidateBuilder,
        shown_under: &str,
    ) -> Result<(), ReconcileError> {
        let Some(generation) = scope.store().active(scope.key()).await? else {
            return Ok(());
        };
        self.number = generation.number;
        if let Some(live) = &self.live
            && live.generation.number == generation.number
            && live.generation.digest == generation.digest
        {
            if !self.unreadable {
                scope.store().report_replica(&scope.context.replica, scope.key(), &generation).await?;
            }
            return Ok(());
        }
        match restore(scope, builder, &generation, shown_under).await {
            Ok(candidate) => {
                self.unreadable = false;
                self.swap(scope, builder, candidate, generation.clone())?;
            }
            Err(StoreError::Corrupt { digest, problem }) => {
                tracing::error!(
                    environment = scope.key(), generation = generation.number, %digest, problem,
                    "the active generation cannot be read and is rebuilt from the sources"
                );
                self.unreadable = true;
                return self.fall_back(scope, builder, &generation, shown_under).await;
            }
            Err(error) => return Err(error.into()),
        }
        tracing::info!(
            environment = scope.key(), generation = generation.number, digest = %generation.digest.short(),
            "the active generation is loaded"
        );
        scope.store().report_replica(&scope.context.replica, scope.key(), &generation).await?;
        Ok(())
    }

    /// Serves the newest readable generation before `broken`, unless something serves already.
    async fn fall_back(
        &mut self,
        scope: &Scope,
        builder: &mut CandidateBuilder,
        broken: &Generation,
        shown_under: &str,
    ) -> Result<(), ReconcileError> {
        if self.live.is_some() {
            return Ok(());
        }
        for earlier in scope.store().history(scope.key(), Some(broken.number), MAX_FALLBACKS).await? {
            if let Ok(candidate) = restore(scope, builder, &earlier, shown_under).await {
                return self.swap(scope, builder, candidate, earlier);
            }
        }
        Ok(())
    }

    /// Verifies the stored objects of the active generation, and writes those again that are damaged.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(super) async fn verify(&self, scope: &Scope) -> Result<(), ReconcileError> {
        let Some(live) = &self.live else { return Ok(()) };
        match candidate::stored(scope.store(), live.generation.digest).await {
            Ok(_) => Ok(()),
            Err(StoreError::Corrupt { .. }) => {
                scope.metrics().drift_detected(scope.key());
                repair(scope, &live.candidate).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stores a candidate, activates it and serves it: in this order, so that a crash at any point leaves either the old
    /// generation or the new one. `active` is the compiled candidate, so that nothing is written that cannot be compiled.
    ///
    /// # Errors
    /// It cannot be stored, another generation became active ([`Reason::Stale`]), or the lease was lost
    /// ([`Reason::Fenced`]).
    pub(super) async fn activate(
        &mut self,
        scope: &Scope,
        active: Active,
        candidate: Arc<Candidate>,
        plan: &Plan,
        request: ActivationRequest,
        lease: Option<&Lease>,
    ) -> Result<Generation, ReconcileError> {
        let store = scope.store();
        store.put_objects(&candidate.objects).await?;
        let candidate = candidate.stored();
        let (tombstones, restored) = self.tombstones(scope, plan);
        let activation = Activation {
            environment: scope.key().to_owned(),
            expected: self.number,
            digest: candidate.digest,
            revisions: request.revisions,
            cause: request.cause,
            actor: request.actor,
            plan: Some(plan.digest),
            summary: serde_json::to_value(plan.summary).unwrap_or_default(),
            tombstones,
            restored,
        };
        let generation = store.activate(&activation, lease).await?;
        (self.number, self.unreadable) = (generation.number, false);
        self.serve(scope, active, candidate, generation.clone());
        // The generation is live, even if the report fails.
        if let Err(error) = store.report_replica(&scope.context.replica, scope.key(), &generation).await {
            tracing::warn!(environment = scope.key(), %error, "reporting the served generation failed");
        }
        Ok(generation)
    }

    /// Compiles a stored candidate and serves it.
    fn swap(
        &mut self,
        scope: &Scope,
        builder: &mut CandidateBuilder,
        candidate: Arc<Candidate>,
        generation: Generation,
    ) -> Result<(), ReconcileError> {
        let active = self.compile(scope, builder, &candidate)?;
        self.serve(scope, active, candidate, generation);
        Ok(())
    }

    /// Compiles a candidate.
    ///
    /// # Errors
    /// A definition cannot be compiled.
    pub(super) fn compile(
        &self,
        scope: &Scope,
        builder: &mut CandidateBuilder,
        candidate: &Candidate,
    ) -> Result<Active, ReconcileError> {
        let failed = |message: String| ReconcileError::stalled(Reason::CompileFailed, message);
        let context = &scope.context;
        let before = self.pointer.load();
        let mut runtime = block_in_place(|| {
            let before = before.as_ref().map(|before| &*before.runtime);
            candidate.compile(scope.name(), context.identities.as_ref(), before)
        })
        .map_err(failed)?;
        scope.key().clone_into(&mut runtime.environment);
        let vault = Arc::make_mut(&mut runtime.vault);
        vault.failed = Some(Arc::clone(&self.failed));
        if let Some(cluster) = &context.source_context.cluster {
            vault.cluster = Some(cluster.secrets(&scope.document));
        }
        builder.count_compiled(&runtime);
        // A client is kept with its connections while it may reach the same.
        let client = match before.as_ref().filter(|before| before.runtime.egress == runtime.egress) {
            Some(before) => before.client.clone(),
            None => super::policy(&runtime.egress, context.allow_loopback)
                .and_then(|policy| Ok(net::Client::new(policy)?))
                .map_err(|error| failed(format!("{error:#}")))?,
        };
        let asset = |path: &str| candidate.assets.get(path).map(|bytes| bytes.to_vec());
        let work = block_in_place(|| {
            Work::compile(&candidate.validated.catalog, &asset, before.as_ref().map(|before| &before.work))
        })
        .map_err(failed)?;
        Ok(Active {
            work,
            runtime: Arc::new(runtime),
            client,
            limiter: Arc::clone(&context.limiter),
            validated: Arc::clone(&candidate.validated),
            current: true,
            number: 0,
            revisions: BTreeMap::new(),
        })
    }

    fn serve(&mut self, scope: &Scope, mut active: Active, candidate: Arc<Candidate>, generation: Generation) {
        active.number = generation.number;
        active.revisions.clone_from(&generation.revisions);
        self.pointer.store(active);
        self.serving.store(Some(Arc::new(generation.clone())));
        if let Some(active) = self.pointer.load() {
            self.problems = status_log::report_problems(scope.key(), &active, std::mem::take(&mut self.problems));
        }
        let (metrics, key) = (scope.metrics(), scope.key());
        metrics.generation(key, generation.number);
        metrics.replica_generation(key, generation.number);
        for kind in Kind::ALL {
            let count = candidate.inventory.keys().filter(|id| id.kind == kind).count();
            metrics.definitions(key, kind, count);
        }
        self.live = Some(LiveGeneration { generation, candidate });
    }

    /// Tombstones of the definitions that a plan removes, and the definitions whose tombstones its creations end.
    fn tombstones(&self, scope: &Scope, plan: &Plan) -> (Vec<Tombstone>, Vec<Id>) {
        let window = scope.document.spec.sync.prune.undo_window;
        let window = window.map_or(DEFAULT_UNDO_SECONDS, |window| window.0.as_secs());
        let window = Micros::try_from(window).unwrap_or(i64::MAX / 1_000_000).saturating_mul(1_000_000);
        let (mut removed, mut created) = (Vec::new(), Vec::new());
        for action in &plan.actions {
            match (action.action, &self.live) {
                (Verb::Delete, Some(live)) => {
                    let payload = live.item(&action.id).map(|item| TombstonePayload::of(item, &live.candidate));
                    removed.push(Tombstone {
                        id: action.id.to_string(),
                        item: payload.and_then(|payload| serde_json::to_value(payload).ok()).unwrap_or_default(),
                        generation: live.generation.number,
                        at: 0,
                        window,
                    });
                }
                (Verb::Create, _) => created.push(action.id.clone()),
                _ => {}
            }
        }
        (removed, created)
    }
}

async fn restore(
    scope: &Scope,
    builder: &mut CandidateBuilder,
    generation: &Generation,
    shown_under: &str,
) -> Result<Arc<Candidate>, StoreError> {
    let (manifest, contents) = candidate::stored(scope.store(), generation.digest).await?;
    builder.restore(scope.name(), &manifest, &contents, shown_under)
}

/// Writes the objects of a candidate that the store lost or damaged.
async fn repair(scope: &Scope, candidate: &Candidate) -> Result<(), ReconcileError> {
    let mut manifest = Manifest::clone(&candidate.manifest);
    let (_, mut objects) = manifest.encode(None)?;
    for entry in &candidate.validated.catalog.entries {
        for document in std::iter::once(&entry.origin.base).chain(&entry.origin.patches) {
            objects.push((Digest::of(&document.bytes), document.bytes.to_vec()));
        }
    }
    objects.extend(candidate.assets.values().map(|bytes| (Digest::of(bytes), bytes.to_vec())));
    objects.sort();
    objects.dedup();
    let repaired = scope.store().put_objects(&objects).await?;
    tracing::warn!(environment = scope.key(), repaired, "damaged objects of the active generation were written again");
    Ok(())
}
