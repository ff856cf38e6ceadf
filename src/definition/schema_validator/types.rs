//! Types and patterns of schemas, for messages.

use super::model::{CompiledSchemas, ObjectFields, ValueType};
use crate::text::{Node, NodeKind as Value};

/// True if a schema accepts the type of a node.
pub(super) fn accepts_type(schemas: &CompiledSchemas, index: usize, node: &Node) -> bool {
    match &schemas.schemas[index].value_type {
        ValueType::Any => true,
        ValueType::Alias(index) => accepts_type(schemas, *index, node),
        ValueType::Union(cases) => cases.iter().any(|index| accepts_type(schemas, *index, node)),
        ValueType::Bool => matches!(node.kind, Value::Bool(_)),
        ValueType::Integer { .. } | ValueType::Number { .. } => matches!(node.kind, Value::Number(_)),
        ValueType::Text { .. } | ValueType::Enum(_) => matches!(node.kind, Value::Text(_)),
        ValueType::List { .. } => matches!(node.kind, Value::List(_)),
        ValueType::Map { .. } | ValueType::Object(_) => matches!(node.kind, Value::Map(_)),
    }
}

/// The type that a schema accepts, for messages.
pub(super) fn expected_type(schemas: &CompiledSchemas, index: usize) -> &'static str {
    match &schemas.schemas[index].value_type {
        ValueType::Any => "anything",
        ValueType::Alias(index) => expected_type(schemas, *index),
        ValueType::Union(_) => "one of several",
        ValueType::Bool => "true or false",
        ValueType::Integer { .. } => "a whole number",
        ValueType::Number { .. } => "a number",
        ValueType::Text { .. } | ValueType::Enum(_) => "a string",
        ValueType::List { .. } => "a list",
        ValueType::Map { .. } | ValueType::Object(_) => "a map",
    }
}

/// The fields of the maps that a schema accepts, if it lists them.
pub(super) fn object_fields(schemas: &CompiledSchemas, index: usize) -> Option<&ObjectFields> {
    match &schemas.schemas[index].value_type {
        ValueType::Object(fields) => Some(fields),
        ValueType::Alias(index) => object_fields(schemas, *index),
        _ => None,
    }
}

/// The help for a text that does not match a pattern.
pub(super) fn pattern_help(pattern: &str) -> String {
    match pattern {
        "^[/?]" => "start it with `/`".into(),
        "^[A-Za-z_][A-Za-z0-9_]*$" => "use letters, digits and `_`, not starting with a digit".into(),
        "^[A-Z][A-Za-z0-9]{0,62}$" => "use UpperCamelCase letters and digits, such as `Subscription`".into(),
        "^[0-9a-f]{40}$" => "use all 40 hexadecimal digits of the commit".into(),
        _ => format!("it must match `{pattern}`"),
    }
}
