//! The loop: from what changed in the cluster to environments that follow it, and back to statuses.
//!
//! ```text
//! resources ──changed──► Environment: take up, end        definition: hint to those that have it
//! environments ──looked──► verdicts of everything in them ──► writer
//! ```
//!
//! All processes follow Environments and serve; only whoever leads writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::cluster::{Reader, namespace_of};
use super::document;
use super::resources::{Change, Key, Resource, Resources, api};
use super::secrets::{SecretKey, Secrets};
use super::source::Selection;
use super::status::{self, EnvironmentContext, ObservedDefinition, Seen, Verdict};
use super::status_writer::{MANAGER, Writer};
use super::tenancy::{self, Allowed};
use crate::definition::Kind;
use crate::definition::crd::FINALIZER;
use crate::definition::environment::DeletionPolicy;
use crate::reconcile::document::EnvironmentDocument;
use crate::reconcile::environments::Environments;

/// Time after which everything is looked at again, whether anything said so or not.
const RESYNC: Duration = Duration::from_mins(5);

/// What the loop works with.
pub struct Controller {
    /// The API server.
    pub client: Client,
    /// What is there.
    pub resources: Arc<Resources>,
    /// Values of Secrets.
    pub secrets: Arc<Secrets>,
    /// What runs.
    pub environments: Environments,
    /// Where statuses go.
    pub writer: Arc<Writer>,
    /// What namespaces may do.
    pub reader: Arc<Reader>,
    /// Labels of the Environments that are taken; all where empty.
    pub shard: BTreeMap<String, String>,
    /// Does this process lead?
    pub leads: watch::Receiver<bool>,
}

/// An Environment that is followed.
#[derive(Debug)]
struct Taken {
    /// The version of its resource's spec that was taken up.
    generation: i64,
    given: EnvironmentDocument,
    selections: Vec<Selection>,
    seen: HashMap<Key, Seen>,
    around: EnvironmentContext,
    /// The value of the annotation that asks for a look, and how many looks there had been.
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
        let (tell, mut looked) = mpsc::channel(1024);
        let mut state = State { taken: BTreeMap::new(), refused: BTreeMap::new(), digests: BTreeMap::new(), tell };
        let mut leads = self.leads.clone();
        let mut resync = tokio::time::interval(RESYNC);
        resync.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.resources.changes() => {
                    if !self.resources.is_filled() {
                        // Half a cluster is none: what was told so far is looked at when everything is there.
                        continue;
                    }
                    if self.environments.complete.load(Ordering::Acquire) {
                        self.changed(&mut state, changed).await;
                    } else {
                        self.everything(&mut state).await;
                        self.environments.complete.store(true, Ordering::Release);
                    }
                }
                users = self.secrets.changes() => {
                    for key in users {
                        if let Some(handle) = self.environments.find(Some(&key)) {
                            handle.reconcile_soon();
                        }
                    }
                }
                Some(key) = looked.recv() => self.looked(&mut state, &key),
                changed = leads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if *leads.borrow() && self.environments.complete.load(Ordering::Acquire) {
                        self.everything(&mut state).await;
                    }
                    // Whoever led before may have left something undone; whoever leads no more follows.
                    for handle in self.environments.all.load().values() {
                        handle.reconcile_soon();
                    }
                }
                _ = resync.tick() => {
                    if self.environments.complete.load(Ordering::Acquire) {
                        self.everything(&mut state).await;
                    }
                }
            }
        }
    }

    /// Takes up all Environments, and judges every resource.
    async fn everything(&self, state: &mut State) {
        let all: BTreeMap<Key, Change> = self
            .resources
            .all(|_| true)
            .iter()
            .map(|resource| (resource.key.clone(), Change::EnvironmentContext))
            .collect();
        let gone: Vec<String> =
            state.taken.keys().filter(|key| !all.contains_key(&resource_key(key))).cloned().collect();
        for key in gone {
            self.end(state, &key);
        }
        self.changed(state, all).await;
    }

    async fn changed(&self, state: &mut State, changed: BTreeMap<Key, Change>) {
        let mut hinted = BTreeSet::new();
        for (key, change) in &changed {
            if key.kind == Kind::Environment {
                self.environment(state, key).await;
            }
            if *change == Change::Content {
                let reads = |taken: &Taken| taken.selections.iter().any(|one| one.touches(key));
                hinted.extend(state.taken.iter().filter(|(_, taken)| reads(taken)).map(|(name, _)| name.clone()));
            }
        }
        for name in &hinted {
            if let Some(handle) = self.environments.find(Some(name)) {
                handle.reconcile_soon();
            }
        }
        for (key, change) in &changed {
            match (self.resources.get(key), key.kind) {
                (None, _) => self.writer.forget(key),
                (Some(_), Kind::Environment) => self.judge_environment(state, key),
                (Some(resource), _) => self.judge(state, &resource, *change == Change::Content),
            }
        }
    }

    /// Takes up an Environment resource as it is now.
    async fn environment(&self, state: &mut State, key: &Key) {
        let name = environment_key(key);
        let resource = self.resources.get(key).filter(|resource| self.is_ours(resource));
        let Some(resource) = resource else {
            state.refused.remove(&name);
            return self.end(state, &name);
        };
        if resource.deleting {
            return self.delete(state, &resource).await;
        }
        let known = state.taken.get(&name).map(|taken| taken.generation);
        let same = known == Some(resource.generation)
            && state.taken.get(&name).is_some_and(|taken| {
                // Labels and annotations are part of the document, and change no generation.
                taken.given.document.path == resource.file.path && state.digest_of(&name) == Some(resource.digest)
            });
        if !same {
            match self.take_up(state, &name, &resource).await {
                Ok(()) => drop(state.refused.remove(&name)),
                Err(verdict) => drop(state.refused.insert(name.clone(), *verdict)),
            }
        }
        if *self.leads.borrow() {
            self.keep_finalizer(&resource).await;
        }
        let Some(taken) = state.taken.get_mut(&name) else { return };
        let handled = resource.status["lastHandledReconcileAt"].as_str();
        let waits = |value: &String| taken.requested.as_ref().is_none_or(|(asked, _)| asked != value);
        if taken.handled.is_none() {
            taken.handled = handled.map(str::to_owned);
        }
        let asked = resource.requested_at.clone().filter(|value| handled != Some(value) && waits(value));
        if let (Some(value), Some(handle)) = (asked, self.environments.find(Some(&name))) {
            taken.requested = Some((value, *handle.passes.borrow()));
            handle.reconcile_soon();
        }
    }

    /// # Errors
    /// What its status says where it cannot run as it is.
    async fn take_up(&self, state: &mut State, name: &str, resource: &Resource) -> Result<(), Box<Verdict>> {
        let namespace = &resource.key.namespace;
        let forbidden = |message: String| Box::new(status::refused("Forbidden", message));
        let allowed = self.reader.tenancy.of(namespace).map_err(forbidden)?;
        let given = document::read(name, resource)?;
        let spec = allowed.narrow(namespace, &given.spec).map_err(forbidden)?;
        let given = document::narrowed(given, spec);
        let account = allowed.account(&given.spec);
        let wanted = used_secrets(namespace, account, &given, &allowed);
        self.secrets.follow(name, wanted).await;
        let selections =
            tenancy::sources(&given.spec).into_iter().filter(|one| one.git.is_none() && one.directory.is_none());
        let selections = selections
            .map(|source| Selection::new(namespace, &given.spec, &source.cluster.unwrap_or_default(), allowed.clone()));
        let selections: Vec<Selection> = selections.collect();
        self.environments.update(vec![given.clone()]);
        state.digests.insert(name.to_owned(), resource.digest);
        if let Some(taken) = state.taken.get_mut(name) {
            (taken.generation, taken.given, taken.selections) = (resource.generation, given, selections);
            return Ok(());
        }
        let mut forwards = JoinSet::new();
        if let Some(handle) = self.environments.find(Some(name)) {
            let (tell, name, mut looks) = (state.tell.clone(), name.to_owned(), handle.passes.clone());
            forwards
                .spawn(async move { while looks.changed().await.is_ok() && tell.send(name.clone()).await.is_ok() {} });
        }
        let taken = Taken {
            generation: resource.generation,
            given,
            selections,
            seen: HashMap::new(),
            around: EnvironmentContext::default(),
            requested: None,
            handled: None,
            _forwards: forwards,
        };
        state.taken.insert(name.to_owned(), taken);
        Ok(())
    }

    /// Is it for this shard?
    fn is_ours(&self, resource: &Resource) -> bool {
        self.shard.iter().all(|(key, value)| resource.labels.get(key) == Some(value))
    }

    /// Ends what runs of an Environment; what is stored of it stays.
    fn end(&self, state: &mut State, name: &str) {
        state.digests.remove(name);
        let Some(taken) = state.taken.remove(name) else { return };
        tracing::info!(environment = name, "its resource is gone: it is served no more");
        self.environments.remove(name);
        self.secrets.leave(name);
        for key in taken.seen.keys() {
            if let Some(resource) = self.resources.get(key) {
                self.judge(state, &resource, false);
            }
        }
    }

    /// An Environment resource is being deleted: what is stored of it goes with it, unless it says otherwise.
    async fn delete(&self, state: &mut State, resource: &Resource) {
        let name = environment_key(&resource.key);
        self.end(state, &name);
        if !*self.leads.borrow() || !resource.finalizers.iter().any(|one| one == FINALIZER) {
            return;
        }
        if policy_of(resource) == DeletionPolicy::Delete
            && let Err(error) = self.environments.context.store.remove_environment(&name).await
        {
            // The finalizer stays, so that it is tried again.
            tracing::warn!(environment = name, "what is stored of it cannot be removed: {error}");
            return;
        }
        self.set_finalizer(resource, false).await;
    }

    async fn keep_finalizer(&self, resource: &Resource) {
        let has = resource.finalizers.iter().any(|one| one == FINALIZER);
        let wants = policy_of(resource) == DeletionPolicy::Delete;
        if has != wants {
            self.set_finalizer(resource, wants).await;
        }
    }

    async fn set_finalizer(&self, resource: &Resource, wanted: bool) {
        let mut finalizers: Vec<&str> =
            resource.finalizers.iter().map(String::as_str).filter(|one| *one != FINALIZER).collect();
        finalizers.extend(wanted.then_some(FINALIZER));
        // The version makes sure that nobody else's finalizer is lost.
        let patch = json!({"metadata": {"resourceVersion": resource.version, "finalizers": finalizers}});
        let Key { kind, namespace, name } = &resource.key;
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patched = api(&self.client, *kind, Some(namespace)).patch(name, &params, &Patch::Merge(&patch)).await;
        match patched {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => {}
            Err(error) => tracing::warn!(resource = %resource.key, "its finalizer cannot be changed: {error}"),
        }
    }

    /// An Environment has looked: what came of it, for itself and for everything in it.
    fn looked(&self, state: &mut State, name: &str) {
        let Some(handle) = self.environments.find(Some(name)) else { return };
        let view = handle.view.load_full();
        let around = EnvironmentContext::of(&handle.status.borrow());
        let Some(taken) = state.taken.get_mut(name) else { return };
        if let Some((value, looks)) = taken.requested.take_if(|(_, looks)| *handle.passes.borrow() > *looks) {
            let _ = looks;
            taken.handled = Some(value);
        }
        let sight = ObservedDefinition::of(&view);
        let mine = self.resources.all(|resource| taken.selections.iter().any(|one| one.has(resource)));
        let mut seen = HashMap::with_capacity(mine.len());
        let mut news: Vec<Arc<Resource>> = Vec::new();
        for resource in mine {
            let now = sight.see(&resource);
            let same = taken.seen.remove(&resource.key).is_some_and(|before| before == now);
            // What an Environment says of itself matters to what is not live.
            if !same || (!now.live && taken.around != around) {
                news.push(Arc::clone(&resource));
            }
            seen.insert(resource.key.clone(), now);
        }
        news.extend(taken.seen.keys().filter_map(|left| self.resources.get(left)));
        (taken.seen, taken.around) = (seen, around);
        for resource in news {
            self.judge(state, &resource, false);
        }
        self.judge_environment(state, &resource_key(name));
    }

    /// Says what became of a definition. One that just changed is judged when somebody looked at it.
    fn judge(&self, state: &State, resource: &Resource, fresh: bool) {
        let having = state.taken.iter().filter(|(_, taken)| taken.selections.iter().any(|one| one.has(resource)));
        let mut all = BTreeMap::new();
        for (name, taken) in having {
            let Some(seen) = taken.seen.get(&resource.key).filter(|_| !fresh) else { return };
            let shown = shown(name, &resource.key.namespace);
            all.insert(shown, (seen.clone(), taken.around.clone()));
        }
        if resource.deleting || (all.is_empty() && !self.shard.is_empty()) {
            return;
        }
        // It came while the look was on its way: the next one, which was asked for, says more.
        if all.values().any(|(seen, around)| !seen.looked && around.ready.0) {
            return;
        }
        self.writer.put(resource.key.clone(), status::of_definition(resource, &all));
    }

    fn judge_environment(&self, state: &State, key: &Key) {
        let name = environment_key(key);
        if let Some(verdict) = state.refused.get(&name) {
            return self.writer.put(key.clone(), verdict.clone());
        }
        let (Some(taken), Some(handle)) = (state.taken.get(&name), self.environments.find(Some(&name))) else { return };
        let Some(resource) = self.resources.get(key).filter(|resource| !resource.deleting) else { return };
        let view = handle.view.load();
        let looked = view.document.as_ref().is_some_and(|given| given.bytes == taken.given.document.bytes);
        let observed = looked && taken.generation == resource.generation;
        let mut problems = self.problems(&name, taken);
        if let Some(problem) = self.resources.problem() {
            problems.insert(0, json!({"code": "WatchBroken", "severity": "warning", "message": problem}));
        }
        let verdict =
            status::of_environment(&handle.status.borrow(), &view, observed, &problems, taken.handled.as_deref());
        self.writer.put(key.clone(), verdict);
    }

    /// Secrets that the Environment names and that are not there.
    fn problems(&self, name: &str, taken: &Taken) -> Vec<Value> {
        let namespace = namespace_of(name);
        let Ok(allowed) = self.reader.tenancy.of(namespace) else { return Vec::new() };
        let account = allowed.account(&taken.given.spec);
        let wanted = taken.given.spec.secrets.iter();
        let missing = wanted.filter_map(|(secret, source)| {
            let wanted = source.kubernetes.as_ref()?;
            let key =
                SecretKey { namespace: namespace.to_owned(), name: wanted.name.clone(), account: account.clone() };
            let problem = self.secrets.value(&key, &wanted.key).err()?;
            Some(json!({
                "code": "SecretUnavailable", "severity": "warning", "message": format!("secret `{secret}`: {problem}"),
                "pointer": format!("/spec/secrets/{secret}/kubernetes")
            }))
        });
        missing.collect()
    }
}

#[derive(Debug)]
struct State {
    taken: BTreeMap<String, Taken>,
    /// Environments that cannot run as they are, and what they are told.
    refused: BTreeMap<String, Verdict>,
    digests: BTreeMap<String, crate::text::Digest>,
    tell: mpsc::Sender<String>,
}

impl State {
    fn digest_of(&self, name: &str) -> Option<crate::text::Digest> {
        self.digests.get(name).copied()
    }
}

/// What an Environment is known by: unambiguous, as neither part can hold a dot.
fn environment_key(key: &Key) -> String {
    format!("{}.{}", key.namespace, key.name)
}

fn resource_key(environment: &str) -> Key {
    let (namespace, name) = environment.split_once('.').unwrap_or(("", environment));
    Key { kind: Kind::Environment, namespace: namespace.to_owned(), name: name.to_owned() }
}

/// How an Environment is called in the status of a resource: by its name alone in its own namespace.
fn shown(environment: &str, namespace: &str) -> String {
    match environment.split_once('.') {
        Some((own, name)) if own == namespace => name.to_owned(),
        Some((own, name)) => format!("{own}/{name}"),
        None => environment.to_owned(),
    }
}

fn policy_of(resource: &Resource) -> DeletionPolicy {
    let document: Value = serde_json::from_slice(&resource.file.bytes).unwrap_or_default();
    match document.pointer("/spec/deletionPolicy").and_then(Value::as_str) {
        Some("Orphan") => DeletionPolicy::Orphan,
        _ => DeletionPolicy::Delete,
    }
}

/// Secrets of the cluster that an Environment uses.
fn used_secrets(
    namespace: &str,
    account: Option<String>,
    given: &EnvironmentDocument,
    allowed: &Allowed,
) -> BTreeSet<SecretKey> {
    let wanted = given.spec.secrets.values().filter_map(|source| source.kubernetes.as_ref());
    let allowed = wanted.filter(|wanted| allowed.secret(&wanted.name));
    let key =
        |name: &str| SecretKey { namespace: namespace.to_owned(), name: name.to_owned(), account: account.clone() };
    allowed.map(|wanted| key(&wanted.name)).collect()
}
