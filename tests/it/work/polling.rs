//! An application that tells nothing, asked again and again.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{ENVIRONMENT, Place, application, eventually, executions, live, workflow};

/// The application's records, and what is wrong with it.
#[derive(Default)]
struct World {
    records: Vec<Value>,
    /// Listings that were answered to their end.
    polls: usize,
    /// The second page fails.
    half: bool,
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
fn what_changed_between_two_polls_becomes_events_once() {
    let world = Arc::new(Mutex::new(World {
        records: (0..5).map(|id| json!({"id": id, "name": format!("n{id}")})).collect(),
        ..World::default()
    }));
    let port = {
        let world = Arc::clone(&world);
        // Three records to a page.
        application(move |line, _| {
            let mut world = world.lock().unwrap();
            let page: usize =
                line.split("page=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(1);
            if page > 1 && world.half {
                world.polls += 1;
                return (400, "{}".to_owned());
            }
            let items: Vec<&Value> = world.records.iter().skip((page - 1) * 3).take(3).collect();
            let next = if world.records.len() > page * 3 { json!(page + 1) } else { Value::Null };
            let answer = json!({"items": items, "next": next}).to_string();
            world.polls += usize::from(next.is_null());
            (200, answer)
        })
    };
    let text = ENVIRONMENT.to_owned()
        + &connector(port)
        + &workflow("take", "Standard", "", "export default async (ctx) => ctx.input");
    let place = Place::new(&[("a.yaml", &text)]);
    let server = place.serve(&[]);
    live(&server);
    let polls = |count: usize| {
        eventually(&format!("poll {count}"), 120, || (world.lock().unwrap().polls >= count).then_some(()));
    };
    polls(1);
    {
        let mut world = world.lock().unwrap();
        world.records[1]["name"] = json!("changed");
        world.records.remove(0);
        world.records.push(json!({"id": 9, "name": "new"}));
        // Another order is no change.
        world.records.reverse();
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

    // Half a listing says nothing about what is gone; and when it is whole again, nothing changed.
    world.lock().unwrap().half = true;
    let count = world.lock().unwrap().polls;
    polls(count + 1);
    eventually("the failure shown", 120, || {
        let polls = server.get("/v1/triggers").json()["triggers"][0]["polls"].clone();
        polls[0]["error"].as_str().is_some_and(|error| !error.is_empty()).then_some(())
    });
    world.lock().unwrap().half = false;
    let count = world.lock().unwrap().polls;
    polls(count + 1);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(executions(&server, "workflow=take").len(), 3);
}
