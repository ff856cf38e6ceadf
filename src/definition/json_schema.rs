//! JSON Schema as a validator: the only place that names the crate.
//!
//! References are followed within the schema and to the connector's entities; nothing is fetched. Patterns run in time
//! linear in the input, so no input can stall a call.

mod growth;

use std::collections::BTreeMap;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value, json};

pub use growth::Growth;

use super::entity::{ConnectorEntity, FieldType};
use crate::text::escaped;

/// Bytes that one compiled pattern may take.
pub const PATTERN_BYTES: usize = 1 << 20;

/// A compiled schema.
#[derive(Clone, Debug)]
pub struct JsonSchema {
    validator: std::sync::Arc<Validator>,
    /// How deep values may be nested, where the schema's work grows with each level.
    deepest: Option<usize>,
}

/// One place of a value that does not fit its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where in the value (RFC 6901).
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

impl JsonSchema {
    /// Compiles a schema; `#/entities/x` refers to `entities` as made by [`entity_schemas`].
    ///
    /// # Errors
    /// What is wrong with the schema.
    pub fn compile(schema: &Value, entities: &Map<String, Value>) -> Result<JsonSchema, String> {
        let mut schema = schema.clone();
        if let Value::Object(map) = &mut schema
            && !entities.is_empty()
        {
            map.insert("entities".into(), Value::Object(entities.clone()));
        }
        let deepest = match growth(&schema) {
            Growth::Bounded => None,
            Growth::Deepest(levels) => Some(levels),
            Growth::Endless(problem) => return Err(problem.into()),
        };
        jsonschema::options()
            .offline()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES))
            .build(&schema)
            .map(|validator| JsonSchema { validator: validator.into(), deepest })
            .map_err(|error| error.to_string())
    }

    /// Where a value does not fit, at most `most` places.
    pub fn violations(&self, value: &Value, most: usize) -> Vec<Violation> {
        if let Some(levels) = self.deepest.filter(|levels| is_deeper(value, *levels)) {
            let message =
                format!("this is nested more than {levels} levels deep, and the schema's work grows with each");
            return vec![Violation { pointer: String::new(), message }];
        }
        let violation = |error: jsonschema::ValidationError| Violation {
            pointer: match error.kind() {
                // What is missing has no place of its own; the name of it is what a form or a person looks for.
                ValidationErrorKind::Required { property } => {
                    format!("{}/{}", error.instance_path(), escaped(property.as_str().unwrap_or_default()))
                }
                _ => error.instance_path().to_string(),
            },
            message: shortened(error.to_string()),
        };
        self.validator.iter_errors(value).take(most).map(violation).collect()
    }

    /// Does a value fit?
    pub fn accepts(&self, value: &Value) -> bool {
        !self.deepest.is_some_and(|levels| is_deeper(value, levels)) && self.validator.is_valid(value)
    }
}

/// Is a value nested deeper than a number of levels?
fn is_deeper(value: &Value, levels: usize) -> bool {
    let below = |value| levels == 0 || is_deeper(value, levels - 1);
    match value {
        Value::Object(map) => map.values().any(below),
        Value::Array(items) => items.iter().any(below),
        _ => false,
    }
}

/// How the work of a schema grows with a value; only references can make it grow with more than its size.
pub fn growth(schema: &Value) -> Growth {
    fn refers(schema: &Value) -> bool {
        match schema {
            Value::Object(map) => map.iter().any(|(key, value)| key == "$ref" || key == "$dynamicRef" || refers(value)),
            Value::Array(items) => items.iter().any(refers),
            _ => false,
        }
    }
    if refers(schema) { growth::of(schema) } else { Growth::Bounded }
}

/// Messages quote the value, which may be a whole document.
fn shortened(message: String) -> String {
    const MOST: usize = 300;
    if message.chars().count() <= MOST {
        return message;
    }
    let start: String = message.chars().take(MOST / 2).collect();
    let end: Vec<char> = message.chars().rev().take(MOST / 2).collect();
    format!("{start} … {}", end.into_iter().rev().collect::<String>())
}

/// The schemas of a connector's entities, by name, for `#/entities/x`.
pub fn entity_schemas(entities: &BTreeMap<String, Box<ConnectorEntity>>) -> Map<String, Value> {
    entities.iter().map(|(name, entity)| (name.clone(), entity_schema(entity))).collect()
}

fn entity_schema(entity: &ConnectorEntity) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, field) in &entity.fields {
        let mut schema = match field.schema.as_ref().map(|schema| schema.0.value()) {
            Some(Value::Object(map)) if field.field_type == FieldType::Object => map,
            Some(items) if field.field_type == FieldType::Array => Map::from_iter([("items".to_owned(), items)]),
            _ => Map::new(),
        };
        let (json_type, format) = match field.field_type {
            FieldType::Date => ("string", Some("date")),
            FieldType::DateTime => ("string", Some("date-time")),
            FieldType::Money => ("string", None),
            other => (other.as_str(), None),
        };
        schema.insert("type".into(), if field.nullable { json!([json_type, "null"]) } else { json!(json_type) });
        if let Some(format) = format {
            schema.insert("format".into(), json!(format));
        }
        if !field.values.is_empty() {
            let mut values: Vec<Value> = field.values.iter().map(|value| json!(value)).collect();
            values.extend(field.nullable.then_some(Value::Null));
            schema.insert("enum".into(), Value::Array(values));
        }
        properties.insert(name.clone(), Value::Object(schema));
        required.extend(field.required.then(|| json!(name)));
    }
    json!({"type": "object", "properties": properties, "required": required})
}
