//! Several environments of one repository: the plan of the files is the plan of the server, and what it says becomes live.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::repository::Repository;
use super::{FakeSource, context, snapshot_of, sources};
use crate::catalog::{EnvironmentSelection, Snapshot};
use crate::plan::{Inventory, Plan, PlanOptions, plan};
use crate::reconcile::active::Pointer;
use crate::reconcile::commands::Request;
use crate::reconcile::context::Context;
use crate::reconcile::desired::{DesiredSet, desired_set};
use crate::reconcile::document::{EnvironmentDocument, documents_in};
use crate::reconcile::reconciler::{Outputs, Reconciler};
use crate::reconcile::status::{ConditionKind, Status};
use crate::reconcile::validate::Validator;
use crate::store::{self, Keys};

/// Number of repositories, and of edits of each.
const REPOSITORIES: u64 = 8;
const EDITS: u64 = 125;

/// An environment of a server beside the same environment of the files.
struct Twin {
    reconciler: Reconciler,
    status: watch::Receiver<Arc<Status>>,
    source: Arc<FakeSource>,
    /// The desired set that was applied last.
    applied: Inventory,
}

fn environment_document(path: &str, text: &str) -> EnvironmentDocument {
    documents_in(&Snapshot::of([(path, text.as_bytes())]), &[]).unwrap().list.remove(0)
}

impl Twin {
    fn new(context: &Arc<Context>, source: &Arc<FakeSource>, document: EnvironmentDocument) -> Twin {
        let (sender, status) = watch::channel(Arc::default());
        let outputs = Outputs {
            pointer: Pointer::empty(),
            serving: Arc::default(),
            status: sender,
            view: Arc::default(),
            heartbeat: Arc::default(),
        };
        let mut reconciler = Reconciler::new(Arc::clone(context), document, outputs);
        reconciler.sources.replace(sources(source));
        Twin { reconciler, status, source: Arc::clone(source), applied: Inventory::new() }
    }

    fn update(&mut self, document: &EnvironmentDocument) {
        self.reconciler.update_document(document, None);
        self.reconciler.sources.replace(sources(&self.source));
    }

    fn reason(&self) -> String {
        let status = self.status.borrow().clone();
        let ready = status.condition(ConditionKind::Ready);
        ready.map(|ready| format!("{} {}", ready.reason, ready.message)).unwrap_or_default()
    }

    fn live(&self) -> Inventory {
        self.reconciler.active.live().map(|live| live.inventory().clone()).unwrap_or_default()
    }

    async fn plan(&mut self) -> Plan {
        let plan = self.reconciler.handle(Request::Plan, "alice").await.unwrap_or_else(|error| panic!("{error:?}"));
        serde_json::from_value(plan).unwrap()
    }

    /// The connector of the live generation as JSON, and the paths of its patches.
    fn connector(&self, name: &str) -> (serde_json::Value, Vec<String>) {
        let live = self.reconciler.active.live().unwrap();
        let entry = live.candidate.validated.catalog.find(crate::definition::Kind::Connector, name).unwrap();
        let patches = entry.origin.patches.iter().map(|patch| patch.path.to_string()).collect();
        (entry.document.root.to_json(), patches)
    }
}

/// The desired set that a command makes of files.
fn offline(files: &BTreeMap<String, String>, environment: &EnvironmentSelection) -> DesiredSet {
    let read = |path: &str| Ok(files.get(path).cloned().unwrap_or_default().into_bytes());
    desired_set(&mut Validator::new(), &snapshot_of(files), &[], environment, read).unwrap()
}

async fn edit_at_random(seed: u64, folder: &Path) {
    let url = format!("sqlite:{}", folder.join("store.db").display());
    let context = context(store::open(&url, Keys::none()).await.unwrap());
    let source = Arc::new(FakeSource::default());
    let mut repository = Repository::new(seed);
    let mut twins: BTreeMap<&str, Twin> = BTreeMap::new();
    let mut live = 0;
    for step in 0..EDITS {
        let edit = if step == 0 { "the first revision".to_owned() } else { repository.edit() };
        source.files.lock().unwrap().clone_from(&repository.files);
        for (number, name) in (0..).zip(["draft", "live", "eu"]) {
            // Each environment takes several edits at once, and now and then all of them one.
            if step % 3 != number && step % 10 != 0 {
                continue;
            }
            let at = format!("seed {seed}, edit {step}, {name}: {edit}");
            // One is a document of the repository itself, the others are their operator's.
            let (path, text) = match repository.operators.get(name) {
                Some(text) => ("elsewhere.yaml", text),
                None => ("env/draft.yaml", &repository.files["env/draft.yaml"]),
            };
            let document = environment_document(path, text);
            let twin = twins.entry(name).or_insert_with(|| Twin::new(&context, &source, document.clone()));
            twin.update(&document);
            let own = repository.operators.contains_key(name).then(|| document.document.clone());
            let environment = EnvironmentSelection { name: name.to_owned(), document: own };
            let desired = offline(&repository.files, &environment);
            let before = twin.live();
            twin.reconciler.reconcile().await;
            if !desired.validated.is_valid() {
                assert!(twin.reason().starts_with("InvalidDefinitions"), "{at}\n{}", twin.reason());
                assert!(twin.live() == before, "{at}\nan invalid revision changed something");
                continue;
            }
            let expected = plan(&twin.applied, &desired.inventory, &PlanOptions { environment: name });
            let server = twin.plan().await;
            assert_eq!(server.to_json(), expected.to_json(), "{at}\n{}", twin.reason());
            if !expected.is_empty() {
                let approve = Request::Approve { plan: expected.digest };
                twin.reconciler.handle(approve, "alice").await.unwrap_or_else(|error| panic!("{at}\n{error:?}"));
                twin.reconciler.reconcile().await;
                live += 1;
            }
            assert!(twin.reason().starts_with("Applied"), "{at}\n{}", twin.reason());
            assert!(twin.live() == desired.inventory, "{at}\nthe live definitions are not the planned ones");
            twin.applied = desired.inventory;
        }
    }
    assert!(live > EDITS / 8, "seed {seed}: only {live} plans became live");
}

fn run<F: Future<Output = ()> + Send + 'static>(test: F) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        // On a thread of the pool, which may block.
        let done = runtime.block_on(async { tokio::spawn(test).await });
        done.unwrap();
    })
}

#[test]
fn the_plan_of_the_files_is_the_plan_of_the_server_and_becomes_live() {
    let seeds: Vec<u64> = match std::env::var("EVENKEEL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..REPOSITORIES).collect(),
    };
    let worlds: Vec<_> = seeds
        .into_iter()
        .map(|seed| {
            let world = run(async move {
                let folder = tempfile::tempdir().unwrap();
                edit_at_random(seed, folder.path()).await;
            });
            (seed, world)
        })
        .collect();
    for (seed, world) in worlds {
        assert!(world.join().is_ok(), "EVENKEEL_TEST_SEED={seed} repeats the failure");
    }
}

/// The files of the example with two environments.
fn example() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/environments");
    let paths = ["connector.yaml", "draft.yaml", "live.yaml", "overlays/live/connector.yaml"];
    paths.map(|path| (path.to_owned(), std::fs::read_to_string(root.join(path)).unwrap())).into()
}

fn source_of(files: &BTreeMap<String, String>) -> Arc<FakeSource> {
    let source = Arc::new(FakeSource::default());
    source.files.lock().unwrap().clone_from(files);
    source
}

fn twin_of(context: &Arc<Context>, files: &BTreeMap<String, String>, path: &str) -> Twin {
    Twin::new(context, &source_of(files), environment_document(path, &files[path]))
}

async fn memory() -> Arc<Context> {
    context(store::open("sqlite::memory:", Keys::none()).await.unwrap())
}

#[test]
fn a_promotion_applies_the_overlays_of_the_target() {
    let test = async {
        let context = memory().await;
        let files = example();
        // The source of `draft` is ahead, and `draft` has an overlay of its own.
        let mut ahead = files.clone();
        let changed = files["connector.yaml"].replace("Contacts of a small CRM", "Customers of a small CRM");
        ahead.insert("connector.yaml".into(), changed);
        ahead.insert("draft.yaml".into(), files["draft.yaml"].clone() + "  overlays: [overlays/draft]\n");
        ahead.insert(
            "overlays/draft/connector.yaml".into(),
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: orbit-crm }\nspec: { displayName: Draft CRM }\n"
                .into(),
        );
        let mut draft = twin_of(&context, &ahead, "draft.yaml");
        let mut live = twin_of(&context, &files, "live.yaml");
        draft.reconciler.reconcile().await;
        live.reconciler.reconcile().await;
        assert!(live.reason().starts_with("Applied") && draft.reason().starts_with("Applied"), "{}", live.reason());
        assert_eq!(draft.connector("orbit-crm").0["spec"]["displayName"], "Draft CRM");

        let promoted = live.reconciler.handle(Request::Promote { from: "draft".into() }, "alice").await;
        promoted.unwrap_or_else(|error| panic!("{error:?}"));
        let check = |live: &Twin| {
            let (connector, patches) = live.connector("orbit-crm");
            let spec = &connector["spec"];
            assert_eq!(spec["description"], "Customers of a small CRM that does not exist.", "the base is promoted");
            assert_eq!(spec["displayName"], "Orbit CRM", "patches of the other environment do not apply");
            assert_eq!(spec["defaults"]["timeout"], "5s", "the own overlay applies");
            assert_eq!(spec["actions"]["list-contacts"]["http"]["query"]["limit"], "200");
            assert_eq!(patches, ["overlays/live/connector.yaml"]);
        };
        check(&live);
        live.reconciler.reconcile().await;
        assert!(live.reason().starts_with("HeldBack"), "{}", live.reason());
        check(&live);
        // A new process restores it from the store.
        let mut restarted = twin_of(&context, &files, "live.yaml");
        restarted.reconciler.reconcile().await;
        check(&restarted);
        assert_eq!(restarted.live(), live.live());
    };
    run(test).join().unwrap();
}

#[test]
fn an_environment_with_overlays_can_be_rolled_back_and_overridden() {
    let test = async {
        let context = memory().await;
        let mut files = example();
        let mut live = twin_of(&context, &files, "live.yaml");
        live.reconciler.reconcile().await;
        let first = live.connector("orbit-crm");
        let patch = files["overlays/live/connector.yaml"].replace("200", "300");
        files.insert("overlays/live/connector.yaml".into(), patch);
        live.source.files.lock().unwrap().clone_from(&files);
        live.reconciler.reconcile().await;
        let second = live.connector("orbit-crm").0;
        assert_eq!(second["spec"]["actions"]["list-contacts"]["http"]["query"]["limit"], "300", "{}", live.reason());
        let text =
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\nspec: { displayName: Acme }\n";
        let put = Request::Put {
            id: "Tenant/acme".parse().unwrap(),
            text: text.into(),
            json: false,
            over: None,
            reason: None,
            precondition: crate::reconcile::commands::Precondition::None,
        };
        live.reconciler.handle(put, "alice").await.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(live.connector("orbit-crm").0, second, "the overlay still applies");
        let back = live.reconciler.handle(Request::Rollback { to: 1 }, "alice").await;
        back.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(live.connector("orbit-crm"), first);
    };
    run(test).join().unwrap();
}

#[test]
fn a_promotion_waits_for_sources_that_can_be_read() {
    let test = async {
        let context = memory().await;
        let files = example();
        let mut draft = twin_of(&context, &files, "draft.yaml");
        let mut live = twin_of(&context, &files, "live.yaml");
        draft.reconciler.reconcile().await;
        live.reconciler.reconcile().await;
        let before = live.live();
        *live.source.fails.lock().unwrap() = true;
        let refused = live.reconciler.handle(Request::Promote { from: "draft".into() }, "alice").await.unwrap_err();
        assert!(refused.message.starts_with("cannot read the overlays of `live`: "), "{}", refused.message);
        assert_eq!(live.live(), before);
    };
    run(test).join().unwrap();
}
