//! Tests of the classes of changes.

use serde_json::json;

use super::quote::quoted;
use super::*;

fn check(kind: Kind, before: Value, after: Value, expected: ChangeClass, says: &str) {
    let (found, because) = class(kind, &json!({ "spec": before }), &json!({ "spec": after }));
    assert_eq!(found, expected, "{before} → {after}: {because:?}");
    assert_eq!(because.is_empty(), says.is_empty(), "{because:?}");
    assert!(says.is_empty() || because.iter().any(|because| because.contains(says)), "{because:?}");
}

fn breaks(kind: Kind, before: Value, after: Value, says: &str) {
    check(kind, before, after, ChangeClass::Breaking, says);
}

fn compatible(kind: Kind, before: Value, after: Value) {
    check(kind, before, after, ChangeClass::Compatible, "");
}

#[test]
fn changes_of_texts_have_no_effect() {
    let none = |kind, before, after| check(kind, before, after, ChangeClass::None, "");
    none(Kind::Tenant, json!({"displayName": "a"}), json!({"displayName": "b"}));
    let action = |action: Value| json!({"actions": {"a": action}});
    none(Kind::Connector, action(json!({"http": {}, "title": "a"})), action(json!({"http": {}, "tests": [{}]})));
    let input = |text: &str| action(json!({"input": {"properties": {"description": {"description": text}}}}));
    none(Kind::Connector, input("a"), input("b"));
    let body = |text: &str| action(json!({"http": {"body": {"description": text}}}));
    compatible(Kind::Connector, body("a"), body("b"));
    let annotated = |key: &str, value: &str| json!({"metadata": {"annotations": {key: value}}, "spec": {}});
    let annotation = |key: &str| class(Kind::Tenant, &annotated(key, "a"), &annotated(key, "b")).0;
    assert_eq!((annotation("team"), annotation("evenkeel.dev/prune")), (ChangeClass::None, ChangeClass::Compatible));
}

/// The fields that people read, by kind: their pointers in the document.
const TEXTS_OF_KINDS: [(Kind, &[&str]); 7] = [
    (
        Kind::Connector,
        &[
            "/spec/displayName",
            "/spec/description",
            "/spec/documentationUrl",
            "/spec/images",
            "/spec/localization",
            "/spec/actions/a/title",
            "/spec/actions/a/description",
            "/spec/actions/a/deprecated",
            "/spec/actions/a/tests",
            "/spec/actions/a/http/pathParams/p/description",
            "/spec/auth/methods/m/displayName",
            "/spec/auth/methods/m/custom/fields/f/label",
            "/spec/auth/methods/m/custom/fields/f/description",
            "/spec/entities/e/title",
            "/spec/entities/e/description",
            "/spec/entities/e/fields/f/description",
            "/spec/events/v/title",
            "/spec/events/v/description",
        ],
    ),
    (Kind::Trigger, &["/spec/displayName", "/spec/description"]),
    (Kind::Workflow, &["/spec/displayName", "/spec/description", "/spec/steps/0/description", "/spec/tests"]),
    (Kind::Environment, &["/spec/displayName", "/spec/description"]),
    (Kind::Tenant, &["/spec/displayName"]),
    (Kind::Connection, &["/spec/displayName"]),
    (Kind::Entity, &["/spec/displayName", "/spec/description", "/spec/fields/f/description"]),
];

#[test]
fn each_text_for_people_is_a_text_in_a_plan() {
    fn document(parts: &[&str], value: &str) -> Value {
        match parts {
            [] => json!(value),
            ["0", rest @ ..] => json!([document(rest, value)]),
            [first, rest @ ..] => json!({ *first: document(rest, value) }),
        }
    }
    for (kind, pointers) in TEXTS_OF_KINDS {
        for pointer in pointers {
            let parts: Vec<&str> = pointer.split('/').skip(1).collect();
            let found = class(kind, &document(&parts, "before"), &document(&parts, "after"));
            assert_eq!(found, (ChangeClass::None, Vec::new()), "{kind} {pointer}");
            let mut other = parts.clone();
            *other.last_mut().unwrap() = "another";
            let found = class(kind, &document(&other, "before"), &document(&other, "after"));
            assert_eq!(found.0, ChangeClass::Compatible, "{kind} {other:?}");
        }
    }
}

#[test]
fn the_canonical_model_is_a_contract() {
    let canonical = |field: Value| json!({"fields": {"f": field}});
    for (before, after) in [
        (json!({"type": "string"}), json!({"type": "number"})),
        (json!({"type": "string", "enum": ["a", "b"]}), json!({"type": "string", "enum": ["a"]})),
    ] {
        let (found, because) =
            class(Kind::Entity, &json!({"spec": canonical(before)}), &json!({"spec": canonical(after)}));
        assert_eq!(found, ChangeClass::Breaking, "{because:?}");
        assert!(because.iter().any(|because| because.contains("`f`")), "{because:?}");
    }
    let key = |key: &str| json!({"entities": {"contact": {"key": key, "fields": {}}}});
    breaks(Kind::Connector, key("id"), key("email"), "the key of entity `contact`");
}

#[test]
fn removing_a_name_that_others_use_is_breaking() {
    breaks(
        Kind::Connector,
        json!({"actions": {"a": {}, "b": {}}}),
        json!({"actions": {"b": {}}}),
        "action `a` is gone",
    );
    breaks(Kind::Connector, json!({"actions": {"a": {}}}), json!({}), "action `a` is gone");
    compatible(Kind::Connector, json!({"actions": {"b": {}}}), json!({"actions": {"a": {}, "b": {}}}));
    breaks(Kind::Connector, json!({"events": {"a": {}}}), json!({}), "event `a` is gone");
    let fields = |fields: Value| json!({"entities": {"contact": {"fields": fields}}});
    breaks(
        Kind::Connector,
        fields(json!({"a": {"type": "string"}})),
        fields(json!({})),
        "field `a` of entity `contact` is gone",
    );
    breaks(
        Kind::Connector,
        fields(json!({"a": {"type": "string"}})),
        fields(json!({"a": {"type": "number"}})),
        "the type of field `contact` / `a` changes",
    );
    breaks(Kind::Widget, json!({"forms": {"f": {}}}), json!({"forms": {"g": {}}}), "form `f` is gone");
    breaks(Kind::Widget, json!({"actions": [{"name": "Sync"}]}), json!({}), "action `Sync` is gone");
    breaks(Kind::Environment, json!({"variables": {"a": "1"}}), json!({}), "variable `a` is gone");
    breaks(Kind::Environment, json!({"secrets": {"a": {}}}), json!({"secrets": {}}), "secret `a` is gone");
    let role = |permissions: Value| json!({"permissions": {"workflows": permissions}});
    breaks(
        Kind::Role,
        role(json!(["Read", "Update"])),
        role(json!(["Read"])),
        "permission `Update` of resource `workflows` is gone",
    );
    breaks(Kind::Entity, json!({"fields": {"a": {}}}), json!({"fields": {}}), "field `a` is gone");
}

#[test]
fn changes_that_callers_must_adapt_to_are_breaking() {
    let action = |action: Value| json!({"actions": {"a": action}});
    breaks(
        Kind::Connector,
        action(json!({"http": {}})),
        action(json!({"steps": []})),
        "action `a` was `http` and becomes `steps`",
    );
    breaks(
        Kind::Connector,
        action(json!({"requiresUser": false})),
        action(json!({"requiresUser": true})),
        "`requiresUser` of action `a` becomes `true`",
    );
    compatible(Kind::Connector, action(json!({"requiresUser": true})), action(json!({"requiresUser": false})));
    breaks(
        Kind::Connector,
        action(json!({"http": {"pathParams": {}}})),
        action(json!({"http": {"pathParams": {"id": {}}}})),
        "path parameter `id` of action `a` must be given",
    );
    compatible(
        Kind::Connector,
        action(json!({"http": {"pathParams": {"id": {}}}})),
        action(json!({"http": {"pathParams": {"id": {"default": "7"}}}})),
    );
    let header = |value: Value| action(json!({"http": {"headers": {"X": value}}}));
    breaks(Kind::Connector, header(json!({"value": "a", "overridable": true})), header(json!("a")), "no longer true");
    compatible(Kind::Connector, header(json!("a")), header(json!({"value": "a", "overridable": true})));
    breaks(
        Kind::Connector,
        action(json!({})),
        action(json!({"auth": ["key"]})),
        "no longer every authentication method",
    );
    breaks(
        Kind::Connector,
        action(json!({"auth": ["key", "o"]})),
        action(json!({"auth": ["key"]})),
        "method `o` of action",
    );
    breaks(Kind::Workflow, json!({"tier": "Instant"}), json!({"tier": "Long"}), "`tier` changes");
    breaks(Kind::Workflow, json!({"active": true}), json!({"active": false}), "`active` becomes `false`");
    compatible(Kind::Workflow, json!({"active": false}), json!({"active": true}));
    compatible(Kind::Workflow, json!({"steps": [1]}), json!({"steps": [2]}));
    breaks(
        Kind::Trigger,
        json!({"webhook": {}}),
        json!({"schedule": {}}),
        "trigger was `webhook` and becomes `schedule`",
    );
    breaks(
        Kind::Trigger,
        json!({"webhook": {"verify": {"a": 1}}}),
        json!({"webhook": {"verify": {"a": 2}}}),
        "verification",
    );
    breaks(Kind::Trigger, json!({"webhook": {}}), json!({"webhook": {"webhookId": "u"}}), "the address changes");
    let fields = |fields: Value| json!({"forms": {"f": {"fields": fields}}});
    breaks(
        Kind::Widget,
        fields(json!([{"name": "a"}])),
        fields(json!([{"name": "a"}, {"name": "b", "required": true}])),
        "field `b` of form `f` must be filled in",
    );
}

#[test]
fn changes_that_connections_must_adapt_to_are_breaking() {
    let auth = |methods: Value| json!({"auth": {"methods": methods}});
    breaks(Kind::Connector, json!({}), auth(json!({"k": {"apiKey": {}}})), "authentication is new");
    breaks(
        Kind::Connector,
        auth(json!({"k": {"apiKey": {}}})),
        auth(json!({"k": {"basic": {}}})),
        "authentication method `k` was `apiKey` and becomes `basic`",
    );
    let scopes = |scopes: Value| auth(json!({"o": {"oauth2": {"scopes": scopes}}}));
    breaks(
        Kind::Connector,
        scopes(json!(["a"])),
        scopes(json!(["a", "b"])),
        "scope `b` of authentication method `o` is new",
    );
    compatible(Kind::Connector, scopes(json!(["a", "b"])), scopes(json!(["a"])));
    breaks(Kind::Connector, json!({"baseUrl": "https://a"}), json!({"baseUrl": "https://b"}), "`baseUrl`");
    breaks(
        Kind::Connector,
        json!({"scope": "Organization"}),
        json!({"scope": "Workspace"}),
        "`scope` becomes `Workspace`",
    );
    compatible(Kind::Connector, json!({"scope": "Workspace"}), json!({"scope": "Community"}));
    breaks(Kind::Environment, json!({}), json!({"egress": {"hosts": ["a"]}}), "no longer every host");
    breaks(Kind::Tenant, json!({"status": "Active"}), json!({"status": "Suspended"}), "`status`");
}

fn input(before: &Value, after: &Value) -> Vec<String> {
    let mut because = Vec::new();
    schema::stricter(Some(before), Some(after), "input", &mut because);
    because
}

fn output(before: &Value, after: &Value) -> Vec<String> {
    let mut because = Vec::new();
    schema::looser(Some(before), Some(after), "output", &mut because);
    because
}

#[test]
fn inputs_may_accept_more_but_not_less() {
    let cases = [
        (json!({"required": []}), json!({"required": ["a"]}), Some("input: `a` is required now")),
        (json!({"type": "number"}), json!({"type": "integer"}), Some("`number` is refused now")),
        (json!({"type": ["string", "null"]}), json!({"type": "string"}), Some("`null` is refused now")),
        (json!({}), json!({"type": "object"}), Some("`array` or `boolean`")),
        (json!({}), json!({"enum": ["a"]}), Some("only certain values")),
        (json!({"enum": ["a", "b"]}), json!({"const": "a"}), Some("`b` is refused now")),
        (json!({"minLength": 1}), json!({"minLength": 2}), Some("`minLength` is stricter")),
        (json!({"maximum": 2}), json!({"maximum": 1}), Some("`maximum` is stricter")),
        (json!({}), json!({"pattern": "a"}), Some("`pattern` changes")),
        (json!({"properties": {"a": {}}}), json!({"additionalProperties": false}), Some("at `a`: it is refused now")),
        (json!({"additionalProperties": true}), json!({"additionalProperties": false}), Some("other properties")),
        (json!({"items": {"type": "string"}}), json!({"items": {"type": "null"}}), Some("at `[]`: `string`")),
        (json!({"anyOf": [1, 2]}), json!({"anyOf": [1]}), Some("other alternatives")),
        (
            json!({"properties": {"a": {"type": "string"}}}),
            json!({"properties": {"a": false}}),
            Some("at `a`: nothing"),
        ),
        (json!({"$ref": "#/entities/a"}), json!({"$ref": "#/entities/b"}), Some("refers to another")),
        (
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}, "title": "t"}),
            None,
        ),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": ["string", "null"]}}}),
            json!({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}}),
            Some("at `a`: `null` is refused now"),
        ),
        (json!({"required": ["a"]}), json!({}), None),
        (json!({"type": "integer"}), json!({"type": "number"}), None),
        (json!({"enum": ["a"]}), json!({"enum": ["a", "b"]}), None),
        (json!({"properties": {"a": {}}}), json!({"properties": {"a": {}, "b": {"type": "string"}}}), None),
        (json!({"pattern": "a", "maximum": 1}), json!({}), None),
        (json!(true), json!({}), None),
        (json!(false), json!({"type": "string"}), None),
    ];
    for (before, after, expected) in cases {
        let because = input(&before, &after);
        assert_eq!(because.is_empty(), expected.is_none(), "{before} → {after}: {because:?}");
        let reported = |expected: &str| because.iter().any(|because| because.contains(expected));
        assert!(expected.is_none_or(reported), "{before} → {after}: {because:?}");
    }
}

#[test]
fn outputs_may_guarantee_more_but_not_less() {
    let cases = [
        (json!({"required": ["a"]}), json!({}), Some("`a` may be missing now")),
        (json!({"properties": {"a": {}}}), json!({}), Some("at `a`: it is gone")),
        (json!({"type": "string"}), json!({"type": ["string", "null"]}), Some("it may be `null` now")),
        (json!({"type": "integer"}), json!({"type": "number"}), Some("it may be `number` now")),
        (json!({"enum": ["a"]}), json!({"enum": ["a", "b"]}), Some("it may be `b` now")),
        (json!({"enum": ["a"]}), json!({}), Some("any value")),
        (json!({"items": {"required": ["a"]}}), json!({"items": {}}), Some("at `[]`: `a` may be missing")),
        (json!({"oneOf": [1]}), json!({"oneOf": [1, 2]}), Some("alternatives")),
        (json!({"$ref": "#/entities/a"}), json!({"type": "string"}), Some("refers to another")),
        (json!({}), json!({"required": ["a"], "properties": {"a": {}}}), None),
        (json!({"type": "number"}), json!({"type": "integer"}), None),
        (json!({"enum": ["a", "b"]}), json!({"enum": ["a"]}), None),
    ];
    for (before, after, expected) in cases {
        let because = output(&before, &after);
        assert_eq!(because.is_empty(), expected.is_none(), "{before} → {after}: {because:?}");
        let reported = |expected: &str| because.iter().any(|because| because.contains(expected));
        assert!(expected.is_none_or(reported), "{before} → {after}: {because:?}");
    }
    let mut because = Vec::new();
    schema::looser(Some(&json!({})), None, "output", &mut because);
    assert_eq!(because, ["output has no schema any longer"]);
}

#[test]
fn recursive_schemas_terminate() {
    let tree = |kind: &str| {
        json!({"$ref": "#/$defs/t", "$defs": {"t": {
            "type": kind,
            "properties": {"l": {"$ref": "#/$defs/t"}, "r": {"$ref": "#/$defs/t"}},
            "items": {"$ref": "#/$defs/t"},
        }}})
    };
    assert!(!output(&tree("object"), &tree("array")).is_empty());
    let loops = json!({"$ref": "#"});
    assert!(input(&loops, &json!({"$ref": "#", "title": "a"})).is_empty());
}

#[test]
fn reasons_are_bounded_and_hide_credentials() {
    let token = format!("ghp_{}", "a1".repeat(20));
    let actions: serde_json::Map<String, Value> = (0..200).map(|n| (format!("a{n}"), json!({}))).collect();
    let (_, because) = class(Kind::Connector, &json!({"spec": {"actions": actions}}), &json!({"spec": {}}));
    assert_eq!((because.len(), because.last().map(String::as_str)), (MAX_REASONS + 1, Some("and 150 more")));
    let (_, because) = class(Kind::Environment, &json!({"spec": {"variables": {token: "a"}}}), &json!({"spec": {}}));
    assert_eq!(because, ["variable `…` is gone"]);
    assert_eq!(quoted(&format!("a`{}", "b".repeat(100))), format!("`a'{}…`", "b".repeat(78)));
}
