//! The shape of a value in a generated schema: references resolved, null removed, alternatives merged.

use serde_json::Value;

/// The shape of a value.
#[derive(Clone, Debug, Default)]
pub struct Shape<'a> {
    /// Name of the type in `$defs`.
    pub type_name: Option<&'a str>,
    /// Description of the type.
    pub description: Option<&'a str>,
    /// JSON types.
    pub(super) types: Vec<&'a str>,
    /// Schema of the items of a list.
    pub items: Option<&'a Value>,
    /// Schema of the values of a map.
    pub values: Option<&'a Value>,
    /// Fields of an object: name, schema, and whether it is required.
    pub properties: Vec<(&'a str, &'a Value, bool)>,
    /// Allowed words; empty if any value is allowed.
    pub words: Vec<Word>,
}

/// An allowed word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub word: String,
    /// Its meaning; empty if the word is self-explanatory.
    pub meaning: String,
}

impl<'a> Shape<'a> {
    /// Reads a schema.
    pub(super) fn of(schema: &'a Value, defs: &'a Value) -> Shape<'a> {
        let mut shape = Shape::default();
        shape.add(schema, defs, false);
        shape
    }

    /// `is_case` states that the schema is one of several alternatives, whose description is that of its word.
    fn add(&mut self, schema: &'a Value, defs: &'a Value, is_case: bool) {
        if let Some(target) = schema["$ref"].as_str() {
            let name = target.rsplit('/').next().unwrap_or(target);
            self.type_name.get_or_insert(name);
            return self.add(&defs[name], defs, is_case);
        }
        if let Some(alternatives) = alternatives(schema) {
            // With null as the only alternative, the description is that of an optional field and not of its type.
            let is_choice = alternatives.iter().filter(|case| case["type"] != "null").count() > 1;
            if is_choice {
                self.description = self.description.or(schema["description"].as_str());
            }
            for case in alternatives {
                self.add(case, defs, is_choice);
            }
            return;
        }
        let words = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
        let meaning = schema["description"].as_str().filter(|_| is_case && schema.get("const").is_some());
        let before = self.words.len();
        self.words.extend(words.filter_map(Value::as_str).map(|word| Word {
            word: word.to_owned(),
            meaning: meaning.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
        }));
        if self.words.len() == before || meaning.is_none() {
            self.description = self.description.or(schema["description"].as_str());
        }
        let types = schema["type"].as_str().into_iter();
        let types = types.chain(schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str));
        for name in types.filter(|name| *name != "null") {
            if !self.types.contains(&name) {
                self.types.push(name);
            }
        }
        self.items = self.items.or(schema.get("items"));
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            self.properties.push((name, field, required.contains(&name.as_str())));
        }
        if schema.get("properties").is_none() {
            self.values =
                self.values.or(schema.get("additionalProperties").filter(|values| **values != Value::Bool(false)));
        }
    }

    /// The type in words.
    pub(super) fn type_name(&self, defs: &'a Value) -> String {
        if let Some(items) = self.items {
            let list = format!("list of {}", plural(&Shape::of(items, defs).type_name(defs)));
            return if self.properties.is_empty() { list } else { format!("{list}, or object") };
        }
        if let Some(values) = self.values {
            let values = Shape::of(values, defs).type_name(defs);
            return if values == "any value" { "map".to_owned() } else { format!("map of {}", plural(&values)) };
        }
        match self.type_name {
            Some("Duration") => return "duration".to_owned(),
            Some("JsonSchema") => return "JSON Schema".to_owned(),
            _ => {}
        }
        match &self.types[..] {
            [] if !self.words.is_empty() => "string".to_owned(),
            [] => "any value".to_owned(),
            types => types.join(" or "),
        }
    }
}

/// Cases of which a value fits one: `anyOf`, or `oneOf` without a type. `oneOf` next to a type lists fields that exclude
/// each other.
fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    let cases = || schema["oneOf"].as_array().filter(|_| schema["type"].is_null());
    schema["anyOf"].as_array().or_else(cases)
}

fn plural(name: &str) -> String {
    match name {
        "any value" => "any values".to_owned(),
        "JSON Schema" => "JSON Schemas".to_owned(),
        name if name.contains(" or ") => "values".to_owned(),
        name => match name.split_once(' ') {
            Some((first, rest)) => format!("{first}s {rest}"),
            None => format!("{name}s"),
        },
    }
}

/// The first keyword of this name at a schema, or at the types and alternatives that it refers to. `through` lists further
/// keywords whose schemas are searched, such as `items`.
pub(super) fn keyword<'a>(schema: &'a Value, defs: &'a Value, name: &str, through: &[&str]) -> Option<&'a Value> {
    // A type may contain itself, but only within the fields of an object, which are not searched.
    if let Some(value) = schema.get(name) {
        return Some(value);
    }
    if let Some(target) = schema["$ref"].as_str() {
        return keyword(&defs[target.rsplit('/').next().unwrap_or(target)], defs, name, through);
    }
    let cases: Vec<&Value> = alternatives(schema).into_iter().flatten().filter(|case| case["type"] != "null").collect();
    let cases = cases.iter().copied().filter(|_| cases.len() == 1 || through.contains(&"anyOf"));
    let inner = through.iter().filter_map(|name| schema.get(name)).filter(|inner| inner.is_object());
    cases.chain(inner).find_map(|inner| keyword(inner, defs, name, through))
}
