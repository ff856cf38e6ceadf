//! The static check of a partially known value against a JSON Schema.
//!
//! The check is sound: it reports an error only if no value that is possible here is accepted. What it does not understand
//! (anchors, `unevaluatedProperties`, conditions on unknown values) accepts everything.

use serde_json::{Map, Value};

use super::JsonSchema;
use super::scope::{SchemaScope, accepted_types, is_composing};
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::text::{PartialField, PartialMap, PartialValue, RestOfMap, ValueTypes, escaped};

/// Maximum number of reported misfits of one value.
const MAX_MISFITS: usize = 20;
/// Maximum number of visited pairs of value and schema. Bounds references that multiply.
const MAX_VISITS: usize = 5_000;
/// Maximum number of names among which a similar one is searched.
const MAX_SEARCHED: usize = 200;
/// Maximum nesting of values and references.
const MAX_DEPTH: usize = 64;

/// Keywords that concern one string or number.
const SCALAR_KEYWORDS: [&str; 9] = [
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
];

/// Keywords that are evaluated for wholly known values only.
const WHOLE_KEYWORDS: [&str; 15] = [
    "not",
    "if",
    "contains",
    "uniqueItems",
    "propertyNames",
    "patternProperties",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedProperties",
    "unevaluatedItems",
    "oneOf",
    "$anchor",
    "$dynamicRef",
];

/// A part of a value that does not fit a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// JSON pointer in the value (RFC 6901). A missing field has the pointer that it would have.
    pub pointer: String,
    /// JSON pointer in the schema; of the schema that holds a missing or refused field.
    pub schema: String,
    /// The kind of misfit.
    pub kind: MisfitKind,
    /// The misfit in a sentence without its subject, such as "`term` is missing".
    pub message: String,
    /// The correction, if known.
    pub help: Option<String>,
}

/// The kind of a misfit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisfitKind {
    /// A required field is missing.
    Missing,
    /// A required field is not declared by the type of the value in code.
    MissingInType,
    /// A field that the schema refuses.
    Refused,
    /// A field that may be absent, and that the schema refuses.
    RefusedIfPresent,
    /// A field that the schema does not declare, whose name resembles a declared one.
    Misspelt,
    /// A value of a wrong type, or one that is not allowed.
    Value,
}

impl MisfitKind {
    /// True if the value is refused for sure.
    pub fn is_certain(self) -> bool {
        matches!(self, MisfitKind::Missing | MisfitKind::Refused | MisfitKind::Value)
    }
}

impl SchemaScope<'_> {
    /// Lists the parts of a value that do not fit the schema, at most 20.
    pub fn misfits(&self, value: &PartialValue) -> Vec<Misfit> {
        let mut walk = Walk { scope: *self, misfits: Vec::new(), visits: 0 };
        walk.value(value, self.root, Position::default());
        let certain = walk.misfits.iter().any(|misfit| misfit.kind.is_certain());
        if let Some(known) = value.known().filter(|_| !certain && has_keyword(self.root, &WHOLE_KEYWORDS)) {
            walk.whole(known);
        }
        walk.misfits.truncate(MAX_MISFITS);
        walk.misfits
    }
}

/// A position in the value and in the schema.
#[derive(Clone, Default)]
struct Position {
    value: String,
    schema: String,
    depth: usize,
    /// True if other schemas concern the same value, which may declare further properties.
    is_composed: bool,
}

impl Position {
    fn schema(&self, keyword: &str) -> Position {
        let schema = format!("{}/{keyword}", self.schema);
        Position { value: self.value.clone(), schema, depth: self.depth + 1, is_composed: self.is_composed }
    }

    fn below(&self, part: &str, keyword: &str) -> Position {
        let value = format!("{}/{}", self.value, escaped(part));
        Position { value, schema: format!("{}/{keyword}", self.schema), depth: self.depth + 1, is_composed: false }
    }

    fn composed(mut self) -> Position {
        self.is_composed = true;
        self
    }
}

struct Walk<'a> {
    scope: SchemaScope<'a>,
    misfits: Vec<Misfit>,
    visits: usize,
}

impl<'a> Walk<'a> {
    fn report(&mut self, kind: MisfitKind, at: &Position, message: String, help: Option<String>) {
        if self.misfits.len() <= MAX_MISFITS {
            let (pointer, schema) = (at.value.clone(), at.schema.clone());
            self.misfits.push(Misfit { pointer, schema, kind, message, help });
        }
    }

    fn value(&mut self, value: &PartialValue, schema: &'a Value, at: Position) {
        self.visits += 1;
        if self.visits > MAX_VISITS || at.depth > MAX_DEPTH {
            return;
        }
        let schema = match schema {
            Value::Bool(false) => {
                return self.report(MisfitKind::Value, &at, "no value is accepted here".to_owned(), None);
            }
            Value::Object(schema) => schema,
            _ => return,
        };
        if let Some(target) = schema.get("$ref").and_then(Value::as_str)
            && let Some((target, pointer)) = self.scope.target(target)
        {
            let composed =
                at.is_composed || schema.keys().any(|key| key == "properties" || key != "$ref" && is_composing(key));
            let at = Position { schema: pointer, depth: at.depth + 1, is_composed: composed, ..at.clone() };
            self.value(value, target, at);
        }
        let accepted = accepted_types(schema);
        if value.types().excludes(accepted) {
            let message = format!("this takes {}, and not {}", accepted.in_words(), value.types().in_words());
            return self.report(MisfitKind::Value, &at, message, None);
        }
        self.choices(value, schema, &at);
        self.alternatives(value, schema, &at);
        for (number, part) in list(schema, "allOf").iter().enumerate() {
            self.value(value, part, at.schema(&format!("allOf/{number}")).composed());
        }
        match value {
            PartialValue::Scalar(scalar) => self.scalar(scalar, schema, &at),
            PartialValue::List { items, more } => self.items(items, *more, schema, &at),
            PartialValue::Map(map) => self.map(map, schema, &at),
            _ => {}
        }
    }

    /// `enum` and `const`.
    fn choices(&mut self, value: &PartialValue, schema: &Map<String, Value>, at: &Position) {
        let choices: Vec<&Value> = match (schema.get("enum"), schema.get("const")) {
            (_, Some(only)) => vec![only],
            (Some(Value::Array(choices)), None) => choices.iter().collect(),
            _ => return,
        };
        let fits = match value.known() {
            Some(known) => choices.iter().any(|choice| equal(choice, &known)),
            None => choices.iter().any(|choice| !value.types().excludes(ValueTypes::of(choice))),
        };
        if fits {
            return;
        }
        let words: Vec<String> = choices.iter().take(12).map(|choice| word(choice)).collect();
        let near = match value {
            PartialValue::Scalar(Value::String(text)) => {
                nearest(text, choices.iter().filter_map(|choice| choice.as_str()))
            }
            _ => None,
        };
        let help = near.map(|near| format!("did you mean `{near}`?"));
        let more = if choices.len() > words.len() { " and others" } else { "" };
        let message = format!("this takes {}{more} only", quoted_list(&words));
        self.report(MisfitKind::Value, at, message, help);
    }

    /// `anyOf` and `oneOf`: wrong only if no alternative is possible.
    fn alternatives(&mut self, value: &PartialValue, schema: &'a Map<String, Value>, at: &Position) {
        for keyword in ["anyOf", "oneOf"] {
            let branches = list(schema, keyword);
            let mut of_branches = Vec::new();
            let mut fits = branches.is_empty();
            for (number, branch) in branches.iter().enumerate() {
                let earlier = std::mem::take(&mut self.misfits);
                self.value(value, branch, at.schema(&format!("{keyword}/{number}")).composed());
                let found = std::mem::replace(&mut self.misfits, earlier);
                fits |= !found.iter().any(|misfit| misfit.kind.is_certain());
                of_branches.push(found);
            }
            if fits {
                continue;
            }
            // The only alternative for values of this type explains more than a general sentence.
            let is_close = |found: &Vec<Misfit>| found.iter().all(|misfit| misfit.pointer != at.value);
            let mut close = of_branches.iter().filter(|found| is_close(found));
            if let (Some(only), None) = (close.next(), close.next()) {
                self.misfits.extend(only.iter().cloned());
            } else {
                let message = format!("this fits none of the {} alternatives", branches.len());
                self.report(MisfitKind::Value, at, message, None);
            }
        }
    }

    fn scalar(&mut self, value: &Value, schema: &Map<String, Value>, at: &Position) {
        let keywords: Map<String, Value> = schema
            .iter()
            .filter(|(key, _)| SCALAR_KEYWORDS.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if keywords.is_empty() {
            return;
        }
        // A keyword with a wrong value is reported at the schema.
        let Ok(schema) = JsonSchema::compile(&Value::Object(keywords), &Map::new()) else { return };
        if let Some(violation) = schema.violations(value, 1).into_iter().next() {
            self.report(MisfitKind::Value, at, violation.message, None);
        }
    }

    fn items(&mut self, items: &[PartialValue], more: bool, schema: &'a Map<String, Value>, at: &Position) {
        let prefix = list(schema, "prefixItems");
        for (number, item) in items.iter().enumerate() {
            let index = number.to_string();
            match (prefix.get(number), schema.get("items")) {
                (Some(schema), _) => self.value(item, schema, at.below(&index, &format!("prefixItems/{number}"))),
                (None, Some(schema)) => self.value(item, schema, at.below(&index, "items")),
                (None, None) => {}
            }
        }
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let count = items.len() as u64;
        if let Some(min) = bound("minItems").filter(|min| !more && count < *min) {
            self.report(MisfitKind::Value, at, format!("this takes at least {min} items, and not {count}"), None);
        }
        if let Some(max) = bound("maxItems").filter(|max| count > *max) {
            self.report(MisfitKind::Value, at, format!("this takes at most {max} items, and not {count}"), None);
        }
    }

    fn map(&mut self, map: &PartialMap, schema: &'a Map<String, Value>, at: &Position) {
        static EMPTY: Value = Value::Null;
        let declared = schema.get("properties").unwrap_or(&EMPTY);
        let mut missing = Vec::new();
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            // With `allOf`, another schema of the same value may give the default.
            let has_default = declared.get(name).is_some_and(|schema| self.scope.has_default(schema))
                || at.is_composed && self.gives_default(self.scope.root, name, 0)
                || schema.contains_key("allOf") && self.gives_default(self.scope.root, name, 0);
            if map.get(name).is_some() || has_default {
                continue;
            }
            let at = Position { value: format!("{}/{}", at.value, escaped(name)), ..at.clone() };
            let others =
                map.fields.iter().map(|field| field.name.as_str()).filter(|field| declared.get(field).is_none());
            let help = nearest(name, others).map(|near| format!("did you mean `{name}` instead of `{near}`?"));
            match map.rest {
                RestOfMap::Nothing => {
                    self.report(MisfitKind::Missing, &at, format!("`{name}` is required and missing"), help);
                    missing.push(name);
                }
                RestOfMap::Undeclared => {
                    let message = format!("`{name}` is required, and the type here does not declare it");
                    self.report(MisfitKind::MissingInType, &at, message, help);
                    missing.push(name);
                }
                RestOfMap::Unknown => {}
            }
        }
        let names: Vec<&str> = declared.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        for field in &map.fields {
            if let Some(schema) = declared.get(&field.name) {
                let at = at.below(&field.name, &format!("properties/{}", escaped(&field.name)));
                self.value(&field.value, schema, at);
            } else if !schema.contains_key("patternProperties") {
                self.other_field(map, field, schema, (names.as_slice(), missing.as_slice()), at);
            }
        }
    }

    /// True if a schema within another declares a property of this name with a default.
    fn gives_default(&self, schema: &'a Value, name: &str, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return true;
        }
        let declared = schema.get("properties").and_then(|declared| declared.get(name));
        let below = || match schema {
            Value::Object(map) => map.values().any(|below| self.gives_default(below, name, depth + 1)),
            Value::Array(items) => items.iter().any(|below| self.gives_default(below, name, depth + 1)),
            _ => false,
        };
        declared.is_some_and(|declared| self.scope.has_default(declared)) || below()
    }

    /// A field that `properties` does not declare.
    fn other_field(
        &mut self,
        map: &PartialMap,
        field: &PartialField,
        schema: &'a Map<String, Value>,
        (names, missing): (&[&str], &[&str]),
        at: &Position,
    ) {
        let name = &field.name;
        // The search is for people, who do not write this many fields.
        let is_small = map.fields.len() <= MAX_SEARCHED && names.len() <= MAX_SEARCHED;
        let candidates = names.iter().copied().filter(|near| is_small && map.get(near).is_none());
        let near = nearest(name, candidates);
        let meant = near.map(|near| format!("did you mean `{near}`?"));
        let there = Position { value: format!("{}/{}", at.value, escaped(name)), ..at.clone() };
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => {
                let kind = if field.optional { MisfitKind::RefusedIfPresent } else { MisfitKind::Refused };
                let help = meant.or_else(|| match names {
                    [] => None,
                    names if names.len() <= 12 => Some(format!("it takes {}", quoted_list(names))),
                    _ => None,
                });
                self.report(kind, &there, format!("there is no `{name}`"), help);
            }
            Some(other @ Value::Object(_)) => self.value(&field.value, other, at.below(name, "additionalProperties")),
            _ if at.is_composed || schema.keys().any(|key| is_composing(key)) => {}
            _ => {
                // A missing name that resembles this one is reported with it.
                if near.is_some_and(|near| !missing.contains(&near)) {
                    self.report(MisfitKind::Misspelt, &there, format!("there is no `{name}`"), meant);
                }
            }
        }
    }

    /// Evaluates all keywords for a value that is known as a whole.
    fn whole(&mut self, mut value: Value) {
        // A schema with errors is reported itself.
        let Ok(schema) = JsonSchema::compile(self.scope.root, self.scope.entities) else { return };
        self.scope.fill_defaults(&mut value);
        for violation in schema.violations(&value, MAX_MISFITS) {
            let at = Position { value: violation.pointer, ..Position::default() };
            self.report(MisfitKind::Value, &at, violation.message, None);
        }
    }
}

fn list<'a>(schema: &'a Map<String, Value>, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Equality as JSON Schema defines it: `1` is `1.0`.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(key, value): (&String, &Value)| other.get(key).is_some_and(|other| equal(value, other));
            one.len() == other.len() && one.iter().all(same)
        }
        (one, other) => one == other,
    }
}

fn word(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn has_keyword(schema: &Value, keywords: &[&str]) -> bool {
    match schema {
        Value::Object(map) => {
            map.iter().any(|(key, value)| keywords.contains(&key.as_str()) || has_keyword(value, keywords))
        }
        Value::Array(items) => items.iter().any(|item| has_keyword(item, keywords)),
        _ => false,
    }
}
