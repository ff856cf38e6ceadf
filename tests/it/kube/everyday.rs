//! Everyday use of the operator: apply, wait, read, fix, delete.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Place, connector, environment, is, is_ready, ready, saying};
use crate::support::{copy, evenkeel, root, said};

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn applied_broken_mended_deleted() {
    let place = Place::start(&[]);
    place.apply(&environment(""));
    place.apply(&saying("hello", "first"));
    let waited = place.kubectl(&["wait", "--for=condition=Ready", "env/live", "conn/hello", "--timeout=120s"]);
    assert_eq!(waited.code, 0, "{}{}", waited.out, waited.err);
    assert_eq!(place.said("hello"), "first");

    let broken = saying("hello", "second").replace("baseUrl", "baseUlr");
    place.apply(&broken);
    place.wait("connector", "hello", is("InvalidDefinition"), "the finding");
    let describe = || place.kubectl(&["describe", "connector", "hello"]).out;
    let mut described = describe();
    let deadline = Instant::now() + Duration::from_mins(2);
    for words in
        ["EK0101", "/spec/baseUlr", "did you mean `baseUrl`?", "keeps serving the last good version", "Warning"]
    {
        // The event comes after the status.
        while !described.contains(words) {
            assert!(Instant::now() < deadline, "{words}:\n{described}");
            std::thread::sleep(Duration::from_millis(100));
            described = describe();
        }
    }
    // The active generation keeps serving, and the Environment names the resource.
    assert_eq!(place.said("hello"), "first");
    let environment = place.wait("environment", "live", is("InvalidDefinitions"), "the refusal");
    let conditions = environment["status"]["conditions"].to_string();
    assert!(conditions.contains(&format!("Connector {}/hello", place.namespace)), "{conditions}");

    place.apply(&saying("hello", "third"));
    place.wait("connector", "hello", is_ready, "the mended one");
    assert_eq!(place.said("hello"), "third");

    // Events tell each transition once, a moment after the status.
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let events = place.kubectl(&["get", "events", "-o", "json"]).out;
        let events: Value = serde_json::from_str(&events).unwrap();
        let of = |reason: &str| {
            let all = events["items"].as_array().unwrap().iter();
            all.filter(|event| event["reason"] == reason && event["involvedObject"]["name"] == "hello").count()
        };
        if (of("InvalidDefinition"), of("Applied")) == (1, 1) {
            break;
        }
        assert!(of("InvalidDefinition") <= 1 && of("Applied") <= 1, "{events:#}");
        assert!(Instant::now() < deadline, "{events:#}");
        std::thread::sleep(Duration::from_millis(100));
    }

    let listed = place.kubectl(&["get", "evenkeel", "-o", "wide"]).out;
    assert!(listed.contains("connector.evenkeel.dev/hello   True    Applied"), "{listed}");
    assert_eq!(place.kubectl(&["delete", "connector", "hello"]).code, 0);
    let is_gone = |live: &Value| live["status"]["definitions"] == 1 && is_ready(live);
    place.wait("environment", "live", is_gone, "the removal");
    let answer = place.operator.post("/v1/connectors/hello/actions/say", &[], "{}");
    assert_eq!(answer.status, 404, "{answer:?}");

    // With the namespace goes everything, finalizers included.
    place.apply(&saying("again", "here"));
    place.wait("connector", "again", is_ready, "one more");
    place.cluster.delete_namespace(&place.namespace);
    let left = place.operator.get("/v1/environments").json();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(0), "{left}");
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn the_examples_are_resources_too() {
    let tenancy = tempfile::tempdir().unwrap();
    let rules = tenancy.path().join("tenancy.yaml");
    std::fs::write(&rules, "namespaces:\n  - match: ['*']\n    processSecrets: true\n").unwrap();
    for folder in ["examples/quickstart", "examples/connectors", "examples/kubernetes"] {
        let place = Place::start(&["--tenancy", rules.to_str().unwrap()]);
        let copied = copy(folder);
        let folder = copied.path();
        // A cluster has no files beside its resources: code stands in them.
        let workflow = folder.join("3-workflow.yaml");
        if let Ok(text) = std::fs::read_to_string(&workflow) {
            let code = std::fs::read_to_string(folder.join("welcome.ts")).unwrap();
            let code: String = code.lines().map(|line| format!("      {line}\n")).collect();
            let inline =
                text.replace("source: { file: welcome.ts }", "source:\n    inline: |\nCODE\n").replace("CODE\n", &code);
            std::fs::write(&workflow, inline).unwrap();
        }
        place.apply("apiVersion: v1\nkind: Secret\nmetadata: { name: orbit }\nstringData: { key: orbit-key }\n");
        // Without `--server-side`, kubectl itself leaves out every null of a document.
        let applied = place.kubectl(&["apply", "--server-side", "-f", folder.to_str().unwrap()]);
        assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
        let waited = place.kubectl(&["wait", "--for=condition=Ready", "evenkeel", "--all", "--timeout=120s"]);
        assert_eq!(waited.code, 0, "{}{}", waited.out, waited.err);
        // Nothing is left to apply, and what kubectl shows is what stands in the files.
        let diff = place.kubectl(&["diff", "--server-side", "-f", folder.to_str().unwrap()]);
        assert_eq!(diff.code, 0, "{}{}", diff.out, diff.err);
    }
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn kubectl_explains_fields_and_the_api_server_refuses_contradictions() {
    let place = Place::start(&[]);
    let explained = place.kubectl(&["explain", "connector.spec.actions.http"]).out;
    assert!(explained.contains("the request") || explained.contains("DESCRIPTION"), "{explained}");
    assert!(explained.contains("method\t<string>") && explained.contains("enum: GET"), "{explained}");
    let both = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: both }\nspec:\n  source: { git: { url: \
                \"https://git.example/a.git\" }, cluster: {} }\n";
    let refused = place.cluster.kubectl_as("admin", &["apply", "-n", &place.namespace, "-f", "-"], both);
    assert!(
        refused.code != 0 && refused.err.contains("exactly one of `git`, `directory`, `cluster`"),
        "{}",
        refused.err
    );
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn two_managers_share_a_resource() {
    let place = Place::start(&[]);
    place.apply(&environment(""));
    let apply = |manager: &str, document: &str| {
        let manager = format!("--field-manager={manager}");
        let args = ["apply", "--server-side", &manager, "-n", &place.namespace, "-f", "-"];
        place.cluster.kubectl_as("admin", &args, document)
    };
    let whole = saying("shared", "first");
    assert_eq!(apply("team", &whole).code, 0);
    let port = super::application();
    let more = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: shared, labels: {{ owner: platform }} }}\nspec:\n  \
         actions:\n    ping:\n      http: {{ path: /ping }}\n      response: {{ body: {{ said: pong }} }}\n  baseUrl: http://127.0.0.1:{port}\n"
    );
    assert_eq!(apply("platform", &more).code, 0);
    let shared = place.wait("connector", "shared", is_ready, "both parts");
    assert!(shared["spec"]["actions"]["say"].is_object() && shared["spec"]["actions"]["ping"].is_object());
    let answer = place.operator.post("/v1/connectors/shared/actions/ping", &[], "{}").json();
    assert_eq!(answer["said"], "pong");
    // One takes what the other owns only by force, and the operator owns nothing but the status.
    let taken = apply("platform", &more.replace(&port.to_string(), "1"));
    assert!(taken.code != 0 && taken.err.contains("conflict"), "{}", taken.err);
    let shown = place.kubectl(&["get", "connector", "shared", "--show-managed-fields", "-o", "json"]).out;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let managers = shown["metadata"]["managedFields"].as_array().unwrap();
    let ours: Vec<&Value> = managers.iter().filter(|one| one["manager"] == "evenkeel").collect();
    assert_eq!(ours.len(), 1, "{managers:#?}");
    assert_eq!(ours[0]["fieldsV1"].as_object().unwrap().keys().collect::<Vec<_>>(), ["f:status"]);
}

/// A condition of a resource.
fn condition(resource: &Value, kind: &str) -> Value {
    let conditions = resource["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn a_missing_secret_or_key_keeps_the_last_good_definitions_until_it_is_there() {
    let place = Place::start(&[]);
    place.apply(&environment("  secrets: { key: { kubernetes: { name: crm, key: token } } }\n"));
    place.apply(&connector("crm", "hello", ""));
    place.wait("environment", "live", is_ready, "the definitions without a secret");
    let using = ", headers: { x-key: \"{{ get_secret('key') }}\" }";
    place.apply(&connector("crm", "changed", using));
    let refused = |problem: &'static str| {
        move |live: &Value| {
            ready(live) == ("False".to_owned(), "SecretsUnresolved".to_owned())
                && condition(live, "SecretsResolved")["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(problem))
        }
    };
    let live = place.wait("environment", "live", refused("does not exist"), "the missing Secret");
    let secrets = condition(&live, "SecretsResolved");
    assert_eq!((&secrets["status"], &secrets["reason"]), (&"False".into(), &"SecretsUnresolved".into()), "{live:#}");
    let message = secrets["message"].as_str().unwrap();
    assert!(message.contains("secret `key` (kubernetes)") && message.contains("used by Connector/crm"), "{message}");
    assert_eq!(place.said("crm"), "hello");
    let secret = |key: &str| {
        place.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: crm }}\nstringData: {{ {key}: a-value }}\n"
        ));
    };
    secret("other");
    place.wait("environment", "live", refused("has no key `token`"), "the missing key");
    assert_eq!(place.said("crm"), "hello");
    // The interval is an hour: the watch of the Secret makes the definitions live.
    secret("token");
    let live = place.wait("environment", "live", is_ready, "the mended Secret");
    assert_eq!(condition(&live, "SecretsResolved")["status"], "True", "{live:#}");
    assert_eq!(place.said("crm"), "changed");
    // A Secret that is lost while live takes nothing down.
    place.kubectl(&["delete", "secret", "crm"]);
    let lost = |live: &Value| is_ready(live) && condition(live, "SecretsResolved")["status"] == "False";
    place.wait("environment", "live", lost, "the deleted Secret");
    let events = place.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]).out;
    assert!(events.contains("SecretsUnresolved"), "{events}");
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn secrets_are_followed_and_never_shown() {
    let place = Place::start(&[]);
    place.apply(&environment("  secrets: { key: { kubernetes: { name: crm, key: token } } }\n"));
    place.apply(&connector("crm", "hello", ", headers: { x-key: \"{{ get_secret('key') }}\" }"));
    let key = || place.operator.post("/v1/connectors/crm/actions/say", &[], "{}").json()["key"].clone();
    let warned = |live: &Value| live["status"]["findings"].to_string().contains("does not exist");
    place.wait("environment", "live", warned, "the missing Secret");
    let secret = |value: &str| {
        place.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: crm }}\nstringData: {{ token: {value} }}\n"
        ));
    };
    let becomes = |value: &str| {
        let deadline = Instant::now() + Duration::from_mins(2);
        while key() != value {
            assert!(Instant::now() < deadline, "the key never became {value}: {}", key());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    secret("canary-one-6f1a");
    becomes("canary-one-6f1a");
    secret("canary-two-9b2c");
    becomes("canary-two-9b2c");
    let mended = |live: &Value| !live["status"]["findings"].to_string().contains("SecretUnavailable");
    place.wait("environment", "live", mended, "a status without the warning");
    // A wrong key fails the calls that use it, and the status shows it.
    place.kubectl(&["delete", "secret", "crm"]);
    place.wait("environment", "live", warned, "the deleted Secret");
    let mut place = place;
    let metrics = place.operator.get("/metrics").body;
    let all = place.kubectl(&["get", "evenkeel,events", "-o", "yaml"]).out;
    let log = place.operator.said();
    for text in [metrics, all, log] {
        assert!(!text.contains("canary-one") && !text.contains("canary-two"), "{text}");
    }
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn suspension_reconciliation_request_and_status_by_command_line() {
    let place = Place::start(&[]);
    place.apply(&environment("  suspend: true\n"));
    place.apply(&saying("hello", "first"));
    let suspended = place.wait("environment", "live", is("Suspended"), "the suspension");
    assert_eq!(suspended["status"]["definitions"], 0);
    place.wait("connector", "hello", is("HeldBack"), "the connector that waits");
    place.apply(&environment(""));
    place.wait("connector", "hello", is_ready, "the connector after it");
    // The annotation requests a reconciliation, and the status confirms it.
    let annotated = place.kubectl(&["annotate", "env", "live", "reconcile.evenkeel.dev/requestedAt=now-1"]);
    assert_eq!(annotated.code, 0, "{}", annotated.err);
    place.wait("environment", "live", |live| live["status"]["lastHandledReconcileAt"] == "now-1", "the look");
    let status = |args: &[&str]| {
        let mut command = evenkeel();
        command.args(["status", "--kube", "-n", &place.namespace]).args(args);
        said(&command.env("KUBECONFIG", place.cluster.kubeconfig("admin")).output().unwrap())
    };
    let shown = status(&[]);
    assert!(shown.code == 0 && shown.out.contains("1 of 1 definition ready"), "{}{}", shown.out, shown.err);
    place.apply(&saying("hello", "second").replace("response.json.key", "respons.json.key"));
    place.wait("connector", "hello", is("InvalidDefinition"), "the mistake");
    let shown = status(&[]);
    assert!(shown.code == 1 && shown.out.contains("/spec/actions/say/response/body/key"), "{}{}", shown.out, shown.err);
    let json: Value = serde_json::from_str(&status(&["-o", "json"]).out).unwrap();
    assert_eq!(json["resources"].as_array().map(Vec::len), Some(2));
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn a_deleted_environment_comes_back_as_new_or_as_it_was() {
    let place = Place::start(&[]);
    place.apply(&saying("hello", "first"));
    place.apply(&environment(""));
    let has_one = |live: &Value| is_ready(live) && live["metadata"]["finalizers"].is_array();
    let first = place.wait("environment", "live", has_one, "the first");
    assert_eq!(first["metadata"]["finalizers"][0], "finalizers.evenkeel.dev/environment");
    assert_eq!(place.kubectl(&["delete", "env", "live"]).code, 0);
    place.wait("connector", "hello", is("NoEnvironment"), "the connector without an Environment");
    // Its history went with it; numbers only grow.
    place.apply(&environment("  deletionPolicy: Orphan\n"));
    let second = place.wait("environment", "live", is_ready, "the second");
    assert_eq!((&second["status"]["generation"], &second["metadata"]["finalizers"]), (&2.into(), &Value::Null));
    let history = |place: &Place| {
        let path = format!("/v1/environments/{}.live/history", place.namespace);
        place.operator.get(&path).json()["items"].as_array().map(Vec::len)
    };
    assert_eq!(history(&place), Some(1));
    assert_eq!(place.kubectl(&["delete", "env", "live"]).code, 0);
    place.wait("connector", "hello", is("NoEnvironment"), "the connector again");
    place.apply(&environment("  deletionPolicy: Orphan\n"));
    let third = place.wait("environment", "live", is_ready, "the third");
    // It was orphaned: the same generation serves as before.
    assert_eq!(third["status"]["generation"], 2);
    assert_eq!(ready(&third).1, "Applied");
}

#[test]
#[cfg_attr(missing_kubernetes, ignore = "needs kube-apiserver, kubectl and etcd: tests/run builds them")]
fn the_commands_of_the_guide() {
    let cluster = crate::cluster::Cluster::start();
    let page = std::fs::read_to_string(root().join("docs/guides/kubernetes.md")).unwrap();
    let block = page.split("```console,not-run=needs a cluster\n").nth(1).unwrap().split("```").next().unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut operator = None;
    for line in block.lines().map(|line| line.strip_prefix("$ ").unwrap()) {
        if line.starts_with("evenkeel operator") {
            operator = Some(crate::cluster::operator(&cluster, "admin", &[], state.path()));
            continue;
        }
        // The words are for a reader's cluster; this one may be busy.
        let output = cluster.shell(&line.replace("--timeout=60s", "--timeout=180s"));
        assert_eq!(output.code, 0, "{line}\n{}{}", output.out, output.err);
        if line.starts_with("evenkeel status") {
            assert!(output.out.contains("2 of 2 definitions ready"), "{}", output.out);
        }
    }
    assert!(operator.is_some() && block.lines().count() > 6, "{block}");
}
