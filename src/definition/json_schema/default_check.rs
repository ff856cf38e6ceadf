//! Defaults that do not fit the schema that they belong to.

use jsonschema::Draft;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::defaults::Defaults;
use super::options::{options, shortened};
use crate::text::escaped;

/// Characters of a pointer that a URI must encode.
const FRAGMENT: AsciiSet =
    NON_ALPHANUMERIC.remove(b'/').remove(b'~').remove(b'-').remove(b'_').remove(b'.').remove(b'$');
/// The address of the schema for references to its parts.
const ADDRESS: &str = "urn:evenkeel:schema";
/// Maximum number of defaults of one schema that are checked.
const MAX_CHECKED: usize = 500;
/// Maximum depth of schemas.
const MAX_LEVELS: usize = 64;

/// A default that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultProblem {
    /// JSON pointer of the schema that has the default.
    pub pointer: String,
    /// The violation.
    pub message: String,
}

/// The defaults in a valid schema that do not fit their own part of it. `#/entities/x` refers to `entities`.
pub fn default_problems(schema: &Value, entities: &Map<String, Value>) -> Vec<DefaultProblem> {
    let mut found = Vec::new();
    collect(schema, String::new(), &mut found, 0);
    let mut root = schema.clone();
    if let Value::Object(map) = &mut root
        && !entities.is_empty()
    {
        map.insert("entities".into(), Value::Object(entities.clone()));
    }
    let Some(defaults) = Defaults::of(&root) else { return Vec::new() };
    let registry = jsonschema::Registry::new().draft(Draft::Draft202012);
    let registry = registry.add(ADDRESS, root.clone()).and_then(jsonschema::RegistryBuilder::prepare);
    let Ok(registry) = registry else { return Vec::new() };
    let problem = |pointer: &String| {
        let mut value = root.pointer(pointer)?.get("default")?.clone();
        if let Err(problem) = defaults.fill_part(pointer, &mut value) {
            return Some(problem.to_owned());
        }
        let fragment: String = utf8_percent_encode(pointer, &FRAGMENT).to_string();
        let validator =
            options().with_registry(&registry).build(&json!({"$ref": format!("{ADDRESS}#{fragment}")})).ok()?;
        let violation = validator.iter_errors(&value).next()?;
        Some(match violation.instance_path().to_string().as_str() {
            "" => shortened(violation.to_string()),
            pointer => format!("{pointer}: {}", shortened(violation.to_string())),
        })
    };
    let problems = found.into_iter().take(MAX_CHECKED).filter_map(|pointer| {
        let message = problem(&pointer)?;
        Some(DefaultProblem { pointer, message })
    });
    problems.collect()
}

/// The pointers of the schemas within a schema that have a default.
fn collect(schema: &Value, pointer: String, found: &mut Vec<String>, level: usize) {
    let Value::Object(keywords) = schema else { return };
    if level > MAX_LEVELS {
        return;
    }
    for (keyword, value) in keywords {
        let at = || format!("{pointer}/{}", escaped(keyword));
        match keyword.as_str() {
            "default" => found.push(pointer.clone()),
            "properties" | "$defs" | "definitions" | "patternProperties" | "dependentSchemas" => {
                for (name, schema) in value.as_object().into_iter().flatten() {
                    collect(schema, format!("{}/{}", at(), escaped(name)), found, level + 1);
                }
            }
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                for (index, schema) in value.as_array().into_iter().flatten().enumerate() {
                    collect(schema, format!("{}/{index}", at()), found, level + 1);
                }
            }
            "items"
            | "contains"
            | "additionalProperties"
            | "propertyNames"
            | "unevaluatedItems"
            | "unevaluatedProperties"
            | "not"
            | "if"
            | "then"
            | "else" => {
                collect(value, at(), found, level + 1);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(schema: &Value) -> Vec<String> {
        default_problems(schema, &Map::new()).into_iter().map(|problem| problem.pointer).collect()
    }

    #[test]
    fn a_default_must_fit_the_schema_beside_it() {
        let schema = json!({
            "$defs": {"word": {"type": "string", "minLength": 2}},
            "default": {"limit": 0},
            "properties": {
                "limit": {"type": "integer", "minimum": 1, "default": 0},
                "word": {"$ref": "#/$defs/word", "default": "w"},
                "good": {"$ref": "#/$defs/word", "default": "ww"},
                "odd name/%": {"type": "string", "default": 1},
                "page": {"type": "object", "required": ["size"], "properties": {"size": {"default": 5}}, "default": {}},
                "default": {"type": "string"}}});
        assert_eq!(pointers(&schema), ["", "/properties/limit", "/properties/word", "/properties/odd name~1%"]);
        let message = &default_problems(&schema, &Map::new())[1].message;
        assert_eq!(message, "0 is less than the minimum of 1");
    }

    #[test]
    fn a_default_that_contains_itself_is_reported() {
        let schema = json!({"$defs": {"node": {"default": {}, "properties": {"next": {"$ref": "#/$defs/node"}}}}});
        assert_eq!(pointers(&schema), ["/$defs/node"]);
    }

    #[test]
    fn defaults_may_refer_to_entities() {
        let entities = Map::from_iter([("tag".to_owned(), json!({"type": "string"}))]);
        let schema = json!({"properties": {"tag": {"$ref": "#/entities/tag", "default": 1}}});
        assert_eq!(default_problems(&schema, &entities).len(), 1);
    }
}
