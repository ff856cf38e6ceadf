//! Several operators: one leads, the others follow through PostgreSQL; a former leader changes nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{environment, follow, is_ready, said, saying};
use crate::cluster::Cluster;
use crate::serve::replicas::database;
use crate::support::Dev;

fn signal(operator: &Dev, name: &str) {
    assert!(Command::new("kill").arg(name).arg(operator.id().to_string()).status().unwrap().success());
}

fn leader(cluster: &Cluster, namespace: &str) -> String {
    let lease = cluster.get("default", "lease", namespace);
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

fn transitions(cluster: &Cluster, namespace: &str) -> u64 {
    cluster.get("default", "lease", namespace)["spec"]["leaseTransitions"].as_u64().unwrap_or_default()
}

fn wait_for(what: &str, until: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !until() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[cfg_attr(
    any(missing_kubernetes, missing_postgres),
    ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them; needs PostgreSQL: tests/run installs it"
)]
fn another_operator_takes_over_from_a_suspended_or_killed_leader() {
    let cluster = Cluster::shared();
    let database = database();
    let namespace = cluster.namespace();
    let start = |identity: &str| {
        let state = tempfile::tempdir().unwrap();
        let args = ["--store", &database, "--identity", identity];
        (follow(cluster, &namespace, &args, &state), state)
    };
    let (one, _one) = start("one");
    wait_for("the first leader", || leader(cluster, &namespace) == "one");
    let (two, _two) = start("two");
    cluster.apply(&namespace, &environment(""));
    cluster.apply(&namespace, &saying("hello", "first"));
    cluster.wait(&namespace, "connector", "hello", is_ready, "the first");
    wait_for("both to serve", || said(&one, "hello") == "first" && said(&two, "hello") == "first");
    // An operator that does not lead is ready too: it serves.
    assert_eq!((one.get("/readyz").status, two.get("/readyz").status), (200, 200));

    // The leader is suspended. The other one leads once the lease expires, and its changes stay.
    signal(&one, "-STOP");
    wait_for("the second leader", || leader(cluster, &namespace) == "two");
    cluster.apply(&namespace, &saying("hello", "second"));
    cluster.wait(
        &namespace,
        "connector",
        "hello",
        |one| is_ready(one) && one["status"]["revision"] != "-",
        "the second",
    );
    wait_for("the second to serve it", || said(&two, "hello") == "second");
    // The status follows a moment after the generation serves.
    let history = two.get(&format!("/v1/environments/{namespace}.live/history")).json();
    let number = &history["items"][0]["generation"];
    let says = |live: &Value| live["status"]["generation"] == *number;
    let before = cluster.wait(&namespace, "environment", "live", says, "the second generation");
    signal(&one, "-CONT");
    wait_for("the first to follow", || said(&one, "hello") == "second");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!((leader(cluster, &namespace).as_str(), transitions(cluster, &namespace)), ("two", 2));
    let after = cluster.get(&namespace, "environment", "live");
    let generation = |one: &Value| one["status"]["generation"].clone();
    assert_eq!(generation(&before), generation(&after), "the generation is unchanged");

    // The leader is killed: no process releases the lease, and the other one leads once it expires.
    let mut two = two;
    two.kill();
    wait_for("the first leader again", || leader(cluster, &namespace) == "one");
    cluster.apply(&namespace, &saying("hello", "third"));
    wait_for("the third", || said(&one, "hello") == "third");
    cluster.wait(&namespace, "connector", "hello", is_ready, "its status");
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn a_stopped_leader_releases_its_lease() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let one = follow(cluster, &namespace, &["--identity", "one"], &state);
    wait_for("the leader", || leader(cluster, &namespace) == "one");
    signal(&one, "-TERM");
    wait_for("the release of the lease", || leader(cluster, &namespace).is_empty());
    // Only a release empties the holder; an expired lease keeps it.
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn shards_share_environments_by_label() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace();
    let shard = |name: &str| {
        let state = tempfile::tempdir().unwrap();
        let (lease, labels) = (format!("{namespace}-{name}"), format!("evenkeel.dev/shard={name}"));
        let args = ["--namespace", &namespace, "--lease", &lease, "--shard", &labels];
        (crate::cluster::operator(cluster, "admin", &args, state.path()), state)
    };
    let ((a, _a), (b, _b)) = (shard("a"), shard("b"));
    for name in ["a", "b"] {
        let document = environment(&format!("  source: {{ cluster: {{ selector: {{ shard: {name} }} }} }}\n"))
            .replace("{ name: live }", &format!("{{ name: {name}, labels: {{ evenkeel.dev/shard: {name} }} }}"));
        cluster.apply(&namespace, &document);
        let connector = saying(&format!("for-{name}"), name);
        cluster.apply(
            &namespace,
            &connector.replace(
                &format!("{{ name: for-{name} }}"),
                &format!("{{ name: for-{name}, labels: {{ shard: {name} }} }}"),
            ),
        );
    }
    for (name, mine, other) in [("a", &a, &b), ("b", &b, &a)] {
        let connector = format!("for-{name}");
        cluster.wait(&namespace, "connector", &connector, is_ready, "the connector of its shard");
        assert_eq!(said(mine, &connector), name);
        let answer = other.post(&format!("/v1/connectors/{connector}/actions/say"), &[], "{}");
        assert_eq!(answer.status, 404, "{answer:?}");
    }
}
