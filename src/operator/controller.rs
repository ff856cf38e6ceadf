//! The control loop: applies changes of the cluster to environments, and writes statuses back.
//!
//! ```text
//! resources ────changed────► Environment: start, update or stop; definition: reconcile the Environments that select it
//! environments ─reconciled─► verdicts of all their definitions ──► status_writer
//! ```
//!
//! Every process watches Environments and serves them; only the leader writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::cluster::ClusterReader;
use super::document::{self, deletion_policy};
use super::finalizer;
use super::names::{display_name, environment_name, namespace_of, resource_key};
use super::resources::{Change, Key, Resource, Resources};
use super::secrets::{SecretKey, Secrets};
use super::selection::Selection;
use super::status::{self, DefinitionObserver, EnvironmentContext, ObservedDefinition, Verdict};
use super::status_writer::StatusWriter;
use super::tenancy::{self, Permissions};
use crate::definition::Kind;
use crate::definition::environment::DeletionPolicy;
use crate::reconcile::document::EnvironmentDocument;
use crate::reconcile::environments::Environments;

/// Interval at which all resources are processed without a change.
const RESYNC_INTERVAL: Duration = Duration::from_mins(5);

/// The controller and its dependencies.
pub struct Controller {
    /// The API server.
    pub client: Client,
    /// Environments and definitions of the cluster.
    pub resources: Arc<Resources>,
    /// Values of Secrets.
    pub secrets: Arc<Secrets>,
    /// Running environments.
    pub environments: Environments,
    /// Queue of statuses.
    pub writer: Arc<StatusWriter>,
    /// Access to the cluster by tenancy.
    pub reader: Arc<ClusterReader>,
    /// Labels of the Environments of this process; empty for all.
    pub shard: BTreeMap<String, String>,
    /// True while this process leads.
    pub leads: watch::Receiver<bool>,
}

/// A running Environment.
#[derive(Debug)]
struct TrackedEnvironment {
    /// `metadata.generation` of the applied spec.
    generation: i64,
    document: EnvironmentDocument,
    selections: Vec<Selection>,
    observed: HashMap<Key, ObservedDefinition>,
    context: EnvironmentContext,
    /// Value of the annotation that requests a reconciliation, and the number of reconciliations before it.
    requested: Option<(String, u64)>,
    handled: Option<String>,
    _forwards: JoinSet<()>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").field("environments", &self.environments).finish_non_exhaustive()
    }
}

impl Controller {
    /// Runs until the process ends.
    pub async fn run(self) {
        let (sender, mut reconciled) = mpsc::channel(1024);
        let mut state =
            State { tracked: BTreeMap::new(), refused: BTreeMap::new(), digests: BTreeMap::new(), reconciled: sender };
        let mut leads = self.leads.clone();
        let mut resync = tokio::time::interval(RESYNC_INTERVAL);
        resync.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.resources.changes() => {
                    if !self.resources.is_listed() {
                        // An incomplete cluster is not applied; changes until then are part of the complete one.
                        continue;
                    }
                    if self.environments.complete.load(Ordering::Acquire) {
                        self.apply_changes(&mut state, changed).await;
                    } else {
                        self.resync(&mut state).await;
                        self.environments.complete.store(true, Ordering::Release);
                    }
                }
                users = self.secrets.changes() => {
                    for name in users {
                        if let Some(handle) = self.environments.find(Some(&name)) {
                            handle.reconcile_soon();
                        }
                    }
                }
                Some(name) = reconciled.recv() => self.handle_reconciled(&mut state, &name),
                changed = leads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if *leads.borrow() && self.environments.complete.load(Ordering::Acquire) {
                        self.resync(&mut state).await;
                    }
                    // The previous leader may have left work undone; a process that lost the lease must follow the new leader.
                    for handle in self.environments.all.load().values() {
                        handle.reconcile_soon();
                    }
                }
                _ = resync.tick() => {
                    if self.environments.complete.load(Ordering::Acquire) {
                        self.resync(&mut state).await;
                    }
                }
            }
        }
    }

    /// Applies all Environments and updates every status.
    async fn resync(&self, state: &mut State) {
        let all: BTreeMap<Key, Change> =
            self.resources.all(|_| true).iter().map(|resource| (resource.key.clone(), Change::Metadata)).collect();
        let gone: Vec<String> =
            state.tracked.keys().filter(|name| !all.contains_key(&resource_key(name))).cloned().collect();
        for name in gone {
            self.stop_environment(state, &name);
        }
        self.apply_changes(state, all).await;
    }

    async fn apply_changes(&self, state: &mut State, changed: BTreeMap<Key, Change>) {
        let mut affected = BTreeSet::new();
        for (key, change) in &changed {
            if key.kind == Kind::Environment {
                self.apply_environment(state, key).await;
            }
            if *change == Change::Content {
                let reads =
                    |tracked: &TrackedEnvironment| tracked.selections.iter().any(|selection| selection.touches(key));
                affected
                    .extend(state.tracked.iter().filter(|(_, tracked)| reads(tracked)).map(|(name, _)| name.clone()));
            }
        }
        for name in &affected {
            if let Some(handle) = self.environments.find(Some(name)) {
                handle.reconcile_soon();
            }
        }
        for (key, change) in &changed {
            match (self.resources.get(key), key.kind) {
                (None, _) => self.writer.forget(key),
                (Some(_), Kind::Environment) => self.update_environment_status(state, key),
                (Some(resource), _) => self.update_definition_status(state, &resource, *change == Change::Content),
            }
        }
    }

    /// Starts, updates or stops an Environment, after its resource.
    async fn apply_environment(&self, state: &mut State, key: &Key) {
        let name = environment_name(key);
        let resource = self.resources.get(key).filter(|resource| self.is_in_shard(resource));
        let Some(resource) = resource else {
            state.refused.remove(&name);
            return self.stop_environment(state, &name);
        };
        if resource.deleting {
            return self.delete_environment(state, &resource).await;
        }
        let applied = state.tracked.get(&name).map(|tracked| tracked.generation);
        let same = applied == Some(resource.generation)
            && state.tracked.get(&name).is_some_and(|tracked| {
                // Labels and annotations are part of the document, but do not change the generation.
                tracked.document.document.path == resource.file.path && state.digest_of(&name) == Some(resource.digest)
            });
        if !same {
            match self.update_environment(state, &name, &resource).await {
                Ok(()) => drop(state.refused.remove(&name)),
                Err(verdict) => drop(state.refused.insert(name.clone(), *verdict)),
            }
        }
        if *self.leads.borrow() {
            finalizer::ensure(&self.client, &resource, deletion_policy(&resource) == DeletionPolicy::Delete).await;
        }
        let Some(tracked) = state.tracked.get_mut(&name) else { return };
        let handled = resource.status["lastHandledReconcileAt"].as_str();
        let is_new = |value: &String| tracked.requested.as_ref().is_none_or(|(requested, _)| requested != value);
        if tracked.handled.is_none() {
            tracked.handled = handled.map(str::to_owned);
        }
        let requested = resource.requested_at.clone().filter(|value| handled != Some(value) && is_new(value));
        if let (Some(value), Some(handle)) = (requested, self.environments.find(Some(&name))) {
            tracked.requested = Some((value, *handle.passes.borrow()));
            handle.reconcile_soon();
        }
    }

    /// Starts an Environment or replaces its document.
    ///
    /// # Errors
    /// Fails with the verdict for its status if it is invalid or not permitted.
    async fn update_environment(&self, state: &mut State, name: &str, resource: &Resource) -> Result<(), Box<Verdict>> {
        let namespace = &resource.key.namespace;
        let forbidden = |message: String| Box::new(status::refused("Forbidden", message));
        let permissions = self.reader.tenancy.permissions(namespace).map_err(forbidden)?;
        let document = document::read(name, resource)?;
        let spec = permissions.narrow(namespace, &document.spec).map_err(forbidden)?;
        let document = document::with_effective_spec(document, spec);
        let account = permissions.account(&document.spec);
        self.secrets.watch(name, used_secrets(namespace, account, &document, &permissions)).await;
        let sources = tenancy::sources(&document.spec).into_iter();
        let cluster_sources = sources.filter(|source| source.git.is_none() && source.directory.is_none());
        let selections: Vec<Selection> = cluster_sources
            .map(|source| {
                let cluster = source.cluster.unwrap_or_default();
                Selection::new(namespace, &document.spec, &cluster, permissions.clone())
            })
            .collect();
        self.environments.update(vec![document.clone()]);
        state.digests.insert(name.to_owned(), resource.digest);
        if let Some(tracked) = state.tracked.get_mut(name) {
            (tracked.generation, tracked.document, tracked.selections) = (resource.generation, document, selections);
            return Ok(());
        }
        let mut forwards = JoinSet::new();
        if let Some(handle) = self.environments.find(Some(name)) {
            let (sender, name, mut looks) = (state.reconciled.clone(), name.to_owned(), handle.passes.clone());
            forwards.spawn(
                async move { while looks.changed().await.is_ok() && sender.send(name.clone()).await.is_ok() {} },
            );
        }
        let tracked = TrackedEnvironment {
            generation: resource.generation,
            document,
            selections,
            observed: HashMap::new(),
            context: EnvironmentContext::default(),
            requested: None,
            handled: None,
            _forwards: forwards,
        };
        state.tracked.insert(name.to_owned(), tracked);
        Ok(())
    }

    /// True if the resource has the labels of this process's shard.
    fn is_in_shard(&self, resource: &Resource) -> bool {
        self.shard.iter().all(|(key, value)| resource.labels.get(key) == Some(value))
    }

    /// Stops an Environment; its stored generations stay.
    fn stop_environment(&self, state: &mut State, name: &str) {
        state.digests.remove(name);
        let Some(tracked) = state.tracked.remove(name) else { return };
        tracing::info!(environment = name, "environment stopped: its resource is deleted");
        self.environments.remove(name);
        self.secrets.unwatch(name);
        for key in tracked.observed.keys() {
            if let Some(resource) = self.resources.get(key) {
                self.update_definition_status(state, &resource, false);
            }
        }
    }

    /// Stops a deleted Environment, and removes its stored generations unless its deletion policy is `Orphan`.
    async fn delete_environment(&self, state: &mut State, resource: &Resource) {
        let name = environment_name(&resource.key);
        self.stop_environment(state, &name);
        if !*self.leads.borrow() || !finalizer::is_set(resource) {
            return;
        }
        if deletion_policy(resource) == DeletionPolicy::Delete
            && let Err(error) = self.environments.context.store.remove_environment(&name).await
        {
            // The finalizer stays, so that the removal is retried.
            tracing::warn!(environment = name, %error, "failed to remove the stored generations");
            return;
        }
        finalizer::ensure(&self.client, resource, false).await;
    }

    /// Updates the statuses of an Environment and its definitions after a reconciliation.
    fn handle_reconciled(&self, state: &mut State, name: &str) {
        let Some(handle) = self.environments.find(Some(name)) else { return };
        let view = handle.view.load_full();
        let context = EnvironmentContext::new(&handle.status.borrow());
        let Some(tracked) = state.tracked.get_mut(name) else { return };
        if let Some((value, _)) = tracked.requested.take_if(|(_, looks)| *handle.passes.borrow() > *looks) {
            tracked.handled = Some(value);
        }
        let observer = DefinitionObserver::new(&view);
        let selected =
            self.resources.all(|resource| tracked.selections.iter().any(|selection| selection.has(resource)));
        let mut observed = HashMap::with_capacity(selected.len());
        let mut changed: Vec<Arc<Resource>> = Vec::new();
        for resource in selected {
            let now = observer.observe(&resource);
            let same = tracked.observed.remove(&resource.key).is_some_and(|before| before == now);
            // The status of a definition that is not live contains the state of its Environment.
            if !same || (!now.live && tracked.context != context) {
                changed.push(Arc::clone(&resource));
            }
            observed.insert(resource.key.clone(), now);
        }
        changed.extend(tracked.observed.keys().filter_map(|deselected| self.resources.get(deselected)));
        (tracked.observed, tracked.context) = (observed, context);
        for resource in changed {
            self.update_definition_status(state, &resource, false);
        }
        self.update_environment_status(state, &resource_key(name));
    }

    /// Queues the status of a definition. One whose content just changed gets its status after the next reconciliation.
    fn update_definition_status(&self, state: &State, resource: &Resource, content_changed: bool) {
        let selecting = state
            .tracked
            .iter()
            .filter(|(_, tracked)| tracked.selections.iter().any(|selection| selection.has(resource)));
        let mut all = BTreeMap::new();
        for (name, tracked) in selecting {
            let Some(observed) = tracked.observed.get(&resource.key).filter(|_| !content_changed) else { return };
            let name = display_name(name, &resource.key.namespace);
            all.insert(name, (observed.clone(), tracked.context.clone()));
        }
        if resource.deleting || (all.is_empty() && !self.shard.is_empty()) {
            return;
        }
        // The content changed during the reconciliation: the next one is requested already.
        if all.values().any(|(observed, context)| !observed.current && context.ready.0) {
            return;
        }
        self.writer.put(resource.key.clone(), status::of_definition(resource, &all));
    }

    fn update_environment_status(&self, state: &State, key: &Key) {
        let name = environment_name(key);
        if let Some(verdict) = state.refused.get(&name) {
            return self.writer.put(key.clone(), verdict.clone());
        }
        let (Some(tracked), Some(handle)) = (state.tracked.get(&name), self.environments.find(Some(&name))) else {
            return;
        };
        let Some(resource) = self.resources.get(key).filter(|resource| !resource.deleting) else { return };
        let view = handle.view.load();
        let reconciled = view.document.as_ref().is_some_and(|given| given.bytes == tracked.document.document.bytes);
        let observed = reconciled && tracked.generation == resource.generation;
        let mut problems = self.missing_secrets(&name, tracked);
        if let Some(problem) = self.resources.problem() {
            problems.insert(0, json!({"code": "WatchBroken", "severity": "warning", "message": problem}));
        }
        let verdict =
            status::of_environment(&handle.status.borrow(), &view, observed, &problems, tracked.handled.as_deref());
        self.writer.put(key.clone(), verdict);
    }

    /// Warnings for the Secrets of an Environment that cannot be read.
    fn missing_secrets(&self, name: &str, tracked: &TrackedEnvironment) -> Vec<Value> {
        let namespace = namespace_of(name);
        let Ok(permissions) = self.reader.tenancy.permissions(namespace) else { return Vec::new() };
        let account = permissions.account(&tracked.document.spec);
        let secrets = tracked.document.spec.secrets.iter();
        let missing = secrets.filter_map(|(secret, source)| {
            let reference = source.kubernetes.as_ref()?;
            let (name, account) = (reference.name.clone(), account.clone());
            let key = SecretKey { namespace: namespace.to_owned(), name, account };
            let problem = self.secrets.value(&key, &reference.key).err()?;
            Some(json!({
                "code": "SecretUnavailable", "severity": "warning", "message": format!("secret `{secret}`: {problem}"),
                "pointer": format!("/spec/secrets/{secret}/kubernetes")
            }))
        });
        missing.collect()
    }
}

/// Environments that the controller knows.
#[derive(Debug)]
struct State {
    tracked: BTreeMap<String, TrackedEnvironment>,
    /// Verdicts of Environments that cannot run.
    refused: BTreeMap<String, Verdict>,
    digests: BTreeMap<String, crate::text::Digest>,
    /// Receives the names of reconciled Environments.
    reconciled: mpsc::Sender<String>,
}

impl State {
    fn digest_of(&self, name: &str) -> Option<crate::text::Digest> {
        self.digests.get(name).copied()
    }
}

/// Kubernetes Secrets that an Environment may use and does.
fn used_secrets(
    namespace: &str,
    account: Option<String>,
    environment: &EnvironmentDocument,
    permissions: &Permissions,
) -> BTreeSet<SecretKey> {
    let references = environment.spec.secrets.values().filter_map(|source| source.kubernetes.as_ref());
    let allowed = references.filter(|reference| permissions.allows_secret(&reference.name));
    let key =
        |name: &str| SecretKey { namespace: namespace.to_owned(), name: name.to_owned(), account: account.clone() };
    allowed.map(|reference| key(&reference.name)).collect()
}
