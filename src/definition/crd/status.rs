//! What the operator writes into `status`, and what `kubectl get` shows of it.

use serde_json::{Value, json};

use crate::definition::Kind;

/// The columns of `kubectl get`; those with a priority are shown by `-o wide` only.
pub(super) fn columns(kind: Kind) -> Value {
    let condition = |of: &str| format!(".status.conditions[?(@.type==\"Ready\")].{of}");
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

/// The schema of a kind's `status`.
pub(super) fn schema(kind: Kind) -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let number = |description: &str| json!({"type": "integer", "description": description});
    let mut properties = json!({
        "observedGeneration": number("The `metadata.generation` that this status speaks of."),
        "conditions": {
            "type": "array",
            "description": "Ready, Reconciling and Stalled, as kstatus reads them; the last two only while they hold.",
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
            "description": "What is wrong with this definition, the first of it: as `evenkeel validate` says it.",
            "items": {
                "type": "object",
                "properties": {
                    "code": text("The stable code; `evenkeel explain CODE` tells more."),
                    "severity": text("`error` or `warning`."),
                    "message": text("What is wrong."),
                    "pointer": text("Where in the resource (RFC 6901)."),
                    "file": text("Where, if it is not in a resource: the file with its line and column."),
                    "help": text("What to do.")
                }
            }
        }
    });
    let more = match kind {
        Kind::Environment => json!({
            "lastAppliedRevision": text("The revision of the source that is live."),
            "lastAttemptedRevision": text("The revision of the source that was looked at last."),
            "lastHandledReconcileAt": text("The value of the annotation `reconcile.evenkeel.dev/requestedAt` that was acted on last."),
            "generation": number("The number of the active generation."),
            "digest": text("Its digest."),
            "definitions": number("Definitions in it."),
            "errors": number("Errors in the revision looked at last."),
            "warnings": number("Warnings in it."),
            "drifted": number("Definitions that serve although they are not declared so."),
            "inventory": {
                "type": "array",
                "description": "What is live and where it comes from, the first 1000 definitions.",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": text("`Kind/name`."),
                        "source": text("The source that it comes from, and its revision there."),
                        "place": text("File and line, or the resource.")
                    }
                }
            }
        }),
        _ => json!({
            "revision": text("The digest of this definition that is live, or `-`."),
            "environments": text("The Environments that it is live in.")
        }),
    };
    if let (Value::Object(all), Value::Object(more)) = (&mut properties, more) {
        all.extend(more);
    }
    json!({"type": "object", "description": "What became of it.", "properties": properties})
}
