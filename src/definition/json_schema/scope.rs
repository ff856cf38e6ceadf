//! A JSON Schema with the entities that it may refer to, and questions about its fields.

use serde_json::{Map, Value};

use crate::text::{MAX_PARTIAL_DEPTH, PartialField, PartialMap, PartialValue, RestOfMap, ValueTypes};

/// Maximum length of a chain of references.
const MAX_REFERENCES: usize = 16;

/// Keywords that only people read.
const TEXTS: [&str; 8] = ["title", "description", "examples", "default", "$comment", "deprecated", "$defs", "$id"];

type Keywords = Map<String, Value>;

/// A JSON Schema with the entities that it may refer to (`#/entities/x`, the result of
/// [`entity_schemas`](super::entity_schemas)). The schema need not be valid.
#[derive(Clone, Copy, Debug)]
pub struct SchemaScope<'a> {
    /// The schema.
    pub root: &'a Value,
    /// The schemas of the connector's entities by name.
    pub entities: &'a Map<String, Value>,
}

/// A field that a schema does not declare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndeclaredField<'a> {
    /// Position of its name in the path.
    pub at: usize,
    /// The declared names.
    pub declared: Vec<&'a str>,
    /// True if the schema refuses other fields.
    pub is_closed: bool,
}

impl<'a> SchemaScope<'a> {
    /// The target of a reference with its JSON pointer; `None` for an anchor or a missing target.
    pub(super) fn target(&self, reference: &str) -> Option<(&'a Value, String)> {
        let pointer = reference.strip_prefix('#').filter(|pointer| !pointer.contains('%'))?;
        let found = match pointer.strip_prefix("/entities/") {
            Some(entity) if !self.entities.is_empty() => {
                let (name, rest) =
                    entity.split_once('/').map_or((entity, String::new()), |(name, rest)| (name, format!("/{rest}")));
                self.entities.get(&*crate::text::unescaped(name))?.pointer(&rest)?
            }
            _ => self.root.pointer(pointer)?,
        };
        Some((found, pointer.to_owned()))
    }

    /// The schema behind references that stand alone.
    fn resolved(&self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..MAX_REFERENCES {
            let Some(map) = schema.as_object() else { break };
            let stands_alone = map.keys().all(|key| key == "$ref" || TEXTS.contains(&key.as_str()));
            match map
                .get("$ref")
                .and_then(Value::as_str)
                .filter(|_| stands_alone)
                .and_then(|target| self.target(target))
            {
                Some((next, _)) => schema = next,
                None => break,
            }
        }
        schema
    }

    /// True if a field of this schema has a value even if the caller omits it.
    pub(super) fn has_default(&self, schema: &'a Value) -> bool {
        schema.get("default").is_some() || self.resolved(schema).get("default").is_some()
    }

    /// Adds the defaults of omitted fields.
    pub fn fill_defaults(&self, value: &mut Value) {
        self.fill(value, self.root, 0);
    }

    fn fill(&self, value: &mut Value, schema: &'a Value, depth: usize) {
        if depth > MAX_PARTIAL_DEPTH {
            return;
        }
        let schema = self.resolved(schema);
        match value {
            Value::Object(map) => {
                for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                    let default = schema.get("default").or_else(|| self.resolved(schema).get("default"));
                    if let Some(value) = map.get_mut(name) {
                        self.fill(value, schema, depth + 1);
                    } else if let Some(default) = default {
                        map.insert(name.clone(), default.clone());
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for item in items {
                        self.fill(item, schema, depth + 1);
                    }
                }
            }
            _ => {}
        }
    }

    /// A schema that no other keyword extends, with its properties.
    fn properties(&self, schema: &'a Value) -> Option<(&'a Keywords, &'a Keywords)> {
        let map = self.resolved(schema).as_object()?;
        let is_extended = map.keys().any(|key| is_composing(key));
        Some((map, map.get("properties")?.as_object()?)).filter(|_| !is_extended)
    }

    /// The first name of a path that the schema does not declare. `None` if it declares all, or allows others on purpose.
    /// `is_method` names the methods that may follow a map.
    pub fn undeclared(&self, path: &[&str], is_method: &dyn Fn(&str) -> bool) -> Option<UndeclaredField<'a>> {
        let mut schema = self.root;
        for (at, name) in path.iter().enumerate() {
            let (map, properties) = self.properties(schema)?;
            match properties.get(*name) {
                Some(next) => schema = next,
                None if is_method(name) => return None,
                None => {
                    let is_closed = map.get("additionalProperties") == Some(&Value::Bool(false));
                    if !is_closed && map.contains_key("additionalProperties") {
                        return None;
                    }
                    let declared = properties.keys().map(String::as_str).collect();
                    return Some(UndeclaredField { at, declared, is_closed });
                }
            }
        }
        None
    }

    /// True if the schema declares each name of a path.
    pub fn declares(&self, path: &[String]) -> bool {
        let mut schema = self.root;
        for name in path {
            let properties = self.resolved(schema).get("properties").and_then(Value::as_object);
            let Some(next) = properties.and_then(|properties| properties.get(name)) else { return false };
            schema = next;
        }
        true
    }

    /// The part of the value at a path that the schema determines. If `always`, a field that may be absent is unknown.
    pub fn value_at(&self, path: &[String], always: bool) -> PartialValue {
        let mut schema = self.root;
        for name in path {
            let Some((map, properties)) = self.properties(schema) else { return PartialValue::Unknown };
            let Some(next) = properties.get(name) else { return PartialValue::Unknown };
            let is_required = || requires(map, name);
            if always && !is_required() {
                return PartialValue::Unknown;
            }
            schema = next;
        }
        self.described(schema, 0)
    }

    /// The part of its values that a schema determines.
    fn described(&self, schema: &'a Value, depth: usize) -> PartialValue {
        let Some(map) = self.resolved(schema).as_object() else { return PartialValue::Unknown };
        if depth > MAX_PARTIAL_DEPTH || map.keys().any(|key| is_composing(key)) {
            return PartialValue::Unknown;
        }
        match accepted_types(map) {
            ValueTypes::ALL => PartialValue::Unknown,
            ValueTypes::MAP => {
                let properties = map.get("properties").and_then(Value::as_object).into_iter().flatten();
                let required = properties.filter(|(name, _)| requires(map, name));
                let fields = required.map(|(name, schema)| PartialField {
                    name: name.clone(),
                    value: self.described(schema, depth + 1),
                    optional: false,
                });
                PartialValue::Map(PartialMap { fields: fields.collect(), rest: RestOfMap::Unknown })
            }
            types => PartialValue::Typed(types),
        }
    }
}

fn requires(schema: &Map<String, Value>, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|required| required.as_str() == Some(name)))
}

/// True for a keyword that applies further schemas to the same value.
pub(super) fn is_composing(keyword: &str) -> bool {
    ["$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas"].contains(&keyword)
}

/// The types that `type` names; all if it is absent or unreadable.
pub(super) fn accepted_types(schema: &Map<String, Value>) -> ValueTypes {
    let of = |word: &Value| word.as_str().and_then(ValueTypes::of_word);
    match schema.get("type") {
        Some(word @ Value::String(_)) => of(word).unwrap_or(ValueTypes::ALL),
        Some(Value::Array(words)) if !words.is_empty() => {
            let types = words.iter().map(of).collect::<Option<Vec<ValueTypes>>>();
            types.map_or(ValueTypes::ALL, |types| types.into_iter().fold(ValueTypes::NONE, |all, one| all | one))
        }
        _ => ValueTypes::ALL,
    }
}
