//! The places of records in the outputs of actions.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::definition::action::{self, Operation};
use crate::definition::connector::ConnectorSpec;
use crate::definition::entity::ConnectorEntity;
use crate::definition::entity_values::changes_values;

/// Maximum depth of schemas and values.
pub(super) const MAX_LEVELS: usize = 64;

/// The entities of a connector.
pub(super) type Entities = BTreeMap<String, Box<ConnectorEntity>>;

/// True if no entity changes a value.
pub(super) fn is_idle(entities: &Entities) -> bool {
    let mut fields = entities.values().flat_map(|entity| &entity.fields);
    !fields.any(|(name, field)| changes_values(name, field))
}

/// The places of records in the output of an action that mapping may change.
#[derive(Debug)]
pub(super) enum RecordPlaces {
    /// Those that the schema of the output describes as `#/entities/x`.
    Schema(Value),
    /// The output itself, or each item of it if it is a list: the entity of an action without a schema of its output.
    Whole(String),
    /// As before, of an action with a schema of its output that refers to no entity: only members that the output has.
    Described(String),
    None,
}

impl RecordPlaces {
    pub(super) fn of(connector: &ConnectorSpec, action: &action::Action) -> RecordPlaces {
        if is_idle(&connector.entities) {
            return RecordPlaces::None;
        }
        if let Some(schema) = action.output.as_ref().map(|schema| schema.0.value())
            && refers_to(&schema, "#/entities/", 0)
        {
            return RecordPlaces::Schema(schema);
        }
        match &action.entity {
            Some(entity) if action.operation != Operation::Delete => match action.output {
                None => RecordPlaces::Whole(entity.clone()),
                Some(_) => RecordPlaces::Described(entity.clone()),
            },
            _ => RecordPlaces::None,
        }
    }
}

/// True if a schema holds a reference with a prefix.
pub(super) fn refers_to(schema: &Value, prefix: &str, level: usize) -> bool {
    if level > MAX_LEVELS {
        return false;
    }
    match schema {
        Value::Object(keywords) => keywords.iter().any(|(keyword, value)| match value {
            Value::String(target) if keyword == "$ref" => match prefix.ends_with('/') {
                true => target.starts_with(prefix),
                false => target == prefix,
            },
            value => refers_to(value, prefix, level + 1),
        }),
        Value::Array(items) => items.iter().any(|item| refers_to(item, prefix, level + 1)),
        _ => false,
    }
}
