//! Conversion of generated JSON Schemas to the structural schemas of CustomResourceDefinitions.
//!
//! References are expanded. The inner occurrence of a recursive type (steps contain steps) accepts any value, and so does
//! a value of several types; Evenkeel's own validation, which admission runs, covers both.

use serde_json::{Map, Value, json};

/// Converts a schema to a structural schema. `defs` are the definitions that it refers to.
pub(super) fn convert(schema: &Value, defs: &Value) -> Value {
    Value::Object(Converter { defs, within: Vec::new(), collections: 0 }.schema(schema))
}

struct Converter<'a> {
    defs: &'a Value,
    /// Names of the enclosing definitions.
    within: Vec<&'a str>,
    /// Number of enclosing lists and maps.
    collections: usize,
}

/// Number of lists and maps around a rule at which the API server's cost estimate exceeds its limit.
const MAX_RULE_COLLECTIONS: usize = 3;

impl<'a> Converter<'a> {
    fn schema(&mut self, schema: &'a Value) -> Map<String, Value> {
        let mut written = self.convert_type(schema);
        // The description of a field is more specific than that of its type.
        for key in ["description", "default"] {
            if let Some(value) = schema.get(key) {
                written.insert(key.into(), value.clone());
            }
        }
        written
    }

    fn convert_type(&mut self, schema: &'a Value) -> Map<String, Value> {
        if let Some(target) = schema["$ref"].as_str() {
            return self.reference(target.rsplit('/').next().unwrap_or(target));
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return Map::from_iter([("x-kubernetes-int-or-string".to_owned(), json!(true))]);
        }
        // `oneOf` next to a type lists fields that exclude each other, not alternatives.
        let cases =
            schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array().filter(|_| schema["type"].is_null()));
        if let Some(cases) = cases {
            return self.alternatives(cases);
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let (nullable, types) = (types.contains(&"null"), types.into_iter().filter(|name| *name != "null"));
        let mut written = match types.collect::<Vec<_>>()[..] {
            ["object"] => self.object(schema),
            ["array"] => {
                let items = self.repeated(&schema["items"]);
                let mut list = typed("array");
                list.insert("items".into(), Value::Object(items));
                copy(schema, &mut list, &["minItems", "maxItems"]);
                list
            }
            ["string"] => {
                let mut text = typed("string");
                copy(schema, &mut text, &["minLength", "maxLength", "pattern", "enum"]);
                if let Some(word) = schema.get("const") {
                    text.insert("enum".into(), json!([word]));
                }
                text
            }
            [number @ ("integer" | "number")] => {
                let mut written = typed(number);
                copy(schema, &mut written, &["minimum", "maximum"]);
                written
            }
            ["boolean"] => typed("boolean"),
            _ => open(),
        };
        if nullable {
            written.insert("nullable".into(), json!(true));
        }
        written
    }

    fn repeated(&mut self, schema: &'a Value) -> Map<String, Value> {
        self.collections += 1;
        let written = self.schema(schema);
        self.collections -= 1;
        written
    }

    fn reference(&mut self, name: &'a str) -> Map<String, Value> {
        let defs = self.defs;
        if self.within.contains(&name) {
            let mut inner = open();
            if let Some(description) = defs[name].get("description") {
                inner.insert("description".into(), description.clone());
            }
            return inner;
        }
        self.within.push(name);
        let written = self.schema(&defs[name]);
        self.within.pop();
        written
    }

    fn alternatives(&mut self, cases: &'a [Value]) -> Map<String, Value> {
        let is_null = |case: &&Value| case["type"] == "null";
        let nullable = cases.iter().any(|case| is_null(&case));
        let rest: Vec<&'a Value> = cases.iter().filter(|case| !is_null(case)).collect();
        let mut written = match &rest[..] {
            [one] => self.schema(one),
            several => enumeration(several).unwrap_or_else(open),
        };
        if nullable {
            written.insert("nullable".into(), json!(true));
        }
        written
    }

    fn object(&mut self, schema: &'a Value) -> Map<String, Value> {
        let mut object = typed("object");
        copy(schema, &mut object, &["minProperties", "maxProperties"]);
        match (schema["properties"].as_object(), &schema["additionalProperties"]) {
            (Some(fields), _) => {
                let fields: Map<String, Value> =
                    fields.iter().map(|(name, field)| (name.clone(), Value::Object(self.schema(field)))).collect();
                object.insert("properties".into(), Value::Object(fields));
                copy(schema, &mut object, &["required"]);
                object.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
            }
            (None, values @ Value::Object(_)) => {
                let values = self.repeated(values);
                object.insert("additionalProperties".into(), Value::Object(values));
            }
            (None, Value::Bool(false)) => {
                // An object without settings, such as `none: {}`: Evenkeel's own validation rejects its content.
                object.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
            }
            (None, _) => {
                object.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
            }
        }
        let rules = rules(schema, object.get("properties").unwrap_or(&Value::Null));
        if !rules.is_empty() && self.collections < MAX_RULE_COLLECTIONS {
            object.insert("x-kubernetes-validations".into(), Value::Array(rules));
        }
        object
    }
}

fn typed(name: &str) -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), json!(name))])
}

fn open() -> Map<String, Value> {
    Map::from_iter([("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true))])
}

fn copy(from: &Value, to: &mut Map<String, Value>, keys: &[&str]) {
    for key in keys {
        if let Some(value) = from.get(*key) {
            to.insert((*key).into(), value.clone());
        }
    }
}

/// Merges alternatives that are all constants into one enumeration.
fn enumeration(cases: &[&Value]) -> Option<Map<String, Value>> {
    let mut all = Vec::new();
    for case in cases {
        match (case.get("const"), case["enum"].as_array()) {
            (Some(word), _) => all.push(word.clone()),
            (None, Some(words)) => all.extend(words.iter().cloned()),
            (None, None) => return None,
        }
    }
    let mut written = typed("string");
    written.insert("enum".into(), Value::Array(all));
    Some(written)
}

/// CEL rules for fields that exclude each other. CEL does not know a field without a type, so such a choice is only
/// validated by Evenkeel.
///
/// The rules are sums of conditions, because the API server rejects rules in maps and lists with a high estimated cost,
/// and lists and macros are expensive.
fn rules(schema: &Value, fields: &Value) -> Vec<Value> {
    let mut rules = Vec::new();
    let is_known = |names: &[&str]| names.len() > 1 && names.iter().all(|name| fields[*name]["type"].is_string());
    let cases = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = cases.iter().filter_map(|case| case["required"][0].as_str()).collect();
    if is_known(&names) {
        rules.push(json!({
            "rule": format!("{} == 1", count(&names)),
            "message": format!("exactly one of {} is needed", quoted_list(&names))
        }));
    }
    let names: Vec<&str> =
        schema["x-evenkeel-atMostOne"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if is_known(&names) {
        rules.push(json!({
            "rule": format!("{} <= 1", count(&names)),
            "message": format!("at most one of {} may be given", quoted_list(&names))
        }));
    }
    rules
}

fn count(names: &[&str]) -> String {
    let each = names.iter().map(|name| format!("(has(self.{}) ? 1 : 0)", escaped(name)));
    each.collect::<Vec<_>>().join(" + ")
}

fn quoted_list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Escapes a reserved word of CEL with underscores, as Kubernetes requires.
fn escaped(name: &str) -> String {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) { format!("__{name}__") } else { name.to_owned() }
}
