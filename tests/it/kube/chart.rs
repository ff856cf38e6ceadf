//! The chart, as the API server takes it, and the operator with no more rights than the chart gives.

use serde_json::{Value, json};

use super::{environment, is_ready, saying};
use crate::chart::{helm, render, sets};
use crate::cluster::{Cluster, operator};
use crate::support::{root, run};

/// Kinds of others, which a cluster has where their operators are installed.
const OF_OTHERS: [&str; 2] = ["monitoring.coreos.com/", "gateway.networking.k8s.io/"];

#[test]
#[cfg_attr(
    any(missing_helm, missing_kubernetes),
    ignore = "needs Helm: tests/run builds it; needs kube-apiserver, kubectl and etcd: tests/run builds them"
)]
fn every_set_of_values_is_taken_by_the_api_server() {
    let (cluster, helm) = (Cluster::shared(), helm());
    cluster.kubectl(&["create", "namespace", "evenkeel"]);
    for namespace in ["team-a", "team-b", "monitoring"] {
        cluster.kubectl(&["create", "namespace", namespace]);
    }
    let chart = root().join("charts/evenkeel");
    for set in sets() {
        let name = set.display().to_string();
        let manifests = render(&helm, &chart, &["-f", set.to_str().unwrap()]).unwrap();
        let mine = |one: &&Value| !OF_OTHERS.iter().any(|group| one["apiVersion"].as_str().unwrap().starts_with(group));
        let mut taken = 0;
        let here = |one: &Value| one["metadata"]["namespace"].as_str().is_none_or(|namespace| namespace == "evenkeel");
        for (of_release, more) in [(true, &["-n", "evenkeel"][..]), (false, &[])] {
            let some = manifests.iter().filter(mine).filter(|one| here(one) == of_release);
            let text: String = some.map(|one| format!("{one}\n---\n")).collect();
            if text.is_empty() {
                continue;
            }
            let mut args =
                vec!["apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "-f", "-"];
            args.extend(more);
            let said = cluster.kubectl_as("admin", &args, &text);
            assert_eq!(said.code, 0, "{name}: {}", said.err);
            taken += said.out.lines().filter(|line| line.contains("serverside-applied")).count();
        }
        assert_eq!(taken, manifests.iter().filter(mine).count(), "{name}");
    }
    let plain = root().join("charts/plain/evenkeel.yaml");
    let args = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--force-conflicts",
        "-f",
        plain.to_str().unwrap(),
    ];
    let said = cluster.kubectl(&args);
    assert_eq!(said.code, 0, "{}", said.err);
}

#[test]
#[cfg_attr(missing_helm, ignore = "needs Helm: tests/run builds it")]
fn the_binary_knows_every_argument_of_the_deployment() {
    let helm = helm();
    let chart = root().join("charts/evenkeel");
    for set in sets() {
        let manifests = render(&helm, &chart, &["-f", set.to_str().unwrap()]).unwrap();
        let pods = manifests.iter().filter(|one| one["kind"] == "Deployment" || one["kind"] == "StatefulSet");
        for container in
            pods.flat_map(|pod| pod.pointer("/spec/template/spec/containers").and_then(Value::as_array).unwrap())
        {
            let mut args: Vec<&str> = container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            assert_eq!(args[0], "operator");
            args.push("--help");
            let said = run(&args);
            assert_eq!(said.code, 0, "{}: {}", set.display(), said.err);
        }
    }
}

#[test]
#[cfg_attr(
    any(missing_helm, missing_kubernetes),
    ignore = "needs Helm: tests/run builds it; needs kube-apiserver, kubectl and etcd: tests/run builds them"
)]
fn the_rights_that_the_chart_gives_are_enough() {
    let (cluster, helm) = (Cluster::start(), helm());
    let chart = root().join("charts/evenkeel");
    let manifests = render(&helm, &chart, &[]).unwrap();
    cluster.kubectl(&["create", "namespace", "evenkeel"]);
    let wanted = ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ValidatingWebhookConfiguration"];
    for manifest in manifests.iter().filter(|one| wanted.iter().any(|kind| one["kind"] == *kind)) {
        let mut manifest = manifest.clone();
        // The pod's service account is this user here.
        if manifest["subjects"].is_array() {
            manifest["subjects"] =
                json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "operator"}]);
        }
        cluster.apply("evenkeel", &manifest.to_string());
    }
    let namespace = cluster.namespace();
    let state = tempfile::tempdir().unwrap();
    let args = ["--own-namespace", "evenkeel", "--admission-port", "0", "--identity", "pod-0"];
    let mut operator = operator(&cluster, "operator", &args, state.path());
    cluster
        .apply(&namespace, "apiVersion: v1\nkind: Secret\nmetadata: { name: crm }\nstringData: { token: the-value }\n");
    cluster.apply(&namespace, &environment("  secrets: { key: { kubernetes: { name: crm, key: token } } }\n"));
    cluster.apply(&namespace, &super::connector("crm", "hello", ", headers: { x-key: \"{{ get_secret('key') }}\" }"));
    cluster.wait(&namespace, "connector", "crm", is_ready, "the connector");
    let answer = operator.post("/v1/connectors/crm/actions/say", &[], "{}").json();
    assert_eq!((&answer["said"], &answer["key"]), (&"hello".into(), &"the-value".into()));
    // The finalizer, events, the Lease, and the certificate in its Secret and in the webhook's configuration.
    cluster.apply(&namespace, &saying("bad", "x").replace("response.json.key", "respons.json.key"));
    let has_event = |_: &Value| cluster.kubectl(&["get", "events", "-n", &namespace]).out.contains("InvalidDefinition");
    cluster.wait(&namespace, "connector", "bad", has_event, "the event");
    let has_one = |live: &Value| live["metadata"]["finalizers"].is_array();
    let live = cluster.wait(&namespace, "environment", "live", has_one, "the finalizer");
    assert_eq!(live["metadata"]["finalizers"][0], "finalizers.evenkeel.dev/environment");
    assert_eq!(cluster.get("evenkeel", "lease", "evenkeel")["spec"]["holderIdentity"], "pod-0");
    let has_bundle = |one: &Value| one["webhooks"][0]["clientConfig"]["caBundle"].is_string();
    cluster.wait("default", "validatingwebhookconfiguration", "evenkeel", has_bundle, "the certificate authority");
    assert!(cluster.get("evenkeel", "secret", "evenkeel-admission")["data"]["tls.crt"].is_string());
    cluster.kubectl(&["delete", "-n", &namespace, "env", "live"]);
    assert!(cluster.get(&namespace, "environment", "live").is_null());
    let log = operator.said();
    assert!(!log.contains("forbidden") && !log.contains("may not") && !log.contains("needs the verb"), "{log}");
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn resources_survive_an_upgrade_of_their_definitions() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace();
    // As an earlier version had them: fewer fields, no rules, no columns, no defaults.
    for (_, crd) in evenkeel::definition::crd::all() {
        let mut earlier = crd;
        let version = &mut earlier["spec"]["versions"][0];
        version["additionalPrinterColumns"] = json!([]);
        version["schema"]["openAPIV3Schema"]["properties"]["spec"] =
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        let said = cluster.kubectl_as("admin", &args, &earlier.to_string());
        assert_eq!(said.code, 0, "{}", said.err);
    }
    cluster.apply(&namespace, &environment(""));
    cluster.apply(&namespace, &saying("hello", "first"));
    let state = tempfile::tempdir().unwrap();
    let operator = super::follow(&cluster, &namespace, &[], &state);
    cluster.wait(&namespace, "connector", "hello", is_ready, "the one of the earlier version");
    let crds = root().join("charts/evenkeel/files/crds");
    let upgraded = cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", crds.to_str().unwrap()]);
    assert_eq!(upgraded.code, 0, "{}", upgraded.err);
    cluster.apply(&namespace, &saying("hello", "second"));
    cluster.wait(&namespace, "connector", "hello", is_ready, "the same under the new one");
    assert_eq!(super::said(&operator, "hello"), "second");
    // The downgrade: an earlier operator and schema accept the existing resources.
    assert!(cluster.kubectl(&["get", "conn", "hello", "-n", &namespace, "-o", "wide"]).out.contains("Applied"));
}
