//! The effects of fields on what a server runs: triggers, workflows and schedules.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Dev};
use crate::work::{
    DefinitionsFolder, ENVIRONMENT, KEY, application, call, ended, eventually, execution, executions, hook, live,
    workflow,
};

fn tenant(name: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: {name} }}\nspec: {{ displayName: {name} }}\n---\n"
    )
}

const NOTES: &str = "export default async (ctx) => ctx.input";
const LISTENS: &str = "export default async (ctx) => ctx.waitForEvent('go', { timeout: '1h' })";

fn server(definitions: &[String]) -> (DefinitionsFolder, Dev) {
    let folder = DefinitionsFolder::new(&[("a.yaml", &(ENVIRONMENT.to_owned() + &definitions.concat()))]);
    let server = folder.serve(&[]);
    live(&server);
    (folder, server)
}

/// The first execution that a hook started.
fn first(answer: &Answer) -> String {
    answer.json()["executions"][0].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

fn start(server: &Dev, workflow: &str, tenant: Option<&str>) -> Answer {
    let headers: Vec<(&str, &str)> = tenant.map(|name| ("x-evenkeel-tenant", name)).into_iter().collect();
    server.post(&format!("/v1/workflows/{workflow}/runs"), &headers, "{}")
}

/// Waits until the executions that match a query have these statuses, sorted.
fn statuses(server: &Dev, query: &str, wanted: &[&str]) {
    eventually(&format!("{query}: {wanted:?}"), 60, || {
        let mut found: Vec<String> =
            executions(server, query).iter().map(|run| run["status"].as_str().unwrap().to_owned()).collect();
        found.sort();
        (found == wanted).then_some(())
    });
}

#[test]
fn webhooks_follow_their_settings() {
    let (_folder, server) = server(&[
        workflow("notes", "Standard", "", NOTES),
        workflow("listens", "Long", "  priority: P3\n", LISTENS),
        hook(
            "secret",
            "    webhookId: 0b2f7d1e-8c53-4f0a-9e77-1c2d3e4f5a6b\n",
            "      - { workflow: notes, priority: P4 }\n",
        ),
        hook("inactive", "", "      - { workflow: notes }\n").replace("spec:\n", "spec:\n  active: false\n"),
        hook("own", "", "      - { workflow: notes }\n").replace("apiKey: {", "apiKey: { header: X-Own,"),
        hook("batched", "", "      - { workflow: notes, batchWindow: 2s }\n"),
        hook("ordered", "    orderBy: \"{{ body.key }}\"\n", "      - { workflow: listens }\n"),
        hook("sequential", "    executionMode: Sequential\n", "      - { workflow: listens }\n"),
        hook("parallel", "    executionMode: Parallel\n", "      - { workflow: listens }\n"),
        hook(
            "brief",
            "    deduplicate: \"{{ body.id }}\"\n    deduplicationWindow: 1m\n",
            "      - { workflow: notes }\n",
        ),
    ]);
    let began = Instant::now();
    assert_eq!(call(&server, "brief", &json!({"id": 1})).json()["duplicate"], false);
    assert_eq!(call(&server, "brief", &json!({"id": 1})).json()["duplicate"], true);
    // `webhookId` is a part of the address, and `priority` of a route is that of its executions.
    assert_eq!(call(&server, "secret", &json!({})).status, 404);
    let answer = call(&server, "secret/0b2f7d1e-8c53-4f0a-9e77-1c2d3e4f5a6b", &json!({}));
    assert_eq!(execution(&server, &first(&answer))["priority"], 4);
    assert_eq!(call(&server, "inactive", &json!({})).status, 404);
    assert_eq!(call(&server, "own", &json!({})).status, 401);
    assert_eq!(server.post("/hooks/own", &[("x-own", KEY)], "{}").status, 202);
    for number in 0..2 {
        assert_eq!(call(&server, "batched", &json!({"n": number})).status, 202);
    }
    for key in ["a", "a", "b"] {
        let answer = call(&server, "ordered", &json!({"key": key}));
        assert_eq!(execution(&server, &first(&answer))["priority"], 3, "of the workflow");
    }
    for trigger in ["sequential", "parallel"] {
        for _ in 0..2 {
            assert_eq!(call(&server, trigger, &json!({})).status, 202);
        }
    }
    statuses(&server, "trigger=ordered", &["Queued", "Waiting", "Waiting"]);
    statuses(&server, "trigger=sequential", &["Queued", "Waiting"]);
    statuses(&server, "trigger=parallel", &["Waiting", "Waiting"]);
    statuses(&server, "trigger=batched", &["Completed"]);
    let batch = &executions(&server, "trigger=batched")[0];
    let batch = execution(&server, batch["id"].as_str().unwrap());
    assert_eq!(batch["input"], json!([{"n": 0}, {"n": 1}]));
    // The key is forgotten when its window of one minute has passed.
    std::thread::sleep(Duration::from_secs(62).saturating_sub(began.elapsed()));
    assert_eq!(call(&server, "brief", &json!({"id": 1})).json()["duplicate"], false);
}

#[test]
fn workflows_follow_their_settings() {
    let fails = "export default async () => { throw new Error('broken') }";
    let (_folder, server) = server(&[
        tenant("acme"),
        tenant("bolt"),
        workflow("notes", "Standard", "", NOTES),
        workflow("one", "Long", "  concurrency: { limit: 1 }\n", LISTENS),
        workflow("each", "Long", "  concurrency: { limit: 1, perTenant: true }\n", LISTENS),
        workflow("fails", "Standard", "  retry: { maxAttempts: 2, initialInterval: 1s }\n  onFailure: notes\n", fails),
        workflow("brief", "Standard", "  timeout: 5s\n", "export default async () => { while (true) {} }"),
        workflow("owned", "Standard", "  requiresTenant: true\n", NOTES),
        workflow("off", "Standard", "  active: false\n", NOTES),
        hook("silent", "    deadLetters: { enabled: false }\n", "      - { workflow: fails }\n"),
        hook(
            "letters",
            "    deadLetters: { unmatched: Keep, retention: 2h }\n",
            "      - { workflow: fails, when: { go: true } }\n",
        ),
    ]);
    for name in ["one", "each"] {
        for tenant in ["acme", "acme", "bolt"] {
            assert_eq!(start(&server, name, Some(tenant)).status, 202);
        }
    }
    let brief = start(&server, "brief", None).json()["execution"].as_str().unwrap().to_owned();
    let silent = first(&call(&server, "silent", &json!({})));
    let noticed = first(&call(&server, "letters", &json!({"go": true})));
    assert_eq!(call(&server, "letters", &json!({"x": 1})).json()["executions"], json!([]));
    assert_eq!(start(&server, "owned", None).json()["code"], "TENANT_REQUIRED");
    assert_eq!(start(&server, "owned", Some("acme")).status, 202);
    assert_eq!(start(&server, "off", None).status, 404);
    statuses(&server, "workflow=one", &["Queued", "Queued", "Waiting"]);
    statuses(&server, "workflow=each", &["Queued", "Waiting", "Waiting"]);
    for id in [&silent, &noticed] {
        let run = ended(&server, id);
        assert_eq!((&run["status"], &run["attempt"]), (&json!("Failed"), &json!(2)), "{run:#}");
    }
    assert_eq!(ended(&server, &brief)["status"], "TimedOut");
    // The workflow for failures gets each of them.
    let failures = eventually("two executions of `onFailure`", 60, || {
        let found = executions(&server, "workflow=notes&status=Completed");
        (found.len() == 2).then_some(found)
    });
    assert!(failures.iter().all(|run| run["source"] == "fails"), "{failures:#?}");
    let letters = eventually("two dead letters", 60, || {
        let items = server.get("/v1/dead-letters").json()["items"].as_array().cloned().unwrap_or_default();
        (items.len() >= 2).then_some(items)
    });
    let reasons: Vec<&Value> = letters.iter().map(|letter| &letter["reason"]).collect();
    assert!(letters.iter().all(|letter| letter["trigger"] == "letters") && letters.len() == 2, "{letters:#?}");
    assert!(reasons.contains(&&json!("Failed")) && reasons.contains(&&json!("Unmatched")), "{reasons:?}");
    for letter in &letters {
        let time = |field: &str| letter[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
        assert_eq!(time("expiresAt") - time("at"), 2 * 3600, "{letter:#}");
    }
}

#[test]
fn schedules_follow_their_settings() {
    let schedule = "apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: { name: clock }
spec:
  schedule:
    interval: 1s
    overlap: Allow
    payload: { from: schedule }
    routes:
      - { workflow: notes, headers: { x-a: a }, tenants: [acme, bolt], payload: { from: route }, priority: P1 }
      - { workflow: notes }
";
    let overlapping = |name: &str, overlap: &str| {
        format!(
            "---\napiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: {{ name: {name} }}\nspec: {{ schedule: {{ interval: \
             1s, overlap: {overlap}, routes: [{{ workflow: listens }}] }} }}\n"
        )
    };
    let (_folder, server) = server(&[
        tenant("acme"),
        tenant("bolt"),
        workflow("notes", "Standard", "", NOTES),
        workflow("listens", "Long", "", LISTENS),
        schedule.to_owned(),
        overlapping("skips", "Skip"),
        overlapping("queues", "Queue"),
        overlapping("allows", "Allow"),
    ]);
    let of_tenant = |wanted: Value| {
        eventually(&format!("an execution for {wanted}"), 60, || {
            let found = executions(&server, "trigger=clock&status=Completed");
            let found = found.iter().find(|run| run["tenant"] == wanted)?;
            Some(execution(&server, found["id"].as_str().unwrap()))
        })
    };
    for name in ["acme", "bolt"] {
        let run = of_tenant(json!(name));
        assert_eq!((&run["input"], &run["priority"]), (&json!({"from": "route"}), &json!(1)), "{run:#}");
        assert_eq!(run["headers"]["x-a"], "a", "{run:#}");
    }
    let run = of_tenant(Value::Null);
    assert_eq!((&run["input"], &run["priority"]), (&json!({"from": "schedule"}), &json!(3)), "{run:#}");
    assert_eq!(run["headers"]["x-a"], Value::Null, "{run:#}");
    // The first run of each waits for an event while the next ones are due.
    eventually("a third run", 60, || (executions(&server, "trigger=allows").len() >= 3).then_some(()));
    statuses(&server, "trigger=skips", &["Waiting"]);
    statuses(&server, "trigger=queues", &["Queued", "Waiting"]);
}

#[test]
fn events_of_applications_follow_their_settings() {
    let subscribed = Arc::new(Mutex::new(None));
    let port = {
        let subscribed = Arc::clone(&subscribed);
        application(move |_, body| {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            *subscribed.lock().unwrap() = body["url"].as_str().map(str::to_owned);
            (201, json!({"id": 1}).to_string())
        })
    };
    let shop = format!(
        "apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: {{ name: shop }}
spec:
  displayName: Shop
  baseUrl: http://127.0.0.1:{port}
  actions: {{ ping: {{ http: {{ path: /ping }} }} }}
  events:
    order:
      webhook:
        verify: {{ none: {{}} }}
        when: \"{{{{ body.type == 'order' }}}}\"
        change: \"{{{{ body.what }}}}\"
        data: \"{{{{ body.order }}}}\"
        subscribe: {{ http: {{ method: POST, path: /hooks, body: {{ url: \"{{{{ subscription.url }}}}\" }} }}, id: \"1\" }}
---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: {{ name: orders }}
spec:
  appEvent:
    connector: shop
    event: order
    deadLetters: {{ unmatched: Keep }}
    routes: [{{ workflow: notes, when: {{ data.total: 5 }} }}]
---
"
    );
    let (_folder, server) = server(&[shop, workflow("notes", "Standard", "", NOTES)]);
    let url = eventually("the subscription", 60, || subscribed.lock().unwrap().clone());
    let path = &url[url[8..].find('/').unwrap() + 8..];
    let send = |kind: &str, what: &str, total: u32| {
        let body = json!({"type": kind, "what": what, "order": {"total": total}}).to_string();
        assert_eq!(server.post(path, &[("content-type", "application/json")], &body).status / 100, 2);
    };
    send("order", "Updated", 5);
    send("other", "Created", 5);
    send("order", "Created", 6);
    // A call of another event starts nothing, and an event that no route matches is kept.
    let letters = eventually("a dead letter", 60, || {
        let items = server.get("/v1/dead-letters").json()["items"].as_array().cloned().unwrap_or_default();
        (!items.is_empty()).then_some(items)
    });
    assert_eq!(letters.iter().map(|letter| &letter["reason"]).collect::<Vec<_>>(), ["Unmatched"], "{letters:#?}");
    statuses(&server, "workflow=notes", &["Completed"]);
    let run = &executions(&server, "workflow=notes")[0];
    let run = execution(&server, run["id"].as_str().unwrap());
    assert_eq!((&run["input"]["change"], &run["input"]["data"]), (&json!("Updated"), &json!({"total": 5})), "{run:#}");
}

#[test]
fn environments_follow_their_settings() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let port = {
        let received = Arc::clone(&received);
        application(move |line, body| {
            received.lock().unwrap().push((line.to_owned(), String::from_utf8_lossy(body).into_owned()));
            (200, "{}".to_owned())
        })
    };
    let target = |name: &str, events: &str| {
        format!(
            "    - {{ name: {name}, {events}webhook: {{ url: \"http://127.0.0.1:{port}/{name}\", secret: {{ secretRef: hook-key }} \
             }} }}\n"
        )
    };
    let environment = ENVIRONMENT.replace(
        "---\n",
        &format!(
            "  history: {{ keep: 2, maxAge: 0s }}\n  sync: {{ prune: {{ undoWindow: 0s, budget: 100% }} }}\n  \
             notifications:\n{}{}---\n",
            target("all", ""),
            target("failures", "events: [Failed], ")
        ),
    );
    let folder = DefinitionsFolder::new(&[("a.yaml", &(environment + &workflow("notes", "Standard", "", NOTES)))]);
    let server = folder.serve(&[]);
    live(&server);
    let items = || server.get("/v1/environments/live/history").json()["items"].as_array().cloned().unwrap_or_default();
    // An edit is live within the interval of 5 s; the default is a minute.
    for number in 1..4 {
        let before = items()[0]["generation"].clone();
        folder.write("b.yaml", &tenant(&format!("t{number}")));
        eventually("the next generation", 30, || (items()[0]["generation"] != before).then_some(()));
    }
    // Of the earlier ones, as many as `keep` stay.
    eventually("two generations", 30, || (items().len() == 2).then_some(()));
    // Nothing of a removed definition is kept with an undo window of 0 s.
    assert_eq!(server.get("/v1/environments/live").json()["tombstones"], json!([]));
    folder.write(
        "b.yaml",
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: t }\nspec: { display: 1 }\n",
    );
    let paths = || -> Vec<(bool, bool)> {
        let received = received.lock().unwrap();
        let is_failure = |body: &str| body.contains("\"environment.failed\"");
        received.iter().map(|(line, body)| (line.contains("/failures"), is_failure(body))).collect()
    };
    eventually("a notification of the failure", 60, || paths().contains(&(true, true)).then_some(()));
    let paths = paths();
    assert!(paths.contains(&(false, false)), "the other recipient gets every event: {paths:?}");
    assert!(!paths.contains(&(true, false)), "this recipient gets failures only: {paths:?}");
}
