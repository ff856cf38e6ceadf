//! JSON Schema validation of inputs and outputs. The validator's crate is named only here.
//!
//! References are resolved within the schema and to the connector's entities; nothing is fetched. Patterns match in
//! linear time, so that no input can stall a call.

mod default_check;
mod defaults;
mod growth;
mod options;
mod partial;
#[cfg(test)]
mod partial_tests;
mod scope;

use std::collections::BTreeMap;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value, json};

pub use default_check::{DefaultProblem, default_problems};
pub use growth::Growth;
pub use options::PATTERN_BYTES;
pub use partial::{Misfit, MisfitKind};
pub use scope::{SchemaScope, UndeclaredField};

use self::defaults::Defaults;
use self::options::{options, shortened};
use super::entity::{ConnectorEntity, FieldType};
use super::entity_values::{produced_type, produced_values};
use crate::text::escaped;

/// A compiled schema.
#[derive(Clone, Debug)]
pub struct JsonSchema {
    validator: std::sync::Arc<Validator>,
    /// Maximum nesting of values, if the cost of the schema grows with each level.
    max_levels: Option<usize>,
    /// The schema, if it has defaults.
    defaults: Option<std::sync::Arc<Defaults>>,
}

/// A violation of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer of the invalid value (RFC 6901).
    pub pointer: String,
    /// Description of the violation.
    pub message: String,
}

impl JsonSchema {
    /// Compiles a schema. `#/entities/x` refers to `entities`, the result of [`entity_schemas`].
    ///
    /// # Errors
    /// The first problem of the schema.
    pub fn compile(schema: &Value, entities: &Map<String, Value>) -> Result<JsonSchema, String> {
        let mut schema = schema.clone();
        if let Value::Object(map) = &mut schema
            && !entities.is_empty()
        {
            map.insert("entities".into(), Value::Object(entities.clone()));
        }
        let max_levels = match growth(&schema) {
            Growth::Bounded => None,
            Growth::Deepest(levels) => Some(levels),
            Growth::Endless(problem) => return Err(problem.into()),
        };
        let defaults = Defaults::of(&schema).map(std::sync::Arc::new);
        options()
            .build(&schema)
            .map(|validator| JsonSchema { validator: validator.into(), max_levels, defaults })
            .map_err(|error| error.to_string())
    }

    /// Lists the violations of a value, at most `max`.
    pub fn violations(&self, value: &Value, max: usize) -> Vec<Violation> {
        if let Some(levels) = self.max_levels.filter(|levels| is_deeper(value, *levels)) {
            let message =
                format!("the value nests more than {levels} levels, and the cost of the schema grows with each level");
            return vec![Violation { pointer: String::new(), message }];
        }
        let violation = |error: jsonschema::ValidationError| Violation {
            pointer: match error.kind() {
                // A missing property has no position of its own, so the pointer names the property.
                ValidationErrorKind::Required { property } => {
                    format!("{}/{}", error.instance_path(), escaped(property.as_str().unwrap_or_default()))
                }
                _ => error.instance_path().to_string(),
            },
            message: shortened(error.to_string()),
        };
        self.validator.iter_errors(value).take(max).map(violation).collect()
    }

    /// The value with the defaults that it lacks; `None` if the schema has no defaults.
    ///
    /// # Errors
    /// The defaults are endless, or add too much to the value.
    pub fn with_defaults(&self, value: &Value) -> Result<Option<Value>, String> {
        // A value that nests too deeply is a violation.
        let is_too_deep = self.max_levels.is_some_and(|levels| is_deeper(value, levels));
        let Some(defaults) = self.defaults.as_ref().filter(|_| !is_too_deep) else { return Ok(None) };
        let mut value = value.clone();
        defaults.fill(&mut value).map_err(|problem| format!("the defaults of the schema cannot be used: {problem}"))?;
        Ok(Some(value))
    }

    /// True if a value is valid.
    pub fn accepts(&self, value: &Value) -> bool {
        !self.max_levels.is_some_and(|levels| is_deeper(value, levels)) && self.validator.is_valid(value)
    }
}

/// True if a value is nested deeper than a number of levels.
fn is_deeper(value: &Value, levels: usize) -> bool {
    let below = |value| levels == 0 || is_deeper(value, levels - 1);
    match value {
        Value::Object(map) => map.values().any(below),
        Value::Array(items) => items.iter().any(below),
        _ => false,
    }
}

/// Determines the growth of a schema's cost with the size of a value. Only references can make it grow faster than the
/// size.
pub fn growth(schema: &Value) -> Growth {
    fn refers(schema: &Value) -> bool {
        match schema {
            Value::Object(map) => map.iter().any(|(key, value)| key == "$ref" || key == "$dynamicRef" || refers(value)),
            Value::Array(items) => items.iter().any(refers),
            _ => false,
        }
    }
    if refers(schema) { growth::analyse(schema) } else { Growth::Bounded }
}

/// Builds the schemas of a connector's entities by name, for references to `#/entities/x`.
pub fn entity_schemas(entities: &BTreeMap<String, Box<ConnectorEntity>>) -> Map<String, Value> {
    entities.iter().map(|(name, entity)| (name.clone(), entity_schema(entity))).collect()
}

/// The schema of a produced record: of the values after their transforms, `valuesMap` and coercion.
fn entity_schema(entity: &ConnectorEntity) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, field) in &entity.fields {
        let field_type = produced_type(entity, field);
        let mut schema = match field.schema.as_ref().map(|schema| schema.0.value()) {
            Some(Value::Object(map)) if field_type == FieldType::Object => map,
            Some(items) if field_type == FieldType::Array => Map::from_iter([("items".to_owned(), items)]),
            _ => Map::new(),
        };
        let (json_type, format) = match field_type {
            FieldType::Date => ("string", Some("date")),
            FieldType::DateTime => ("string", Some("date-time")),
            FieldType::Money => ("string", None),
            other => (other.as_str(), None),
        };
        schema.insert("type".into(), if field.nullable { json!([json_type, "null"]) } else { json!(json_type) });
        if let Some(format) = format {
            schema.insert("format".into(), json!(format));
        }
        if let Some(mut values) = produced_values(entity, name, field) {
            values.extend(field.nullable.then_some(Value::Null));
            schema.insert("enum".into(), Value::Array(values));
        }
        properties.insert(name.clone(), Value::Object(schema));
        required.extend(field.required.then(|| json!(name)));
    }
    json!({"type": "object", "properties": properties, "required": required})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_an_entity_describes_the_produced_values() {
        let entity = json!({"canonical": "Order", "fields": {
            "state": {"type": "string", "enum": ["a", "b"], "valuesMap": {"a": "pending", "b": "completed"}},
            "word": {"type": "string", "enum": ["a", "B"], "transforms": [{"upper": {}}]},
            "at": {"type": "integer", "canonical": "createdAt", "coerce": "Date"},
            "cents": {"type": "integer", "transforms": [{"multiply": 0.01}]},
            "sum": {"type": "number", "coerce": "Money"},
            "full": {"type": "integer", "transforms": [{"concat": {"fields": ["word"]}}]},
            "plain": {"type": "string"}}});
        let entity: ConnectorEntity = serde_json::from_value(entity).unwrap();
        let entities = BTreeMap::from([("order".to_owned(), Box::new(entity))]);
        let schema = entity_schemas(&entities)["order"]["properties"].clone();
        assert_eq!(schema["state"], json!({"type": "string", "enum": ["pending", "completed"]}));
        assert_eq!(schema["word"], json!({"type": "string", "enum": ["A", "B"]}));
        assert_eq!(schema["at"], json!({"type": "string", "format": "date-time"}));
        assert_eq!((&schema["cents"]["type"], &schema["sum"]["type"]), (&json!("number"), &json!("string")));
        assert_eq!((&schema["full"], &schema["plain"]), (&json!({"type": "string"}), &json!({"type": "string"})));
    }
}
