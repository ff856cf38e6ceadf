//! Tests of the equality of definitions.

use std::collections::BTreeSet;

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
    // The order of steps and routes is the order in which they run.
    let steps = |names: [&str; 2]| {
        format!("{{ tier: Long, steps: [{{ name: {}, set: 1 }}, {{ name: {}, set: 1 }}] }}", names[0], names[1])
    };
    differ("Workflow", &steps(["a", "b"]), &steps(["b", "a"]));
    // The default of a schema is sent like any other value.
    let default = |value: &str| {
        format!(
            "{CONNECTOR}, actions: {{ a: {{ input: {{ properties: {{ n: {{ default: {value} }} }} }}, http: {{ path: / }} }} }} }}"
        )
    };
    differ("Connector", &default("1.0"), &default("1"));
    differ("Connector", &default("[b, a]"), &default("[a, b]"));
}

#[test]
fn the_order_of_sets_does_not_matter() {
    let schema = |text: &str| format!("actions: {{ a: {{ input: {text}, http: {{ path: / }} }} }}");
    same_connector(
        &schema(
            "{ type: [object, 'null'], required: [a, b], dependentRequired: { a: [b, c] }, properties: { required: { \
             enum: [2, 10, x], not: { enum: [y, z] } } }, anyOf: [{ required: [c, d] }, true], $defs: { e: { enum: [q, r] } } }",
        ),
        &schema(
            "{ required: [b, a, b], type: ['null', object], dependentRequired: { a: [c, b] }, properties: { required: { \
             not: { enum: [z, y] }, enum: [x, 10, 2] } }, anyOf: [true, { required: [d, c] }], $defs: { e: { enum: [r, q] } } }",
        ),
    );
    let scopes = |list: &str| {
        format!(
            "auth: {{ methods: {{ m: {{ oauth2: {{ grant: AuthorizationCode, authorizationUrl: https://x.example/a, tokenUrl: https://x.example/t, scopes: {list} }} }} }} }}"
        )
    };
    same_connector(&scopes("[read, write]"), &scopes("[write, read]"));
    same("Role", "{ permissions: { workflows: [Read, Update] } }", "{ permissions: { workflows: [Update, Read] } }");
    let roles = |list: &str| {
        format!(
            "{{ tier: Long, steps: [{{ name: all, parallel: {{ one: [{{ name: ask, approval: {{ message: Go?, roles: {list} }} }}] }} }}] }}"
        )
    };
    let workflow = |list: &str| {
        let mut object = object("Workflow", &roles(list));
        object.needs.clear();
        object.digest
    };
    assert_eq!(workflow("[a, b]"), workflow("[b, a]"));
    assert_ne!(workflow("[a, b]"), workflow("[a, c]"));
    // A schema may describe properties that are named like keywords.
    differ(
        "Connector",
        &format!("{CONNECTOR}, {} }}", schema("{ properties: { enum: { const: [1, 2] } } }")),
        &format!("{CONNECTOR}, {} }}", schema("{ properties: { enum: { const: [2, 1] } } }")),
    );
}

#[test]
fn the_spelling_of_numbers_and_line_ends_does_not_matter() {
    let schema =
        |n: &str| format!("actions: {{ a: {{ input: {{ maximum: {n}, enum: [{n}, 2] }}, http: {{ path: / }} }} }}");
    same_connector(&schema("1e3"), &schema("1000"));
    same_connector(&schema("1.0e3"), &schema("0x3E8"));
    let body = |n: &str| format!("actions: {{ a: {{ http: {{ method: POST, path: /, body: {{ n: {n} }} }} }} }}");
    same_connector(&body("1e3"), &body("1000.0"));
    let trigger = |n: &str| {
        format!(
            "{{ webhook: {{ verify: {{ none: {{}} }}, routes: [{{ workflow: w, when: {{ a: {n}, b: {{ gt: {n}, in: [{n}, 7] }} }} }}] }} }}"
        )
    };
    let digest = |n: &str| object("Trigger", &trigger(n)).digest;
    assert_eq!(digest("5.0"), digest("5"));
    let code = |line_end: &str| format!("{{ tier: Long, source: {{ inline: \"a(){line_end}b()\" }} }}");
    assert_eq!(object("Workflow", &code("\\r\\n")).digest, object("Workflow", &code("\\n")).digest);
}

/// A file with the line ends of Windows holds the same definitions as one with those of Unix.
#[test]
fn a_checkout_with_other_line_ends_holds_the_same_definitions() {
    let text = "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: x }\nspec:\n  displayName: 'a\n    b\n\n    c'\n  plan: |\n    one\n\n    two\n  externalId: >-\n    one\n    two\n";
    let (unix, windows) = (only_object(text), only_object(&text.replace('\n', "\r\n")));
    assert_eq!((unix.digest, unix.place.line), (windows.digest, windows.place.line));
    let files = |text: &str| crate::plan::Files::from([("a.ts".to_owned(), std::sync::Arc::from(text.as_bytes()))]);
    let with = |object: &Object, text: &str| object.clone().with_files(files(text));
    assert_eq!(with(&unix, "a\nb\n"), with(&unix, "a\r\nb\r\n"));
    assert_ne!(with(&unix, "a\nb\n").digest, with(&unix, "a\rb\n").digest);
    // Bytes that are no text keep theirs.
    let bytes =
        |bytes: &[u8]| unix.clone().with_files([("a.age".to_owned(), std::sync::Arc::from(bytes))].into()).digest;
    assert_ne!(bytes(b"\xff\r\n"), bytes(b"\xff\n"));
    assert_ne!(bytes(b"\0\r\n"), bytes(b"\0\n"));
}

/// Every list of every kind is either a set or ordered, so that a new one is decided.
#[test]
fn the_order_of_every_list_is_decided() {
    const ORDERED: [(Kind, &str); 32] = [
        (Kind::Connector, "spec/actions/*/sql/params"),
        (Kind::Connector, "spec/actions/*/steps"),
        (Kind::Connector, "spec/actions/*/tests"),
        (Kind::Connector, "spec/actions/*/tests/*/expectRequests"),
        (Kind::Connector, "spec/actions/*/tests/*/responds"),
        (Kind::Connector, "spec/entities/*/fields/*/transforms"),
        (Kind::Connector, "spec/entities/*/fields/*/transforms/*/coalesce"),
        (Kind::Connector, "spec/entities/*/fields/*/transforms/*/concat/fields"),
        (Kind::Widget, "spec/actions"),
        (Kind::Widget, "spec/connectors"),
        (Kind::Widget, "spec/forms/*/fields"),
        (Kind::Widget, "spec/forms/*/fields/*/mapping/source"),
        (Kind::Widget, "spec/forms/*/fields/*/mapping/target"),
        (Kind::Widget, "spec/forms/*/fields/*/options"),
        (Kind::Widget, "spec/metrics"),
        (Kind::Trigger, "spec/appEvent/routes"),
        (Kind::Trigger, "spec/appEvent/routes/*/whenAny"),
        (Kind::Trigger, "spec/schedule/routes"),
        (Kind::Trigger, "spec/webhook/routes"),
        (Kind::Trigger, "spec/webhook/routes/*/whenAny"),
        (Kind::Workflow, "spec/steps"),
        (Kind::Workflow, "spec/tests"),
        (Kind::Workflow, "spec/tests/*/actions/*"),
        (Kind::Workflow, "spec/tests/*/events/*"),
        (Kind::Workflow, "spec/tests/*/expectCalls"),
        (Kind::Environment, "spec/notifications"),
        (Kind::Environment, "spec/overlays"),
        // The last pattern that matches a path decides.
        (Kind::Environment, "spec/source/directory/exclude"),
        (Kind::Environment, "spec/source/git/exclude"),
        (Kind::Environment, "spec/sources"),
        (Kind::Environment, "spec/sources/*/directory/exclude"),
        (Kind::Environment, "spec/sources/*/git/exclude"),
    ];
    let ordered = ORDERED.iter().chain(&[(Kind::Alert, "spec/notify")]);
    for kind in Kind::ALL {
        let schema = crate::definition::schema::of_kind(kind);
        let mut lists = BTreeSet::new();
        lists_of(&schema, &schema, String::new(), &mut Vec::new(), &mut lists);
        let decided = sets::SETS.iter().chain(ordered.clone()).filter(|(owner, _)| *owner == kind);
        let mut decided: BTreeSet<String> = decided.map(|(_, path)| (*path).to_owned()).collect();
        if kind == Kind::Workflow {
            decided.extend(sets::STEP_SETS.iter().map(|path| format!("spec/steps/*/{path}")));
            decided.extend(
                ["loop/steps", "parallel/*", "switch", "switch/*/steps"].map(|path| format!("spec/steps/*/{path}")),
            );
        }
        // `spec/permissions/*` covers one list for each resource.
        lists.retain(|path| kind != Kind::Role || !path.starts_with("spec/permissions/"));
        decided.remove("spec/permissions/*");
        assert_eq!(lists, decided, "{kind}: decide in `sets::SETS` or here");
    }
}

/// Adds the locations of all lists below a schema of a kind.
fn lists_of(root: &Value, schema: &Value, path: String, seen: &mut Vec<String>, lists: &mut BTreeSet<String>) {
    let target = schema["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/"));
    if let Some(name) = target.filter(|name| !seen.iter().any(|known| known == name)) {
        seen.push(name.to_owned());
        lists_of(root, &root["$defs"][name], path.clone(), seen, lists);
        seen.pop();
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        for branch in schema[key].as_array().into_iter().flatten() {
            lists_of(root, branch, path.clone(), seen, lists);
        }
    }
    let is_list =
        schema["type"] == "array" || schema["type"].as_array().is_some_and(|all| all.contains(&"array".into()));
    if is_list {
        lists.insert(path.clone());
        lists_of(root, &schema["items"], format!("{path}/*"), seen, lists);
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        lists_of(root, property, below(name), seen, lists);
    }
    for property in schema["patternProperties"].as_object().into_iter().flat_map(|map| map.values()) {
        lists_of(root, property, below("*"), seen, lists);
    }
    if schema["additionalProperties"].is_object() {
        lists_of(root, &schema["additionalProperties"], below("*"), seen, lists);
    }
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
