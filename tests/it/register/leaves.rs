//! The leaves of the schemas: fields without fields of their own, and fields whose type is registered by its own name.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::definition::planned::Planned;
use evenkeel::definition::{Kind, schema};
use serde_json::Value;

/// All leaves by name (`TYPE.field`), with whether each use of them is accepted and not in effect.
pub fn leaves() -> BTreeMap<String, bool> {
    let document = schema::of_any();
    let defs = &document["$defs"];
    let mut found = of_types(defs, &Kind::ALL.map(Kind::as_str));
    // The head is the same for all kinds.
    for kind in Kind::ALL {
        for field in ["apiVersion", "kind", "metadata"] {
            found.remove(&format!("{kind}.{field}"));
        }
    }
    found.extend(["Document.apiVersion", "Document.kind"].map(|leaf| (leaf.to_owned(), false)));
    found
}

/// The leaves of types and of what they refer to.
pub fn of_types(defs: &Value, types: &[&str]) -> BTreeMap<String, bool> {
    let mut uses = BTreeMap::new();
    count(defs, &mut uses);
    let mut walk = Walk { defs, uses, found: BTreeMap::new(), visited: BTreeSet::new() };
    for name in types {
        walk.type_of(name, false);
    }
    walk.found
}

/// Counts the references to each type.
fn count<'a>(schema: &'a Value, uses: &mut BTreeMap<&'a str, usize>) {
    match schema {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(type_name) {
                *uses.entry(name).or_default() += 1;
            }
            map.iter().filter(|(key, _)| *key != "examples").for_each(|(_, value)| count(value, uses));
        }
        Value::Array(items) => items.iter().for_each(|item| count(item, uses)),
        _ => {}
    }
}

fn type_name(target: &Value) -> Option<&str> {
    target.as_str()?.strip_prefix("#/$defs/")
}

struct Walk<'a> {
    defs: &'a Value,
    uses: BTreeMap<&'a str, usize>,
    found: BTreeMap<String, bool>,
    /// Types that were walked, as planned or not: a type may contain itself.
    visited: BTreeSet<(&'a str, bool)>,
}

impl<'a> Walk<'a> {
    fn type_of(&mut self, name: &'a str, planned: bool) {
        let defs = self.defs;
        let planned = mark(&defs[name]).unwrap_or(planned);
        if self.visited.insert((name, planned)) {
            self.schema(&defs[name], name, planned);
        }
    }

    fn schema(&mut self, schema: &'a Value, path: &str, planned: bool) {
        let planned = mark(schema).unwrap_or(planned);
        if let Some(name) = type_name(&schema["$ref"]) {
            if !self.has_fields(schema, &mut BTreeSet::new()) {
                return self.leaf(path, planned);
            }
            // The field of a kind is no use of a shared type.
            if self.uses.get(name).copied().unwrap_or(0) > 1 {
                self.leaf(path, planned);
            }
            return self.type_of(name, planned);
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            self.schema(field, &format!("{path}.{name}"), planned);
        }
        if schema["properties"].is_object() {
            return;
        }
        let inner = [schema.get("items"), schema.get("additionalProperties")].into_iter().flatten();
        let cases = alternatives(schema).into_iter().flatten().filter(|case| case["type"] != "null");
        let nested: Vec<&'a Value> =
            inner.chain(cases).filter(|inner| self.has_fields(inner, &mut BTreeSet::new())).collect();
        if nested.is_empty() {
            return self.leaf(path, planned);
        }
        // A value that may be written without fields, such as a text, is a leaf too.
        let others = alternatives(schema).map_or(0, |cases| cases.iter().filter(|case| case["type"] != "null").count());
        if others > nested.len() {
            self.leaf(path, planned);
        }
        for inner in nested {
            self.schema(inner, path, planned);
        }
    }

    fn leaf(&mut self, path: &str, planned: bool) {
        if path.contains('.') {
            let found = self.found.entry(path.to_owned()).or_insert(true);
            *found &= planned;
        } else {
            // A type that may be written without fields: its uses are leaves.
            self.found.entry(format!("{path}.(value)")).and_modify(|found| *found &= planned).or_insert(planned);
        }
    }

    fn has_fields(&self, schema: &'a Value, within: &mut BTreeSet<&'a str>) -> bool {
        if let Some(name) = type_name(&schema["$ref"]) {
            return within.insert(name) && self.has_fields(&self.defs[name], within);
        }
        let inner = [schema.get("items"), schema.get("additionalProperties")].into_iter().flatten();
        schema["properties"].as_object().is_some_and(|fields| !fields.is_empty())
            || inner.chain(alternatives(schema).into_iter().flatten()).any(|inner| self.has_fields(inner, within))
    }
}

/// Cases of which a value fits one. `oneOf` beside a type lists fields that exclude each other.
fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array().filter(|_| schema["type"].is_null()))
}

/// The mark of a schema: accepted and not in effect, or in effect within a marked one.
fn mark(schema: &Value) -> Option<bool> {
    Planned::of_schema(schema).map(|planned| planned.is_some())
}
