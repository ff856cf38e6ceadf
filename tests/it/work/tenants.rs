//! Tenants that are suspended, and tenants without a declaration.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{
    DefinitionsFolder, ENVIRONMENT, application, call, ended, eventually, execution, executions, hook, live,
    wait_for_step, workflow,
};
use crate::support::{Answer, Dev};

const TENANT: &str = "x-evenkeel-tenant";

fn tenant(name: &str, status: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: {name} }}\nspec: {{ displayName: {name}, status: \
         {status} }}\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Connection\nmetadata: {{ name: {name}-crm }}\nspec: {{ \
         connector: crm, scope: Tenant, tenant: {name} }}\n---\n"
    )
}

fn definitions(port: u16) -> String {
    let connector = format!(
        "apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: {{ name: crm }}
spec:
  displayName: CRM
  baseUrl: http://127.0.0.1:{port}
  actions:
    list: {{ http: {{ path: /people, query: {{ tenant: '{{{{ tenant_id }}}}' }} }} }}
  events:
    person-changed:
      poll: {{ action: list, interval: 10s, records: '{{{{ output }}}}', id: '{{{{ record.id }}}}' }}
---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: {{ name: people }}
spec: {{ appEvent: {{ connector: crm, event: person-changed, routes: [{{ workflow: take }}] }} }}
---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: {{ name: ticks }}
spec: {{ schedule: {{ interval: 1s, overlap: Allow, routes: [{{ workflow: tick, tenants: [acme, globex] }}] }} }}
---
"
    );
    ENVIRONMENT.to_owned()
        + &connector
        + &workflow("take", "Standard", "", "export default async (ctx) => ctx.tenant.id")
        + &workflow("tick", "Standard", "", "export default async (ctx) => ctx.tenant.id")
        + &workflow("waits", "Long", "", "export default async (ctx) => await ctx.waitForEvent('go')")
        + &hook("in", "", "      - { workflow: take, tenant: '{{ body.tenant }}' }\n")
}

fn start(server: &Dev, workflow: &str, tenant: &str) -> Answer {
    server.post(&format!("/v1/workflows/{workflow}/runs"), &[(TENANT, tenant)], "{}")
}

fn refusal(answer: &Answer) -> (u16, String, String) {
    let problem = answer.json();
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    (answer.status, text("code"), text("detail"))
}

#[test]
fn a_suspended_and_an_undeclared_tenant_are_refused_everywhere_and_resumed_work_goes_on() {
    let polls = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let counted = Arc::clone(&polls);
    let port = application(move |line, _| {
        let tenant = line.split("tenant=").nth(1).and_then(|rest| rest.split([' ', '&']).next()).unwrap_or_default();
        *counted.lock().unwrap().entry(tenant.to_owned()).or_default() += 1;
        (200, "[]".to_owned())
    });
    let folder = DefinitionsFolder::new(&[
        ("a.yaml", &definitions(port)),
        ("acme.yaml", &tenant("acme", "Active")),
        ("globex.yaml", &tenant("globex", "Suspended")),
    ]);
    let server = folder.serve(&[]);
    live(&server);
    // Starts and calls.
    for (name, code, part) in [
        ("globex", "TENANT_NOT_ACTIVE", "tenant `globex` is suspended"),
        ("unknown", "UNKNOWN_TENANT", "there is no tenant `unknown`"),
    ] {
        let headers = [(TENANT, name), ("content-type", "application/json")];
        let called = server.post("/v1/connectors/crm/actions/list", &headers, "{}");
        for answer in [start(&server, "take", name), called] {
            let (status, found, detail) = refusal(&answer);
            assert_eq!((status, found.as_str()), (403, code), "{}", answer.body);
            assert!(detail.contains(part), "{detail}");
        }
        // An event is kept as a dead letter, and its sender does not deliver it again.
        let answer = call(&server, "in", &json!({"tenant": name}));
        assert_eq!((answer.status, &answer.json()["executions"]), (202, &json!([])), "{}", answer.body);
    }
    let letters = server.get("/v1/dead-letters?status=Pending").json()["items"].clone();
    let shown: Vec<(&Value, &str)> = letters
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| (&letter["reason"], letter["message"].as_str().unwrap()))
        .collect();
    assert_eq!(shown.len(), 2);
    assert!(shown.iter().all(|(reason, _)| **reason == "Refused"), "{letters}");
    let of_globex =
        letters.as_array().unwrap().iter().find(|letter| letter["message"].as_str().unwrap().contains("globex"));
    let replay = format!("/v1/dead-letters/{}/replay", of_globex.unwrap()["id"].as_str().unwrap());
    assert_eq!(server.post(&replay, &[], "").status, 422);
    // Schedules and polls.
    eventually("two ticks", 120, || (executions(&server, "workflow=tick&tenant=acme").len() > 1).then_some(()));
    assert_eq!(executions(&server, "workflow=tick&tenant=globex").len(), 0);
    eventually("a poll", 120, || polls.lock().unwrap().contains_key("acme").then_some(()));
    assert!(!polls.lock().unwrap().contains_key("globex"));
    // Work that waits when its tenant is suspended is held.
    let waiting = start(&server, "waits", "acme").json()["execution"].as_str().unwrap().to_owned();
    wait_for_step(&server, &waiting, "event");
    folder.write("acme.yaml", &tenant("acme", "Suspended"));
    folder.write("globex.yaml", &tenant("globex", "Active"));
    eventually("the suspension", 120, || (start(&server, "take", "acme").status == 403).then_some(()));
    let signalled = server.post(&format!("/v1/executions/{waiting}/events/go"), &[], "{\"n\": 1}");
    assert_eq!(signalled.status, 200, "{}", signalled.body);
    let held = eventually("the hold", 120, || {
        let row = executions(&server, "workflow=waits").remove(0);
        row["errorMessage"].is_string().then_some(row)
    });
    assert_eq!(
        (&held["status"], &held["errorMessage"]),
        (&json!("Waiting"), &json!("tenant `acme` is suspended (`status: Suspended`)"))
    );
    // The other one was resumed.
    let replayed = server.post(&replay, &[], "").json()["executions"][0].as_str().unwrap().to_owned();
    let run = ended(&server, &replayed);
    assert_eq!((&run["output"], &run["tenant"]), (&json!("globex"), &json!("globex")));
    eventually("a tick", 120, || (!executions(&server, "workflow=tick&tenant=globex").is_empty()).then_some(()));
    eventually("a poll", 120, || polls.lock().unwrap().contains_key("globex").then_some(()));
    folder.write("acme.yaml", &tenant("acme", "Active"));
    let run = ended(&server, &waiting);
    assert_eq!((&run["status"], &run["output"]), (&json!("Completed"), &json!({"n": 1})), "{run:#}");
}

#[test]
fn tenants_are_open_while_none_is_declared() {
    let text = ENVIRONMENT.to_owned() + &workflow("take", "Instant", "", "export default async (ctx) => ctx.tenant.id");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let answer = start(&server, "take", "anyone");
    assert_eq!((answer.status, answer.json()), (200, json!("anyone")), "{}", answer.body);
    assert_eq!(execution(&server, answer.header("x-evenkeel-execution").unwrap())["tenant"], "anyone");
}
