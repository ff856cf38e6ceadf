//! JSON Schema, as schemars writes it of our types, to the structural schemas of CustomResourceDefinitions.
//!
//! References are written out; where a type holds itself (steps hold steps) the inner one is left open. A value of several
//! types is left open too: our own checks know it, and admission runs them.

use serde_json::{Map, Value, json};

/// The structural schema of one schema; `defs` are the definitions that it refers to.
pub(super) fn of(schema: &Value, defs: &Value) -> Value {
    Value::Object(Writer { defs, within: Vec::new(), collections: 0 }.schema(schema))
}

struct Writer<'a> {
    defs: &'a Value,
    /// Names of the definitions around this place.
    within: Vec<&'a str>,
    /// Lists and maps around this place.
    collections: usize,
}

/// Lists and maps around a rule, from which on the API server's estimate of its cost is beyond what it takes.
const TOO_COSTLY: usize = 3;

impl<'a> Writer<'a> {
    fn schema(&mut self, schema: &'a Value) -> Map<String, Value> {
        let mut written = self.of_type(schema);
        // What is said at the place of use says more than what is said of the type.
        for key in ["description", "default"] {
            if let Some(value) = schema.get(key) {
                written.insert(key.into(), value.clone());
            }
        }
        written
    }

    fn of_type(&mut self, schema: &'a Value) -> Map<String, Value> {
        if let Some(target) = schema["$ref"].as_str() {
            return self.reference(target.rsplit('/').next().unwrap_or(target));
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return Map::from_iter([("x-kubernetes-int-or-string".to_owned(), json!(true))]);
        }
        // `oneOf` beside a type lists fields that exclude each other, not alternatives.
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
            several => words(several).unwrap_or_else(open),
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
                // An object without settings, such as `none: {}`: what stands in it is ours to refuse.
                object.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
            }
            (None, _) => {
                object.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
            }
        }
        let rules = rules(schema, object.get("properties").unwrap_or(&Value::Null));
        if !rules.is_empty() && self.collections < TOO_COSTLY {
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

/// A choice among words, with what each means.
fn words(cases: &[&Value]) -> Option<Map<String, Value>> {
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

/// Fields that exclude each other, as CEL. A field that is left open is unknown to CEL: such a choice is checked by us alone.
///
/// Sums of conditions, because the API server refuses rules in maps and lists whose estimated cost is high, and lists and
/// macros are what costs.
fn rules(schema: &Value, fields: &Value) -> Vec<Value> {
    let mut rules = Vec::new();
    let is_known = |names: &[&str]| names.len() > 1 && names.iter().all(|name| fields[*name]["type"].is_string());
    let cases = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = cases.iter().filter_map(|case| case["required"][0].as_str()).collect();
    if is_known(&names) {
        rules.push(json!({
            "rule": format!("{} == 1", count(&names)),
            "message": format!("exactly one of {} is needed", listed(&names))
        }));
    }
    let names: Vec<&str> =
        schema["x-evenkeel-atMostOne"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if is_known(&names) {
        rules.push(json!({
            "rule": format!("{} <= 1", count(&names)),
            "message": format!("at most one of {} may be given", listed(&names))
        }));
    }
    rules
}

fn count(names: &[&str]) -> String {
    let each = names.iter().map(|name| format!("(has(self.{}) ? 1 : 0)", escaped(name)));
    each.collect::<Vec<_>>().join(" + ")
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Names that CEL keeps for itself are written with underscores around them (Kubernetes' rule).
fn escaped(name: &str) -> String {
    const KEPT: [&str; 21] = [
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
    if KEPT.contains(&name) { format!("__{name}__") } else { name.to_owned() }
}
