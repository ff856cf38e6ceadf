//! Callees: actions and workflows, with the schemas of their inputs and outputs.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::places::existing;
use crate::catalog::{CatalogView, Entry};
use crate::definition::connector::ConnectorSpec;
use crate::definition::json_schema::{Misfit, SchemaScope, entity_schemas};
use crate::definition::{Id, Kind, Spec};
use crate::text::{PartialValue, Span, escaped};

/// An action or a workflow, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CalleeName {
    /// The workflow, or the connector of the action.
    pub(crate) id: Id,
    /// The action.
    pub(crate) action: Option<String>,
}

impl CalleeName {
    /// The action that a reference names: `CONNECTOR/ACTION`, or `ACTION` of the connector `own`.
    pub(crate) fn action(name: &str, own: &Id) -> Option<CalleeName> {
        let (connector, action) = match name.split_once('/') {
            Some(parts) => parts,
            None if own.kind == Kind::Connector => (own.name.as_str(), name),
            None => return None,
        };
        let id = Id { kind: Kind::Connector, name: connector.to_owned() };
        Some(CalleeName { id, action: Some(action.to_owned()) })
    }

    /// The workflow of a name.
    pub(crate) fn workflow(name: &str) -> CalleeName {
        CalleeName { id: Id { kind: Kind::Workflow, name: name.to_owned() }, action: None }
    }

    /// The JSON pointer of its declaration.
    pub(crate) fn pointer(&self) -> String {
        match &self.action {
            Some(action) => format!("/spec/actions/{}", escaped(action)),
            None => "/spec".to_owned(),
        }
    }
}

impl fmt::Display for CalleeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Some(action) => write!(f, "action `{}/{action}`", self.id.name),
            None => write!(f, "workflow `{}`", self.id.name),
        }
    }
}

/// An action or workflow that exists.
pub(crate) struct Callee<'a> {
    pub(crate) name: CalleeName,
    entry: &'a Entry,
}

/// The schema of an input or output, with the entities that it may refer to.
pub(crate) struct CalleeSchema {
    schema: Value,
    entities: Map<String, Value>,
}

impl CalleeSchema {
    /// The schema of a field of a canonical document of a connector or workflow.
    pub(crate) fn of_document(document: &Value, name: &CalleeName, field: &str) -> Option<CalleeSchema> {
        let schema = document.pointer(&format!("{}/{field}", name.pointer()))?.clone();
        let entities = match refers_to_entities(&schema) {
            true => serde_json::from_value(document.pointer("/spec/entities")?.clone()).unwrap_or_default(),
            false => BTreeMap::new(),
        };
        Some(CalleeSchema { entities: entity_schemas(&entities), schema })
    }

    pub(crate) fn scope(&self) -> SchemaScope<'_> {
        SchemaScope { root: &self.schema, entities: &self.entities }
    }
}

impl<'a> Callee<'a> {
    /// The callee of a name; `None` if it does not exist, which is reported by itself.
    pub(crate) fn find(catalog: CatalogView<'a>, name: &CalleeName) -> Option<Callee<'a>> {
        let entry = catalog.find(name.id.kind, &name.id.name)?;
        let callee = Callee::of(entry, name.clone());
        entry.node(&name.pointer()).map(|_| callee)
    }

    /// A callee of a definition.
    pub(crate) fn of(entry: &'a Entry, name: CalleeName) -> Callee<'a> {
        Callee { name, entry }
    }

    /// The schema of the input or output, if it is declared. It need not be valid.
    pub(crate) fn schema(&self, field: &str) -> Option<CalleeSchema> {
        // From the document, as a definition with errors has schemas too.
        let schema = self.entry.node(&format!("{}/{field}", self.name.pointer()))?.to_json();
        let entities = match self.entry.spec() {
            Some(Spec::Connector(spec)) if refers_to_entities(&schema) => {
                let spec: &ConnectorSpec = spec;
                entity_schemas(&spec.entities)
            }
            _ => Map::new(),
        };
        Some(CalleeSchema { schema, entities })
    }

    /// The parts of an input that the callee refuses. An omitted schema accepts everything.
    pub(crate) fn misfits(&self, input: &PartialValue) -> Vec<Misfit> {
        match input {
            PartialValue::Unknown => Vec::new(),
            input => self.schema("input").map_or(Vec::new(), |schema| schema.scope().misfits(input)),
        }
    }

    /// The place of a part of the schema of the input or output, or of the declaration.
    pub(crate) fn declared_at(&self, field: &str, pointer: &str) -> Span {
        let (base, pointer) = match pointer.strip_prefix("/entities/") {
            Some(entity) => (format!("/spec/entities/{}", entity.split('/').next().unwrap_or_default()), ""),
            None => (format!("{}/{field}", self.name.pointer()), pointer),
        };
        let mut at = existing(self.entry, &base, pointer);
        // Keywords of a schema say less than the property that they describe.
        while at.len() > base.len() && !is_property(self.entry, &at) {
            at.truncate(at.rfind('/').unwrap_or(0).max(base.len()));
        }
        if self.entry.node(&at).is_none() {
            at = self.name.pointer();
        }
        self.entry.key_span(&at)
    }
}

/// True if the pointer names a property or a definition of a schema.
fn is_property(entry: &Entry, pointer: &str) -> bool {
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    let group = parent.rsplit('/').next().unwrap_or_default();
    ["properties", "$defs", "definitions"].contains(&group) && entry.node(parent).is_some()
}

fn refers_to_entities(schema: &Value) -> bool {
    match schema {
        Value::String(text) => text.starts_with("#/entities/"),
        Value::Array(items) => items.iter().any(refers_to_entities),
        Value::Object(map) => map.values().any(refers_to_entities),
        _ => false,
    }
}
