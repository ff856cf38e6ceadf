//! The actor of one environment: it performs the IO that [`super::decide`] decides on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use super::active::{Active, Pointer};
use super::active_generation::{ActivationRequest, ActiveGeneration};
use super::candidate::Candidate;
use super::candidate_builder::CandidateBuilder;
use super::clock::now;
use super::context::Context;
use super::decide::{Decision, Desired, Now, Observed, Stage, decide};
use super::document::EnvironmentDocument;
use super::drift_backoff::DriftBackoff;
use super::heartbeat::Heartbeat;
use super::leadership::Leadership;
use super::live_generation::LiveGeneration;
use super::propose::{Proposed, Proposer};
use super::reason::ReconcileError;
use super::retention::Retention;
use super::schedule::Schedule;
use super::scope::Scope;
use super::secret_monitor::SecretMonitor;
use super::source_reader::SourceReader;
use super::sources::MergedSources;
use super::status::{Controls, Status};
use super::status_writer::StatusWriter;
use super::store_inbox::StoreInbox;
use super::view::EnvironmentView;
use crate::definition::Id;
use crate::plan::Plan;
use crate::store::{Generation, Lease, StoreError};
use crate::text::Digest;

/// State that a reconciler publishes for other tasks of the process.
#[derive(Debug)]
pub(super) struct Outputs {
    /// The generation that serves, for calls.
    pub(super) pointer: Pointer,
    /// The generation that serves, for the heartbeat to other processes.
    pub(super) serving: Arc<ArcSwapOption<Generation>>,
    /// The status.
    pub(super) status: watch::Sender<Arc<Status>>,
    /// Manifest, findings and document.
    pub(super) view: Arc<ArcSwap<EnvironmentView>>,
    /// Sign of life.
    pub(super) heartbeat: Arc<Heartbeat>,
}

/// The reconciler of one environment.
#[derive(Debug)]
pub struct Reconciler {
    pub(super) scope: Scope,
    pub(super) active: ActiveGeneration,
    pub(super) builder: CandidateBuilder,
    pub(super) sources: SourceReader,
    pub(super) leadership: Leadership,
    pub(super) status: StatusWriter,
    pub(super) inbox: StoreInbox,
    pub(super) backoff: DriftBackoff,
    pub(super) schedule: Schedule,
    pub(super) retention: Retention,
    pub(super) secrets: SecretMonitor,
    pub(super) heartbeat: Arc<Heartbeat>,
}

impl Reconciler {
    /// A reconciler before its first pass.
    pub(super) fn new(context: Arc<Context>, document: EnvironmentDocument, outputs: Outputs) -> Reconciler {
        let secrets = SecretMonitor::default();
        Reconciler {
            scope: Scope { context, document, document_error: None },
            active: ActiveGeneration::new(outputs.pointer, outputs.serving, secrets.failed()),
            builder: CandidateBuilder::default(),
            sources: SourceReader::new(),
            leadership: Leadership::default(),
            status: StatusWriter::new(outputs.status, outputs.view),
            inbox: StoreInbox::default(),
            backoff: DriftBackoff::default(),
            schedule: Schedule::default(),
            retention: Retention::new(),
            secrets,
            heartbeat: outputs.heartbeat,
        }
    }

    /// Takes a changed Environment document up. `error`: errors of a newer one, which is not in effect.
    pub(super) fn update_document(&mut self, document: &EnvironmentDocument, error: Option<String>) {
        if self.scope.document.document != document.document {
            self.scope.document = document.clone();
            self.sources.reset();
        }
        self.scope.document_error = error;
    }

    /// Publishes manifest, findings and document to readers.
    pub(super) fn publish_view(&self) {
        self.status.publish_view(&self.scope, self.active.manifest(), self.sources.shown_under());
    }

    /// Loads the active generation unless it serves already.
    pub(super) async fn load_active(&mut self) -> Result<(), ReconcileError> {
        let shown_under = self.sources.shown_under();
        self.active.load(&self.scope, &mut self.builder, &shown_under).await
    }

    /// Decides the next step of a pass.
    pub(super) fn decide(&self, status: &Status, stage: Stage<'_>, controls: &Controls) -> Decision {
        let spec = &self.scope.document.spec;
        let desired = Desired { suspend: spec.suspend, mode: spec.sync.mode, stage };
        decide(&self.observed(status), &desired, controls, Now { wall: now(), monotonic: Instant::now() })
    }

    /// The environment as this process observes it.
    pub(super) fn observed<'a>(&'a self, status: &'a Status) -> Observed<'a> {
        let live = self.active.live();
        Observed {
            key: self.scope.key(),
            generation: live.map(|live| &live.generation),
            document: live.and_then(|live| live.digest_of(&self.scope.own_id())),
            unreadable: self.active.is_unreadable(),
            last_applied: &status.last_applied,
            overrides: live.map(LiveGeneration::overrides).unwrap_or_default(),
            backoff: &self.backoff,
        }
    }

    /// Validates fetched sources and plans them against the live generation.
    pub(super) async fn propose(&mut self, merged: &MergedSources, approved: Option<Digest>) -> Proposed {
        self.propose_without(merged, approved, None, &BTreeSet::new()).await
    }

    /// As [`Reconciler::propose`], as if the override `ended` had ended; holds definitions that are valid and cannot work.
    pub(super) async fn propose_without(
        &mut self,
        merged: &MergedSources,
        approved: Option<Digest>,
        ended: Option<&Id>,
        unready: &BTreeSet<Id>,
    ) -> Proposed {
        let removed = match self.removed().await {
            Ok(removed) => removed,
            Err(error) => return Proposed { validated: None, result: Err(error.into()) },
        };
        let proposer = Proposer {
            scope: &self.scope,
            builder: &mut self.builder,
            live: self.active.live(),
            sources: self.sources.sources(),
            merged,
            removed: &removed,
            ended,
            unready,
        };
        proposer.propose(approved, now())
    }

    /// Identities of definitions that were removed and can still be restored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn removed(&self) -> Result<BTreeMap<Id, String>, StoreError> {
        let tombstones = self.scope.store().tombstones(self.scope.key()).await?;
        let identity = |payload: &serde_json::Value| Some(payload.pointer("/item/uid")?.as_str()?.to_owned());
        let known = tombstones.iter().filter_map(|stone| Some((stone.id.parse().ok()?, identity(&stone.item)?)));
        Ok(known.collect())
    }

    /// Stores a candidate, activates it and serves it; `compiled` is the compiled candidate.
    ///
    /// # Errors
    /// As [`ActiveGeneration::activate`].
    pub(super) async fn activate(
        &mut self,
        candidate: Arc<Candidate>,
        compiled: Active,
        plan: &Plan,
        request: ActivationRequest,
        lease: Option<&Lease>,
    ) -> Result<Generation, ReconcileError> {
        let scope = &self.scope;
        let generation = self.active.activate(scope, compiled, candidate, plan, request, lease).await?;
        tracing::info!(
            environment = scope.key(), generation = generation.number, digest = %generation.digest.short(),
            cause = generation.cause.as_str(), actor = generation.actor, revisions = ?generation.revisions,
            since_fetch_ms = self.sources.since_fetch().as_micros() as f64 / 1000.0, "a generation is live"
        );
        Ok(generation)
    }
}
