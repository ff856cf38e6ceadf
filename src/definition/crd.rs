//! CustomResourceDefinitions, generated from the same types as the JSON Schemas: a document is valid as a file and as a
//! resource.
//!
//! The API server accepts *structural* schemas only, so each schema is converted ([`structural`]). Unknown fields are
//! preserved, not pruned: a misspelt field reaches Evenkeel's own validation, which suggests the correct name.

mod status;
mod structural;

use serde_json::{Value, json};

use super::{API_GROUP, Kind, schema};

/// The finalizer of a reconciled Environment.
pub const FINALIZER: &str = "finalizers.evenkeel.dev/environment";
/// The annotation that requests an immediate reconciliation when its value changes.
pub const REQUESTED_AT: &str = "reconcile.evenkeel.dev/requestedAt";
/// The version in `apiVersion`.
pub const VERSION: &str = "v1alpha1";

/// Generates the CustomResourceDefinition of a kind (`apiextensions.k8s.io/v1`).
pub fn of_kind(kind: Kind) -> Value {
    let names = json!({
        "kind": kind.as_str(),
        "listKind": format!("{kind}List"),
        "plural": kind.plural(),
        "singular": kind.singular(),
        "shortNames": [kind.short_name()],
        "categories": ["evenkeel"]
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{API_GROUP}", kind.plural()),
            "labels": {"app.kubernetes.io/name": "evenkeel", "app.kubernetes.io/component": "crd"}
        },
        "spec": {
            "group": API_GROUP,
            "names": names,
            "scope": "Namespaced",
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": status::columns(kind),
                "schema": {"openAPIV3Schema": document(kind)}
            }]
        }
    })
}

/// Generates all CustomResourceDefinitions with their file names, in the order of the kinds.
pub fn all() -> Vec<(String, Value)> {
    Kind::ALL.into_iter().map(|kind| (format!("{}.yaml", kind.plural()), of_kind(kind))).collect()
}

fn document(kind: Kind) -> Value {
    let schema = schema::of_kind(kind);
    let spec = structural::convert(&schema["properties"]["spec"], &schema["$defs"]);
    let describe = spec["description"].as_str().unwrap_or_default().to_owned();
    // Kubernetes allows dots in names; the names of definitions are DNS labels.
    let name = json!({"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"});
    json!({
        "description": describe,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": name}},
            "spec": spec,
            "status": status::schema(kind)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects the parts of a schema that the API server rejects: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>.
    fn structural(schema: &Value, path: &str, wrong: &mut Vec<String>) {
        let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
        if schema["type"].is_null() && !open && schema["x-kubernetes-int-or-string"] != true {
            wrong.push(format!("{path}: no type"));
        }
        for key in schema.as_object().into_iter().flatten().map(|(key, _)| key.as_str()) {
            let known = [
                "type",
                "description",
                "properties",
                "required",
                "additionalProperties",
                "items",
                "enum",
                "default",
                "nullable",
                "pattern",
                "minimum",
                "maximum",
                "minLength",
                "maxLength",
                "minItems",
                "maxItems",
                "minProperties",
                "maxProperties",
                "x-kubernetes-preserve-unknown-fields",
                "x-kubernetes-int-or-string",
                "x-kubernetes-validations",
                "x-kubernetes-list-type",
                "x-kubernetes-list-map-keys",
                "format",
            ];
            if !known.contains(&key) {
                wrong.push(format!("{path}: {key}"));
            }
        }
        if !schema["properties"].is_null() && !schema["additionalProperties"].is_null() {
            wrong.push(format!("{path}: properties and additionalProperties"));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            structural(property, &format!("{path}.{name}"), wrong);
        }
        for (name, below) in [("[]", &schema["items"]), ("{}", &schema["additionalProperties"])] {
            if !below.is_null() {
                structural(below, &format!("{path}{name}"), wrong);
            }
        }
    }

    #[test]
    fn schemas_are_structural() {
        for kind in Kind::ALL {
            let crd = of_kind(kind);
            let mut wrong = Vec::new();
            structural(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], kind.as_str(), &mut wrong);
            assert!(wrong.is_empty(), "{wrong:#?}");
            // etcd accepts 1.5 MiB, and clients read all of them.
            assert!(crd.to_string().len() < 256 << 10, "{kind}: {} bytes", crd.to_string().len());
        }
    }

    #[test]
    fn exclusive_fields_become_validation_rules() {
        let crd = of_kind(Kind::Trigger);
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let rule = &spec["x-kubernetes-validations"][0];
        assert_eq!(rule["message"], "exactly one of `webhook`, `schedule`, `appEvent` is needed");
        assert_eq!(
            rule["rule"],
            "(has(self.webhook) ? 1 : 0) + (has(self.schedule) ? 1 : 0) + (has(self.appEvent) ? 1 : 0) == 1"
        );
    }
}
