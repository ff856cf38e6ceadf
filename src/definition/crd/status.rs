//! The `status` of resources, and the columns of `kubectl get`.

use serde_json::{Value, json};

use crate::definition::Kind;

/// The columns of `kubectl get`. Columns with a priority are displayed with `-o wide` only.
pub(super) fn columns(kind: Kind) -> Value {
    let condition = |field: &str| format!(".status.conditions[?(@.type==\"Ready\")].{field}");
    let column = |name: &str, kind: &str, path: &str, priority: u8| {
        let mut column = json!({"name": name, "type": kind, "jsonPath": path});
        if priority > 0 {
            column["priority"] = json!(priority);
        }
        column
    };
    let mut columns =
        vec![column("Ready", "string", &condition("status"), 0), column("Reason", "string", &condition("reason"), 0)];
    if kind == Kind::Environment {
        columns.push(column("Revision", "string", ".status.lastAppliedRevision", 0));
        columns.push(column("Generation", "integer", ".status.generation", 0));
        columns.push(column("Definitions", "integer", ".status.definitions", 1));
        columns.push(column("Attempted", "string", ".status.lastAttemptedRevision", 1));
        columns.push(column("Suspended", "boolean", ".spec.suspend", 1));
    } else {
        columns.push(column("Revision", "string", ".status.revision", 0));
        columns.push(column("Environments", "string", ".status.environments", 1));
    }
    columns.push(column("Message", "string", &condition("message"), 1));
    columns.push(column("Age", "date", ".metadata.creationTimestamp", 0));
    Value::Array(columns)
}

/// The schema of the `status` of a kind.
pub(super) fn schema(kind: Kind) -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let number = |description: &str| json!({"type": "integer", "description": description});
    let mut properties = json!({
        "observedGeneration": number("The `metadata.generation` that the status refers to."),
        "conditions": {
            "type": "array",
            "description": "Conditions `Ready`, `Reconciling` and `Stalled`, as defined by kstatus. The last two are present only while they hold.",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status", "reason", "message", "lastTransitionTime"],
                "properties": {
                    "type": {"type": "string", "maxLength": 316},
                    "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                    "observedGeneration": {"type": "integer"},
                    "reason": {"type": "string", "maxLength": 1024},
                    "message": {"type": "string", "maxLength": 32768},
                    "lastTransitionTime": {"type": "string"}
                }
            }
        },
        "findings": {
            "type": "array",
            "description": "The first findings about the definition, as reported by `evenkeel validate`.",
            "items": {
                "type": "object",
                "properties": {
                    "code": text("Stable code. `evenkeel explain CODE` describes it."),
                    "severity": text("Severity: `error` or `warning`."),
                    "message": text("Description of the problem."),
                    "pointer": text("JSON pointer of the position in the resource (RFC 6901)."),
                    "file": text("Position in a file, as `FILE:LINE:COLUMN`, if the finding is not in a resource."),
                    "help": text("Remedy.")
                }
            }
        }
    });
    let more = match kind {
        Kind::Environment => json!({
            "lastAppliedRevision": text("Active revision of the source."),
            "lastAttemptedRevision": text("Revision of the source that was validated last."),
            "lastHandledReconcileAt": text("Last processed value of the annotation `reconcile.evenkeel.dev/requestedAt`."),
            "generation": number("Number of the active generation."),
            "digest": text("Digest of the active generation."),
            "definitions": number("Number of definitions in the active generation."),
            "errors": number("Number of errors in the revision that was validated last."),
            "warnings": number("Number of warnings in the revision that was validated last."),
            "drifted": number("Number of active definitions that differ from the declared ones."),
            "inventory": {
                "type": "array",
                "description": "Active definitions with their origins, at most 1000.",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": text("Identity, as `Kind/name`."),
                        "source": text("Source of the definition, with its revision."),
                        "place": text("Position: file and line, or the resource.")
                    }
                }
            }
        }),
        _ => json!({
            "revision": text("Digest of the active version of this definition, or `-`."),
            "environments": text("Environments in which the definition is active.")
        }),
    };
    if let (Value::Object(all), Value::Object(more)) = (&mut properties, more) {
        all.extend(more);
    }
    json!({"type": "object", "description": "Observed state of the resource.", "properties": properties})
}
