//! Declared effects on events and inputs: changes, payloads, records, defaults and headers.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{
    DefinitionsFolder, ENVIRONMENT, KEY, application, call, ended, eventually, execution, executions, hook, live,
    workflow,
};
use crate::support::{Dev, evenkeel, folder, run, said};

/// A connector whose application sends and lists orders.
fn shop(port: u16, event: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: {{ name: shop }}
spec:
  displayName: Shop
  baseUrl: http://127.0.0.1:{port}
  actions:
    list: {{ entity: order, operation: List, http: {{ path: /orders }} }}
    search:
      input:
        type: object
        properties:
          limit: {{ type: integer, default: 50 }}
          page: {{ type: object, default: {{}}, properties: {{ size: {{ default: 10 }} }} }}
      output: {{ type: object, properties: {{ items: {{ items: {{ $ref: '#/entities/order' }} }} }} }}
      http: {{ method: POST, path: /search, body: {{ n: '{{{{ input.limit }}}}', size: '{{{{ input.page.size }}}}' }} }}
  entities:
    order:
      fields:
        id: {{ type: integer }}
        currency: {{ type: string, transforms: [{{ upper: {{}} }}] }}
        status: {{ type: string, valuesMap: {{ o: open, p: paid }} }}
  events:
    order-changed:
      entity: order
      changes: [Created]
      payload: {{ type: object, required: [total] }}
{event}---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: {{ name: orders }}
spec: {{ appEvent: {{ connector: shop, event: order-changed, routes: [{{ workflow: take }}] }} }}
---
"
    )
}

fn take() -> String {
    workflow("take", "Standard", "", "export default async (ctx) => ctx.input")
}

/// Pending dead letters, the oldest first.
fn letters(server: &Dev) -> Vec<Value> {
    let mut letters = server.get("/v1/dead-letters?status=Pending").json()["items"].as_array().cloned().unwrap();
    letters.reverse();
    letters
}

fn replay(server: &Dev, letter: &Value) -> crate::support::Answer {
    server.post(&format!("/v1/dead-letters/{}/replay", letter["id"].as_str().unwrap()), &[], "")
}

fn generation(server: &Dev, number: u64) {
    eventually("the generation", 120, || {
        (server.get("/v1/environments/live").json()["generation"] == number).then_some(())
    });
}

#[test]
fn only_listed_changes_with_a_fitting_payload_are_delivered_and_the_rest_can_be_replayed_after_mending() {
    let address = Arc::new(Mutex::new(String::new()));
    let known = Arc::clone(&address);
    let port = application(move |_, body| {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(url) = body["url"].as_str() {
            *known.lock().unwrap() = url.split_once("/hooks/").unwrap().1.to_owned();
        }
        (200, "{\"id\": 1}".to_owned())
    });
    let webhook = "      webhook:
        verify: { none: {} }
        change: '{{ body.change }}'
        data: '{{ body.order }}'
        deduplicate: '{{ body.id }}'
        subscribe: { http: { method: POST, path: /hooks, body: { url: '{{ subscription.url }}' } } }
";
    let text = ENVIRONMENT.to_owned() + &shop(port, webhook) + &take();
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let path = eventually("the subscription", 120, || {
        let address = address.lock().unwrap().clone();
        let rows = server.get("/v1/triggers").json()["items"][0]["subscriptions"].clone();
        (!address.is_empty() && rows[0]["status"] == "Subscribed").then_some(address)
    });
    let send = |body: &Value| {
        let answer = server.post(&format!("/hooks/{path}"), &[], &body.to_string());
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.json()["executions"].as_array().unwrap().clone()
    };
    let order = json!({"total": 5, "currency": "eur", "status": "o"});
    // Applications write the change in any case, and records have the values of their entity.
    let started = send(&json!({"id": 1, "change": "created", "order": order}));
    let input = ended(&server, started[0].as_str().unwrap())["input"].clone();
    assert_eq!(
        (&input["change"], &input["data"]),
        (&json!("Created"), &json!({"total": 5, "currency": "EUR", "status": "open"}))
    );
    // A change that is not listed is ignored.
    assert!(send(&json!({"id": 2, "change": "Updated", "order": order})).is_empty());
    assert_eq!(letters(&server), Vec::<Value>::new());
    // A change that does not exist, a payload that does not fit, and a value that cannot be mapped become dead letters.
    assert!(send(&json!({"id": 3, "change": "Nonsense", "order": order})).is_empty());
    assert!(send(&json!({"id": 4, "change": "Created", "order": {"currency": "usd"}})).is_empty());
    assert!(send(&json!({"id": 5, "change": "Created", "order": {"total": 1, "status": "x"}})).is_empty());
    let found = letters(&server);
    let messages: Vec<&str> = found.iter().map(|letter| letter["message"].as_str().unwrap()).collect();
    assert!(messages[0].contains("`Nonsense` is not a change; expected one of Created"), "{messages:?}");
    assert!(messages[1].contains("/total: \"total\" is a required property"), "{messages:?}");
    assert!(
        messages[2].contains("field `status` of entity `order`: `valuesMap` does not list the value `x`"),
        "{messages:?}"
    );
    assert!(found.iter().all(|letter| letter["reason"] == "Invalid"), "{found:?}");
    assert_eq!(executions(&server, "workflow=take").len(), 1);
    // A redelivery of a stored event is a duplicate.
    let again = json!({"id": 3, "change": "Nonsense", "order": order}).to_string();
    assert_eq!(server.post(&format!("/hooks/{path}"), &[], &again).json()["duplicate"], true);
    // Nothing is delivered while the definition is the same.
    let refused = replay(&server, &found[0]);
    assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("UNDELIVERABLE")), "{}", refused.body);
    let mended = text
        .replace("change: '{{ body.change }}'", "change: \"{{ body.change | replace('Nonsense', 'Created') }}\"")
        .replace("required: [total]", "required: []")
        .replace("p: paid", "p: paid, x: closed");
    folder.write("a.yaml", &mended);
    generation(&server, 2);
    let data = found.iter().map(|letter| {
        let replayed = replay(&server, letter);
        assert_eq!(replayed.status, 200, "{}", replayed.body);
        ended(&server, replayed.json()["executions"][0].as_str().unwrap())["input"]["data"].clone()
    });
    let expected = [
        json!({"total": 5, "currency": "EUR", "status": "open"}),
        json!({"currency": "USD"}),
        json!({"total": 1, "status": "closed"}),
    ];
    assert_eq!(data.collect::<Vec<_>>(), expected);
}

#[test]
fn a_poll_delivers_listed_changes_with_mapped_records_and_keeps_the_others_as_dead_letters() {
    let orders = Arc::new(Mutex::new(vec![json!({"id": 1, "total": 1, "currency": "eur"})]));
    let polls = Arc::new(Mutex::new(0_usize));
    let (listed, counted) = (Arc::clone(&orders), Arc::clone(&polls));
    let port = application(move |_, _| {
        *counted.lock().unwrap() += 1;
        (200, Value::Array(listed.lock().unwrap().clone()).to_string())
    });
    let poll =
        "      poll: { action: list, interval: 10s, records: '{{ output }}', id: '{{ record.id }}', complete: true }\n";
    let text = ENVIRONMENT.to_owned() + &shop(port, poll) + &take();
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    eventually("the first poll", 120, || (*polls.lock().unwrap() > 0).then_some(()));
    *orders.lock().unwrap() = vec![
        json!({"id": 1, "total": 2, "currency": "eur"}),
        json!({"id": 2, "total": 3, "currency": "usd", "status": "p"}),
        json!({"id": 3, "currency": "usd"}),
    ];
    let letter = eventually("the dead letter", 120, || letters(&server).first().cloned());
    assert_eq!(letter["reason"], "Invalid");
    assert!(letter["message"].as_str().unwrap().contains("/total"), "{letter}");
    let runs = eventually("the execution", 120, || {
        let runs = executions(&server, "workflow=take&status=Completed");
        (!runs.is_empty()).then_some(runs)
    });
    assert_eq!(runs.len(), 1, "the update is not listed");
    let input = execution(&server, runs[0]["id"].as_str().unwrap())["input"].clone();
    assert_eq!(
        (&input["change"], &input["data"]),
        (&json!("Created"), &json!({"id": 2, "total": 3, "currency": "USD", "status": "paid"}))
    );
    folder.write("a.yaml", &text.replace("required: [total]", "required: []"));
    generation(&server, 2);
    let replayed = replay(&server, &letter);
    assert_eq!(replayed.status, 200, "{}", replayed.body);
    let input = ended(&server, replayed.json()["executions"][0].as_str().unwrap())["input"].clone();
    assert_eq!((&input["id"], &input["data"]), (&json!("3"), &json!({"id": 3, "currency": "USD"})));
}

#[test]
fn defaults_of_schemas_reach_templates_steps_code_and_every_way_to_start_a_workflow() {
    let port = application(|_, body| {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        (200, json!({"items": [{"currency": "eur", "got": body}]}).to_string())
    });
    let webhook = "      webhook: { verify: { none: {} } }\n";
    let input = "  input: { type: object, properties: { word: { type: string, default: hello } } }\n";
    let by_code = workflow(
        "by-code",
        "Instant",
        input,
        "export default async (ctx) => ({ word: ctx.input.word, found: await ctx.connectors.shop.search({ limit: 7 }) })",
    );
    let by_steps = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: {{ name: by-steps }}\nspec:\n  tier: Instant\n{input}  steps:\n    \
         - {{ name: found, action: shop/search, input: {{}} }}\n    - {{ name: both, set: {{ word: '{{{{ input.word }}}}', found: '{{{{ \
         steps.found.output }}}}' }} }}\n---\n"
    );
    let parent = workflow("parent", "Instant", "", "export default async (ctx) => ctx.workflows.bySteps({})");
    let text = ENVIRONMENT.to_owned()
        + &shop(port, webhook)
        + &take()
        + &by_code
        + &by_steps
        + &parent
        + &hook("in", "", "      - { workflow: by-steps, input: {} }\n");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let found = |n: u32| json!({"items": [{"currency": "EUR", "got": {"n": n, "size": 10}}]});
    let called = server.post("/v1/connectors/shop/actions/search", &[("content-type", "application/json")], "{}");
    assert_eq!((called.status, called.json()), (200, found(50)), "{}", called.body);
    let started = server.post("/v1/workflows/by-code/runs", &[], "{}");
    assert_eq!(started.json(), json!({"word": "hello", "found": found(7)}), "{}", started.body);
    let recorded = execution(&server, started.header("x-evenkeel-execution").unwrap());
    assert_eq!(recorded["input"], json!({"word": "hello"}));
    let both = json!({"word": "hello", "found": found(50)});
    assert_eq!(server.post("/v1/workflows/by-steps/runs", &[], "{}").json(), both);
    assert_eq!(server.post("/v1/workflows/parent/runs", &[], "{}").json(), both);
    let hooked = call(&server, "in", &json!({}));
    assert_eq!(hooked.json(), both, "{}", hooked.body);
    let recorded = execution(&server, hooked.header("x-evenkeel-execution").unwrap());
    assert_eq!(recorded["input"], json!({"word": "hello"}));
    // What the command line shows without a server.
    let definitions = folder.path("definitions");
    let shown = said(
        &evenkeel()
            .args(["render", "shop/search", "-i", "{}", "-o", "json"])
            .arg(&definitions)
            .env("HOOK_KEY", KEY)
            .output()
            .unwrap(),
    );
    let request: Value = serde_json::from_str(&shown.out).unwrap_or_else(|_| panic!("{}{}", shown.out, shown.err));
    assert_eq!(request["body"], json!({"n": 50, "size": 10}));
}

#[test]
fn tests_beside_workflows_use_defaults_and_refuse_events_that_are_not_delivered() {
    let text = shop(1, "      webhook: { verify: { none: {} } }\n")
        + "apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: take }
spec:
  tier: Instant
  input: { type: object, properties: { word: { type: string, default: hello } } }
  steps:
    - { name: found, action: shop/search, input: {} }
    - { name: word, set: '{{ input.word }}' }
  tests:
    - { name: omits the default, actions: { shop/search: [{}] }, expectCalls: [{ action: shop/search, input: {} }], expectOutput: hello }
    - { name: writes it, actions: { shop/search: [{}] }, expectCalls: [{ action: shop/search, input: { limit: 50, page: { size: 10 } } }] }
    - { name: another, actions: { shop/search: [{}] }, expectCalls: [{ action: shop/search, input: { limit: 51 } }] }
    - { name: delivered, trigger: orders, event: { change: Created, data: { total: 1 } }, actions: { shop/search: [{}] }, expectOutput: hello }
    - { name: unlisted, trigger: orders, event: { change: Deleted, data: { total: 1 } }, expectOutput: hello }
    - { name: unfit, trigger: orders, event: { change: Created, data: {} }, expectOutput: hello }
";
    let folder = folder(&[("a.yaml", &text)]);
    let tested = run(["test", &folder.path().to_string_lossy()]);
    let shown = tested.out + &tested.err;
    assert_eq!(tested.code, 1, "{shown}");
    assert!(shown.contains("3 passed") && shown.contains("3 failed"), "{shown}");
    assert!(shown.contains("the change of the event is not listed in `changes`"), "{shown}");
    assert!(shown.contains("the event does not match its `payload`: /total"), "{shown}");
}

#[test]
fn a_default_that_does_not_fit_its_schema_is_a_finding() {
    let text = "apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: odd }
spec:
  tier: Standard
  input: { type: object, properties: { limit: { type: integer, minimum: 1, default: 0 }, page: { default: {} } } }
  steps: [{ name: one, set: 1 }]
";
    let folder = folder(&[("a.yaml", text)]);
    let found = run(["validate", &folder.path().to_string_lossy(), "-o", "json"]);
    let report: Value = serde_json::from_str(&found.out).unwrap();
    let defaults: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == "EK0701").collect();
    assert_eq!(defaults.len(), 1, "{report:#}");
    let message = "this default does not fit its schema: 0 is less than the minimum of 1";
    assert_eq!((&defaults[0]["message"], &defaults[0]["line"]), (&json!(message), &json!(6)));
}

#[test]
fn a_workflow_reads_the_headers_of_the_call_without_credentials() {
    let text = ENVIRONMENT.to_owned()
        + &workflow("show", "Instant", "", "export default async (ctx) => ctx.headers")
        + &hook("in", "", "      - { workflow: show, headers: { X-From: hook, x-kind: '{{ body.kind }}' } }\n");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let mut headers = vec![
        ("x-evenkeel-key", KEY),
        ("content-type", "application/json"),
        ("X-GitHub-Event", "push"),
        ("X-Kind", "of the sender"),
        ("Authorization", "Basic YTpi"),
        ("Cookie", "a=b"),
        ("X-Gitlab-Token", "t"),
        ("x-evenkeel-depth", "7"),
    ];
    let shown = server.post("/hooks/in", &headers, r#"{"kind": "of the route"}"#).json();
    let expected = json!({"content-type": "application/json", "x-github-event": "push", "x-kind": "of the route", "x-from": "hook"});
    assert_eq!(shown, expected);
    // The number and the size of headers are bounded.
    let many: Vec<String> = (0..80).map(|number| format!("x-many-{number:02}")).collect();
    headers.extend(many.iter().map(|name| (name.as_str(), "1")));
    let shown = server.post("/hooks/in", &headers, r#"{"kind": "k"}"#).json();
    assert_eq!(shown.as_object().unwrap().len(), 64 + 1, "{shown}");
    let long = "x".repeat(9 << 10);
    headers.truncate(4);
    headers.extend([("x-a-long", long.as_str()), ("x-b-long", long.as_str())]);
    let shown = server.post("/hooks/in", &headers, r#"{"kind": "k"}"#).json();
    assert!(shown["x-a-long"].is_string() && shown["x-b-long"].is_null() && shown["x-kind"] == "k", "{shown}");
}
