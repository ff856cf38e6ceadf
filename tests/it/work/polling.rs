//! An application that sends no events and is polled.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{DefinitionsFolder, ENVIRONMENT, application, eventually, executions, live, workflow};
use crate::support::Dev;

/// The records of the application, and its faults.
#[derive(Default)]
struct Application {
    records: Vec<Value>,
    /// Number of listings that were answered completely, or failed at the second page.
    polls: usize,
    /// The second page fails.
    second_page_fails: bool,
}

fn connector(port: u16) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: {{ name: crm }}
spec:
  displayName: CRM
  baseUrl: http://127.0.0.1:{port}
  actions:
    list: {{ http: {{ path: /people, query: {{ page: '{{{{ input.page }}}}' }} }} }}
  events:
    person-changed:
      changes: [Created, Updated, Deleted]
      poll:
        action: list
        input: {{ page: '{{{{ cursor or 1 }}}}' }}
        interval: 10s
        records: '{{{{ output.items }}}}'
        id: '{{{{ record.id }}}}'
        cursor: '{{{{ output.next }}}}'
        complete: true
---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: {{ name: people }}
spec: {{ appEvent: {{ connector: crm, event: person-changed, routes: [{{ workflow: take }}] }} }}
---
"
    )
}

#[test]
fn each_change_between_two_polls_becomes_one_event() {
    let application_state = Arc::new(Mutex::new(Application {
        records: (0..5).map(|id| json!({"id": id, "name": format!("n{id}")})).collect(),
        ..Application::default()
    }));
    let port = {
        let application_state = Arc::clone(&application_state);
        // Three records to a page.
        application(move |line, _| {
            let mut application_state = application_state.lock().unwrap();
            let page: usize =
                line.split("page=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(1);
            if page > 1 && application_state.second_page_fails {
                application_state.polls += 1;
                return (400, "{}".to_owned());
            }
            let items: Vec<&Value> = application_state.records.iter().skip((page - 1) * 3).take(3).collect();
            let next = if application_state.records.len() > page * 3 { json!(page + 1) } else { Value::Null };
            let answer = json!({"items": items, "next": next}).to_string();
            application_state.polls += usize::from(next.is_null());
            (200, answer)
        })
    };
    let text = ENVIRONMENT.to_owned()
        + &connector(port)
        + &workflow("take", "Standard", "", "export default async (ctx) => ctx.input");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let polls = |count: usize| {
        eventually(&format!("poll {count}"), 120, || (application_state.lock().unwrap().polls >= count).then_some(()));
    };
    polls(1);
    {
        let mut application_state = application_state.lock().unwrap();
        application_state.records[1]["name"] = json!("changed");
        application_state.records.remove(0);
        application_state.records.push(json!({"id": 9, "name": "new"}));
        // Another order is not a change.
        application_state.records.reverse();
    }
    polls(2);
    let runs = eventually("three events", 120, || {
        let runs = executions(&server, "workflow=take&status=Completed");
        (runs.len() == 3).then_some(runs)
    });
    let mut changes: Vec<(String, String)> = runs
        .iter()
        .map(|run| {
            let input = super::execution(&server, run["id"].as_str().unwrap())["input"].clone();
            (input["change"].as_str().unwrap().to_owned(), input["id"].as_str().unwrap().to_owned())
        })
        .collect();
    changes.sort();
    let wanted = [("Created", "9"), ("Deleted", "0"), ("Updated", "1")];
    assert_eq!(changes, wanted.map(|(change, id)| (change.to_owned(), id.to_owned())));

    // A partial listing deletes nothing, and a complete one after it finds no change.
    application_state.lock().unwrap().second_page_fails = true;
    let count = application_state.lock().unwrap().polls;
    polls(count + 1);
    eventually("the failure", 120, || (!poll_error(&server).is_empty()).then_some(()));
    assert_eq!(executions(&server, "workflow=take").len(), 3, "a partial listing deletes nothing");
    application_state.lock().unwrap().second_page_fails = false;
    // The state of the poll is stored in one transaction with the executions that it starts.
    eventually("the recovery", 120, || poll_error(&server).is_empty().then_some(()));
    assert_eq!(executions(&server, "workflow=take").len(), 3);
}

/// The error of the last stored poll; empty if it succeeded.
fn poll_error(server: &Dev) -> String {
    let polls = server.get("/v1/triggers").json()["items"][0]["polls"].clone();
    polls[0]["error"].as_str().unwrap_or_default().to_owned()
}
