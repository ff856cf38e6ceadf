//! Random histories against a model: in the end the definitions of HEAD are live, and no definition that is still declared
//! is ever removed.

mod desired;
mod faults;
mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use proptest::prelude::*;
use tokio::sync::watch;

use super::active::Pointer;
use super::commands::{Precondition, Request};
use super::context::Context;
use super::document::EnvironmentDocument;
use super::notifications::{Notifier, Settings};
use super::reason::Reason;
use super::reconciler::{Outputs, Reconciler};
use super::sources::{MergedSources, SourceContext, Sources};
use super::status::{ConditionKind, Controls, Status};
use crate::catalog::{RawDocument, Snapshot};
use crate::net;
use crate::source::git::GitRepositories;
use crate::source::{FetchError, FetchReason, Fetched, Revision, Source};
use crate::store::{self, Keys, Store};
use crate::telemetry::metrics::Metrics;
use crate::text::{Digest, Format};

/// A source with files and faults that a test sets.
#[derive(Debug, Default)]
struct FakeSource {
    files: Mutex<BTreeMap<String, String>>,
    fails: Mutex<bool>,
    panics: Mutex<bool>,
    last: Mutex<Option<(String, Arc<Fetched>)>>,
}

impl Source for FakeSource {
    fn fetch(&self, _: Instant) -> Result<Arc<Fetched>, FetchError> {
        let panics = std::mem::take(&mut *self.panics.lock().unwrap());
        assert!(!panics, "poison");
        if *self.fails.lock().unwrap() {
            return Err(FetchError { reason: FetchReason::Unreachable, message: "no response".into() });
        }
        let files = self.files.lock().unwrap().clone();
        let digest = Digest::of_parts(files.iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]));
        let name = format!("main@{digest}");
        let mut last = self.last.lock().unwrap();
        if let Some((known, fetched)) = &*last
            && *known == name
        {
            return Ok(Arc::clone(fetched));
        }
        let snapshot = snapshot_of(&files);
        let revision = Revision {
            name: name.clone(),
            commit: String::new(),
            committed: 0,
            author: String::new(),
            subject: String::new(),
        };
        let fetched = Arc::new(Fetched { revision, snapshot, unreadable: Vec::new(), rewritten: false });
        *last = Some((name, Arc::clone(&fetched)));
        Ok(fetched)
    }

    fn read(&self, _: &Fetched, path: &str) -> Result<Vec<u8>, FetchError> {
        let files = self.files.lock().unwrap();
        let missing = FetchError { reason: FetchReason::PathNotFound, message: path.to_owned() };
        files.get(path).map(|text| text.clone().into_bytes()).ok_or(missing)
    }
}

/// The snapshot that a source makes of files.
fn snapshot_of(files: &BTreeMap<String, String>) -> Snapshot {
    let definitions = files.iter().filter(|(path, _)| Format::of(path).is_some());
    let mut snapshot = Snapshot::of(definitions.map(|(path, text)| (path.as_str(), text.as_bytes())));
    snapshot.names = Arc::new(files.keys().cloned().collect());
    let code: Vec<(&str, Arc<[u8]>)> =
        files.iter().map(|(path, text)| (path.as_str(), Arc::from(text.as_bytes()))).collect();
    snapshot.with_code(code.iter().map(|(path, bytes)| (*path, bytes)));
    snapshot
}

fn tenant(name: &str, text: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: {name} }}\nspec: {{ displayName: \"{text}\" }}\n"
    )
}

const BROKEN: &str =
    "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: broken }\nspec: { nonsense: 1 }\n";

fn document(apply: &str) -> EnvironmentDocument {
    let text = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec:\n  sync: {{ apply: {apply} }}\n"
    );
    let (catalog, findings) = crate::catalog::load(&Snapshot::of([("live.yaml", text.as_bytes())]));
    assert!(findings.is_empty(), "{findings:?}");
    let spec = catalog.environments().next().unwrap().1.clone();
    let document = RawDocument { path: "live.yaml".into(), bytes: text.into_bytes().into(), index: 0 };
    EnvironmentDocument { key: "live".into(), name: "live".into(), document, spec }
}

struct World {
    store: Arc<dyn Store>,
    source: Arc<FakeSource>,
    context: Arc<Context>,
    apply: &'static str,
    reconciler: Reconciler,
    status: watch::Receiver<Arc<Status>>,
}

impl World {
    async fn new(apply: &'static str) -> World {
        let store = store::open("sqlite::memory:", Keys::none()).await.unwrap();
        let source = Arc::new(FakeSource::default());
        let context = context(Arc::clone(&store));
        let (reconciler, status) = reconciler(&context, &source, apply);
        World { store, source, context, apply, reconciler, status }
    }

    /// Restarts the process.
    fn restart(&mut self) {
        (self.reconciler, self.status) = reconciler(&self.context, &self.source, self.apply);
    }

    async fn reconcile(&mut self) {
        self.reconciler.reconcile().await;
    }

    async fn fetch(&mut self) -> MergedSources {
        self.reconciler.sources.fetch(&self.reconciler.scope).await.unwrap()
    }

    fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    fn reason(&self) -> String {
        self.status().condition(ConditionKind::Ready).map(|ready| ready.reason.to_string()).unwrap_or_default()
    }

    /// The live definitions by name, with their texts.
    fn live(&self) -> BTreeMap<String, String> {
        let manifest = self.reconciler.active.manifest();
        let ids = manifest.iter().flat_map(|manifest| manifest.items.keys());
        let catalog = self.reconciler.active.live().map(|live| &live.candidate.validated.catalog);
        let tenants = ids.filter(|id| id.kind == crate::definition::Kind::Tenant);
        tenants
            .map(|id| {
                let entry = catalog.and_then(|catalog| catalog.find(id.kind, &id.name)).unwrap();
                let text = entry.node("/spec/displayName").and_then(crate::text::Node::as_str).unwrap_or_default();
                (id.name.clone(), text.to_owned())
            })
            .collect()
    }

    fn declared(&self) -> BTreeMap<String, String> {
        let files = self.source.files.lock().unwrap();
        files
            .values()
            .filter(|text| !text.contains("nonsense"))
            .map(|text| {
                let between = |from: &str, to: &str| {
                    text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|(found, _)| found.to_owned())
                };
                (between("name: ", " }").unwrap(), between("displayName: \"", "\"").unwrap())
            })
            .collect()
    }

    fn is_broken(&self) -> bool {
        self.source.files.lock().unwrap().values().any(|text| text.contains("nonsense"))
    }
}

fn context(store: Arc<dyn Store>) -> Arc<Context> {
    let client = net::Client::new(net::Policy::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    Arc::new(Context {
        store: Arc::clone(&store),
        is_leader: None,
        source_context: SourceContext {
            cluster: None,
            repositories: GitRepositories::open(folder.path()).unwrap(),
            tls: net::Tls::new().unwrap(),
            folder: "unused".into(),
            allow_local: false,
        },
        identities: None,
        notifier: Notifier::start(client, metrics.clone(), Settings::default()),
        limiter: crate::quota::Limiter::of_store(store, Some(metrics.clone())),
        metrics,
        replica: "test".into(),
        shared: false,
        public_url: None,
        allow_loopback: false,
    })
}

fn reconciler(
    context: &Arc<Context>,
    source: &Arc<FakeSource>,
    apply: &str,
) -> (Reconciler, watch::Receiver<Arc<Status>>) {
    let (sender, status) = watch::channel(Arc::default());
    let outputs = Outputs {
        pointer: Pointer::empty(),
        serving: Arc::default(),
        status: sender,
        view: Arc::default(),
        heartbeat: Arc::default(),
    };
    let mut reconciler = Reconciler::new(Arc::clone(context), document(apply), outputs);
    reconciler.sources.replace(sources(source));
    (reconciler, status)
}

fn sources(source: &Arc<FakeSource>) -> Sources {
    Sources::of(vec![("source".into(), Arc::clone(source) as Arc<dyn Source>)])
}

#[derive(Clone, Debug)]
enum Step {
    Edit(u8, u8),
    Move(u8, u8),
    Remove(u8),
    RemoveAll,
    Break,
    Fix,
    FetchFails(bool),
    Hand(u8, u8),
    HandRemove(u8),
    Override(u8),
    Suspend,
    Resume,
    Rollback(u8),
    Restart,
    Verify,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..12u8, 0..4u8).prop_map(|(name, text)| Step::Edit(name, text)),
        2 => (0..12u8, 0..3u8).prop_map(|(name, folder)| Step::Move(name, folder)),
        3 => (0..12u8).prop_map(Step::Remove),
        1 => Just(Step::RemoveAll),
        2 => Just(Step::Break),
        3 => Just(Step::Fix),
        2 => any::<bool>().prop_map(Step::FetchFails),
        // Sources may declare two of these names later, and adopt the definitions.
        1 => (10..15u8, 0..4u8).prop_map(|(name, text)| Step::Hand(name, text)),
        1 => (10..15u8).prop_map(Step::HandRemove),
        1 => (0..12u8).prop_map(Step::Override),
        1 => Just(Step::Suspend),
        2 => Just(Step::Resume),
        1 => (1..6u8).prop_map(Step::Rollback),
        1 => Just(Step::Restart),
        1 => Just(Step::Verify),
    ]
}

fn name(number: u8) -> String {
    format!("t{number}")
}

async fn perform(world: &mut World, step: &Step) {
    let files = Arc::clone(&world.source);
    let with = |change: &dyn Fn(&mut BTreeMap<String, String>)| change(&mut files.files.lock().unwrap());
    let holds = |text: &str, number: u8| text.contains(&format!("name: {} }}", name(number)));
    let ask = |request| (request, "alice");
    let request = match *step {
        Step::Edit(number, text) => {
            with(&|files| {
                let path = files.iter().find(|(_, text)| holds(text, number)).map(|(path, _)| path.clone());
                let path = path.unwrap_or_else(|| format!("a/{}.yaml", name(number)));
                files.insert(path, tenant(&name(number), &format!("text {text}")));
            });
            None
        }
        Step::Move(number, folder) => {
            with(&|files| {
                let path = files.iter().find(|(_, text)| holds(text, number)).map(|(path, _)| path.clone());
                if let Some(text) = path.and_then(|path| files.remove(&path)) {
                    files.insert(format!("folder{folder}/{}.yaml", name(number)), text);
                }
            });
            None
        }
        Step::Remove(number) => {
            with(&|files| files.retain(|_, text| !holds(text, number)));
            None
        }
        Step::RemoveAll => {
            with(&|files| files.clear());
            None
        }
        Step::Break => {
            with(&|files| drop(files.insert("broken.yaml".into(), BROKEN.into())));
            None
        }
        Step::Fix => {
            with(&|files| drop(files.remove("broken.yaml")));
            None
        }
        Step::FetchFails(fails) => {
            *world.source.fails.lock().unwrap() = fails;
            None
        }
        Step::Hand(number, text) => {
            let id = format!("Tenant/{}", name(number)).parse().unwrap();
            let text = tenant(&name(number), &format!("hand {text}"));
            Some(ask(Request::Put {
                id,
                text,
                json: false,
                over: None,
                reason: None,
                precondition: Precondition::None,
            }))
        }
        Step::HandRemove(number) => Some(ask(Request::Delete {
            id: format!("Tenant/{}", name(number)).parse().unwrap(),
            precondition: Precondition::None,
        })),
        Step::Override(number) => {
            let id = format!("Tenant/{}", name(number)).parse().unwrap();
            let text = tenant(&name(number), "override");
            // It expires before the next pass.
            Some(ask(Request::Put {
                id,
                text,
                json: false,
                over: Some(1),
                reason: Some("trying".into()),
                precondition: Precondition::None,
            }))
        }
        Step::Suspend => Some(ask(Request::Suspend { reason: None })),
        Step::Resume => Some(ask(Request::Resume)),
        Step::Rollback(to) => Some(ask(Request::Rollback { to: u64::from(to) })),
        Step::Restart => {
            world.restart();
            None
        }
        Step::Verify => {
            let _ = world.reconciler.active.verify(&world.reconciler.scope).await;
            None
        }
    };
    if let Some((request, actor)) = request {
        // A refused request must not have changed anything.
        let before = world.live();
        let denied = world.reconciler.handle(request.clone(), actor).await.is_err();
        assert!(!denied || before == world.live() || before.is_empty(), "{request:?} was denied and changed something");
    }
}

/// Names of definitions that were made through the API and override nothing.
fn manual_items(world: &World) -> BTreeSet<String> {
    let items = world.reconciler.active.manifest().into_iter().flat_map(|manifest| manifest.items.values());
    items
        .filter(|item| item.is_api_owned() && item.overrides_until().is_none())
        .map(|item| item.id.name.clone())
        .collect()
}

fn run_history(apply: &'static str, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let steps = steps.to_vec();
    // On a thread of the pool, which may block.
    let test = runtime.spawn(async move {
        let mut world = World::new(apply).await;
        for step in &steps {
            let made = manual_items(&world);
            perform(&mut world, step).await;
            if let Step::Rollback(_) = step {
                assert!(made.is_subset(&manual_items(&world)), "the rollback removed a definition from the API");
            }
            let (before, hands, overridden) = (world.live(), manual_items(&world), overridden(&world));
            world.reconcile().await;
            check(&world, step, &before, &hands, &overridden);
        }
        settle(&mut world).await;
    });
    runtime.block_on(test).unwrap();
}

/// Names of definitions with an override. All of them have expired.
fn overridden(world: &World) -> BTreeSet<String> {
    let items = world.reconciler.active.manifest().into_iter().flat_map(|manifest| manifest.items.values());
    items.filter(|item| item.overrides_until().is_some()).map(|item| item.id.name.clone()).collect()
}

fn check(
    world: &World,
    step: &Step,
    before: &BTreeMap<String, String>,
    hands: &BTreeSet<String>,
    overridden: &BTreeSet<String>,
) {
    let (live, reason) = (world.live(), world.reason());
    let said = format!("{step:?}, then {reason}");
    if world.reason() == "Applied" {
        let mut wanted = world.declared();
        // A process that just started knew no items before its first pass.
        let hands = if matches!(step, Step::Restart) { manual_items(world) } else { hands.clone() };
        let declared: BTreeSet<String> = wanted.keys().cloned().collect();
        let made = live.iter().filter(|(name, _)| hands.contains(*name) && !declared.contains(*name));
        wanted.extend(made.map(|(name, text)| (name.clone(), text.clone())));
        assert_eq!(live, wanted, "{said}: ready means that the declared definitions are live");
    }
    let removed: Vec<&String> = before.keys().filter(|name| !live.contains_key(*name)).collect();
    if !removed.is_empty() && !matches!(step, Step::Restart | Step::Rollback(_)) {
        let declared = world.declared();
        assert!(!*world.source.fails.lock().unwrap(), "{said}: a failed fetch removed {removed:?}");
        assert!(!declared.is_empty(), "{said}: an empty source removed {removed:?}");
        assert!(removed.iter().all(|name| !declared.contains_key(*name)), "{said}: {removed:?} are declared");
        assert!(removed.iter().all(|name| !hands.contains(*name)), "{said}: {removed:?} were made through the API");
        assert!(removed.len() <= (before.len() / 5).max(3), "{said}: {} of {} removed", removed.len(), before.len());
        assert!(world.apply == "Isolate" || !world.is_broken(), "{said}: a broken revision removed {removed:?}");
    }
    if world.apply == "Atomic"
        && (world.is_broken() || *world.source.fails.lock().unwrap())
        && !matches!(step, Step::Restart)
    {
        let others = |live: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            live.iter().filter(|(name, _)| !overridden.contains(*name)).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        assert_eq!(others(&live), others(before), "{said}: an invalid revision changes nothing but ends overrides");
        if world.reason() != "Suspended" {
            assert!(
                live.values().all(|text| text != "override"),
                "{said}: an override serves beyond its end: {live:?}"
            );
        }
    }
}

/// Repairs and approves everything; HEAD must be live then.
async fn settle(world: &mut World) {
    *world.source.fails.lock().unwrap() = false;
    world.source.files.lock().unwrap().remove("broken.yaml");
    world.source.files.lock().unwrap().insert("a/t0.yaml".into(), tenant("t0", "last"));
    world.source.files.lock().unwrap().retain(|path, text| path == "a/t0.yaml" || !text.contains("name: t0 }"));
    world.reconciler.handle(Request::Resume, "alice").await.unwrap();
    world.reconcile().await;
    if let Some(pending) = world.status().pending.clone() {
        world.reconciler.handle(Request::Approve { plan: pending.plan }, "alice").await.unwrap();
        world.reconcile().await;
    }
    let mut wanted = world.declared();
    let hands = manual_items(world);
    assert!(hands.iter().all(|name| !wanted.contains_key(name)), "the source adopts what it declares: {hands:?}");
    wanted.extend(world.live().into_iter().filter(|(name, _)| hands.contains(name)));
    assert_eq!(world.reason(), "Applied", "{:?}", world.status().conditions);
    assert_eq!(world.live(), wanted);
    // Another pass has nothing to do and writes nothing.
    let writes = world.store.writes();
    world.reconcile().await;
    assert_eq!(world.store.writes(), writes, "a pass without changes wrote to the store");
    // The sweep removes unneeded objects only.
    let (needed, _) = super::retention::needed(&*world.store).await.unwrap();
    world.store.sweep_objects(&needed, i64::MAX).await.unwrap();
    for generation in world.store.history("live", None, 1000).await.unwrap() {
        super::candidate::stored(&*world.store, generation.digest).await.unwrap();
    }
    for stone in world.store.tombstones("live").await.unwrap() {
        let payload: super::candidate::TombstonePayload = serde_json::from_value(stone.item).unwrap();
        world.store.objects(&payload.contents().collect::<Vec<_>>()).await.unwrap();
    }
    // A new process serves the same.
    let (live, digest) = (world.live(), world.status().digest);
    world.restart();
    world.reconcile().await;
    assert_eq!((world.live(), world.status().digest), (live, digest));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn row_47_random_histories_end_at_head_and_never_remove_wrongly(steps in prop::collection::vec(step(), 1..40)) {
        run_history("Atomic", &steps);
    }

    #[test]
    fn row_51_isolated_histories_end_at_head_too(steps in prop::collection::vec(step(), 1..30)) {
        run_history("Isolate", &steps);
    }
}

#[test]
fn an_override_ends_after_a_suspension_although_the_sources_fail() {
    run_history("Atomic", &[Step::Edit(0, 0), Step::Suspend, Step::FetchFails(true), Step::Override(0), Step::Resume]);
}
