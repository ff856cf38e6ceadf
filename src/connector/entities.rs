//! Records of connectors: where the output of an action holds them, and the values of their fields.
//!
//! A record gets the values that its entity declares, under the names of the entity's fields. Other members stay as they
//! are.

use serde_json::{Map, Value};

use super::record_places::{Entities, MAX_LEVELS, RecordPlaces, is_idle, refers_to};
use super::runtime::{Action, Connector};
use crate::definition::entity::FieldType;
use crate::definition::entity_values::{changes_values, value_of};
use crate::text::escaped;

/// A record that does not fit its entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// JSON pointer of the record in the output.
    pub pointer: String,
    /// The entity, the field and the cause.
    pub message: String,
}

/// Maps the records in the output of an action.
///
/// # Errors
/// A record does not fit its entity.
pub(super) fn map_output(connector: &Connector, action: &Action, output: &mut Value) -> Result<(), MappingError> {
    let mapper = Mapper { entities: &connector.spec.entities, named_only: false };
    match action.records(&connector.spec) {
        RecordPlaces::Schema(schema) => mapper.walk(schema, schema, output, "", 0).map(drop),
        RecordPlaces::Whole(name) => mapper.map_likely(name, output),
        RecordPlaces::Described(name) => Mapper { named_only: true, ..mapper }.map_likely(name, output),
        RecordPlaces::None => Ok(()),
    }
}

/// Maps a record, or each record of a list, that has at least one field of an entity.
///
/// # Errors
/// A record does not fit the entity.
pub fn map_records(connector: &Connector, entity: &str, records: &mut Value) -> Result<(), MappingError> {
    let mapper = Mapper { entities: &connector.spec.entities, named_only: false };
    if is_idle(&connector.spec.entities) { Ok(()) } else { mapper.map_likely(entity, records) }
}

/// True if the output of an action holds records of an entity that were mapped when the action was called.
pub fn are_records_mapped(connector: &Connector, action: &Action, entity: &str, output: &Value) -> bool {
    match action.records(&connector.spec) {
        RecordPlaces::Schema(schema) => refers_to(schema, &format!("#/entities/{entity}"), 0),
        places @ (RecordPlaces::Whole(name) | RecordPlaces::Described(name)) => {
            let named_only = matches!(places, RecordPlaces::Described(_));
            let mapper = Mapper { entities: &connector.spec.entities, named_only };
            let fits = |value: &Value| mapper.is_likely(name, value);
            name == entity && output.as_array().map_or_else(|| fits(output), |items| items.iter().any(fits))
        }
        RecordPlaces::None => false,
    }
}

/// The native value of a field: at its path, or by its name.
fn native<'v>(record: &'v Map<String, Value>, name: &str, path: Option<&str>) -> Option<&'v Value> {
    path.and_then(|path| at_path(record, path)).or_else(|| record.get(name))
}

/// The value at a path such as `properties.emails[0]`.
fn at_path<'v>(record: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let mut value: Option<&Value> = None;
    for part in path.split('.') {
        let mut indexes = part.split('[');
        let name = indexes.next().unwrap_or_default();
        if !name.is_empty() {
            value = match value {
                None => record.get(name),
                Some(value) => value.get(name),
            };
            value?;
        }
        for index in indexes {
            let index: usize = index.strip_suffix(']')?.parse().ok()?;
            value = Some(value?.get(index)?);
        }
    }
    value
}

#[derive(Clone, Copy)]
struct Mapper<'a> {
    entities: &'a Entities,
    /// True to map only fields that a record has under their names.
    named_only: bool,
}

impl Mapper<'_> {
    fn map_likely(&self, name: &str, value: &mut Value) -> Result<(), MappingError> {
        if let Value::Array(items) = value {
            for (at, item) in items.iter_mut().enumerate().filter(|(_, item)| self.is_likely(name, item)) {
                self.map(name, item, &format!("/{at}"), 0)?;
            }
            return Ok(());
        }
        if self.is_likely(name, value) { self.map(name, value, "", 0) } else { Ok(()) }
    }

    /// True if a value has at least one field of an entity.
    fn is_likely(&self, name: &str, value: &Value) -> bool {
        let (Some(entity), Value::Object(record)) = (self.entities.get(name), value) else { return false };
        let mut fields = entity.fields.iter();
        fields.any(|(name, field)| native(record, name, field.path.as_deref().filter(|_| !self.named_only)).is_some())
    }

    /// Maps the records in a value, as its schema describes them. Returns true if the value itself is a record.
    fn walk(
        &self,
        root: &Value,
        schema: &Value,
        value: &mut Value,
        pointer: &str,
        level: usize,
    ) -> Result<bool, MappingError> {
        let Value::Object(keywords) = schema else { return Ok(false) };
        if level > MAX_LEVELS || !(value.is_object() || value.is_array()) {
            return Ok(false);
        }
        let mut is_record = false;
        if let Some(target) = keywords.get("$ref").and_then(Value::as_str) {
            if let Some(name) = target.strip_prefix("#/entities/") {
                if value.is_object() && self.entities.contains_key(name) {
                    self.map(name, value, pointer, level)?;
                    is_record = true;
                }
            } else if let Some(target) = target.strip_prefix('#').and_then(|target| root.pointer(target)) {
                is_record = self.walk(root, target, value, pointer, level + 1)?;
            }
        }
        for part in keywords.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            // A record is mapped once.
            if !(is_record && part.get("$ref").is_some()) {
                is_record |= self.walk(root, part, value, pointer, level + 1)?;
            }
        }
        // Of several entities, the first one with a field of the value.
        for keyword in ["anyOf", "oneOf"] {
            let mut parts = keywords.get(keyword).and_then(Value::as_array).into_iter().flatten();
            if !is_record && let Some(part) = parts.find(|part| self.fits(root, part, value)) {
                is_record |= self.walk(root, part, value, pointer, level + 1)?;
            }
        }
        match value {
            Value::Object(map) => {
                let properties = keywords.get("properties").and_then(Value::as_object);
                let others = keywords.get("additionalProperties");
                for (name, value) in map.iter_mut() {
                    let schema = properties.and_then(|properties| properties.get(name)).or(others);
                    if let Some(schema) = schema {
                        self.walk(root, schema, value, &format!("{pointer}/{}", escaped(name)), level + 1)?;
                    }
                }
            }
            Value::Array(items) => {
                let first = keywords.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                for (at, item) in items.iter_mut().enumerate() {
                    if let Some(schema) = first.get(at).or_else(|| keywords.get("items")) {
                        self.walk(root, schema, item, &format!("{pointer}/{at}"), level + 1)?;
                    }
                }
            }
            _ => {}
        }
        Ok(is_record)
    }

    /// True if an alternative may describe a value: an entity that has one of its fields, or a schema of its type.
    fn fits(&self, root: &Value, schema: &Value, value: &Value) -> bool {
        let schema = match schema.get("$ref").and_then(Value::as_str) {
            Some(target) => match target.strip_prefix("#/entities/") {
                Some(name) => return self.is_likely(name, value),
                None => target.strip_prefix('#').and_then(|target| root.pointer(target)).unwrap_or(&Value::Null),
            },
            None => schema,
        };
        let wanted = if value.is_object() { "object" } else { "array" };
        let is_wanted = |name: &Value| name.as_str() == Some(wanted);
        match schema.get("type") {
            Some(Value::Array(types)) => types.iter().any(is_wanted),
            Some(name) => is_wanted(name),
            None => schema.is_object(),
        }
    }

    /// Maps one record.
    fn map(&self, name: &str, value: &mut Value, pointer: &str, level: usize) -> Result<(), MappingError> {
        let (Some(entity), Value::Object(record)) = (self.entities.get(name), value) else { return Ok(()) };
        let original = record.clone();
        let field_value = |other: &str| {
            let field = entity.fields.get(other)?;
            native(&original, other, field.path.as_deref().filter(|_| !self.named_only))
        };
        for (field_name, field) in &entity.fields {
            let failed = |cause: String| MappingError {
                pointer: format!("{pointer}/{}", escaped(field_name)),
                message: format!("field `{field_name}` of entity `{name}`: {cause}"),
            };
            let is_wanted = !self.named_only || original.contains_key(field_name);
            if is_wanted
                && changes_values(field_name, field)
                && let Some(produced) = value_of(entity, field_name, field, &field_value).map_err(failed)?
            {
                record.insert(field_name.clone(), produced);
            }
            // Records within records.
            let (Some(schema), Some(inner)) = (&field.schema, record.get_mut(field_name)) else { continue };
            let schema = schema.0.value();
            let within = format!("{pointer}/{}", escaped(field_name));
            match (field.field_type, inner) {
                (FieldType::Array, Value::Array(items)) => {
                    for (at, item) in items.iter_mut().enumerate() {
                        self.walk(&schema, &schema, item, &format!("{within}/{at}"), level + 1)?;
                    }
                }
                (FieldType::Object, inner) => {
                    self.walk(&schema, &schema, inner, &within, level + 1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
