//! Tests of the equality of definitions.

use crate::catalog::{Snapshot, load};
use crate::definition::common::Duration;
use crate::plan::Object;
use crate::plan::tests::inventory;

use super::*;

fn only_object(text: &str) -> Object {
    let (catalog, findings) = load(&Snapshot::of([("a.yaml", text.as_bytes())]));
    assert!(findings.is_empty(), "{findings:?}\n{text}");
    let inventory = inventory(&catalog, "test");
    assert_eq!(inventory.len(), 1);
    (**inventory.values().next().unwrap()).clone()
}

fn object(kind: &str, spec: &str) -> Object {
    only_object(&format!("apiVersion: evenkeel.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: x }}\nspec: {spec}\n"))
}

fn same(kind: &str, first: &str, second: &str) {
    assert_eq!(object(kind, first).document(), object(kind, second).document(), "{first}\n{second}");
    assert_eq!(object(kind, first).digest, object(kind, second).digest);
}

fn differ(kind: &str, first: &str, second: &str) {
    assert_ne!(object(kind, first).digest, object(kind, second).digest, "{first}\n{second}");
}

const CONNECTOR: &str = "{ displayName: X, baseUrl: https://x.example";

fn same_connector(first: &str, second: &str) {
    same("Connector", &format!("{CONNECTOR}, {first} }}"), &format!("{CONNECTOR}, {second} }}"));
}

#[test]
fn formatting_does_not_matter() {
    same("Tenant", "{ displayName: Acme, plan: gold } # a customer", "{ \"plan\": 'gold', displayName: \"Acme\" }");
    same("Tenant", "{ displayName: Acme, status: Active }", "{ displayName: Acme }");
    same(
        "Tenant",
        "{ displayName: Acme, quotas: { connections: 0x10 } }",
        "{ displayName: Acme, quotas: { connections: 16 } }",
    );
    same(
        "Alert",
        "{ condition: ErrorRate, threshold: 1, window: 300s, for: 0s }",
        "{ condition: ErrorRate, threshold: 1.0 }",
    );
    let schema = |number: &str| format!("actions: {{ a: {{ input: {{ minimum: {number} }}, http: {{ path: / }} }} }}");
    same_connector(&schema("1.0"), &schema("1"));
}

#[test]
fn explicit_defaults_equal_absent_fields() {
    same_connector("defaults: { timeout: 15s, maxRedirects: 5, maxResponseBytes: 8388608 }", "defaults: {}");
    same_connector("defaults: {}", "activation: true");
    same_connector(
        "entities: { e: { key: id, fields: { a: { type: string } } } }",
        "entities: { e: { fields: { a: { type: string, required: false } } } }",
    );
    let header = |value: &str| format!("defaults: {{ headers: {{ Accept: {value} }} }}");
    same_connector(&header("{ value: a }"), &header("a"));
    let action = |rest: &str| format!("actions: {{ a: {{ http: {{ path: / }}{rest} }} }}");
    let retry = ", retry: { maxAttempts: 3, initialInterval: 5s, backoffCoefficient: 2, maxInterval: 60s }";
    same_connector(&action(retry), &action(", retry: {}"));
    let workflow = |rest: &str| format!("{{ tier: Standard{rest}, steps: [{{ name: a, set: 1 }}] }}");
    same("Workflow", &workflow(", timeout: 15m, active: true, priority: P2"), &workflow(""));
    let trigger = |rest: &str| {
        format!(
            "{{ webhook: {{ verify: {{ hmacSha256: {{ header: X, secretRef: s{rest} }} }}, routes: [{{ workflow: w }}] }} }}"
        )
    };
    same("Trigger", &trigger(", tolerance: 300s, encoding: Hex"), &trigger(""));
    same(
        "Environment",
        "{ interval: 60s, sync: { mode: Heal, prune: { enabled: true, undoWindow: 168h } }, history: { keep: 20, maxAge: 720h } }",
        "{ sync: { prune: {} } }",
    );
}

#[test]
fn different_meanings_differ() {
    let workflow = |timeout: &str| format!("{{ tier: Long, timeout: {timeout}, steps: [{{ name: a, set: 1 }}] }}");
    differ("Workflow", &workflow("15m"), &workflow("6h"));
    // Headers are sent as written, so `1.0` differs from `1`.
    let header = |value: &str| format!("{CONNECTOR}, defaults: {{ headers: {{ X-Version: {value} }} }} }}");
    differ("Connector", &header("1.0"), &header("1"));
    differ("Connector", &header("{ value: a, overridable: true }"), &header("a"));
    differ("Role", "{ permissions: { workflows: [Read, Update] } }", "{ permissions: { workflows: [Update, Read] } }");
}

#[test]
fn a_body_that_looks_like_a_parameter_is_unchanged() {
    let spec = "{ displayName: X, baseUrl: https://x.example, actions: { a: { http: { method: POST, path: /, \
                body: { headers: { h: { value: a, overridable: false, omitEmpty: false } }, n: 1.0 } } } } }";
    let document = object("Connector", spec).document();
    let body = document.pointer("/spec/actions/a/http/body").unwrap();
    assert_eq!(body.to_string(), r#"{"headers":{"h":{"omitEmpty":false,"overridable":false,"value":"a"}},"n":1.0}"#);
}

#[test]
fn defaults_have_their_printed_form() {
    for (kind, place, default) in DEFAULTS {
        let text = default.trim_matches('"');
        if let Ok(duration) = text.parse::<Duration>() {
            assert_eq!(duration.to_string(), text, "{kind} {place}");
        }
        let value: Value = serde_json::from_str(default).unwrap();
        assert!(is_value(&value, default), "{kind} {place}");
    }
}

#[test]
fn the_prune_annotation_protects() {
    let with = |annotation: &str| {
        only_object(&format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: x, annotations: {{ {annotation} }} }}\nspec: {{ displayName: X }}\n"
        ))
        .protected
    };
    assert!(with("evenkeel.dev/prune: disabled"));
    assert!(!with("evenkeel.dev/prune: enabled") && !with("a: b"));
}

#[test]
fn a_definition_with_schema_errors_has_no_object() {
    let text = "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: x }\nspec: { displayName: X, plna: a }\n---\n\
                apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: x }\nspec: { displayName: Second }\n---\n\
                apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: x }\nspec: { displayName: Third }\n";
    let (catalog, _) = load(&Snapshot::of([("a.yaml", text.as_bytes())]));
    let inventory = inventory(&catalog, "test");
    let object = inventory.values().next().unwrap();
    assert_eq!((inventory.len(), object.place.line), (1, 6));
    assert_eq!(object.document().pointer("/spec/displayName").unwrap(), "Second");
}
