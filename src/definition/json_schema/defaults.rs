//! The `default`s of a JSON Schema, filled into values that lack them.
//!
//! A missing property gets the `default` of its schema, in every object that is present, at any depth: in `properties`,
//! `items`, `prefixItems` and `additionalProperties`, behind `$ref`, and in each part of `allOf`. A missing object is not
//! made for the defaults of its properties; it may have a `default` of its own, such as `{}`. Items of lists are completed
//! and never added. The keywords `anyOf`, `oneOf`, `if` and `not` have no say: which of their schemas applies may depend on
//! the value.

use serde_json::{Map, Value};

/// Maximum number of schemas that are applied to parts of one value.
const MAX_VISITS: usize = 1_000_000;
/// Maximum size of the defaults that one value receives, in bytes as JSON.
const MAX_FILLED_BYTES: usize = 16 << 20;
/// Maximum depth of schemas and values.
const MAX_LEVELS: usize = 64;

/// A schema with defaults.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    root: Value,
}

impl Defaults {
    /// The defaults of a schema; `None` if it has none.
    pub(super) fn of(schema: &Value) -> Option<Defaults> {
        has_default(schema, 0).then(|| Defaults { root: schema.clone() })
    }

    /// Fills the defaults into a value. Null stands for a missing value.
    ///
    /// # Errors
    /// The defaults are endless: one of them contains itself; or they are too many for this value.
    pub(super) fn fill(&self, value: &mut Value) -> Result<(), &'static str> {
        let mut filler = Filler { root: &self.root, visits: MAX_VISITS, bytes: MAX_FILLED_BYTES };
        if value.is_null()
            && let Some(default) = filler.default_of(&self.root, 0)
        {
            *value = default.clone();
        }
        filler.fill(&self.root, value, 0)
    }

    /// Fills the defaults into a value of the part of the schema at a JSON pointer.
    ///
    /// # Errors
    /// Those of [`Defaults::fill`].
    pub(super) fn fill_part(&self, pointer: &str, value: &mut Value) -> Result<(), &'static str> {
        let part = self.root.pointer(pointer).unwrap_or(&Value::Null);
        Filler { root: &self.root, visits: MAX_VISITS, bytes: MAX_FILLED_BYTES }.fill(part, value, 0)
    }
}

/// True if a schema holds a default. Values of `default`, `const`, `enum` and `examples` are no schemas.
fn has_default(schema: &Value, level: usize) -> bool {
    if level > MAX_LEVELS {
        return false;
    }
    match schema {
        Value::Object(keywords) => keywords.iter().any(|(keyword, value)| match keyword.as_str() {
            "default" => true,
            "const" | "enum" | "examples" => false,
            // The keys are names.
            "properties" | "$defs" | "definitions" | "patternProperties" | "dependentSchemas" | "entities" => {
                value.as_object().is_some_and(|schemas| schemas.values().any(|schema| has_default(schema, level + 1)))
            }
            _ => has_default(value, level + 1),
        }),
        Value::Array(items) => items.iter().any(|item| has_default(item, level + 1)),
        _ => false,
    }
}

struct Filler<'s> {
    root: &'s Value,
    /// Number of schemas that may still be applied.
    visits: usize,
    /// Size of the defaults that may still be filled in.
    bytes: usize,
}

impl<'s> Filler<'s> {
    fn fill(&mut self, schema: &'s Value, value: &mut Value, level: usize) -> Result<(), &'static str> {
        if level > MAX_LEVELS {
            return Err("a default contains itself");
        }
        self.visits = self.visits.checked_sub(1).ok_or("the value has too many parts")?;
        let Value::Object(keywords) = schema else { return Ok(()) };
        if let Some(target) = self.target(keywords) {
            self.fill(target, value, level + 1)?;
        }
        for part in keywords.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.fill(part, value, level + 1)?;
        }
        match value {
            Value::Object(map) => self.fill_object(keywords, map, level),
            Value::Array(items) => {
                let first = keywords.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                for (at, item) in items.iter_mut().enumerate() {
                    if let Some(schema) = first.get(at).or_else(|| keywords.get("items")) {
                        self.fill(schema, item, level + 1)?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn fill_object(
        &mut self,
        keywords: &'s Map<String, Value>,
        map: &mut Map<String, Value>,
        level: usize,
    ) -> Result<(), &'static str> {
        let properties = keywords.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            if !map.contains_key(name) {
                let Some(default) = self.default_of(schema, 0) else { continue };
                self.bytes = self.bytes.checked_sub(size(default)).ok_or("they add more than 16 MiB to this value")?;
                map.insert(name.clone(), default.clone());
            }
            if let Some(value) = map.get_mut(name) {
                self.fill(schema, value, level + 1)?;
            }
        }
        let Some(others) = keywords.get("additionalProperties").filter(|schema| schema.is_object()) else {
            return Ok(());
        };
        for (name, value) in map.iter_mut() {
            if properties.is_none_or(|properties| !properties.contains_key(name)) {
                self.fill(others, value, level + 1)?;
            }
        }
        Ok(())
    }

    /// The default of a schema: its own, that of its reference, or the first of its `allOf`.
    fn default_of(&self, schema: &'s Value, level: usize) -> Option<&'s Value> {
        let keywords = schema.as_object().filter(|_| level <= MAX_LEVELS)?;
        if let Some(default) = keywords.get("default") {
            return Some(default);
        }
        let referred = self.target(keywords).and_then(|target| self.default_of(target, level + 1));
        referred.or_else(|| {
            let parts = keywords.get("allOf").and_then(Value::as_array).into_iter().flatten();
            parts.into_iter().find_map(|part| self.default_of(part, level + 1))
        })
    }

    /// The schema that `$ref` names by a JSON pointer or an anchor.
    fn target(&self, keywords: &Map<String, Value>) -> Option<&'s Value> {
        let fragment = keywords.get("$ref")?.as_str()?.strip_prefix('#')?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let pointer = percent_encoding::percent_decode_str(fragment).decode_utf8().ok()?;
            return self.root.pointer(&pointer);
        }
        anchored(self.root, fragment, 0)
    }
}

/// The approximate size of a value as JSON, in bytes.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<usize>() + 2,
        Value::Object(map) => map.iter().map(|(name, value)| name.len() + size(value) + 4).sum::<usize>() + 2,
        _ => 8,
    }
}

fn anchored<'s>(schema: &'s Value, anchor: &str, level: usize) -> Option<&'s Value> {
    if level > MAX_LEVELS {
        return None;
    }
    match schema {
        Value::Object(map) if map.get("$anchor").is_some_and(|name| name == anchor) => Some(schema),
        Value::Object(map) => map.values().find_map(|value| anchored(value, anchor, level + 1)),
        Value::Array(items) => items.iter().find_map(|item| anchored(item, anchor, level + 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(schema: &Value, value: Value) -> Value {
        let mut value = value;
        if let Some(defaults) = Defaults::of(schema) {
            defaults.fill(&mut value).unwrap();
        }
        value
    }

    #[test]
    fn missing_properties_get_their_defaults_and_present_ones_keep_their_values() {
        let schema = json!({"properties": {
            "limit": {"type": "integer", "default": 50}, "sort": {"default": {"by": "name"}}, "tag": {"type": "string"},
            "none": {"default": null}}});
        assert_eq!(filled(&schema, json!({})), json!({"limit": 50, "sort": {"by": "name"}, "none": null}));
        let given = json!({"limit": null, "sort": 1, "tag": "a", "none": 0});
        assert_eq!(filled(&schema, given.clone()), given);
        for other in [json!([1]), json!("text"), json!(7)] {
            assert_eq!(filled(&schema, other.clone()), other);
        }
    }

    #[test]
    fn nested_objects_items_references_and_all_of_are_filled() {
        let page = json!({"properties": {"size": {"default": 10}}});
        let schema = json!({
            "$defs": {"page": page, "word": {"default": "w", "$anchor": "word"}},
            "allOf": [{"properties": {"all": {"default": true}}}],
            "properties": {
                "page": {"$ref": "#/$defs/page"}, "made": {"$ref": "#/$defs/page", "default": {}},
                "word": {"$ref": "#word"},
                "list": {"items": page}, "pair": {"prefixItems": [page]}},
            "additionalProperties": page});
        assert_eq!(filled(&schema, json!({})), json!({"all": true, "made": {"size": 10}, "word": "w"}));
        let given = json!({"page": {}, "list": [{}, {"size": 1}, 7], "pair": [{}, {}], "other": {}});
        assert_eq!(
            filled(&schema, given),
            json!({"page": {"size": 10}, "list": [{"size": 10}, {"size": 1}, 7], "pair": [{"size": 10}, {}],
                "other": {"size": 10}, "all": true, "made": {"size": 10}, "word": "w"})
        );
    }

    #[test]
    fn alternatives_have_no_defaults_and_a_missing_value_gets_the_default_of_the_whole() {
        let schema = json!({"oneOf": [{"properties": {"a": {"default": 1}}}], "if": {"default": 1}});
        assert_eq!(filled(&schema, json!({})), json!({}));
        assert_eq!(filled(&json!({"default": {"a": 1}}), Value::Null), json!({"a": 1}));
        assert!(
            Defaults::of(&json!({"properties": {"default": {"type": "string"}}, "const": {"default": 1}})).is_none()
        );
    }

    #[test]
    fn endless_defaults_are_an_error() {
        let endless = json!({"$defs": {"node": {"default": {}, "properties": {"next": {"$ref": "#/$defs/node"}}}},
            "properties": {"node": {"$ref": "#/$defs/node"}}});
        let defaults = Defaults::of(&endless).unwrap();
        assert!(defaults.fill(&mut json!({})).is_err());
        assert!(defaults.fill(&mut json!([])).is_ok());
    }

    #[test]
    fn the_size_of_filled_defaults_is_bounded() {
        let defaults =
            Defaults::of(&json!({"items": {"properties": {"a": {"default": "x".repeat(1 << 20)}}}})).unwrap();
        assert!(defaults.fill(&mut Value::Array(vec![json!({}); 15])).is_ok());
        assert!(defaults.fill(&mut Value::Array(vec![json!({}); 17])).is_err());
    }
}
