//! Faults between an operator and its API server; `row_NN` is a row of `docs/faults.md`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{environment, follow, is, is_ready, said, saying, watch_through};
use crate::cluster::{Cluster, operator};
use crate::fault_proxy::{Fault, FaultProxy, Record};
use crate::support::Dev;

/// Documents of `count` connectors.
fn many(count: usize, message: &str) -> String {
    (0..count).map(|at| saying(&format!("c{at:04}"), message) + "---\n").collect()
}

fn all_ready(cluster: &Cluster, namespace: &str) -> usize {
    let listed = cluster.kubectl(&["get", "connectors", "-n", namespace, "-o", "json"]).out;
    let listed: Value = serde_json::from_str(&listed).unwrap_or_default();
    listed["items"].as_array().into_iter().flatten().filter(|connector| is_ready(connector)).count()
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn row_60_an_outage_of_the_api_server_that_loses_the_history() {
    let mut cluster = Cluster::start();
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let proxy = cluster.proxy();
    let mut operator = watch_through(&cluster, &proxy, &namespace, &state);
    cluster.apply(&namespace, &environment(""));
    cluster.apply(&namespace, &many(20, "before"));
    cluster.wait(&namespace, "connector", "c0019", is_ready, "the first definitions");
    cluster.stop_api();
    // The outage lasts until the operator has lost its lease; it serves all the time.
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut log = operator.said();
    while !log.contains("stopped leading") {
        assert!(Instant::now() < deadline, "the operator never stopped leading: {log}");
        assert_eq!(said(&operator, "c0007"), "before");
        std::thread::sleep(Duration::from_millis(500));
        log += &operator.said();
    }
    // The changes and the compaction precede the first connection, so that every watch needs a version that is gone.
    proxy.cut();
    cluster.start_api();
    cluster.apply(&namespace, &saying("c0007", "after"));
    cluster.kubectl(&["delete", "-n", &namespace, "connector", "c0003"]);
    cluster.compact();
    assert_eq!(said(&operator, "c0007"), "before");
    let before = proxy.records().len();
    proxy.reconnect();
    cluster.wait(&namespace, "connector", "c0007", is_ready, "the change after the outage");
    let is_removed = |live: &Value| live["status"]["definitions"] == 20 && is_ready(live);
    cluster.wait(&namespace, "environment", "live", is_removed, "the removal after the outage");
    assert_eq!((said(&operator, "c0007").as_str(), said(&operator, "c0008").as_str()), ("after", "before"));
    let is_list = |record: &Record| record.path.contains("/connectors?") && !record.path.contains("watch=true");
    assert!(proxy.records()[before..].iter().any(is_list), "the watch of connectors did not list again");
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn row_60_an_event_that_is_lost_on_its_way_is_sent_again() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let proxy = cluster.proxy();
    let _operator = watch_through(cluster, &proxy, &namespace, &state);
    cluster.apply(&namespace, &environment(""));
    cluster.apply(&namespace, &saying("good", "first"));
    cluster.wait(&namespace, "connector", "good", is_ready, "the valid connector");
    proxy.inject("POST", "/events", &[Fault::Drop, Fault::Drop]);
    cluster.apply(&namespace, &saying("good", "first").replace("path: /say", "path: \"/{{ input.nope | nothing }}\""));
    let deadline = Instant::now() + Duration::from_mins(1);
    while !cluster.kubectl(&["get", "events", "-n", &namespace]).out.contains("InvalidDefinition") {
        assert!(Instant::now() < deadline, "{:?}", proxy.records());
        std::thread::sleep(Duration::from_millis(100));
    }
    let dropped = proxy.records().into_iter().filter(|record| record.fault == Some(Fault::Drop)).count();
    assert_eq!(dropped, 2, "the event was lost twice");
}

/// The requests that write the status of a connector.
fn status_writes(proxy: &FaultProxy, name: &str) -> Vec<Record> {
    let path = format!("/connectors/{name}/status");
    proxy.records().into_iter().filter(|record| record.method == "PATCH" && record.path.contains(&path)).collect()
}

fn wait_until_all_serve(cluster: &Cluster, operator: &Dev, namespace: &str, count: usize, message: &str) {
    let deadline = Instant::now() + Duration::from_mins(5);
    while all_ready(cluster, namespace) < count || said(operator, &format!("c{:04}", count - 1)) != message {
        assert!(Instant::now() < deadline, "only {} are ready", all_ready(cluster, namespace));
        std::thread::sleep(Duration::from_millis(250));
    }
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn row_60_an_api_server_that_throttles_drops_and_delays() {
    const COUNT: usize = 40;
    const FAULTS: [Fault; 4] =
        [Fault::TooManyRequests, Fault::Drop, Fault::DropResponse, Fault::Delay(Duration::from_secs(2))];
    let cluster = Cluster::shared();
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let proxy = cluster.proxy();
    // The first lists, and the first writes of the lease.
    for kind in ["environments", "connectors"] {
        proxy.inject("GET", &format!("/{kind}?"), &FAULTS);
    }
    proxy.inject("POST", "/leases", &FAULTS[..3]);
    let operator = watch_through(cluster, &proxy, &namespace, &state);
    cluster.apply(&namespace, &environment(""));
    // The first write of each status has one of the faults.
    let fault = |at: usize| FAULTS[at % FAULTS.len()];
    for at in 0..COUNT {
        proxy.inject("PATCH", &format!("/connectors/c{at:04}/status"), &[fault(at)]);
    }
    cluster.apply(&namespace, &many(COUNT, "first"));
    wait_until_all_serve(cluster, &operator, &namespace, COUNT, "first");
    for at in 0..COUNT {
        let writes = status_writes(&proxy, &format!("c{at:04}"));
        assert_eq!(writes[0].fault, Some(fault(at)), "{writes:?}");
        assert!(writes.iter().any(|write| write.status == Some(200)), "{writes:?}");
        assert!(writes.len() <= 6, "{writes:?}");
    }
    // Every status is throttled twice in a row.
    let before: Vec<usize> = (0..COUNT).map(|at| status_writes(&proxy, &format!("c{at:04}")).len()).collect();
    for at in 0..COUNT {
        proxy.inject("PATCH", &format!("/connectors/c{at:04}/status"), &[Fault::TooManyRequests; 2]);
    }
    cluster.apply(&namespace, &many(COUNT, "second"));
    wait_until_all_serve(cluster, &operator, &namespace, COUNT, "second");
    for (at, before) in before.into_iter().enumerate() {
        let writes = status_writes(&proxy, &format!("c{at:04}")).split_off(before);
        let throttled = writes.iter().filter(|write| write.fault == Some(Fault::TooManyRequests)).count();
        assert_eq!(throttled, 2, "{writes:?}");
        assert!(writes[2..].iter().any(|write| write.status == Some(200)) && writes.len() <= 6, "{writes:?}");
    }
    let lists = proxy.records().into_iter().filter(|record| record.fault.is_some() && record.method == "GET").count();
    assert_eq!(lists, 2 * FAULTS.len());
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn row_61_an_object_that_cannot_be_decoded_stops_no_others() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let operator = follow(&cluster, &namespace, &[], &state);
    cluster.apply(&namespace, &environment("  sync: { apply: Isolate }\n"));
    cluster.apply(&namespace, &saying("good", "first"));
    cluster.wait(&namespace, "connector", "good", is_ready, "the valid connector");
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
    // The API server accepts no status of an object that its schema rejects: the Environment and an event report it.
    let is_reported = |live: &Value| {
        let findings = live["status"]["findings"].to_string();
        ["text", "odd"].iter().all(|name| findings.contains(&format!("Connector {namespace}/{name}")))
    };
    cluster.wait(&namespace, "environment", "live", is_reported, "the findings");
    // Events are published after the status.
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let events = cluster.kubectl(&["get", "events", "-n", &namespace]).out;
        let has_event =
            |name: &str| events.lines().any(|line| line.contains(name) && line.contains("InvalidDefinition"));
        if has_event("connector/odd") && has_event("connector/text") {
            break;
        }
        assert!(Instant::now() < deadline, "{events}");
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.apply(&namespace, &saying("good", "second"));
    cluster.wait(&namespace, "connector", "good", is_ready, "the second version of the valid connector");
    assert_eq!(said(&operator, "good"), "second");
}

/// The cluster role of the operator, with these verbs for `evenkeel.dev`, bound to the user `operator`.
fn rights(verbs: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{ name: evenkeel }}\nrules:\n  - {{ apiGroups: \
         [evenkeel.dev], resources: ['*'], verbs: [{verbs}] }}\n  - {{ apiGroups: [''], resources: [secrets], verbs: [get, list, \
         watch] }}\n  - {{ apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch] }}\n  - {{ apiGroups: \
         [coordination.k8s.io], resources: [leases], verbs: [get, create, update, patch] }}\n---\napiVersion: \
         rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{ name: evenkeel }}\nroleRef: {{ apiGroup: \
         rbac.authorization.k8s.io, kind: ClusterRole, name: evenkeel }}\nsubjects: [{{ kind: User, name: operator }}]\n"
    )
}

/// Waits until the API server applies the removal of a right.
fn wait_until_forbidden(cluster: &Cluster, namespace: &str, verb: &str, resource: &str) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while cluster.kubectl_as("operator", &["auth", "can-i", verb, resource, "-n", namespace], "").code == 0 {
        assert!(Instant::now() < deadline, "the right to {verb} {resource} is never removed");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn row_64_rights_that_are_removed_and_granted_again() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace();
    cluster.apply("default", &rights("get, list, watch, patch"));
    let state = tempfile::tempdir().unwrap();
    let mut operator = operator(&cluster, "operator", &["--namespace", &namespace], state.path());
    cluster.apply(&namespace, &environment(""));
    cluster.apply(&namespace, &saying("hello", "first"));
    cluster.wait(&namespace, "connector", "hello", is_ready, "the first version");
    // Without the right to write statuses, the operator still leads and serves, and names the verb.
    cluster.apply("default", &rights("get, list, watch"));
    wait_until_forbidden(&cluster, &namespace, "patch", "connectors.evenkeel.dev/hello");
    cluster.apply(&namespace, &saying("hello", "second"));
    operator.wait_for("the operator needs the verb `patch` for ");
    // Without any right, it names the verbs for the lease.
    cluster.kubectl(&["delete", "clusterrolebinding", "evenkeel"]);
    wait_until_forbidden(&cluster, "default", "update", "leases.coordination.k8s.io/evenkeel");
    operator.wait_for("needs the verbs `get`, `create` and `update` for leases.coordination.k8s.io");
    assert_eq!(operator.get("/healthz").status, 200);
    cluster.apply("default", &rights("get, list, watch, patch"));
    cluster.wait(&namespace, "connector", "hello", is_ready, "the second version");
    assert_eq!(said(&operator, "hello"), "second");
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn row_62_the_deletion_of_a_custom_resource_definition_prunes_nothing_without_approval() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let operator = follow(&cluster, &namespace, &[], &state);
    cluster.apply(&namespace, &environment(""));
    cluster.apply(&namespace, &many(20, "first"));
    cluster.wait(&namespace, "connector", "c0019", is_ready, "the first definitions");
    cluster.kubectl(&["delete", "crd", "connectors.evenkeel.dev"]);
    cluster.wait(&namespace, "environment", "live", is("PruneBlocked"), "the refusal");
    assert_eq!(said(&operator, "c0011"), "first");
    let crds = crate::support::root().join("charts/evenkeel/files/crds/connectors.yaml");
    cluster.kubectl(&["apply", "--server-side", "-f", crds.to_str().unwrap()]);
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/connectors.evenkeel.dev", "--timeout=120s"]);
    cluster.apply(&namespace, &many(20, "second"));
    cluster.wait(&namespace, "environment", "live", is_ready, "the end of the conflict");
    let deadline = Instant::now() + Duration::from_mins(2);
    while said(&operator, "c0011") != "second" {
        assert!(Instant::now() < deadline, "the second version never arrived");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn row_63_a_thousand_resources_converge_with_one_status_write_each() {
    let cluster = Cluster::start();
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
    // The last status of the Environment follows theirs, and the API server counts a write a moment after it is visible.
    let has_all = |live: &Value| live["status"]["definitions"] == 1001 && is_ready(live);
    cluster.wait(&namespace, "environment", "live", has_all, "the last status of the Environment");
    let mut counted = cluster.writes("status");
    loop {
        std::thread::sleep(Duration::from_secs(3));
        let again = cluster.writes("status");
        if std::mem::replace(&mut counted, again) == again {
            break;
        }
        assert!(Instant::now() < deadline, "status writes never stop");
    }
    let written = counted - before;
    // One for each, and a few for the Environment and after conflicts.
    assert!((1000..1300).contains(&written), "{written} statuses were written for 1000 definitions");
    // Reconciliations without changes write no statuses of definitions.
    let quiet = cluster.writes("status");
    for at in 0..3 {
        let request = format!("reconcile.evenkeel.dev/requestedAt=request-{at}");
        cluster.kubectl(&["annotate", "-n", &namespace, "--overwrite", "env", "live", &request]);
        let is_handled = |live: &Value| live["status"]["lastHandledReconcileAt"] == format!("request-{at}");
        cluster.wait(&namespace, "environment", "live", is_handled, "the reconciliation");
    }
    let more = cluster.writes("status") - quiet;
    assert!(more <= 6, "{more} statuses were written while nothing changed");
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn row_67_rejects_a_definition_of_git_and_of_a_resource() {
    let cluster = Cluster::shared();
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
    cluster.wait(&namespace, "environment", "live", is_ready, "both sources");
    // The Environment may arrive before the connector: each kind has its own watch.
    cluster.wait(&namespace, "connector", "own", is_ready, "the connector of the cluster");
    assert_eq!((said(&operator, "both").as_str(), said(&operator, "own").as_str()), ("of git", "of the cluster"));
    cluster.apply(&namespace, &saying("both", "of the cluster"));
    let refused = |live: &Value| live["status"]["findings"].to_string().contains("EK0201");
    let live = cluster.wait(&namespace, "environment", "live", refused, "the refusal");
    assert!(live["status"]["conditions"].to_string().contains("both"), "{live:#}");
    assert_eq!(said(&operator, "both"), "of git");
    cluster.kubectl(&["delete", "-n", &namespace, "connector", "both"]);
    cluster.wait(&namespace, "environment", "live", is_ready, "the end of the conflict");
}
