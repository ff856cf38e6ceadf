//! A sample value that fits a JSON Schema.

use serde_json::{Map, Value, json};

/// Maximum nesting of a sample.
const MAX_DEPTH: usize = 16;

/// A value with the required properties of a schema. It fits simple schemas; the caller validates it.
pub(super) fn sample(schema: &Value) -> Value {
    value(schema, 0)
}

fn value(schema: &Value, depth: usize) -> Value {
    let first = |key: &str| schema[key].as_array().and_then(|values| values.first()).cloned();
    let given = ["const", "default"].iter().find_map(|key| schema.get(*key).cloned());
    if let Some(known) = given.or_else(|| first("examples")).or_else(|| first("enum")) {
        return known;
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => text(schema),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        _ if depth < MAX_DEPTH && schema["properties"].is_object() => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let fields = required.map(|name| (name.to_owned(), value(&schema["properties"][name], depth + 1)));
            Value::Object(fields.collect())
        }
        Some("null") => Value::Null,
        _ => Value::Object(Map::new()),
    }
}

fn text(schema: &Value) -> Value {
    json!(match schema["format"].as_str() {
        Some("email") => "ada@example.com",
        Some("date") => "2026-01-01",
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("uri") => "https://example.com/",
        Some("uuid") => "0b2f7d1e-8c53-4f0a-9e77-1c2d3e4f5a6b",
        _ => "example",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_required_properties() {
        let schema = json!({
            "type": "object",
            "required": ["email", "level", "tags", "customer", "on"],
            "properties": {
                "email": {"type": "string", "format": "email"},
                "level": {"enum": ["low", "high"]},
                "tags": {"type": ["array", "null"]},
                "customer": {"required": ["id"], "properties": {"id": {"type": "integer", "minimum": 7}}},
                "on": {"type": "boolean", "default": false},
                "note": {"type": "string"},
            },
        });
        let expected =
            json!({"email": "ada@example.com", "level": "low", "tags": [], "customer": {"id": 7}, "on": false});
        assert_eq!(sample(&schema), expected);
        assert_eq!(sample(&json!(true)), json!({}));
    }
}
