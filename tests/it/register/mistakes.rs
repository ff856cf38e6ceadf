//! All mistakes of a document are found at once, whichever comes first.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{folder, run};

/// A document with mistakes: each a line that replaces a right one, and the code that it is reported with.
struct Document {
    text: &'static str,
    mistakes: &'static [(&'static str, &'static str, &'static str)],
}

const DOCUMENTS: [Document; 4] = [
    Document {
        text: "\
kind: Widget
metadata: { name: w }
spec:
  displayName: W
  connectors: [{ connector: c, primary: true }]
  settings: { historyLogs: true }
  actions:
    - { name: Go, workflow: run, visibility: Always }
    - { name: Open, type: Configuration, form: f }
    - { name: Also, workflow: run }
  forms:
    f:
      fields:
        - { name: a, label: A, type: Text }
        - { name: b, label: B, type: Select, options: [{ value: x, label: X }] }
",
        mistakes: &[
            ("visibility: Always", "visibility: Nonsense", "EK0104"),
            ("historyLogs: true", "historyLog: true", "EK0101"),
            ("historyLogs: true", "historyLogs: maybe", "EK0103"),
            ("name: Also, workflow: run", "name: Go, workflow: run", "EK0506"),
            ("name: Open, type: Configuration, form: f", "name: Open, type: Configuration", "EK0503"),
            ("type: Select, options: [{ value: x, label: X }]", "type: Select", "EK0504"),
            ("name: a, label: A", "name: a, label: 5", "EK0103"),
            ("connector: c, primary", "connector: d, primary", "EK0202"),
        ],
    },
    Document {
        text: "\
kind: Connector
metadata: { name: c }
spec:
  displayName: C
  baseUrl: https://c.example
  auth: { methods: { key: { apiKey: { name: X-Key } } } }
  entities: { e: { fields: { id: { type: string } } } }
  actions:
    one: { operation: Read, entity: e, http: { path: /one }, tests: [{ name: t }] }
    two: { http: { method: POST, path: /two, body: { a: 1 } }, tests: [{ name: t }] }
    three: { timeout: 5s, http: { path: /three }, tests: [{ name: t }] }
",
        mistakes: &[
            ("operation: Read", "operation: Reed", "EK0104"),
            ("method: POST, path: /two", "path: /two", "EK0405"),
            ("timeout: 5s", "timeout: 5 minutes", "EK0112"),
            ("type: string", "type: text", "EK0104"),
            ("path: /three", "path: \"/three/{{ pathParams.id }}\"", "EK0404"),
            ("name: X-Key", "name: X Key", "EK0114"),
            ("displayName: C", "displayNam: C", "EK0101"),
        ],
    },
    Document {
        text: "\
kind: Trigger
metadata: { name: t }
spec:
  schedule:
    cron: \"0 6 * * *\"
    timeZone: Europe/Berlin
    catchUp: One
    startsAt: \"2026-01-01T00:00:00Z\"
    endsAt: \"2027-01-01T00:00:00Z\"
    routes: [{ workflow: run, priority: P1 }]
",
        mistakes: &[
            ("0 6 * * *", "0 6 * *", "EK0601"),
            ("Europe/Berlin", "Europe/Berln", "EK0602"),
            ("catchUp: One", "catchUp: Once", "EK0104"),
            ("endsAt: \"2027", "endsAt: \"2025", "EK0607"),
            ("workflow: run", "workflow: rum", "EK0202"),
            ("priority: P1", "priority: High", "EK0104"),
        ],
    },
    Document {
        text: "\
kind: Workflow
metadata: { name: w }
spec:
  tier: Standard
  timeout: 1m
  retry: { maxAttempts: 3, initialInterval: 1s, maxInterval: 2s }
  steps:
    - { name: a, set: 1 }
    - { name: b, set: \"{{ steps.a.output }}\" }
    - { name: c, workflow: run }
",
        mistakes: &[
            ("timeout: 1m", "timeout: 3h", "EK0603"),
            ("maxAttempts: 3, initialInterval: 1s", "maxAttempts: 3, initialInterval: 1h", "EK0605"),
            ("maxAttempts: 3", "maxAttempts: many", "EK0103"),
            ("steps.a.output", "steps.c.output", "EK0409"),
            ("workflow: run", "workflow: rum", "EK0202"),
            ("{ name: a, set: 1 }", "{ name: a, set: 1, sett: 2 }", "EK0101"),
        ],
    },
];

/// The definitions that the documents refer to.
const OTHERS: &str = "\
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: run }
spec: { tier: Standard, steps: [{ name: a, set: 1 }] }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: { name: c }
spec: { displayName: C, baseUrl: \"https://c.example\", actions: {} }
";

/// The codes of the errors of a document, each as often as it is reported.
fn errors(text: &str) -> Vec<String> {
    let document = format!("apiVersion: evenkeel.dev/v1alpha1\n{text}");
    let others = if text.starts_with("kind: Connector") { OTHERS.split_once("---\n").unwrap().0 } else { OTHERS };
    let folder = folder(&[("a.yaml", &document), ("others.yaml", others)]);
    let said = run(["validate".as_ref(), folder.path().as_os_str(), "-o".as_ref(), "json".as_ref()]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let errors = report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "error");
    let mut codes: Vec<String> = errors.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect();
    codes.sort();
    codes
}

/// Each pair of mistakes, as one of them may hide the other, and all of them together.
#[test]
fn no_mistake_hides_another_of_the_same_document() {
    for Document { text, mistakes } in &DOCUMENTS {
        assert_eq!(errors(text), Vec::<String>::new(), "{text}");
        let with = |chosen: &[usize]| {
            let mut changed = (*text).to_owned();
            for (right, wrong, _) in chosen.iter().map(|at| &mistakes[*at]) {
                assert!(changed.contains(right), "{right} is not in {changed}");
                changed = changed.replacen(right, wrong, 1);
            }
            let mut expected: Vec<String> = chosen.iter().map(|at| mistakes[*at].2.to_owned()).collect();
            expected.sort();
            assert_eq!(errors(&changed), expected, "{changed}");
        };
        for (first, (right, wrong, _)) in mistakes.iter().enumerate() {
            with(&[first]);
            // Two mistakes in one place are one.
            let changed = text.replacen(right, wrong, 1);
            for other in (first + 1..mistakes.len()).filter(|other| changed.contains(mistakes[*other].0)) {
                with(&[first, other]);
            }
        }
        let mut places = BTreeSet::new();
        let mut all = Vec::new();
        let mut changed = (*text).to_owned();
        for (at, (right, wrong, _)) in mistakes.iter().enumerate() {
            if changed.contains(right) && places.insert(*right) {
                changed = changed.replacen(right, wrong, 1);
                all.push(at);
            }
        }
        assert!(all.len() >= 5, "{text}");
        with(&all);
    }
}
