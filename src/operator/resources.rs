//! The cluster's definitions, kept up to date by watches: one per kind, and per namespace where only some are watched.
//!
//! ```text
//! API server ──list, watch──► Resources (by kind, namespace, name) ──► files of a source ──► the same checks as everywhere
//!                                  │
//!                                  └──► what changed, coalesced, for whoever waits
//! ```
//!
//! Objects are read as they are, never as typed values: one that nobody can make sense of is one file with findings, and
//! the watch goes on (GHSA-f4p5-x4vc-mh4v). A watch that breaks keeps what it knows: nothing is taken away because the API
//! server was away.

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
use crate::catalog::File;
use crate::definition::crd::{REQUESTED_AT, VERSION};
use crate::definition::{API_GROUP, API_VERSION, Kind};
use crate::text::Digest;

/// Objects that one list request brings.
pub(super) const PAGE: u32 = 500;

/// Which resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The path under which its document is examined.
    pub fn path(&self) -> String {
        format!("{}/{}/{}.json", self.namespace, self.kind.plural(), self.name)
    }

    /// The resource whose document is examined under a path, which may be below the folder of one of several sources.
    pub fn of_path(path: &str) -> Option<Key> {
        let mut parts = path.rsplit('/');
        let (file, plural, namespace) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = Kind::ALL.into_iter().find(|kind| kind.plural() == plural)?;
        let name = file.strip_suffix(".json").filter(|_| parts.count() <= 1)?;
        Some(Key { kind, namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// One resource, as far as we need it.
#[derive(Debug)]
pub struct Resource {
    /// Which.
    pub key: Key,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`: the fence of what is written back.
    pub version: String,
    /// `metadata.generation`: which version of its spec this is.
    pub generation: i64,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// The annotation that asks for a look at once.
    pub requested_at: Option<String>,
    /// Is it being deleted?
    pub deleting: bool,
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// Its `status`, as it was written last.
    pub status: Value,
    /// Its document as a file: envelope, labels, annotations of ours, and spec.
    pub file: File,
    /// Digest of the file's content.
    pub digest: Digest,
}

impl Resource {
    /// Reads an object of the API server. `known` is what was known of it, whose content is kept where it is the same.
    pub fn of(kind: Kind, object: &DynamicObject, known: Option<&Resource>) -> Resource {
        let key = Key { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
        let document = document(kind, object);
        let bytes = document.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let file = match known.filter(|known| known.digest == digest) {
            Some(known) => known.file.clone(),
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

/// The document as a file would hold it. What other tools note in annotations is no part of it.
pub fn document(kind: Kind, object: &DynamicObject) -> Value {
    let mut metadata = Map::from_iter([("name".to_owned(), json!(object.name_any()))]);
    if !object.labels().is_empty() {
        metadata.insert("labels".into(), json!(object.labels()));
    }
    let ours = |key: &str| key.starts_with("evenkeel.dev/");
    let annotations: BTreeMap<&String, &String> = object.annotations().iter().filter(|(key, _)| ours(key)).collect();
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), json!(annotations));
    }
    let mut document = Map::from_iter([
        ("apiVersion".to_owned(), json!(API_VERSION)),
        ("kind".to_owned(), json!(kind.as_str())),
        ("metadata".to_owned(), Value::Object(metadata)),
    ]);
    // Whatever stands beside the spec is the author's too, and is checked as such.
    for (key, value) in object.data.as_object().into_iter().flatten().filter(|(key, _)| *key != "status") {
        document.insert(key.clone(), value.clone());
    }
    Value::Object(document)
}

/// How the API server names resources of a kind.
pub fn api_resource(kind: Kind) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(API_GROUP, VERSION, kind.as_str()), kind.plural())
}

/// Resources of a kind, of one namespace or of all.
pub fn api(client: &Client, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &api_resource(kind)),
        None => Api::all_with(client.clone(), &api_resource(kind)),
    }
}

/// What changed of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Its status or metadata only.
    EnvironmentContext,
    /// Its document, or that it is there.
    Content,
}

type Kept = BTreeMap<Key, Arc<Resource>>;
/// One watch: a kind, in one namespace or in all.
type WatchKey = (Kind, Option<String>);

/// What is known of the cluster.
#[derive(Debug, Default)]
pub struct Resources {
    kept: RwLock<Kept>,
    /// Watches that have not brought everything yet.
    filling: Mutex<BTreeSet<WatchKey>>,
    /// Why a watch does not go on, in a sentence.
    problems: Mutex<BTreeMap<WatchKey, String>>,
    changed: Mutex<BTreeMap<Key, Change>>,
    notify: Notify,
    /// Grows with every change of content.
    version: AtomicU64,
    /// What is watched; everything where empty.
    namespaces: Vec<String>,
}

impl Resources {
    /// Starts watching; `namespaces` empty means all of them.
    pub fn watch(client: &Client, namespaces: &[String]) -> Arc<Resources> {
        let resources = Arc::new(Resources { namespaces: namespaces.to_vec(), ..Resources::default() });
        let places: Vec<Option<String>> = match namespaces {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        let watches = Kind::ALL.into_iter().flat_map(|kind| places.iter().map(move |place| (kind, place.clone())));
        let watches: Vec<WatchKey> = watches.collect();
        lock(&resources.filling).extend(watches.iter().cloned());
        for watch in watches {
            let (resources, client) = (Arc::clone(&resources), client.clone());
            tokio::spawn(async move { resources.follow(&client, watch).await });
        }
        resources
    }

    /// Has every watch brought everything that is there at least once?
    pub fn is_filled(&self) -> bool {
        lock(&self.filling).is_empty()
    }

    /// Resources that are known and that nobody watches.
    pub fn of(objects: impl IntoIterator<Item = (Kind, DynamicObject)>) -> Arc<Resources> {
        let resources = Resources::default();
        for (kind, object) in objects {
            resources.keep(Arc::new(Resource::of(kind, &object, None)));
        }
        Arc::new(resources)
    }

    /// Is everything known that a namespace holds?
    pub fn knows(&self, namespace: &str) -> bool {
        self.is_filled() && (self.namespaces.is_empty() || self.namespaces.iter().any(|name| name == namespace))
    }

    /// Why what is known may be old: the first watch that does not go on.
    pub fn problem(&self) -> Option<String> {
        lock(&self.problems).values().next().cloned()
    }

    /// A number that grows with every change of content, but not with changes of a status.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// One resource.
    pub fn get(&self, key: &Key) -> Option<Arc<Resource>> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Resources that fit, in the order of their keys.
    pub fn all(&self, fits: impl Fn(&Resource) -> bool) -> Vec<Arc<Resource>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.values().filter(|resource| fits(resource)).cloned().collect()
    }

    /// Waits until something changed, and gives what: each resource once, however often it changed. Nothing at all where a
    /// watch brought everything for the first time.
    pub async fn changes(&self) -> BTreeMap<Key, Change> {
        loop {
            let notified = self.notify.notified();
            let filling = lock(&self.filling).len();
            let changed = std::mem::take(&mut *lock(&self.changed));
            if !changed.is_empty() {
                return changed;
            }
            notified.await;
            if lock(&self.filling).len() < filling && lock(&self.changed).is_empty() {
                return BTreeMap::new();
            }
        }
    }

    async fn follow(self: Arc<Resources>, client: &Client, watch: WatchKey) {
        let (kind, namespace) = &watch;
        let config = watcher::Config::default().page_size(PAGE);
        let stream = watcher(api(client, *kind, namespace.as_deref()), config).backoff(WatchBackoff::default());
        let mut stream = std::pin::pin!(stream);
        let mut listed: Option<HashMap<Key, Arc<Resource>>> = None;
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    lock(&self.problems).remove(&watch);
                    self.take_up(&watch, event, &mut listed);
                }
                Err(error) => self.cannot(&watch, &error),
            }
        }
    }

    fn take_up(
        &self,
        watch: &WatchKey,
        event: watcher::Event<DynamicObject>,
        listed: &mut Option<HashMap<Key, Arc<Resource>>>,
    ) {
        let kind = watch.0;
        let read = |object: &DynamicObject| {
            let key = Key { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
            Arc::new(Resource::of(kind, object, self.get(&key).as_deref()))
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
                // Only a whole list says what is gone.
                if let Some(listed) = listed.take() {
                    self.replace(watch, listed);
                }
                if lock(&self.filling).remove(watch) {
                    self.notify.notify_waiters();
                }
            }
            watcher::Event::Apply(object) => self.keep(read(&object)),
            watcher::Event::Delete(object) => {
                let key = Key { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
                self.drop(&key);
            }
        }
    }

    fn replace(&self, (kind, namespace): &WatchKey, listed: HashMap<Key, Arc<Resource>>) {
        let within = |key: &Key| key.kind == *kind && namespace.as_ref().is_none_or(|only| *only == key.namespace);
        let gone: Vec<Key> = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            kept.keys().filter(|key| within(key) && !listed.contains_key(*key)).cloned().collect()
        };
        for key in &gone {
            self.drop(key);
        }
        for resource in listed.into_values() {
            self.keep(resource);
        }
    }

    fn keep(&self, resource: Arc<Resource>) {
        let key = resource.key.clone();
        let before =
            self.kept.write().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), Arc::clone(&resource));
        // What we wrote ourselves comes back as a change of the status only.
        let same = |before: &Arc<Resource>| before.digest == resource.digest && before.deleting == resource.deleting;
        if !before.as_ref().is_some_and(same) {
            self.version.fetch_add(1, Ordering::AcqRel);
            self.tell(key, Change::Content);
        } else if before.is_none_or(|before| before.version != resource.version) {
            self.tell(key, Change::EnvironmentContext);
        }
    }

    fn drop(&self, key: &Key) {
        if self.kept.write().unwrap_or_else(PoisonError::into_inner).remove(key).is_some() {
            self.version.fetch_add(1, Ordering::AcqRel);
            self.tell(key.clone(), Change::Content);
        }
    }

    fn tell(&self, key: Key, change: Change) {
        let mut changed = lock(&self.changed);
        let known = changed.entry(key).or_insert(change);
        *known = (*known).max(change);
        drop(changed);
        self.notify.notify_waiters();
    }

    fn cannot(&self, watch: &WatchKey, error: &watcher::Error) {
        let problem = problem(watch, error);
        if lock(&self.problems).insert(watch.clone(), problem.clone()).as_ref() != Some(&problem) {
            tracing::warn!("{problem}");
        }
    }
}

/// What a broken watch means, with what is missing where something is.
fn problem((kind, namespace): &WatchKey, error: &watcher::Error) -> String {
    let place = namespace.as_ref().map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name}"));
    let resource = format!("{}.{API_GROUP}", kind.plural());
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    match status.map(|status| status.code) {
        Some(403) => {
            format!("the operator may not list and watch {resource} in {place}: grant the verbs `list` and `watch`")
        }
        Some(404) => format!("the cluster has no {resource}: install the custom resource definitions"),
        _ => format!("{resource} in {place} cannot be watched: {error}"),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
