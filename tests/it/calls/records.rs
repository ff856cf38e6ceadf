//! Records in outputs, and defaults of inputs.

use serde_json::{Value, json};

use super::{Application, connector, error, input, request, run, runtime, value};

const ENTITIES: &str = "baseUrl: https://a.example
entities:
  tag: { fields: { name: { type: string, transforms: [{ lower: {} }] } } }
  contact:
    fields:
      name: { type: string, required: true, transforms: [{ upper: {} }] }
      email: { type: string, path: 'properties.emails[0]', transforms: [{ lower: {} }] }
      state: { type: string, enum: [a], valuesMap: { a: active } }
      cents: { type: integer, transforms: [{ multiply: 2 }] }
      tags: { type: array, schema: { $ref: '#/entities/tag' } }
actions:
  one: { output: { $ref: '#/entities/contact' }, http: { path: /x } }
  list: { output: { type: object, properties: { items: { items: { $ref: '#/$defs/c' } } }, $defs: { c: { $ref: '#/entities/contact' } } }, http: { path: /x } }
  perhaps: { output: { type: object, properties: { found: { oneOf: [{ $ref: '#/entities/contact' }, { type: 'null' }] } } }, http: { path: /x } }
  by-name: { entity: contact, operation: List, http: { path: /x } }
  described: { entity: contact, output: { type: object, additionalProperties: false, properties: { name: {}, properties: {} } }, http: { path: /x } }
  deleted: { entity: contact, operation: Delete, http: { path: /x } }
  outer: { output: { $ref: '#/entities/contact' }, steps: [{ name: inner, action: one }] }
  composed: { output: { $ref: '#/entities/contact' }, steps: [{ name: inner, http: { path: /x } }] }
";

fn output(action: &str, response: Value) -> Value {
    value(&run(&connector(ENTITIES), &Application::new(&[(200, response)]), action, input(json!({}))))
}

#[test]
fn records_have_the_values_of_their_entity_wherever_the_schema_refers_to_it() {
    let native = json!({"name": "ada", "state": "a", "cents": 5, "properties": {"emails": ["A@B.example"]}, "more": 1});
    let mapped = json!({"name": "ADA", "state": "active", "cents": 10, "properties": {"emails": ["A@B.example"]}, "more": 1,
        "email": "a@b.example"});
    assert_eq!(output("one", native.clone()), mapped);
    assert_eq!(
        output("list", json!({"items": [native, {"name": "bob"}]})),
        json!({"items": [mapped, {"name": "BOB"}]})
    );
    assert_eq!(output("perhaps", json!({"found": native})), json!({"found": mapped}));
    assert_eq!(output("perhaps", json!({"found": null})), json!({"found": null}));
    // Without a reference, the output is the record, or the list of records, of the action's entity.
    assert_eq!(output("by-name", native.clone()), mapped);
    assert_eq!(output("by-name", json!([native, 7, {"other": true}])), json!([mapped, 7, {"other": true}]));
    assert_eq!(output("by-name", json!({"count": 1})), json!({"count": 1}));
    // An output with a schema of its own gets no further members.
    let described = json!({"name": "ada", "properties": {"emails": ["A@B.example"]}});
    assert_eq!(output("described", described), json!({"name": "ADA", "properties": {"emails": ["A@B.example"]}}));
    assert_eq!(output("deleted", native.clone()), native);
    // Records within records.
    assert_eq!(
        output("one", json!({"name": "a", "tags": [{"name": "VIP"}]})),
        json!({"name": "A", "tags": [{"name": "vip"}]})
    );
}

#[test]
fn a_record_is_mapped_once() {
    let native = json!({"name": "ada", "cents": 5});
    let mapped = json!({"name": "ADA", "cents": 10});
    assert_eq!(output("outer", native.clone()), mapped, "the called action has mapped it");
    assert_eq!(output("composed", native), mapped);
}

#[test]
fn a_value_that_cannot_be_mapped_is_an_error_that_names_its_place() {
    let outcome = |action: &str, response: Value| {
        let outcome = run(&connector(ENTITIES), &Application::new(&[(200, response)]), action, input(json!({})));
        let params = outcome.result.as_ref().unwrap_err().params.clone();
        let (code, detail) = error(&outcome);
        (code.to_owned(), detail.to_owned(), params)
    };
    let (code, detail, params) = outcome("one", json!({"name": "ada", "state": "b"}));
    assert_eq!((code.as_str(), params), ("INVALID_OUTPUT", vec!["/state".to_owned()]));
    assert_eq!(detail, "field `state` of entity `contact`: `valuesMap` does not list the value `b`; it lists a");
    let (_, detail, params) = outcome("list", json!({"items": [{"name": "ada"}, {"name": 7}]}));
    assert_eq!(params, ["/items/1/name"]);
    assert_eq!(detail, "field `name` of entity `contact`: `upper` takes text, and this is a number");
    // The schema of a record describes the mapped values.
    let (code, _, params) = outcome("one", json!({"cents": 1}));
    assert_eq!((code.as_str(), params), ("INVALID_OUTPUT", vec!["/name".to_owned()]));
}

#[test]
fn an_input_is_completed_by_the_defaults_of_its_schema_before_it_is_checked_and_rendered() {
    let runtime = connector(
        "baseUrl: https://a.example
actions:
  a:
    input:
      type: object
      required: [limit]
      additionalProperties: false
      properties: { limit: { type: integer, default: 50 }, sort: { type: object, properties: { by: { default: name } } } }
    http: { method: POST, path: '/x/{{ input.limit }}', body: '{{ input }}' }
  outer: { input: { properties: { limit: { default: 3 } } }, steps: [{ name: inner, action: a }] }
",
    );
    let sent = request(&runtime, "a", &input(json!({}))).unwrap();
    assert_eq!((sent.url.path(), &sent.body[..]), ("/x/50", &br#"{"limit":50}"#[..]));
    let sent = request(&runtime, "a", &input(json!({"limit": 1, "sort": {}}))).unwrap();
    assert_eq!(&sent.body[..], br#"{"limit":1,"sort":{"by":"name"}}"#);
    let refused = request(&runtime, "a", &input(json!({"limit": null}))).unwrap_err();
    assert!(refused.starts_with("INVALID_INPUT"), "{refused}");
    // An action passes its completed input on.
    let application = Application::new(&[(200, json!({}))]);
    let outcome = run(&runtime, &application, "outer", input(json!({})));
    assert!(outcome.result.is_ok(), "{outcome:?}");
}

#[test]
fn tests_of_actions_name_tenants_at_will() {
    let runtime = runtime(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: c }\nspec:\n  displayName: C\n  baseUrl: https://a.example\n  actions: { a: { http: { path: /x } } }\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: gone }\nspec: { displayName: Gone, status: Suspended }\n",
    );
    let call = |tenant: &str, hermetic: bool| {
        let call = super::Call { tenant: Some(tenant.to_owned()), hermetic, ..input(json!({})) };
        request(&runtime, "a", &call).map(drop)
    };
    assert!(call("gone", false).unwrap_err().starts_with("TENANT_NOT_ACTIVE: tenant `gone` is suspended"));
    assert!(call("other", false).unwrap_err().starts_with("UNKNOWN_TENANT: there is no tenant `other`"));
    assert_eq!((call("gone", true), call("other", true)), (Ok(()), Ok(())));
}
