//! Callers are checked against what they call: steps, code, routes, schedules, widgets, polls and tests; and a plan names the
//! callers that a change breaks.

mod corpus;
mod documents;
mod places;
mod users;

use std::sync::Arc;

use evenkeel::catalog::{Input, Snapshot};
use evenkeel::reconcile::validate::{Validated, Validator};
use evenkeel::text::Severity;

const HEAD: &str = "apiVersion: evenkeel.dev/v1alpha1\n";

/// The callees.
const CALLEES: &str = r##"apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: { name: crm }
spec:
  displayName: CRM
  baseUrl: https://crm.example
  entities:
    contact: { key: id, fields: { id: { type: integer }, email: { type: string }, nick_name: { type: string } } }
  actions:
    search:
      title: Search
      http: { method: GET, path: /search }
      input:
        type: object
        required: [term]
        properties:
          term: { type: string, minLength: 2 }
          limit: { type: integer, maximum: 100 }
          order: { enum: [up, down] }
          filter: { type: object, required: [field], additionalProperties: false, properties: { field: { type: string } } }
      output:
        type: object
        additionalProperties: false
        properties:
          items: { type: array, items: { type: object, properties: { id: { type: integer } } } }
          next: { type: string }
          count: { type: integer }
    create-contact:
      title: Create
      http: { method: POST, path: /contacts }
      input:
        type: object
        required: [email, source]
        additionalProperties: false
        properties:
          email: { type: string }
          source: { type: string, default: api }
          tags: { type: array, items: { type: string }, maxItems: 3 }
      output: { $ref: "#/entities/contact" }
    ping: { title: Ping, http: { method: GET, path: /ping } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: send-mail }
spec:
  tier: Standard
  input:
    type: object
    required: [to]
    additionalProperties: false
    properties: { to: { type: string }, copies: { type: integer, default: 1 }, urgent: { type: boolean } }
  output: { type: object, additionalProperties: false, properties: { sent: { type: boolean } } }
  steps: [{ name: done, set: { sent: true } }]
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: anything }
spec: { tier: Standard, steps: [{ name: done, set: 1 }] }
"##;

fn validate<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Validated {
    let mut files: Vec<(&str, &[u8])> = files.into_iter().map(|(path, text)| (path, text.as_bytes())).collect();
    files.sort_unstable();
    let mut snapshot = Snapshot::of(files.iter().copied().filter(|(path, _)| !path.ends_with(".ts")));
    snapshot.names = Arc::new(files.iter().map(|(path, _)| (*path).to_owned()).collect());
    let owned: Vec<(&str, Arc<[u8]>)> = files.iter().map(|(path, bytes)| (*path, Arc::from(*bytes))).collect();
    snapshot.with_code(owned.iter().map(|(path, bytes)| (*path, bytes)));
    Validator::new().validate(&Input { snapshot, ..Input::default() }, &[])
}

/// The findings about calls as `CODE «text at the place» message`, and every other error.
fn findings(validated: &Validated) -> Vec<String> {
    let mut shown = Vec::new();
    for finding in &validated.findings {
        let about_calls = ["EK0202", "EK0215", "EK0216", "EK0217", "EK0218"].contains(&finding.code.id);
        if !about_calls && finding.severity != Severity::Error {
            continue;
        }
        let span = finding.span().unwrap();
        let source = validated.catalog.sources.find(span.source).unwrap();
        let text = &source.text()[span.start as usize..span.end as usize];
        let text = text.lines().next().unwrap_or_default();
        shown.push(format!("{} «{text}» {}", finding.code.id, finding.message));
    }
    shown
}
