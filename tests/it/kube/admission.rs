//! Tests of the admission webhook with a real API server: it reports the findings of `evenkeel validate`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel::catalog::{File, Input, Snapshot};
use evenkeel::definition::{Kind, is_name};
use evenkeel::operator::admission::findings_in;
use evenkeel::operator::resources::Key;
use evenkeel::reconcile::validate::{self, Validator};
use evenkeel::text::{self, Severity};
use serde_json::{Value, json};

use super::{Place, environment, is_ready, saying};
use crate::support::root;

/// Findings that no resource can have, since they concern files: their syntax, their location, and documents that are not
/// resources.
const OF_FILES: [&str; 23] = [
    "EK0001", "EK0002", "EK0003", "EK0004", "EK0005", "EK0006", "EK0007", "EK0008", "EK0009", "EK0010", "EK0011",
    "EK0012", "EK0013", "EK0014", "EK0015", "EK0108", "EK0109", "EK0110", "EK0111", "EK0201", "EK0207", "EK0805",
    "EK0806",
];

/// Code, message and pointer of a finding.
type Line = (String, String, String);

/// Findings by resource.
type Lines = BTreeMap<Key, BTreeSet<Line>>;

/// The planted repository as resources of one namespace, with the findings of `validate` in each.
fn planted() -> (Vec<(Key, File)>, Lines) {
    let validated = validate::folder(&root().join("tests/planted")).unwrap();
    let mut resources = BTreeMap::new();
    let mut expected = Lines::new();
    let mut twice = BTreeSet::new();
    for entry in &validated.catalog.entries {
        let document = entry.document.root.to_json();
        let kind = document["kind"].as_str().and_then(|kind| kind.parse::<Kind>().ok());
        let Some(kind) = kind.filter(|_| is_name(&entry.id.name)) else { continue };
        let key = Key { kind, namespace: "planted".into(), name: entry.id.name.clone() };
        let mut resource = document.clone();
        if let Some(metadata) = resource["metadata"].as_object_mut() {
            metadata.remove("namespace");
        }
        let file = File { path: key.path().into(), bytes: Arc::from(resource.to_string().into_bytes()) };
        if resources.insert(key.clone(), file).is_some() {
            twice.insert(key);
            continue;
        }
        let extent = entry.document.root.extent();
        let found = expected.entry(key).or_default();
        for finding in &validated.findings {
            let Some(span) = finding.span().filter(|span| span.source == entry.document.source) else { continue };
            if span.start < extent.start || span.end > extent.end || OF_FILES.contains(&finding.code.id) {
                continue;
            }
            let pointer = text::pointer_at(&entry.document.root, text::Range { start: span.start, end: span.end });
            found.insert((finding.code.id.to_owned(), finding.message.clone(), pointer));
        }
    }
    // Resources with duplicate names are excluded, with the findings about them.
    for key in &twice {
        resources.remove(key);
        expected.remove(key);
    }
    (resources.into_iter().collect(), expected)
}

#[test]
fn admission_finds_what_validate_finds_in_every_planted_file() {
    let (resources, expected) = planted();
    assert!(resources.len() > 100, "{}", resources.len());
    let files: Vec<File> = resources.iter().map(|(_, file)| file.clone()).collect();
    let snapshot = Snapshot::of(files.iter().map(|file| (file.path.clone(), file.bytes.clone())));
    let validated = Validator::new().validate(&Input { snapshot, ..Input::default() }, &[]);
    let mut compared = 0;
    let mut wrong = Vec::new();
    for (key, file) in &resources {
        let mine: BTreeSet<Line> = findings_in(&validated, file)
            .into_iter()
            .filter(|found| !OF_FILES.contains(&found.finding.code.id))
            .map(|found| (found.finding.code.id.to_owned(), found.finding.message, found.pointer))
            .collect();
        let theirs = &expected[key];
        compared += theirs.len();
        if mine != *theirs {
            let missing: Vec<&Line> = theirs.difference(&mine).collect();
            let extra: Vec<&Line> = mine.difference(theirs).collect();
            wrong.push(format!("{key}:\n  missing {missing:#?}\n  extra {extra:#?}"));
        }
    }
    assert!(compared > 250, "only {compared} findings were compared");
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), resources.len(), wrong.join("\n"));
}

/// A webhook of the API server that asks the operator of a place about its namespace.
fn asking(place: &mut Place) {
    let said = place.operator.wait_for("admission on ");
    let address = said.lines().find_map(|line| line.strip_prefix("admission on ")).unwrap().to_owned();
    let namespace = &place.namespace;
    let plurals: Vec<&str> = Kind::ALL.map(Kind::plural).to_vec();
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [{
            "name": "definitions.evenkeel.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail", "timeoutSeconds": 30,
            "clientConfig": {"url": format!("https://{address}/admission")},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"apiGroups": ["evenkeel.dev"], "apiVersions": ["v1alpha1"], "resources": plurals,
                       "operations": ["CREATE", "UPDATE", "DELETE"]}]
        }]
    });
    place.cluster.apply("default", &configuration.to_string());
    let has_bundle = |one: &Value| one["webhooks"][0]["clientConfig"]["caBundle"].is_string();
    place.cluster.wait("default", "validatingwebhookconfiguration", namespace, has_bundle, "the certificate authority");
    // The API server takes up a webhook a while after it was made, and its authority a while after that.
    let deadline = Instant::now() + Duration::from_mins(2);
    let create = ["create", "--dry-run=server", "-n", namespace, "-f", "-"];
    let refused = saying("bad", "x").replace("baseUrl", "baseUlr");
    loop {
        let said = place.cluster.kubectl_as("admin", &create, &refused);
        if said.code != 0 && said.err.contains("EK0101") {
            break;
        }
        assert!(Instant::now() < deadline, "the webhook is never called: {}{}", said.out, said.err);
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn place() -> Place {
    let cluster = crate::cluster::Cluster::shared();
    let namespace = cluster.namespace();
    let args = ["--admission-port", "0", "--admission-configuration", &namespace, "--admission-secret", &namespace];
    let mut place = Place::of(cluster, namespace.clone(), &args);
    asking(&mut place);
    place
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn the_api_server_refuses_warns_and_lets_through() {
    let place = place();
    let apply =
        |document: &str| place.cluster.kubectl_as("admin", &["apply", "-n", &place.namespace, "-f", "-"], document);
    // The first question may be too early for a webhook that was just made.
    let deadline = Instant::now() + Duration::from_mins(2);
    let refused = loop {
        let refused = apply(&saying("bad", "x").replace("baseUrl", "baseUlr"));
        if refused.code != 0 {
            break refused;
        }
        assert!(Instant::now() < deadline, "nothing is refused");
        place.kubectl(&["delete", "connector", "bad"]);
    };
    for words in
        ["Connector", "EK0101 at /spec/baseUlr", "unknown field `baseUlr`", "did you mean `baseUrl`?", "denied"]
    {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    // References to missing definitions only warn, so that a set can be applied in any order.
    let workflow = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: greet }\nspec:\n  tier: Instant\n  steps:\n    - \
                    { name: one, action: hello/say }\n";
    let warned = apply(workflow);
    assert!(warned.code == 0 && warned.err.contains("Warning: EK0202"), "{}{}", warned.out, warned.err);
    assert_eq!(apply(&saying("hello", "hi")).code, 0);
    assert_eq!(apply(&environment("")).code, 0);
    place.wait("workflow", "greet", is_ready, "both together");
    // A deletion that breaks others warns and is allowed: namespaces must be deletable.
    let removed = place.kubectl(&["delete", "connector", "hello"]);
    assert!(removed.code == 0 && removed.err.contains("this breaks Workflow"), "{}{}", removed.out, removed.err);
    let kept =
        saying("kept", "x").replace("{ name: kept }", "{ name: kept, annotations: { evenkeel.dev/prune: disabled } }");
    assert_eq!(apply(&kept).code, 0);
    let refused = place.kubectl(&["delete", "connector", "kept"]);
    assert!(refused.code != 0 && refused.err.contains("evenkeel.dev/prune"), "{}", refused.err);
    // The certificate is kept, and never shown.
    let secret = place.cluster.get("default", "secret", &place.namespace);
    assert!(secret["data"]["ca.crt"].is_string() && secret["data"]["tls.key"].is_string());
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn the_api_server_refuses_what_validate_refuses() {
    let place = place();
    let (resources, _) = planted();
    let mut disagree = Vec::new();
    let (mut refused, mut accepted) = (0, 0);
    for (key, file) in &resources {
        // Alone, since the namespace has no other resources.
        let mut snapshot = Snapshot::of([(file.path.clone(), file.bytes.clone())]);
        snapshot.alone = true;
        let validated = Validator::new().validate(&Input { snapshot, ..Input::default() }, &[]);
        let fixable = ["EK0203", "EK0204", "EK0401"];
        let is_error = |found: &evenkeel::operator::admission::ResourceFinding| {
            found.finding.severity == Severity::Error && !fixable.contains(&found.finding.code.id)
        };
        let expected = findings_in(&validated, file).iter().any(is_error);
        let document = String::from_utf8(file.bytes.to_vec()).unwrap();
        let args = ["create", "--dry-run=server", "-n", &place.namespace, "-f", "-"];
        let said = place.cluster.kubectl_as("admin", &args, &document);
        if (said.code != 0) == expected {
            if expected { refused += 1 } else { accepted += 1 }
        } else {
            let first = said.err.lines().next().unwrap_or_default().to_owned();
            disagree.push(format!("{key}: validate refuses: {expected}, the API server: {} {first}", said.code != 0));
        }
    }
    assert!(refused > 60 && accepted > 5, "{refused} refused, {accepted} accepted");
    assert!(disagree.is_empty(), "{}", disagree.join("\n"));
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn what_git_owns_is_read_only() {
    let place = place();
    let repository = crate::git_server::Repository::with(&[("a.yaml", &saying("from-git", "hello"))]);
    let git = crate::git_server::GitHttp::start(repository.root());
    place.apply(&environment(&format!("  source: {{ git: {{ url: \"{}\", branch: main }} }}\n", git.url())));
    place.wait("environment", "live", is_ready, "what Git declares");
    assert_eq!(place.said("from-git"), "hello");
    let document = saying("from-git", "mine");
    let refused = place.cluster.kubectl_as("admin", &["apply", "-n", &place.namespace, "-f", "-"], &document);
    assert!(refused.code != 0, "{}", refused.out);
    let commit = format!("comes from main@sha1:{}, a.yaml:", repository.head());
    assert!(refused.err.contains(&commit), "{}", refused.err);
}
