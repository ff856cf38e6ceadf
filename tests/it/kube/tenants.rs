//! Isolation of namespaces, and rights of service accounts.

use serde_json::Value;

use super::{Place, environment, follow, is, is_ready, ready, saying};
use crate::cluster::Cluster;

fn message(resource: &Value) -> String {
    let conditions = resource["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.into_iter().find(|one| one["type"] == "Ready").unwrap_or_default();
    ready["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn an_environment_reaches_its_own_namespace_only() {
    let place = Place::start(&[]);
    for (more, why) in [
        ("  source: { cluster: { namespaces: [kube-system] } }\n", "may not read namespace kube-system"),
        ("  source: { directory: { path: /etc } }\n", "may not come from Directory"),
        ("  secrets: { a: { env: EVENKEEL_MASTER_KEY } }\n", "the operator's own process"),
        ("  secrets: { a: { file: /etc/shadow } }\n", "the operator's own process"),
        ("  egress: { privateNetworks: [10.0.0.0/8] }\n", "private network 10.0.0.0/8"),
    ] {
        place.apply(&environment(more));
        let refused = place.wait(
            "environment",
            "live",
            |live| ready(live).1 == "Forbidden" && message(live).contains(why),
            "the refusal",
        );
        assert!(refused["status"]["conditions"].to_string().contains("Stalled"), "{refused:#}");
        place.kubectl(&["delete", "env", "live"]);
    }
    place.apply(&environment(""));
    place.apply(&saying("hello", "first"));
    place.wait("connector", "hello", is_ready, "what it may");
    // A refused change keeps the active generation.
    place.apply(&environment("  secrets: { a: { env: HOME } }\n"));
    place.wait("environment", "live", is("Forbidden"), "the refusal");
    assert_eq!(place.said("hello"), "first");
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn rules_say_what_namespaces_may_do() {
    let cluster = Cluster::shared();
    let (mine, shared, other) = (cluster.namespace(), cluster.namespace(), cluster.namespace());
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("tenancy.yaml");
    let text = format!(
        "namespaces:\n  - match: [{mine}]\n    kinds: [Connector]\n    readNamespaces: [{shared}]\n    secrets: ['evenkeel-*']\n"
    );
    std::fs::write(&rules, text).unwrap();
    let state = tempfile::tempdir().unwrap();
    let args = ["--namespace", &shared, "--namespace", &other, "--tenancy", rules.to_str().unwrap()];
    let operator = follow(cluster, &mine, &args, &state);
    cluster.apply(&shared, &saying("common", "from beside"));
    cluster.apply(&mine, &saying("own", "from here"));
    let tenant =
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\nspec: { displayName: Acme }\n";
    cluster.apply(&mine, tenant);
    cluster.apply(&mine, &environment(&format!("  source: {{ cluster: {{ namespaces: [{mine}, {shared}] }} }}\n")));
    cluster.wait(&mine, "connector", "own", is_ready, "its own");
    cluster.wait(&shared, "connector", "common", is_ready, "the shared one");
    assert_eq!(super::said(&operator, "common"), "from beside");
    // Definitions of kinds that are not allowed are ignored, and their status shows it.
    cluster.wait(&mine, "tenant", "acme", is("NoEnvironment"), "the tenant without an Environment");
    // A namespace without a rule has no Environments.
    cluster.apply(&other, &environment(""));
    cluster.wait(&other, "environment", "live", is("Forbidden"), "the refusal");
    cluster.apply(&mine, &environment("  secrets: { a: { kubernetes: { name: database, key: b } } }\n"));
    let refused = |live: &Value| message(live).contains("the Secret database may not be read");
    cluster.wait(&mine, "environment", "live", refused, "the Secret that is not for it");
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn the_rights_of_the_service_account_count() {
    let place = Place::start(&[]);
    place.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: reader }\n");
    place.apply("apiVersion: v1\nkind: Secret\nmetadata: { name: crm }\nstringData: { token: the-value }\n");
    place.apply(&saying("hello", "first"));
    place.apply(&environment(
        "  serviceAccountName: reader\n  secrets: { key: { kubernetes: { name: crm, key: token } } }\n",
    ));
    // That the Secret may not be read is found beside it, a moment before or after.
    let refused = |live: &Value| {
        message(live).contains("service account reader may not list")
            && live["status"]["findings"].to_string().contains("service account reader needs the verbs")
    };
    let found = place.wait("environment", "live", refused, "the refusal");
    assert!(found["status"]["findings"].to_string().contains("service account reader needs the verbs"), "{found:#}");
    let namespace = &place.namespace;
    place.apply(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{ name: reader }}\nrules:\n  - {{ apiGroups: \
         [evenkeel.dev], resources: ['*'], verbs: [list] }}\n  - {{ apiGroups: [''], resources: [secrets], resourceNames: [crm], \
         verbs: [list, watch] }}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{ name: reader \
         }}\nroleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader }}\nsubjects: [{{ kind: ServiceAccount, \
         name: reader, namespace: {namespace} }}]\n"
    ));
    place.kubectl(&["annotate", "env", "live", "reconcile.evenkeel.dev/requestedAt=granted"]);
    place.wait("connector", "hello", is_ready, "what it may read now");
    let well = |live: &Value| is_ready(live) && !live["status"]["findings"].to_string().contains("SecretUnavailable");
    place.wait("environment", "live", well, "the Secret that it may read now");
}
