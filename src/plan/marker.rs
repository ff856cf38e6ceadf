//! The value that replaces a secret in a plan.

use serde_json::{Value, json};

/// The replacement of a secret with this fingerprint.
pub(super) fn marker(fingerprint: &str) -> Value {
    json!({ "secret": fingerprint })
}

/// True if a value replaces a secret.
pub(super) fn is_marker(value: &Value) -> bool {
    let secret = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.get("secret"));
    secret.and_then(Value::as_str).is_some_and(|secret| secret.starts_with("hmac:"))
}
