//! The committed schemas are those of the types, and they accept what the checker accepts.

use evenkeel::definition::schema;

use crate::support::{golden, root};

#[test]
fn the_committed_schemas_are_fresh() {
    for (name, schema) in schema::all() {
        golden(&format!("schemas/{name}"), &format!("{schema:#}\n"));
    }
    let committed = std::fs::read_dir(root().join("schemas")).unwrap().count();
    assert_eq!(committed, schema::all().len(), "schemas/ holds a file that no kind makes");
}

#[test]
fn the_schemas_are_valid_and_accept_the_examples() {
    let any = jsonschema::validator_for(&schema::of_any()).unwrap();
    let mut seen = 0;
    for folder in ["examples/quickstart", "examples/connectors"] {
        let examined = evenkeel::reconcile::examine::folder(&root().join(folder)).unwrap();
        for entry in &examined.catalog.entries {
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
fn a_schema_refuses_what_the_checker_refuses() {
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
