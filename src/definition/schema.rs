//! JSON Schemas (2020-12) that are generated from the types: one per kind, and one for any document.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{API_VERSION, Kind, Metadata, examples, planned};
use super::{
    alert::AlertSpec, connection::ConnectionSpec, connector::ConnectorSpec, entity::EntitySpec,
    environment::EnvironmentSpec, role::RoleSpec, tenant::TenantSpec, trigger::TriggerSpec, widget::WidgetSpec,
    workflow::WorkflowSpec,
};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Generates the schema of one kind. Its `examples` are valid documents.
pub fn of_kind(kind: Kind) -> Value {
    let mut generator = generator();
    let mut schema = envelope(&mut generator, kind);
    schema["$defs"] = Value::Object(definitions(generator));
    planned::describe(&mut schema);
    schema["examples"] = Value::Array(examples::of_kind(kind));
    schema["$schema"] = json!(DIALECT);
    schema["$id"] = json!(format!("https://evenkeel.dev/schemas/v1alpha1/{}.json", file_stem(kind)));
    ordered(schema)
}

/// Generates the schema of a document of any kind, for `yaml-language-server`, which uses one schema per file.
pub fn of_any() -> Value {
    let mut schema = without_examples();
    planned::describe(&mut schema);
    for kind in Kind::ALL {
        schema["$defs"][kind.as_str()]["examples"] = Value::Array(examples::of_kind(kind));
    }
    schema
}

/// Generates the schema of a document of any kind, without examples. The validator reads it at every start.
pub(super) fn without_examples() -> Value {
    let mut generator = generator();
    let mut cases = Vec::new();
    let envelopes: Vec<(Kind, Value)> = Kind::ALL.iter().map(|&kind| (kind, envelope(&mut generator, kind))).collect();
    let mut defs = definitions(generator);
    for (kind, schema) in envelopes {
        defs.insert(kind.as_str().into(), schema);
        cases.push(json!({
            "if": {"properties": {"kind": {"const": kind.as_str()}}, "required": ["kind"]},
            "then": {"$ref": format!("#/$defs/{kind}")}
        }));
    }
    json!({
        "$schema": DIALECT,
        "$id": "https://evenkeel.dev/schemas/v1alpha1/definition.json",
        "title": "Evenkeel definition",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"enum": Kind::ALL.map(Kind::as_str)}
        },
        "allOf": cases,
        "$defs": defs
    })
}

/// Generates all schemas with their file names, in the order of the kinds.
pub fn all() -> Vec<(String, Value)> {
    let kinds = Kind::ALL.into_iter().map(|kind| (format!("{}.json", file_stem(kind)), of_kind(kind)));
    kinds.chain([("definition.json".to_owned(), of_any())]).collect()
}

fn file_stem(kind: Kind) -> String {
    kind.as_str().to_ascii_lowercase()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

fn definitions(mut generator: SchemaGenerator) -> Map<String, Value> {
    generator.take_definitions(true)
}

fn envelope(generator: &mut SchemaGenerator, kind: Kind) -> Value {
    let spec = match kind {
        Kind::Connector => reference::<ConnectorSpec>(generator),
        Kind::Widget => reference::<WidgetSpec>(generator),
        Kind::Trigger => reference::<TriggerSpec>(generator),
        Kind::Workflow => reference::<WorkflowSpec>(generator),
        Kind::Environment => reference::<EnvironmentSpec>(generator),
        Kind::Tenant => reference::<TenantSpec>(generator),
        Kind::Connection => reference::<ConnectionSpec>(generator),
        Kind::Entity => reference::<EntitySpec>(generator),
        Kind::Role => reference::<RoleSpec>(generator),
        Kind::Alert => reference::<AlertSpec>(generator),
    };
    let metadata = reference::<Metadata>(generator);
    let [metadata, spec] = [metadata, spec].map(|reference| described(generator, reference));
    json!({
        "title": kind.as_str(),
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": {"const": API_VERSION, "description": "API version of the document."},
            "kind": {"const": kind.as_str(), "description": "Kind of the document."},
            "metadata": metadata,
            "spec": spec
        }
    })
}

/// A reference with the description of the type that it refers to, which editors show at the field, and with its mark
/// (`planned`).
fn described(generator: &SchemaGenerator, mut reference: Value) -> Value {
    let name = reference["$ref"].as_str().and_then(|target| target.rsplit('/').next());
    let target = name.and_then(|name| generator.definitions().get(name));
    for keyword in ["description", planned::MARK] {
        if let Some(value) = target.and_then(|target| target.get(keyword)) {
            reference[keyword] = value.clone();
        }
    }
    reference
}

fn reference<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// Moves `$schema`, `$id` and `title` to the front.
fn ordered(schema: Value) -> Value {
    let Value::Object(mut map) = schema else { return schema };
    let mut ordered = Map::new();
    for key in ["$schema", "$id", "title"] {
        if let Some(value) = map.remove(key) {
            ordered.insert(key.into(), value);
        }
    }
    ordered.extend(map);
    Value::Object(ordered)
}
