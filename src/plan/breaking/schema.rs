//! Compares JSON Schemas (2020-12) by structure: inputs that are no longer accepted, and outputs that were not possible.
//!
//! For inputs, a changed keyword that cannot be compared, such as `pattern`, counts as breaking, because senders may be
//! refused. For outputs, only types, properties and values are compared.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::quote::quoted;

/// Maximum number of compared schemas. Bounds references that multiply.
const MAX_VISITS: usize = 10_000;

/// Maximum depth of compared schemas.
const MAX_DEPTH: usize = 64;

/// The schema of any value.
static ANYTHING: Value = Value::Bool(true);
static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// Keywords that only people read.
const TEXTS: [&str; 7] = ["title", "description", "examples", "default", "$comment", "deprecated", "$id"];

/// Keywords whose value is a map of names to schemas.
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Bounds; true if a larger number is stricter.
const BOUNDS: [(&str, bool); 10] = [
    ("minimum", true),
    ("exclusiveMinimum", true),
    ("minLength", true),
    ("minItems", true),
    ("minProperties", true),
    ("maximum", false),
    ("exclusiveMaximum", false),
    ("maxLength", false),
    ("maxItems", false),
    ("maxProperties", false),
];

/// Keywords of which any change may refuse more.
const OPAQUE: [&str; 13] = [
    "pattern",
    "format",
    "multipleOf",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "unevaluatedProperties",
];

/// Adds reasons for inputs that were accepted and are refused now.
pub(super) fn stricter(before: Option<&Value>, after: Option<&Value>, what: &str, because: &mut Vec<String>) {
    let (before, after) = (before.unwrap_or(&ANYTHING), after.unwrap_or(&ANYTHING));
    Walk { before, after, what, because, seen: HashSet::new() }.input(before, after, "", 0);
}

/// Adds reasons for properties of outputs that callers can no longer rely on.
pub(super) fn looser(before: Option<&Value>, after: Option<&Value>, what: &str, because: &mut Vec<String>) {
    let Some(before) = before else { return };
    let Some(after) = after else { return because.push(format!("{what} has no schema any longer")) };
    Walk { before, after, what, because, seen: HashSet::new() }.output(before, after, "", 0);
}

/// Removes keywords that only people read.
pub(super) fn without_texts(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    map.retain(|key, _| !TEXTS.contains(&key.as_str()));
    for (key, value) in map.iter_mut() {
        match value {
            Value::Object(named) if MAPS.contains(&key.as_str()) => named.values_mut().for_each(without_texts),
            // `enum` and `const` hold values, not schemas.
            Value::Array(items) if key != "enum" => items.iter_mut().for_each(without_texts),
            value if key != "const" => without_texts(value),
            _ => {}
        }
    }
}

struct Walk<'a> {
    before: &'a Value,
    after: &'a Value,
    what: &'a str,
    because: &'a mut Vec<String>,
    /// Compared pairs by address: references may be cyclic.
    seen: HashSet<(usize, usize)>,
}

impl<'a> Walk<'a> {
    fn say(&mut self, at: &str, text: &str) {
        let place = if at.is_empty() { String::new() } else { format!(" at {}", quoted(at)) };
        self.because.push(format!("{}{place}: {text}", self.what));
    }

    /// True if this pair must be compared.
    fn enter(&mut self, before: &Value, after: &Value, depth: usize) -> bool {
        let address = |value: &Value| std::ptr::from_ref(value).addr();
        depth <= MAX_DEPTH && self.seen.len() < MAX_VISITS && self.seen.insert((address(before), address(after)))
    }

    fn input(&mut self, before: &'a Value, after: &'a Value, at: &str, depth: usize) {
        let (before, after) = (resolved(before, self.before), resolved(after, self.after));
        if !self.enter(before, after, depth) || before == after && !has_reference(before) {
            return;
        }
        match (before, after) {
            (_, Value::Bool(true)) | (Value::Bool(false), _) => return,
            (_, Value::Bool(false)) => return self.say(at, "nothing is taken any longer"),
            _ => {}
        }
        let old = before.as_object().unwrap_or(&EMPTY);
        let Some(new) = after.as_object() else { return };
        if reference(old) != reference(new) && reference(new).is_some() {
            self.say(at, "it refers to another schema");
        }
        for name in strings(new, "required").difference(&strings(old, "required")) {
            self.say(at, &format!("{} is required now", quoted(name)));
        }
        let refused: Vec<&str> = types(old).into_iter().filter(|name| !types(new).contains(name)).collect();
        if let Some(types) = list(&refused) {
            self.say(at, &format!("{types} is refused now"));
        }
        self.values(old, new, at);
        self.bounds(old, new, at);
        for key in OPAQUE {
            if new.get(key).is_some() && old.get(key) != new.get(key) {
                self.say(at, &format!("{} changes", quoted(key)));
            }
        }
        if new.get("uniqueItems") == Some(&Value::Bool(true)) && old.get("uniqueItems") != new.get("uniqueItems") {
            self.say(at, "items must be unique now");
        }
        self.alternatives(old, new, at);
        self.input_properties(old, new, at, depth);
        self.items(old, new, at, depth, Walk::input);
    }

    fn input_properties(&mut self, old: &'a Map<String, Value>, new: &'a Map<String, Value>, at: &str, depth: usize) {
        let closed = |map: &Map<String, Value>| map.get("additionalProperties") == Some(&Value::Bool(false));
        let (before, after) = (properties(old), properties(new));
        for (name, schema) in before {
            let at = below(at, name);
            match after.get(name) {
                Some(next) => self.input(schema, next, &at, depth + 1),
                None if closed(new) => self.say(&at, "it is refused now"),
                None => {
                    let rest = new.get("additionalProperties").unwrap_or(&ANYTHING);
                    self.input(schema, rest, &at, depth + 1);
                }
            }
        }
        match (old.get("additionalProperties"), new.get("additionalProperties")) {
            (old, Some(Value::Bool(false))) if old != Some(&Value::Bool(false)) => {
                self.say(at, "other properties are refused now");
            }
            (old, Some(new @ Value::Object(_))) => {
                self.input(old.unwrap_or(&ANYTHING), new, &below(at, "*"), depth + 1);
            }
            _ => {}
        }
    }

    fn output(&mut self, before: &'a Value, after: &'a Value, at: &str, depth: usize) {
        let (before, after) = (resolved(before, self.before), resolved(after, self.after));
        if !self.enter(before, after, depth) || before == after && !has_reference(before) {
            return;
        }
        let Some(old) = before.as_object() else { return };
        let new = after.as_object().unwrap_or(&EMPTY);
        if reference(old) != reference(new) {
            return self.say(at, "it refers to another schema");
        }
        for name in strings(old, "required").difference(&strings(new, "required")) {
            self.say(at, &format!("{} may be missing now", quoted(name)));
        }
        let added: Vec<&str> = types(new).into_iter().filter(|name| !types(old).contains(name)).collect();
        if let Some(types) = list(&added).filter(|_| old.contains_key("type")) {
            self.say(at, &format!("it may be {types} now"));
        }
        match (allowed(old), allowed(new)) {
            (Some(_), None) => self.say(at, "it may be any value now"),
            (Some(old), Some(new)) => {
                for value in new.difference(&old) {
                    self.say(at, &format!("it may be {} now", quoted(value)));
                }
            }
            _ => {}
        }
        for key in ["anyOf", "oneOf"] {
            if let (Some(before), Some(after)) = (branches(old, key), branches(new, key))
                && after.iter().any(|branch| !before.contains(branch))
            {
                self.say(at, &format!("{} has other alternatives", quoted(key)));
            }
        }
        let (before, after) = (properties(old), properties(new));
        for (name, schema) in before {
            match after.get(name) {
                Some(next) => self.output(schema, next, &below(at, name), depth + 1),
                None => self.say(&below(at, name), "it is gone"),
            }
        }
        self.items(old, new, at, depth, Walk::output);
    }

    fn items(
        &mut self,
        old: &'a Map<String, Value>,
        new: &'a Map<String, Value>,
        at: &str,
        depth: usize,
        compare: fn(&mut Walk<'a>, &'a Value, &'a Value, &str, usize),
    ) {
        let (before, after) = (old.get("items"), new.get("items"));
        if before.is_some() || after.is_some() {
            let (before, after) = (before.unwrap_or(&ANYTHING), after.unwrap_or(&ANYTHING));
            compare(self, before, after, &format!("{at}[]"), depth + 1);
        }
    }

    fn values(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        match (allowed(old), allowed(new)) {
            (None, Some(_)) => self.say(at, "only certain values are taken now"),
            (Some(old), Some(new)) => {
                for value in old.difference(&new) {
                    self.say(at, &format!("{} is refused now", quoted(value)));
                }
            }
            _ => {}
        }
    }

    fn bounds(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        for (key, larger_is_stricter) in BOUNDS {
            let number = |map: &Map<String, Value>| map.get(key).and_then(Value::as_f64);
            let stricter = match (number(old), number(new)) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(old), Some(new)) => {
                    if larger_is_stricter {
                        new > old
                    } else {
                        new < old
                    }
                }
            };
            if stricter {
                self.say(at, &format!("{} is stricter", quoted(key)));
            }
        }
    }

    /// Compares alternatives as wholes: a removed one may have been used, an added condition may not be met.
    fn alternatives(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        for key in ["anyOf", "oneOf"] {
            match (branches(old, key), branches(new, key)) {
                (None, Some(_)) => self.say(at, &format!("{} is new", quoted(key))),
                (Some(old), Some(new)) if old.iter().any(|branch| !new.contains(branch)) => {
                    self.say(at, &format!("{} has other alternatives", quoted(key)));
                }
                _ => {}
            }
        }
        let before = branches(old, "allOf").unwrap_or_default();
        if branches(new, "allOf").unwrap_or_default().iter().any(|branch| !before.contains(branch)) {
            self.say(at, &format!("{} has further conditions", quoted("allOf")));
        }
    }
}

/// The target of a reference within the same document; otherwise the schema itself.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    // A reference with conditions beside it is not equivalent to its target.
    let beside = |key: &String| {
        TEXTS.contains(&key.as_str()) || ["$ref", "$defs", "definitions", "$schema"].contains(&key.as_str())
    };
    let alone = |map: &Map<String, Value>| map.keys().all(beside);
    let mut schema = schema;
    for _ in 0..MAX_DEPTH {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(next) if schema.as_object().is_some_and(alone) => schema = next,
            _ => break,
        }
    }
    schema
}

/// True if the schema holds a reference, whose target may have changed although the schema did not.
fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.contains_key("$ref") || map.values().any(has_reference),
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

fn reference(map: &Map<String, Value>) -> Option<&str> {
    map.get("$ref").and_then(Value::as_str)
}

fn properties(map: &Map<String, Value>) -> &Map<String, Value> {
    map.get("properties").and_then(Value::as_object).unwrap_or(&EMPTY)
}

fn strings(map: &Map<String, Value>, key: &str) -> BTreeSet<String> {
    let items = map.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The accepted types; all types if none is named. Every integer is a number.
fn types(map: &Map<String, Value>) -> BTreeSet<&str> {
    let mut types: BTreeSet<&str> = match map.get("type") {
        Some(Value::String(name)) => BTreeSet::from([name.as_str()]),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::from(["array", "boolean", "null", "number", "object", "string"]),
    };
    if types.contains("number") {
        types.insert("integer");
    }
    types
}

fn list(words: &[&str]) -> Option<String> {
    // `number` includes `integer`.
    let words = words.iter().filter(|word| **word != "integer" || !words.contains(&"number"));
    let words: Vec<String> = words.map(|word| quoted(word)).collect();
    (!words.is_empty()).then(|| words.join(" or "))
}

/// The values of `enum` or `const` as JSON; strings without quotes.
fn allowed(map: &Map<String, Value>) -> Option<BTreeSet<String>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match (map.get("enum").and_then(Value::as_array), map.get("const")) {
        (Some(values), _) => Some(values.iter().map(text).collect()),
        (None, Some(value)) => Some(BTreeSet::from([text(value)])),
        (None, None) => None,
    }
}

fn branches<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a [Value]> {
    map.get(key).and_then(Value::as_array).map(Vec::as_slice)
}

fn below(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}
