//! Masks of secrets: the values of secrets that code has read are replaced in everything that is recorded.

use serde_json::{Value, json};

/// Minimum length of a masked value. Shorter values would match by accident.
const MIN_LENGTH: usize = 4;

/// The values to mask, with the names of their secrets.
#[derive(Default)]
pub(super) struct Masks(Vec<(String, zeroize::Zeroizing<String>)>);

impl Masks {
    /// Adds a secret.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        if value.len() >= MIN_LENGTH && !self.0.iter().any(|(known, _)| known == name) {
            self.0.push((name.to_owned(), value.to_owned().into()));
        }
    }

    /// A text with its secrets masked.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), &format!("[secret {name}]"));
            }
        }
        text
    }

    /// A value with its secrets masked.
    pub(super) fn value(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (self.text(&name), self.value(value))).collect()
            }
            other => other,
        }
    }
}

/// A value as the record shows it: its beginning if its JSON is longer than `limit` bytes.
pub(super) fn shortened(value: Value, limit: usize) -> Value {
    // Avoids serializing small values.
    let is_small = match &value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.len() <= limit,
        _ => false,
    };
    if is_small {
        return value;
    }
    let text = value.to_string();
    if text.len() <= limit {
        return value;
    }
    let end = (0..=1024.min(limit)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    json!({"cut": true, "bytes": text.len(), "beginning": text.get(..end).unwrap_or_default()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_secrets_with_their_names() {
        let mut masks = Masks::default();
        masks.add("key", "hunter22");
        masks.add("tiny", "abc");
        let shown = masks.value(json!({"a": ["x hunter22 y"], "hunter22": 1, "b": "abc"}));
        assert_eq!(shown, json!({"a": ["x [secret key] y"], "[secret key]": 1, "b": "abc"}));
    }

    #[test]
    fn shortens_long_values() {
        assert_eq!(shortened(json!("short"), 100), json!("short"));
        let cut = shortened(json!({"a": "ä".repeat(5000)}), 2000);
        assert_eq!((&cut["cut"], &cut["bytes"]), (&json!(true), &json!(10_008)));
        assert!(cut.to_string().len() < 1200);
    }
}
