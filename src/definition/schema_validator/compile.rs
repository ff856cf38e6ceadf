//! The compiler of the generated schemas.
//!
//! It supports only the constructs that schemars generates for the definition types. Anything else is a bug, and panics
//! in the first test that validates a document.

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;

use super::facts::ReferenceKind;
use super::format::ValueFormat;
use super::model::{CompiledSchema, CompiledSchemas, ObjectFields, ValueType};
use crate::definition::common::Duration;
use crate::definition::planned::Planned;
use crate::definition::{Kind, schema};
use crate::text::codes;

/// Compiles the schemas of all kinds.
pub(super) fn compile_all() -> CompiledSchemas {
    // The schemas live as long as the process, so their source may as well.
    let document: &'static Value = Box::leak(Box::new(schema::without_examples()));
    let mut compiler = Compiler { defs: &document["$defs"], schemas: Vec::new(), known: HashMap::new() };
    let roots = Kind::ALL.into_iter().map(|kind| (kind, compiler.definition(kind.as_str()))).collect();
    CompiledSchemas { schemas: compiler.schemas, roots }
}

struct Compiler {
    defs: &'static Value,
    schemas: Vec<CompiledSchema>,
    known: HashMap<&'static str, usize>,
}

impl Compiler {
    fn definition(&mut self, name: &'static str) -> usize {
        if let Some(&index) = self.known.get(name) {
            return index;
        }
        let index = self.schemas.len();
        self.schemas.push(CompiledSchema::default());
        // Registered before it is compiled, as steps contain steps.
        self.known.insert(name, index);
        let schema = &self.defs[name];
        assert!(!schema.is_null(), "schema refers to {name}, which it does not define");
        self.schemas[index] = self.compile(schema);
        index
    }

    fn add(&mut self, schema: &'static Value) -> usize {
        let compiled = self.compile(schema);
        self.schemas.push(compiled);
        self.schemas.len() - 1
    }

    fn compile(&mut self, schema: &'static Value) -> CompiledSchema {
        let text = |key: &str| schema[key].as_str();
        let duration = |key: &str| text(key).map(milliseconds);
        let mut nullable = false;
        let value_type = self.value_type(schema, &mut nullable);
        CompiledSchema {
            value_type,
            nullable,
            reference: text("x-evenkeel-ref").map(reference),
            template: text("x-evenkeel-template"),
            format: text("x-evenkeel-type").map(ValueFormat::of_mark),
            code: text("x-evenkeel-code").map(|id| codes::find(id).expect("a known code")),
            duration: (duration("x-evenkeel-min"), duration("x-evenkeel-max")),
            planned: Planned::of_schema(schema).flatten(),
            default: schema.get("default"),
        }
    }

    fn value_type(&mut self, schema: &'static Value, nullable: &mut bool) -> ValueType {
        if let Some(target) = schema["$ref"].as_str() {
            let name = target.strip_prefix("#/$defs/").expect("schemars refers to $defs");
            return ValueType::Alias(self.definition(name));
        }
        if let Some(word) = schema["const"].as_str() {
            return ValueType::Enum(vec![word.to_owned()]);
        }
        if let Some(words) = schema["enum"].as_array() {
            return ValueType::Enum(words.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        }
        let alternatives = schema["anyOf"].as_array().or_else(|| {
            let cases = schema["oneOf"].as_array()?;
            // `oneOf` next to a type lists fields that exclude each other, not alternatives.
            schema["type"].is_null().then_some(cases)
        });
        if let Some(alternatives) = alternatives {
            return self.union(alternatives, nullable);
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return ValueType::Any,
        };
        *nullable = types.contains(&"null");
        match types.iter().find(|name| **name != "null").copied() {
            Some("boolean") => ValueType::Bool,
            Some("integer") => ValueType::Integer { min: whole(schema, "minimum"), max: whole(schema, "maximum") },
            Some("number") => ValueType::Number { min: schema["minimum"].as_f64(), max: schema["maximum"].as_f64() },
            Some("string") => ValueType::Text {
                min: length(schema, "minLength", 0),
                max: length(schema, "maxLength", usize::MAX),
                pattern: schema["pattern"].as_str().map(|pattern| Regex::new(pattern).expect("our own patterns")),
            },
            Some("array") => ValueType::List {
                items: self.add(&schema["items"]),
                min: length(schema, "minItems", 0),
                max: length(schema, "maxItems", usize::MAX),
            },
            Some("object") if types.len() > 1 && types.contains(&"boolean") => ValueType::Any,
            Some("object") => self.object(schema),
            other => unreachable!("a type that schemars does not generate: {other:?}"),
        }
    }

    fn union(&mut self, alternatives: &'static [Value], nullable: &mut bool) -> ValueType {
        let is_null = |schema: &Value| schema["type"] == "null";
        *nullable = alternatives.iter().any(is_null);
        let rest: Vec<&'static Value> = alternatives.iter().filter(|schema| !is_null(schema)).collect();
        let words = |schema: &&'static Value| match (schema["const"].as_str(), schema["enum"].as_array()) {
            (Some(word), _) => Some(vec![word.to_owned()]),
            (None, Some(words)) => Some(words.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            (None, None) => None,
        };
        if let Some(all) = rest.iter().map(words).collect::<Option<Vec<_>>>() {
            return ValueType::Enum(all.concat());
        }
        match rest.as_slice() {
            [one] => ValueType::Alias(self.add(one)),
            several => ValueType::Union(several.iter().map(|schema| self.add(schema)).collect()),
        }
    }

    fn object(&mut self, schema: &'static Value) -> ValueType {
        let properties = schema["properties"].as_object();
        if let (None, values) = (properties, &schema["additionalProperties"])
            && *values != Value::Bool(false)
        {
            return ValueType::Map {
                values: self.add(values),
                keys: schema["x-evenkeel-keys"].as_str().map(ValueFormat::of_mark),
                key_values: self.key_values(schema),
                min: length(schema, "minProperties", 0),
                max: length(schema, "maxProperties", usize::MAX),
            };
        }
        let mut fields = HashMap::new();
        for (name, schema) in properties.into_iter().flatten() {
            fields.insert(name.clone(), self.add(schema));
        }
        let names = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let cases = schema["oneOf"].as_array().into_iter().flatten();
        let one: Vec<String> = cases.flat_map(|case| names(&case["required"])).collect();
        ValueType::Object(ObjectFields {
            by_name: fields,
            required: names(&schema["required"]),
            exactly_one: Vec::from_iter((!one.is_empty()).then_some(one)),
            exactly_one_code: schema["x-evenkeel-oneOfCode"].as_str().map(|id| codes::find(id).expect("a known code")),
            at_most_one: Vec::from_iter(Some(names(&schema["x-evenkeel-atMostOne"])).filter(|names| !names.is_empty())),
            not_empty: length(schema, "minProperties", 0) > 0,
        })
    }

    /// The allowed keys of a map, if they are an enumeration.
    fn key_values(&self, schema: &Value) -> Vec<String> {
        let names = &schema["propertyNames"];
        let target = names["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/"));
        let names = target.map_or(names, |name| &self.defs[name]);
        names["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

fn reference(mark: &str) -> ReferenceKind {
    match mark {
        "Action" => ReferenceKind::Action,
        "LocalAction" => ReferenceKind::LocalAction,
        "LocalEntity" => ReferenceKind::LocalEntity,
        "LocalAuthMethod" => ReferenceKind::LocalAuthMethod,
        "LocalForm" => ReferenceKind::LocalForm,
        "WidgetConnector" => ReferenceKind::WidgetConnector,
        "AuthMethod" => ReferenceKind::AuthMethod,
        "Event" => ReferenceKind::Event,
        "UsedAction" => ReferenceKind::UsedAction,
        "CanonicalEntity" => ReferenceKind::CanonicalEntity,
        "CanonicalField" => ReferenceKind::CanonicalField,
        "Secret" => ReferenceKind::Secret,
        "File" => ReferenceKind::File,
        "Folder" => ReferenceKind::Folder,
        kind => ReferenceKind::Definition(kind.parse().unwrap_or_else(|()| panic!("unknown mark {kind}"))),
    }
}

fn milliseconds(text: &str) -> u64 {
    let duration: Duration = text.parse().expect("our own durations");
    duration.0.as_millis() as u64
}

fn whole(schema: &Value, key: &str) -> Option<i128> {
    schema[key].as_i64().map(i128::from).or(schema[key].as_u64().map(i128::from))
}

fn length(schema: &Value, key: &str, otherwise: usize) -> usize {
    schema[key].as_u64().map_or(otherwise, |length| length as usize)
}
