//! The committed schemas match the types, and accept the same documents as the validator.

use evenkeel::definition::schema;

use crate::support::{golden, root};

#[test]
fn the_committed_schemas_are_up_to_date() {
    for (name, schema) in schema::all() {
        golden(&format!("schemas/{name}"), &format!("{schema:#}\n"));
    }
    let committed = std::fs::read_dir(root().join("schemas")).unwrap().count();
    // The OpenAPI document is the other one: tests/it/contract.rs compares it.
    assert_eq!(committed, schema::all().len() + 1, "schemas/ contains a file that no kind generates");
}

#[test]
fn the_schemas_are_valid_and_accept_the_examples() {
    let any = jsonschema::validator_for(&schema::of_any()).unwrap();
    let mut seen = 0;
    for folder in ["examples/quickstart", "examples/connectors"] {
        let validated = evenkeel::reconcile::validate::folder(&root().join(folder)).unwrap();
        for entry in &validated.catalog.entries {
            let value = entry.document.root.to_json();
            let errors: Vec<String> =
                any.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{}: {errors:#?}", entry.id);
            let one = jsonschema::validator_for(&schema::of_kind(entry.id.kind)).unwrap();
            assert!(one.is_valid(&value), "{} against the schema of its kind", entry.id);
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn the_schemas_reject_invalid_documents() {
    let any = jsonschema::validator_for(&schema::of_any()).unwrap();
    let tenant = |spec: serde_json::Value| serde_json::json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "acme"}, "spec": spec});
    assert!(any.is_valid(&tenant(serde_json::json!({"displayName": "Acme"}))));
    for wrong in [
        serde_json::json!({}),
        serde_json::json!({"displayName": "Acme", "colour": 1}),
        serde_json::json!({"displayName": 7}),
    ] {
        assert!(!any.is_valid(&tenant(wrong.clone())), "{wrong}");
    }
}

#[test]
fn the_committed_custom_resource_definitions_are_up_to_date() {
    for (name, crd) in evenkeel::definition::crd::all() {
        golden(&format!("charts/evenkeel/files/crds/{name}"), &evenkeel::text::to_yaml(&crd).unwrap());
    }
}

/// The schemas of resources stay backward compatible within a version, as stored objects are not validated again.
/// `tests/crds.released.json` contains the schemas of the last release.
#[test]
fn custom_resource_definitions_stay_backward_compatible() {
    use serde_json::{Value, json};

    fn narrower(path: &str, before: &Value, after: &Value, wrong: &mut Vec<String>) {
        if after["x-kubernetes-preserve-unknown-fields"] == true && after["type"].is_null() {
            return;
        }
        if before["type"] != after["type"] {
            wrong.push(format!("{path}: type {} became {}", before["type"], after["type"]));
        }
        if before["nullable"] == true && after["nullable"] != true {
            wrong.push(format!("{path}: null is no longer accepted"));
        }
        for name in after["required"].as_array().into_iter().flatten() {
            if !before["required"].as_array().is_some_and(|before| before.contains(name)) {
                wrong.push(format!("{path}: {name} is now required"));
            }
        }
        for word in before["enum"].as_array().into_iter().flatten() {
            if after["enum"].as_array().is_some_and(|after| !after.contains(word)) {
                wrong.push(format!("{path}: {word} is no longer accepted"));
            }
        }
        let number = |schema: &Value, key: &str| schema[key].as_f64();
        for (key, sign) in [
            ("maximum", 1.0),
            ("maxLength", 1.0),
            ("maxItems", 1.0),
            ("maxProperties", 1.0),
            ("minimum", -1.0),
            ("minLength", -1.0),
            ("minItems", -1.0),
        ] {
            match (number(before, key), number(after, key)) {
                (Some(before), Some(after)) if after * sign >= before * sign => {}
                (_, None) => {}
                (before, after) => wrong.push(format!("{path}: {key} was {before:?} and is {after:?}")),
            }
        }
        if before["pattern"] != after["pattern"] && !after["pattern"].is_null() {
            wrong.push(format!("{path}: the pattern changed"));
        }
        for (name, before) in before["properties"].as_object().into_iter().flatten() {
            match after["properties"].get(name) {
                Some(after) => narrower(&format!("{path}.{name}"), before, after, wrong),
                None => wrong.push(format!("{path}.{name}: removed")),
            }
        }
        for below in ["items", "additionalProperties"] {
            if !before[below].is_null() {
                narrower(&format!("{path}[]"), &before[below], &after[below], wrong);
            }
        }
    }

    let schema = |crd: &Value| crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    let now: serde_json::Map<String, Value> =
        evenkeel::definition::crd::all().iter().map(|(name, crd)| (name.clone(), schema(crd))).collect();
    let path = root().join("tests/crds.released.json");
    // Written once for each release, from `evenkeel schema crds`.
    let released = std::fs::read_to_string(&path).expect("the schemas of the last release");
    let released: Value = serde_json::from_str(&released).unwrap();
    let mut wrong = Vec::new();
    for (name, before) in released.as_object().unwrap() {
        narrower(name, before, &now[name], &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The comparison detects incompatible changes.
    let mut seen = Vec::new();
    narrower("x", &json!({"type": "string", "maxLength": 9}), &json!({"type": "string", "maxLength": 8}), &mut seen);
    narrower(
        "y",
        &json!({"type": "object", "properties": {"a": {"type": "string"}}}),
        &json!({"type": "object", "required": ["b"], "properties": {}}),
        &mut seen,
    );
    assert_eq!(seen.len(), 3, "{seen:?}");
}
