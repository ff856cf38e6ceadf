//! The cluster's Environments and definitions, kept up to date by watches: one per kind, or per kind and namespace if only
//! some namespaces are watched.
//!
//! ```text
//! API server ──list, watch──► Resources (by kind, namespace, name) ──► files of a source ──► the same checks as everywhere
//!                                  │
//!                                  └──► changed keys, coalesced ──► controller
//! ```
//!
//! Objects are read untyped: an object of an unknown form is a file with findings, and the watch continues
//! (GHSA-f4p5-x4vc-mh4v). A broken watch keeps its resources: an outage of the API server removes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::watch_backoff::WatchBackoff;
use crate::catalog::{File, OVERLAYS};
use crate::definition::crd::{REQUESTED_AT, VERSION};
use crate::definition::{API_GROUP, API_VERSION, Kind};
use crate::text::Digest;

/// Objects per list request.
pub(super) const PAGE: u32 = 500;

/// Identity of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Kind.
    pub kind: Kind,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// Path of the resource's document in a snapshot.
    pub fn path(&self) -> String {
        // Documents below a folder named `overlays` are patches; names of namespaces have no capital letters.
        let folder = if self.namespace == OVERLAYS { "Overlays" } else { &self.namespace };
        format!("{folder}/{}/{}.json", self.kind.plural(), self.name)
    }

    /// The resource of a path in a snapshot; the path may be below the folder of one of several sources.
    pub fn from_path(path: &str) -> Option<Key> {
        let mut parts = path.rsplit('/');
        let (file, plural, namespace) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = Kind::ALL.into_iter().find(|kind| kind.plural() == plural)?;
        let name = file.strip_suffix(".json").filter(|_| parts.count() <= 1)?;
        Some(Key { kind, namespace: namespace.to_ascii_lowercase(), name: name.to_owned() })
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// The parts of a resource that the operator uses.
#[derive(Debug)]
pub struct Resource {
    /// Identity.
    pub key: Key,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`: the precondition of writes.
    pub version: String,
    /// `metadata.generation`: version of the spec.
    pub generation: i64,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Value of the annotation that requests a reconciliation.
    pub requested_at: Option<String>,
    /// True if the resource is being deleted.
    pub deleting: bool,
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// Latest `status`.
    pub status: Value,
    /// Document as a file: envelope, labels, annotations of `evenkeel.dev`, and spec.
    pub file: File,
    /// Digest of the file.
    pub digest: Digest,
}

impl Resource {
    /// Reads an object of the API server. Shares the bytes of `previous` if the content is the same.
    pub fn read(kind: Kind, object: &DynamicObject, previous: Option<&Resource>) -> Resource {
        let key = Key { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
        let document = document(kind, object);
        let bytes = document.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let file = match previous.filter(|previous| previous.digest == digest) {
            Some(previous) => previous.file.clone(),
            None => File { path: key.path().into(), bytes: bytes.into() },
        };
        let metadata = &object.metadata;
        Resource {
            key,
            uid: metadata.uid.clone().unwrap_or_default(),
            version: metadata.resource_version.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            labels: metadata.labels.clone().unwrap_or_default(),
            requested_at: object.annotations().get(REQUESTED_AT).cloned(),
            deleting: metadata.deletion_timestamp.is_some(),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
            status: object.data.get("status").cloned().unwrap_or_default(),
            file,
            digest,
        }
    }
}

/// The document as a file contains it, without the annotations of other tools.
pub fn document(kind: Kind, object: &DynamicObject) -> Value {
    let mut metadata = Map::from_iter([("name".to_owned(), json!(object.name_any()))]);
    if !object.labels().is_empty() {
        metadata.insert("labels".into(), json!(object.labels()));
    }
    let is_own = |key: &str| key.starts_with("evenkeel.dev/");
    let annotations: BTreeMap<&String, &String> = object.annotations().iter().filter(|(key, _)| is_own(key)).collect();
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), json!(annotations));
    }
    let mut document = Map::from_iter([
        ("apiVersion".to_owned(), json!(API_VERSION)),
        ("kind".to_owned(), json!(kind.as_str())),
        ("metadata".to_owned(), Value::Object(metadata)),
    ]);
    // Other fields beside the spec are the author's too, and are validated.
    for (key, value) in object.data.as_object().into_iter().flatten().filter(|(key, _)| *key != "status") {
        document.insert(key.clone(), value.clone());
    }
    Value::Object(document)
}

/// Group, version and plural of a kind.
pub fn api_resource(kind: Kind) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(API_GROUP, VERSION, kind.as_str()), kind.plural())
}

/// API of a kind, in one namespace or in all.
pub fn api(client: &Client, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &api_resource(kind)),
        None => Api::all_with(client.clone(), &api_resource(kind)),
    }
}

/// Kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the status or metadata.
    Metadata,
    /// The document, or whether the resource exists.
    Content,
}

type ResourceMap = BTreeMap<Key, Arc<Resource>>;
/// A watch of a kind, in one namespace or in all.
type WatchKey = (Kind, Option<String>);

/// The known resources of the cluster.
#[derive(Debug, Default)]
pub struct Resources {
    by_key: RwLock<ResourceMap>,
    /// Watches whose first list is not complete.
    unlisted: Mutex<BTreeSet<WatchKey>>,
    /// Problems of broken watches.
    problems: Mutex<BTreeMap<WatchKey, String>>,
    changed: Mutex<BTreeMap<Key, Change>>,
    notify: Notify,
    /// Incremented by every change of content.
    version: AtomicU64,
    /// Watched namespaces; empty for all.
    namespaces: Vec<String>,
}

impl Resources {
    /// Starts the watches of the namespaces; empty for all.
    pub fn watch(client: &Client, namespaces: &[String]) -> Arc<Resources> {
        let resources = Arc::new(Resources { namespaces: namespaces.to_vec(), ..Resources::default() });
        let scopes: Vec<Option<String>> = match namespaces {
            [] => vec![None],
            namespaces => namespaces.iter().cloned().map(Some).collect(),
        };
        let watches = Kind::ALL.into_iter().flat_map(|kind| scopes.iter().map(move |scope| (kind, scope.clone())));
        let watches: Vec<WatchKey> = watches.collect();
        lock(&resources.unlisted).extend(watches.iter().cloned());
        for watch in watches {
            let (resources, client) = (Arc::clone(&resources), client.clone());
            tokio::spawn(async move { resources.run_watch(&client, watch).await });
        }
        resources
    }

    /// True once the first list of every watch is complete.
    pub fn is_listed(&self) -> bool {
        lock(&self.unlisted).is_empty()
    }

    /// A fixed set of resources without watches.
    pub fn fixed(objects: impl IntoIterator<Item = (Kind, DynamicObject)>) -> Arc<Resources> {
        let resources = Resources::default();
        for (kind, object) in objects {
            resources.insert(Arc::new(Resource::read(kind, &object, None)));
        }
        Arc::new(resources)
    }

    /// True if all resources of the namespace are known.
    pub fn covers(&self, namespace: &str) -> bool {
        self.is_listed() && (self.namespaces.is_empty() || self.namespaces.iter().any(|name| name == namespace))
    }

    /// Problem of the first broken watch, because of which resources may be out of date.
    pub fn problem(&self) -> Option<String> {
        lock(&self.problems).values().next().cloned()
    }

    /// Number of changes of content; changes of a status do not count.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// One resource.
    pub fn get(&self, key: &Key) -> Option<Arc<Resource>> {
        self.by_key.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Resources that match, ordered by key.
    pub fn all(&self, matches: impl Fn(&Resource) -> bool) -> Vec<Arc<Resource>> {
        let resources = self.by_key.read().unwrap_or_else(PoisonError::into_inner);
        resources.values().filter(|resource| matches(resource)).cloned().collect()
    }

    /// Waits for changes and returns them, each resource once. Returns an empty map when the first list of a watch is complete.
    pub async fn changes(&self) -> BTreeMap<Key, Change> {
        loop {
            let notified = self.notify.notified();
            let unlisted = lock(&self.unlisted).len();
            let changed = std::mem::take(&mut *lock(&self.changed));
            if !changed.is_empty() {
                return changed;
            }
            notified.await;
            if lock(&self.unlisted).len() < unlisted && lock(&self.changed).is_empty() {
                return BTreeMap::new();
            }
        }
    }

    async fn run_watch(self: Arc<Resources>, client: &Client, watch: WatchKey) {
        let (kind, namespace) = &watch;
        let config = watcher::Config::default().page_size(PAGE);
        let stream = watcher(api(client, *kind, namespace.as_deref()), config).backoff(WatchBackoff::default());
        let mut stream = std::pin::pin!(stream);
        let mut listed: Option<HashMap<Key, Arc<Resource>>> = None;
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    lock(&self.problems).remove(&watch);
                    self.apply(&watch, event, &mut listed);
                }
                Err(error) => self.report(&watch, &error),
            }
        }
    }

    fn apply(
        &self,
        watch: &WatchKey,
        event: watcher::Event<DynamicObject>,
        listed: &mut Option<HashMap<Key, Arc<Resource>>>,
    ) {
        let kind = watch.0;
        let read = |object: &DynamicObject| {
            let key = Key { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
            Arc::new(Resource::read(kind, object, self.get(&key).as_deref()))
        };
        match event {
            watcher::Event::Init => *listed = Some(HashMap::new()),
            watcher::Event::InitApply(object) => {
                let resource = read(&object);
                if let Some(listed) = listed {
                    listed.insert(resource.key.clone(), resource);
                }
            }
            watcher::Event::InitDone => {
                // Only a complete list shows which resources are gone.
                if let Some(listed) = listed.take() {
                    self.replace(watch, listed);
                }
                if lock(&self.unlisted).remove(watch) {
                    self.notify.notify_waiters();
                }
            }
            watcher::Event::Apply(object) => self.insert(read(&object)),
            watcher::Event::Delete(object) => {
                let key = Key { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
                self.remove(&key);
            }
        }
    }

    fn replace(&self, (kind, namespace): &WatchKey, listed: HashMap<Key, Arc<Resource>>) {
        let within = |key: &Key| key.kind == *kind && namespace.as_ref().is_none_or(|only| *only == key.namespace);
        let gone: Vec<Key> = {
            let resources = self.by_key.read().unwrap_or_else(PoisonError::into_inner);
            resources.keys().filter(|key| within(key) && !listed.contains_key(*key)).cloned().collect()
        };
        for key in &gone {
            self.remove(key);
        }
        for resource in listed.into_values() {
            self.insert(resource);
        }
    }

    fn insert(&self, resource: Arc<Resource>) {
        let key = resource.key.clone();
        let before =
            self.by_key.write().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), Arc::clone(&resource));
        // A status that the operator wrote returns as a change of metadata only.
        let same = |before: &Arc<Resource>| before.digest == resource.digest && before.deleting == resource.deleting;
        if !before.as_ref().is_some_and(same) {
            self.version.fetch_add(1, Ordering::AcqRel);
            self.mark_changed(key, Change::Content);
        } else if before.is_none_or(|before| before.version != resource.version) {
            self.mark_changed(key, Change::Metadata);
        }
    }

    fn remove(&self, key: &Key) {
        if self.by_key.write().unwrap_or_else(PoisonError::into_inner).remove(key).is_some() {
            self.version.fetch_add(1, Ordering::AcqRel);
            self.mark_changed(key.clone(), Change::Content);
        }
    }

    fn mark_changed(&self, key: Key, change: Change) {
        let mut changed = lock(&self.changed);
        let entry = changed.entry(key).or_insert(change);
        *entry = (*entry).max(change);
        drop(changed);
        self.notify.notify_waiters();
    }

    fn report(&self, watch: &WatchKey, error: &watcher::Error) {
        let problem = problem(watch, error);
        if lock(&self.problems).insert(watch.clone(), problem.clone()).as_ref() != Some(&problem) {
            tracing::warn!(problem, "watch failed");
        }
    }
}

/// Problem of a broken watch, with the missing right or resource definition.
fn problem((kind, namespace): &WatchKey, error: &watcher::Error) -> String {
    let scope = namespace.as_ref().map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name}"));
    let resource = format!("{}.{API_GROUP}", kind.plural());
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    match status.map(|status| status.code) {
        Some(403) => {
            format!("the operator may not list and watch {resource} in {scope}; grant the verbs `list` and `watch`")
        }
        Some(404) => format!("the cluster has no {resource}; install the custom resource definitions"),
        _ => format!("cannot watch {resource} in {scope}: {error}"),
    }
}

/// Locks a mutex, also after a panic of another thread.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
