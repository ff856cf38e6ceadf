//! What goes wrong between an operator and its API server, each a row of the table of faults.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{environment, follow, is, is_ready, said, saying};
use crate::cluster::{Cluster, operator};

/// Many connectors in one document.
fn many(count: usize, message: &str) -> String {
    (0..count).map(|at| saying(&format!("c{at:04}"), message) + "---\n").collect()
}

fn all_ready(cluster: &Cluster, namespace: &str) -> usize {
    let listed = cluster.kubectl(&["get", "connectors", "-n", namespace, "-o", "json"]).out;
    let listed: Value = serde_json::from_str(&listed).unwrap_or_default();
    listed["items"].as_array().into_iter().flatten().filter(|one| is_ready(one)).count()
}

#[test]
fn row_60_an_api_server_that_is_away_a_minute_and_forgets_history() {
    let Some(mut cluster) = Cluster::start() else { return };
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let operator = follow(&cluster, &namespace, &[], &state);
    cluster.apply(&namespace, &environment(""));
    cluster.apply(&namespace, &many(20, "before"));
    cluster.wait(&namespace, "connector", "c0019", is_ready, "the first ones");
    cluster.stop_api();
    // What serves keeps serving.
    let away = Instant::now();
    while away.elapsed() < Duration::from_mins(1) {
        assert_eq!(said(&operator, "c0007"), "before");
        std::thread::sleep(Duration::from_secs(5));
    }
    cluster.start_api();
    // Changes that the watches have not seen, and whose history is gone: they are told 410 and list anew.
    cluster.apply(&namespace, &saying("c0007", "after"));
    cluster.kubectl(&["delete", "-n", &namespace, "connector", "c0003"]);
    cluster.compact();
    cluster.wait(&namespace, "connector", "c0007", is_ready, "the change after it");
    let is_removed = |live: &Value| live["status"]["definitions"] == 20 && is_ready(live);
    cluster.wait(&namespace, "environment", "live", is_removed, "the removal after it");
    assert_eq!((said(&operator, "c0007").as_str(), said(&operator, "c0008").as_str()), ("after", "before"));
}

#[test]
fn row_61_an_object_that_nobody_understands_stops_nothing() {
    let Some(cluster) = Cluster::start() else { return };
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let operator = follow(&cluster, &namespace, &[], &state);
    cluster.apply(&namespace, &environment("  sync: { apply: Isolate }\n"));
    cluster.apply(&namespace, &saying("good", "first"));
    cluster.wait(&namespace, "connector", "good", is_ready, "the good one");
    for (name, spec) in [("text", json!("not an object")), ("empty", Value::Null), ("odd", json!({"actions": [1, 2]}))]
    {
        let object = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Connector",
            "metadata": {
                "name": name, "namespace": namespace, "uid": format!("00000000-0000-0000-0000-{:0>12}", name.len()),
                "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"
            },
            "spec": spec
        });
        cluster.plant("connectors", &namespace, name, &object);
    }
    // The API server takes no status for what its schema does not take: the Environment says it, and an event.
    let says = |live: &Value| {
        let findings = live["status"]["findings"].to_string();
        ["text", "odd"].iter().all(|name| findings.contains(&format!("Connector {namespace}/{name}")))
    };
    cluster.wait(&namespace, "environment", "live", says, "what is wrong with them");
    // Events are published beside the status, after it.
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let events = cluster.kubectl(&["get", "events", "-n", &namespace]).out;
        let told = |name: &str| events.lines().any(|line| line.contains(name) && line.contains("InvalidDefinition"));
        if told("connector/odd") && told("connector/text") {
            break;
        }
        assert!(Instant::now() < deadline, "{events}");
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.apply(&namespace, &saying("good", "second"));
    cluster.wait(&namespace, "connector", "good", is_ready, "the good one again");
    assert_eq!(said(&operator, "good"), "second");
}

#[test]
fn row_64_rights_that_are_taken_away_and_given_back() {
    let Some(cluster) = Cluster::start() else { return };
    let namespace = cluster.namespace();
    let rights = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: { name: evenkeel }\nrules:\n  - { apiGroups: \
                  [evenkeel.dev], resources: ['*'], verbs: [get, list, watch, patch] }\n  - { apiGroups: [''], resources: [secrets], \
                  verbs: [get, list, watch] }\n  - { apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch] }\n  - { \
                  apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update, patch] }\n---\napiVersion: \
                  rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: { name: evenkeel }\nroleRef: { apiGroup: \
                  rbac.authorization.k8s.io, kind: ClusterRole, name: evenkeel }\nsubjects: [{ kind: User, name: operator }]\n";
    cluster.apply("default", rights);
    let state = tempfile::tempdir().unwrap();
    let mut operator = operator(&cluster, "operator", &["--namespace", &namespace], state.path());
    cluster.apply(&namespace, &environment(""));
    cluster.apply(&namespace, &saying("hello", "first"));
    cluster.wait(&namespace, "connector", "hello", is_ready, "the first");
    // Whether the operator writes before it notices that it leads no more is chance: it is asked anew until it did.
    let mut log = String::new();
    let right = "the operator needs the verb `patch` for ";
    for round in 0..5 {
        cluster.kubectl(&["delete", "clusterrolebinding", "evenkeel"]);
        let deadline = Instant::now() + Duration::from_mins(2);
        while cluster.kubectl_as("operator", &["get", "connectors", "-n", &namespace], "").code == 0 {
            assert!(Instant::now() < deadline, "the rights are never taken away");
        }
        let message = format!("after {round}");
        cluster.apply(&namespace, &saying("hello", &message));
        // Running watches go on until they end; new ones are refused, and the log says what is missing.
        let until = Instant::now() + Duration::from_secs(15);
        while !log.contains(right) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(250));
            log += &operator.said();
        }
        assert_eq!(operator.get("/healthz").status, 200);
        cluster.apply("default", rights);
        cluster.wait(&namespace, "connector", "hello", is_ready, "the one after it");
        assert_eq!(said(&operator, "hello"), message);
        if log.contains(right) {
            return;
        }
    }
    panic!("the missing right is not named: {log}");
}

#[test]
fn row_62_a_definition_of_the_kind_that_is_deleted_prunes_nothing_unasked() {
    let Some(cluster) = Cluster::start() else { return };
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let operator = follow(&cluster, &namespace, &[], &state);
    cluster.apply(&namespace, &environment(""));
    cluster.apply(&namespace, &many(20, "first"));
    cluster.wait(&namespace, "connector", "c0019", is_ready, "the first ones");
    cluster.kubectl(&["delete", "crd", "connectors.evenkeel.dev"]);
    cluster.wait(&namespace, "environment", "live", is("PruneBlocked"), "the refusal");
    assert_eq!(said(&operator, "c0011"), "first");
    let crds = crate::support::root().join("charts/evenkeel/files/crds/connectors.yaml");
    cluster.kubectl(&["apply", "--server-side", "-f", crds.to_str().unwrap()]);
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/connectors.evenkeel.dev", "--timeout=120s"]);
    cluster.apply(&namespace, &many(20, "second"));
    cluster.wait(&namespace, "environment", "live", is_ready, "peace");
    let deadline = Instant::now() + Duration::from_mins(2);
    while said(&operator, "c0011") != "second" {
        assert!(Instant::now() < deadline, "what was applied anew never came");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn row_63_a_thousand_at_once_converge_with_a_write_each() {
    let Some(cluster) = Cluster::start() else { return };
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let operator = follow(&cluster, &namespace, &[], &state);
    cluster.apply(&namespace, &environment(""));
    cluster.wait(&namespace, "environment", "live", is_ready, "the empty Environment");
    let before = cluster.writes("status");
    let applied =
        cluster.kubectl_as("admin", &["apply", "--server-side", "-n", &namespace, "-f", "-"], &many(1000, "first"));
    assert_eq!(applied.code, 0, "{}", applied.err);
    let deadline = Instant::now() + Duration::from_mins(5);
    while all_ready(&cluster, &namespace) < 1000 {
        assert!(Instant::now() < deadline, "only {} are ready", all_ready(&cluster, &namespace));
        std::thread::sleep(Duration::from_millis(250));
    }
    assert_eq!(said(&operator, "c0999"), "first");
    // What the Environment says last comes after them, and the API server counts a write a moment after it was seen.
    let has_all = |live: &Value| live["status"]["definitions"] == 1001 && is_ready(live);
    cluster.wait(&namespace, "environment", "live", has_all, "the Environment's last word");
    let mut counted = cluster.writes("status");
    loop {
        std::thread::sleep(Duration::from_secs(3));
        let again = cluster.writes("status");
        if std::mem::replace(&mut counted, again) == again {
            break;
        }
        assert!(Instant::now() < deadline, "statuses are written without end");
    }
    let written = counted - before;
    // One for each, and a few for the Environment and those that were overtaken.
    assert!((1000..1300).contains(&written), "{written} statuses were written for 1000 definitions");
    // Nothing more is written when nothing changes, also when everything is looked at again.
    let quiet = cluster.writes("status");
    for at in 0..3 {
        let asked = format!("reconcile.evenkeel.dev/requestedAt=look-{at}");
        cluster.kubectl(&["annotate", "-n", &namespace, "--overwrite", "env", "live", &asked]);
        let seen = |live: &Value| live["status"]["lastHandledReconcileAt"] == format!("look-{at}");
        cluster.wait(&namespace, "environment", "live", seen, "the look");
    }
    let more = cluster.writes("status") - quiet;
    assert!(more <= 6, "{more} statuses were written while nothing changed");
}

#[test]
fn row_60_an_api_server_that_has_too_much_to_do() {
    // It answers 429 with Retry-After to whoever comes while another request is on its way.
    let arguments =
        &["--enable-priority-and-fairness=false", "--max-mutating-requests-inflight=1", "--max-requests-inflight=20"];
    let Some(cluster) = Cluster::with(arguments) else { return };
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let operator = follow(&cluster, &namespace, &[], &state);
    cluster.apply(&namespace, &environment(""));
    // Whether two come at the same moment is chance: it is asked anew until somebody was told to come back.
    let deadline = Instant::now() + Duration::from_mins(8);
    let is_answering = |message: &str| said(&operator, "c0149") == message;
    for round in 0.. {
        let message = format!("round {round}");
        // Others write meanwhile, so that requests do meet.
        std::thread::scope(|scope| {
            for other in 0..3 {
                let (cluster, namespace) = (&cluster, &namespace);
                scope.spawn(move || {
                    for n in 0..10 {
                        let name = format!("other-{round}-{other}-{n}");
                        cluster.kubectl(&["create", "configmap", &name, "-n", namespace]);
                    }
                });
            }
            cluster.apply(&namespace, &many(150, &message));
        });
        while all_ready(&cluster, &namespace) < 150 || !is_answering(&message) {
            assert!(Instant::now() < deadline, "only {} are ready", all_ready(&cluster, &namespace));
            std::thread::sleep(Duration::from_millis(250));
        }
        let metrics = cluster.kubectl(&["get", "--raw", "/metrics"]).out;
        let refused = metrics.lines().any(|line| {
            line.starts_with("apiserver_dropped_requests_total")
                || (line.starts_with("apiserver_request_total{") && line.contains("code=\"429\""))
        });
        if refused {
            return;
        }
        assert!(Instant::now() < deadline, "nobody was told to come back");
    }
}

#[test]
fn row_67_what_git_and_a_resource_both_claim_is_refused() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let operator = follow(cluster, &namespace, &[], &state);
    let repository = crate::git_server::Repository::with(&[("a.yaml", &saying("both", "of git"))]);
    let git = crate::git_server::GitHttp::start(repository.root());
    let sources = format!(
        "  sources: [{{ name: repository, git: {{ url: \"{}\", branch: main }} }}, {{ name: resources, cluster: {{}} }}]\n",
        git.url()
    );
    cluster.apply(&namespace, &saying("own", "of the cluster"));
    cluster.apply(&namespace, &environment(&sources));
    cluster.wait(&namespace, "environment", "live", is_ready, "what each declares");
    // The Environment may have come before the connector: each kind is watched by itself.
    cluster.wait(&namespace, "connector", "own", is_ready, "the one of the cluster");
    assert_eq!((said(&operator, "both").as_str(), said(&operator, "own").as_str()), ("of git", "of the cluster"));
    cluster.apply(&namespace, &saying("both", "of the cluster"));
    let refused = |live: &Value| live["status"]["findings"].to_string().contains("EK0201");
    let live = cluster.wait(&namespace, "environment", "live", refused, "the refusal");
    assert!(live["status"]["conditions"].to_string().contains("both"), "{live:#}");
    assert_eq!(said(&operator, "both"), "of git");
    cluster.kubectl(&["delete", "-n", &namespace, "connector", "both"]);
    cluster.wait(&namespace, "environment", "live", is_ready, "peace");
}
