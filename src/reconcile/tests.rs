//! Random histories against a model: whatever happens on the way, what is live is what HEAD declares, and nothing that
//! anybody still declares is ever removed.

mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use proptest::prelude::*;
use tokio::sync::watch;

use super::active::Pointer;
use super::commands::Request;
use super::context::Context;
use super::document::EnvironmentDocument;
use super::engine::Reconciler;
use super::notifications::{Notifier, Settings};
use super::reason::Reason;
use super::sources::{SourceContext, Sources};
use super::status::{ConditionKind, Controls, Status};
use crate::catalog::{RawDocument, Snapshot};
use crate::net;
use crate::source::git::GitRepositories;
use crate::source::{FetchError, FetchReason, Fetched, Revision, Source};
use crate::store::{self, Keys, Store};
use crate::telemetry::metrics::Metrics;
use crate::text::Digest;

/// A source that holds what it is told to hold.
#[derive(Debug, Default)]
struct Told {
    files: Mutex<BTreeMap<String, String>>,
    fails: Mutex<bool>,
    panics: Mutex<bool>,
    last: Mutex<Option<(String, Arc<Fetched>)>>,
}

impl Source for Told {
    fn fetch(&self, _: Instant) -> Result<Arc<Fetched>, FetchError> {
        let panics = std::mem::take(&mut *self.panics.lock().unwrap());
        assert!(!panics, "poison");
        if *self.fails.lock().unwrap() {
            return Err(FetchError { reason: FetchReason::Unreachable, message: "nobody answers".into() });
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
        let snapshot = Snapshot::of(files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())));
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

fn tenant(name: &str, text: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: {name} }}\nspec: {{ displayName: \"{text}\" }}\n"
    )
}

const BROKEN: &str =
    "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: broken }\nspec: { nonsense: 1 }\n";

fn given(apply: &str) -> EnvironmentDocument {
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
    source: Arc<Told>,
    context: Arc<Context>,
    apply: &'static str,
    engine: Reconciler,
    status: watch::Receiver<Arc<Status>>,
}

impl World {
    async fn new(apply: &'static str) -> World {
        let store = store::open("sqlite::memory:", Keys::none()).await.unwrap();
        let source = Arc::new(Told::default());
        let client = net::Client::new(net::Policy::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        let context = Arc::new(Context {
            store: Arc::clone(&store),
            is_leader: None,
            source_context: SourceContext {
                cluster: None,
                repositories: GitRepositories::open(folder.path()).unwrap(),
                secure: Arc::new(net::Tls::new().unwrap()),
                folder: "unused".into(),
                allow_local: false,
            },
            identities: None,
            notifier: Notifier::start(client, metrics.clone(), Settings::default()),
            metrics,
            replica: "test".into(),
            shared: false,
            allow_loopback: false,
            fingerprint: [7; 32],
        });
        let (engine, status) = engine(&context, &source, apply);
        World { store, source, context, apply, engine, status }
    }

    /// The process was killed and started again.
    fn restart(&mut self) {
        (self.engine, self.status) = engine(&self.context, &self.source, self.apply);
    }

    async fn look(&mut self) {
        self.engine.look().await;
    }

    fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    fn reason(&self) -> String {
        self.status().condition(ConditionKind::Ready).map(|ready| ready.reason.to_string()).unwrap_or_default()
    }

    /// What is live, by name, with its text.
    fn live(&self) -> BTreeMap<String, String> {
        let manifest = self.engine.manifest();
        let ids = manifest.iter().flat_map(|manifest| manifest.items.keys());
        let catalog = self.engine.live.as_ref().map(|live| &live.candidate.examined.catalog);
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

fn engine(context: &Arc<Context>, source: &Arc<Told>, apply: &str) -> (Reconciler, watch::Receiver<Arc<Status>>) {
    let (publish, status) = watch::channel(Arc::default());
    let mut engine = Reconciler::new(Arc::clone(context), given(apply), Pointer::empty(), publish, Arc::default());
    engine.sources = Some(Sources::of(vec![("source".into(), Arc::clone(source) as Arc<dyn Source>)]));
    (engine, status)
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
        1 => (12..15u8, 0..4u8).prop_map(|(name, text)| Step::Hand(name, text)),
        1 => (12..15u8).prop_map(Step::HandRemove),
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

async fn take(world: &mut World, step: &Step) {
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
            Some(ask(Request::Put { id, text, json: false, over: None, reason: None }))
        }
        Step::HandRemove(number) => {
            Some(ask(Request::Delete { id: format!("Tenant/{}", name(number)).parse().unwrap() }))
        }
        Step::Override(number) => {
            let id = format!("Tenant/{}", name(number)).parse().unwrap();
            let text = tenant(&name(number), "override");
            // Over before the next look.
            Some(ask(Request::Put { id, text, json: false, over: Some(1), reason: Some("trying".into()) }))
        }
        Step::Suspend => Some(ask(Request::Suspend { reason: None })),
        Step::Resume => Some(ask(Request::Resume)),
        Step::Rollback(to) => Some(ask(Request::Rollback { to: u64::from(to) })),
        Step::Restart => {
            world.restart();
            None
        }
        Step::Verify => {
            let _ = world.engine.verify().await;
            None
        }
    };
    if let Some((request, actor)) = request {
        // CommandError is fine: nothing may have changed then.
        let before = world.live();
        let denied = world.engine.answer(request.clone(), actor).await.is_err();
        assert!(!denied || before == world.live() || before.is_empty(), "{request:?} was denied and changed something");
    }
}

/// What was made by hand and is not written over anything.
fn by_hand(world: &World) -> BTreeSet<String> {
    let items = world.engine.manifest().into_iter().flat_map(|manifest| manifest.items.values());
    items
        .filter(|item| item.is_api_owned() && item.overrides_until().is_none())
        .map(|item| item.id.name.clone())
        .collect()
}

fn history(apply: &'static str, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let steps = steps.to_vec();
    // On a thread of the pool, which may block.
    let told = runtime.spawn(async move {
        let mut world = World::new(apply).await;
        for step in &steps {
            let made = by_hand(&world);
            take(&mut world, step).await;
            if let Step::Rollback(_) = step {
                assert!(made.is_subset(&by_hand(&world)), "going back removed what was made by hand");
            }
            let (before, hands) = (world.live(), by_hand(&world));
            world.look().await;
            check(&world, step, &before, &hands);
        }
        settle(&mut world).await;
    });
    runtime.block_on(told).unwrap();
}

fn check(world: &World, step: &Step, before: &BTreeMap<String, String>, hands: &BTreeSet<String>) {
    let (live, reason) = (world.live(), world.reason());
    let said = format!("{step:?}, then {reason}");
    if world.reason() == "Applied" {
        let mut wanted = world.declared();
        // A process that was just started did not know before it looked.
        let hands = if matches!(step, Step::Restart) { by_hand(world) } else { hands.clone() };
        wanted.extend(live.iter().filter(|(name, _)| hands.contains(*name)).map(|(k, v)| (k.clone(), v.clone())));
        assert_eq!(live, wanted, "{said}: ready means that what is declared is live");
    }
    let removed: Vec<&String> = before.keys().filter(|name| !live.contains_key(*name)).collect();
    if !removed.is_empty() && !matches!(step, Step::Restart | Step::Rollback(_)) {
        let declared = world.declared();
        assert!(!*world.source.fails.lock().unwrap(), "{said}: a failed fetch removed {removed:?}");
        assert!(!declared.is_empty(), "{said}: an empty source removed {removed:?}");
        assert!(removed.iter().all(|name| !declared.contains_key(*name)), "{said}: {removed:?} are declared");
        assert!(removed.iter().all(|name| !hands.contains(*name)), "{said}: {removed:?} were made by hand");
        assert!(removed.len() <= (before.len() / 5).max(3), "{said}: {} of {} removed", removed.len(), before.len());
        assert!(world.apply == "Isolate" || !world.is_broken(), "{said}: a broken revision removed {removed:?}");
    }
    if world.apply == "Atomic"
        && (world.is_broken() || *world.source.fails.lock().unwrap())
        && !matches!(step, Step::Restart)
    {
        assert_eq!(&live, before, "{said}: nothing goes live of what is broken");
    }
}

/// Everything is repaired and approved: what is live is HEAD.
async fn settle(world: &mut World) {
    *world.source.fails.lock().unwrap() = false;
    world.source.files.lock().unwrap().remove("broken.yaml");
    world.source.files.lock().unwrap().insert("a/t0.yaml".into(), tenant("t0", "last"));
    world.source.files.lock().unwrap().retain(|path, text| path == "a/t0.yaml" || !text.contains("name: t0 }"));
    world.engine.answer(Request::Resume, "alice").await.unwrap();
    // Names that were taken by hand before a source claimed them: neither gives way by itself.
    for name in by_hand(world) {
        if world.declared().contains_key(&name) {
            let id = format!("Tenant/{name}").parse().unwrap();
            world.engine.answer(Request::Delete { id }, "alice").await.unwrap();
        }
    }
    world.look().await;
    if let Some(pending) = world.status().pending.clone() {
        world.engine.answer(Request::Approve { plan: pending.plan }, "alice").await.unwrap();
        world.look().await;
    }
    let mut wanted = world.declared();
    let hands = by_hand(world);
    wanted.extend(world.live().into_iter().filter(|(name, _)| hands.contains(name)));
    assert_eq!(world.reason(), "Applied", "{:?}", world.status().conditions);
    assert_eq!(world.live(), wanted);
    // Nothing is left to do, and doing it writes nothing.
    let writes = world.store.writes();
    world.look().await;
    assert_eq!(world.store.writes(), writes, "a look at what did not change wrote something");
    // What is swept is needed by nobody.
    let (needed, _) = super::history::needed(&*world.store).await.unwrap();
    world.store.sweep_objects(&needed, i64::MAX).await.unwrap();
    for generation in world.store.history("live", None, 1000).await.unwrap() {
        super::candidate::stored(&*world.store, generation.digest).await.unwrap();
    }
    for stone in world.store.tombstones("live").await.unwrap() {
        let grave: super::candidate::TombstonePayload = serde_json::from_value(stone.item).unwrap();
        world.store.objects(&grave.contents().collect::<Vec<_>>()).await.unwrap();
    }
    // And a new process sees the same.
    let (live, digest) = (world.live(), world.status().digest);
    world.restart();
    world.look().await;
    assert_eq!((world.live(), world.status().digest), (live, digest));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn row_47_random_histories_end_at_head_and_never_remove_wrongly(steps in prop::collection::vec(step(), 1..40)) {
        history("Atomic", &steps);
    }

    #[test]
    fn row_51_isolated_histories_end_at_head_too(steps in prop::collection::vec(step(), 1..30)) {
        history("Isolate", &steps);
    }
}
