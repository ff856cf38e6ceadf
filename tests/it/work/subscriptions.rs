//! Subscriptions at an application that counts them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{DefinitionsFolder, ENVIRONMENT, application, ended, eventually, executions, live, workflow};

/// An application with the URLs of its webhooks by id.
#[derive(Clone, Default)]
struct Application {
    hooks: Arc<Mutex<BTreeMap<u64, String>>>,
    /// Number of created webhooks.
    created: Arc<Mutex<u64>>,
    /// Maximum number of webhooks at the same time.
    peak: Arc<Mutex<usize>>,
    /// Number of requests that fail next.
    failures: Arc<Mutex<u32>>,
}

impl Application {
    fn start(&self) -> u16 {
        let this = self.clone();
        application(move |line, body| this.respond(line, body))
    }

    fn respond(&self, line: &str, body: &[u8]) -> (u16, String) {
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return (400, json!({"error": "not now"}).to_string());
        }
        let mut hooks = self.hooks.lock().unwrap();
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["POST", "/hooks", _] => {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                let mut created = self.created.lock().unwrap();
                *created += 1;
                hooks.insert(*created, body["url"].as_str().unwrap().to_owned());
                let mut peak = self.peak.lock().unwrap();
                *peak = (*peak).max(hooks.len());
                (201, json!({"id": *created}).to_string())
            }
            ["DELETE", path, _] => {
                let id = path.rsplit('/').next().unwrap().parse().unwrap();
                let removed = hooks.remove(&id).is_some();
                (if removed { 200 } else { 404 }, "{}".to_owned())
            }
            _ => (404, "{}".to_owned()),
        }
    }

    fn urls(&self) -> Vec<String> {
        self.hooks.lock().unwrap().values().cloned().collect()
    }
}

fn connector(port: u16, unsubscribe_path: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: {{ name: shop }}
spec:
  displayName: Shop
  baseUrl: http://127.0.0.1:{port}
  actions:
    ping: {{ http: {{ path: /ping }} }}
  events:
    order-created:
      changes: [Created]
      webhook:
        verify: {{ none: {{}} }}
        data: '{{{{ body.order }}}}'
        deduplicate: '{{{{ body.id }}}}'
        subscribe:
          http: {{ method: POST, path: /hooks, body: {{ url: '{{{{ subscription.url }}}}' }} }}
          id: '{{{{ response.json.id }}}}'
        unsubscribe:
          http: {{ method: DELETE, path: '{unsubscribe_path}' }}
---
"
    )
}

fn trigger(name: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: {{ name: {name} }}\nspec:\n  appEvent: {{ connector: shop, event: \
         order-created, routes: [{{ workflow: take }}] }}\n---\n"
    )
}

#[test]
fn a_trigger_has_exactly_one_subscription_while_it_exists() {
    let application = Application::default();
    let port = application.start();
    let path = "/hooks/{{ subscription.id }}";
    let base = ENVIRONMENT.to_owned()
        + &connector(port, path)
        + &workflow("take", "Standard", "", "export default async (ctx) => ctx.input");
    let folder = DefinitionsFolder::new(&[("a.yaml", &base), ("t.yaml", &trigger("orders-0"))]);
    let mut server = folder.serve(&[]);
    live(&server);
    let hooks = |count: usize, part: &str| {
        eventually(&format!("{count} subscriptions of {part}"), 120, || {
            let urls = application.urls();
            (urls.len() == count && urls.iter().all(|url| url.contains(part))).then_some(urls)
        })
    };
    let url = hooks(1, "/hooks/orders-0/").remove(0);

    // A call of the application starts the workflow once.
    let path = url.split_once("/hooks/").unwrap().1.to_owned();
    let body = json!({"id": 1, "order": {"total": 5}}).to_string();
    let answer = server.post(&format!("/hooks/{path}"), &[], &body);
    assert_eq!(answer.status, 202, "{}", answer.body);
    let id = answer.json()["executions"][0].as_str().unwrap().to_owned();
    let input = ended(&server, &id)["input"].clone();
    assert_eq!(
        (&input["change"], &input["data"], &input["event"]),
        (&json!("Created"), &json!({"total": 5}), &json!("order-created"))
    );
    assert_eq!(server.post(&format!("/hooks/{path}"), &[], &body).json()["duplicate"], true);
    assert_eq!(server.post("/hooks/orders-0/guessed", &[], &body).status, 404);
    assert_eq!(server.post("/hooks/orders-0", &[], &body).status, 404);
    assert_eq!(executions(&server, "workflow=take").len(), 1);

    // The trigger is changed, renamed, removed and restored, the server restarts, and the application fails at times.
    let reconcile = |server: &crate::support::Dev| server.post("/v1/environments/live/reconcile", &[], "{}");
    for round in 0..100_u32 {
        let name = format!("orders-{}", round / 10);
        match round % 5 {
            0 => folder.write("t.yaml", &trigger(&name)),
            1 => folder.write("a.yaml", &format!("{base}# {round}\n")),
            2 => folder.write("t.yaml", &trigger(&name).replace("appEvent:", "displayName: Orders\n  appEvent:")),
            3 => folder.remove("t.yaml"),
            _ => folder.write("t.yaml", &trigger(&name)),
        }
        if round % 17 == 16 {
            *application.failures.lock().unwrap() = 1;
        }
        if round % 25 == 24 {
            server.kill();
            server = folder.serve(&[]);
            live(&server);
        }
        reconcile(&server);
        // Some rounds wait for the result, and others continue in the middle.
        match round % 5 {
            3 if round % 10 == 3 => drop(hooks(0, "")),
            4 if round % 10 == 4 => drop(hooks(1, &format!("/hooks/{name}/"))),
            _ => {}
        }
    }
    hooks(1, "/hooks/orders-9/");
    assert!(*application.peak.lock().unwrap() <= 2, "more than the old and the new subscription of a rename exist");
    // The server stores the response of the application a moment later.
    eventually("one row, subscribed", 120, || {
        let rows = server.get("/v1/triggers").json()["items"][0]["subscriptions"].clone();
        ((rows.as_array().unwrap().len(), &rows[0]["status"]) == (1, &json!("Subscribed"))).then_some(())
    });
    folder.remove("t.yaml");
    reconcile(&server);
    hooks(0, "");
}
