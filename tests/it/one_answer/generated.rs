//! Generated sets: files on a developer's machine, a server, the operator of a cluster and admission give the same plan.

#[path = "../../../src/reconcile/tests/repository.rs"]
mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel::catalog::{EnvironmentSelection, Snapshot, is_patch};
use evenkeel::definition::Kind;
use evenkeel::definition::environment::ClusterSource;
use evenkeel::net;
use evenkeel::operator::admission::{self, Change};
use evenkeel::operator::resources::{Key, Resource, Resources};
use evenkeel::operator::selection::Selection;
use evenkeel::operator::source::ClusterResources;
use evenkeel::operator::tenancy::Permissions;
use evenkeel::plan::{Inventory, PlanOptions, plan};
use evenkeel::quota::Limiter;
use evenkeel::reconcile::commands::Request;
use evenkeel::reconcile::context::Context;
use evenkeel::reconcile::desired::{DesiredSet, desired_set};
use evenkeel::reconcile::document::{EnvironmentDocument, documents};
use evenkeel::reconcile::environments::Environments;
use evenkeel::reconcile::notifications::{Notifier, Settings};
use evenkeel::reconcile::sources::SourceContext;
use evenkeel::reconcile::validate::Validator;
use evenkeel::source::git::GitRepositories;
use evenkeel::source::{Source as _, directory};
use evenkeel::store::{self, Keys};
use evenkeel::telemetry::metrics::Metrics;
use evenkeel::text::{self, Node, ReadLimits};
use serde_json::{Value, json};

use self::repository::Repository;
use crate::support::write;

/// Number of valid sets that are compared.
const SETS: usize = 200;

/// The plan from nothing to a desired set as JSON, and the digest of the set.
fn plan_of(desired: &DesiredSet, environment: &str) -> (String, String) {
    let plan = plan(&Inventory::new(), &desired.inventory, &PlanOptions { environment });
    (plan.to_json(), plan.to.to_string())
}

/// The desired set that commands make of a folder.
fn of_folder(folder: &Path, environment: &EnvironmentSelection) -> DesiredSet {
    let (snapshot, unreadable) = directory::read(folder).unwrap();
    let read = |file: &str| Ok(directory::read_inside(folder, file, 1 << 20)?);
    desired_set(&mut Validator::new(), &snapshot, &unreadable, environment, read).unwrap()
}

/// The desired set of resources, which have no files.
fn of_resources(snapshot: &Snapshot, environment: &EnvironmentSelection) -> DesiredSet {
    let read = |file: &str| anyhow::bail!("a resource names the file {file}");
    desired_set(&mut Validator::new(), snapshot, &[], environment, read).unwrap()
}

/// The documents of files as resources of a namespace.
fn resources_of(files: &BTreeMap<String, String>) -> Vec<(Kind, Value)> {
    let mut resources = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".yaml") && !is_patch(path)) {
        let source = text::Source::new(path.as_str(), text.as_str());
        for document in text::parse(&source, &ReadLimits::default()).0 {
            let kind = document.root.get("kind").and_then(Node::as_str).and_then(|kind| kind.parse::<Kind>().ok());
            // Code beside a workflow cannot be a resource.
            let has_file = document.root.pointer("/spec/source/file").is_some();
            if let Some(kind) = kind.filter(|kind| *kind != Kind::Environment && !has_file) {
                let mut resource = document.root.to_json();
                resource["metadata"]["namespace"] = json!("ns");
                resources.push((kind, resource));
            }
        }
    }
    resources
}

/// The only document of a file, as `--environment-file` and `serve` read it.
fn document(folder: &Path) -> EnvironmentDocument {
    documents(folder).unwrap().remove(0)
}

struct Server {
    environments: Environments,
    _state: tempfile::TempDir,
}

impl Server {
    async fn start() -> Server {
        let state = tempfile::tempdir().unwrap();
        let client = net::Client::new(net::Policy::default()).unwrap();
        let metrics = Metrics::new();
        let store = store::open("sqlite::memory:", Keys::none()).await.unwrap();
        let context = Context {
            limiter: Limiter::of_store(Arc::clone(&store), None),
            store,
            is_leader: None,
            source_context: SourceContext {
                cluster: None,
                repositories: GitRepositories::open(&state.path().join("git")).unwrap(),
                tls: net::Tls::new().unwrap(),
                folder: state.path().join("missing"),
                allow_local: false,
            },
            identities: None,
            notifier: Notifier::start(client, metrics.clone(), Settings::default()),
            metrics,
            replica: "test".into(),
            shared: false,
            public_url: None,
            allow_loopback: false,
        };
        Server { environments: Environments::empty(context), _state: state }
    }

    /// The plan that an environment without a generation makes of files.
    async fn preview(&self, number: usize, document: EnvironmentDocument, files: &BTreeMap<String, String>) -> Value {
        // Each set is an environment of its own, so that nothing is applied.
        let key = format!("set-{number}");
        self.environments.update(vec![EnvironmentDocument { key: key.clone(), ..document }]);
        let handle = self.environments.find(Some(&key)).unwrap();
        let response = handle.send(Request::Preview { files: files.clone() }, "alice").await;
        let plan = response.unwrap_or_else(|error| panic!("{error:?}"))["plan"].clone();
        self.environments.remove(&key);
        plan
    }
}

#[test]
fn files_a_server_the_operator_and_admission_give_the_same_plan() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { tokio::spawn(compare()).await.unwrap() });
}

async fn compare() {
    let started = Instant::now();
    let server = Server::start().await;
    let (mut sets, mut digests) = (0, BTreeSet::new());
    for seed in 100.. {
        let mut repository = Repository::new(seed);
        for _ in 0..12 {
            repository.edit();
            let name = if sets % 2 == 0 { "live" } else { "eu" };
            let work = tempfile::tempdir().unwrap();
            for (path, text) in &repository.files {
                write(&work.path().join("definitions").join(path), text);
            }
            write(&work.path().join("own/live.yaml"), &repository.operators[name]);
            let own = document(&work.path().join("own"));
            let desired = of_folder(&work.path().join("definitions"), &own.selection());
            if !desired.validated.is_valid() {
                continue;
            }
            let at = format!("seed {seed}, set {sets}, {name}");
            let (offline, digest) = plan_of(&desired, &format!("set-{sets}"));
            let on_server: evenkeel::plan::Plan =
                serde_json::from_value(server.preview(sets, own, &repository.files).await).unwrap();
            assert_eq!(on_server.to_json(), offline, "{at}");
            digests.insert(digest);
            in_a_cluster(&repository, name, work.path(), &at);
            sets += 1;
            if sets == SETS {
                // Most sets differ, or the comparison says little.
                assert!(digests.len() > SETS * 3 / 4, "only {} sets differ", digests.len());
                assert!(started.elapsed() < Duration::from_mins(2), "{:?}", started.elapsed());
                return;
            }
        }
    }
}

/// Compares the plans of the operator and of admission with those of the same documents as files.
fn in_a_cluster(repository: &Repository, name: &str, work: &Path, at: &str) {
    let lines: Vec<&str> = repository.operators[name].lines().filter(|line| !line.contains("overlays:")).collect();
    let source = text::Source::new("live.yaml", lines.join("\n"));
    let mut environment = text::parse(&source, &ReadLimits::default()).0.remove(0).root.to_json();
    environment["metadata"]["namespace"] = json!("ns");
    let mut objects = resources_of(&repository.files);
    objects.push((Kind::Environment, environment));
    let objects: Vec<(Kind, kube::api::DynamicObject)> =
        objects.into_iter().map(|(kind, object)| (kind, serde_json::from_value(object).unwrap())).collect();
    let resources = Resources::fixed(objects.clone());
    let key = Key { kind: Kind::Environment, namespace: "ns".into(), name: name.to_owned() };

    let own = evenkeel::operator::document::read(&format!("ns.{name}"), &resources.get(&key).unwrap()).unwrap();
    let selection = Selection::new("ns", &own.spec, &ClusterSource::default(), Permissions::default());
    let fetched = ClusterResources::new(Arc::clone(&resources), selection, None).fetch(Instant::now()).unwrap();
    let operator = of_resources(&fetched.snapshot, &own.selection());
    assert!(operator.validated.is_valid(), "{at}: {:?}", operator.validated.findings);
    let (operator, digest) = plan_of(&operator, &own.key);

    // The same documents as files.
    for (kind, object) in &objects {
        let file = Resource::read(*kind, object, None).file;
        let folder = if *kind == Kind::Environment { "cluster-own" } else { "cluster" };
        write(&work.join(folder).join(&*file.path), std::str::from_utf8(&file.bytes).unwrap());
    }
    let offline = of_folder(&work.join("cluster"), &document(&work.join("cluster-own")).selection());
    assert_eq!(plan_of(&offline, &own.key).0, operator, "{at}: the operator");

    // Admission sees the Environment among the resources; one of them is the change under review.
    let (kind, object) = &objects[at.len() % objects.len()];
    let changed = Resource::read(*kind, object, None);
    let others = Resources::fixed(
        objects
            .iter()
            .filter(|(other, object)| (*other, object.metadata.name.as_deref()) != (*kind, Some(&*changed.key.name)))
            .cloned(),
    );
    let snapshot = admission::snapshot(&others, &changed.key, Change::Written(changed.file.clone()));
    let admitted = of_resources(&snapshot, &EnvironmentSelection { name: name.to_owned(), document: None });
    assert_eq!(plan_of(&admitted, &own.key), (operator, digest), "{at}: admission");
}
