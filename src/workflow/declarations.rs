//! The types of `ctx` for editors: a TypeScript declaration file that is generated from a catalog.
//!
//! All types are global, in `Ctx`, `WORKFLOWCtx` and the namespace `Evenkeel`, since scripts import nothing.

mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use self::schema::{doc, is_fully_optional, key, pad, quoted, type_of, type_of_value};
use crate::catalog::Catalog;
use crate::definition::action::Action;
use crate::definition::common::SchemaValue;
use crate::definition::connector::ConnectorSpec;
use crate::definition::json_schema::entity_schemas;
use crate::definition::workflow::WorkflowSpec;
use crate::definition::{Kind, Spec};
use crate::script::camel;

/// The part that does not depend on the definitions. Its namespace is not closed.
const COMMON: &str = include_str!("declarations/ctx.d.ts");

/// The declaration file of a catalog. It does not depend on the order of files.
pub fn declarations(catalog: &Catalog) -> String {
    let connectors = connectors(catalog);
    let workflows = workflows(catalog);
    let mut out = COMMON.to_owned();
    secrets(&mut out, &workflows);
    out.push_str("\n  /** The connectors of these definitions. */\n  interface Connectors {\n");
    for connector in connectors.values() {
        doc(&mut out, std::slice::from_ref(&connector.spec.display_name), 2);
        let _ = writeln!(out, "    readonly {}: {}Connector;", key(&connector.code), connector.types);
    }
    out.push_str("  }\n\n  /** The workflows of these definitions. */\n  interface Workflows {\n");
    for workflow in workflows.values() {
        let spec = workflow.spec;
        let words = spec.display_name.iter().chain(&spec.description).cloned().collect::<Vec<_>>();
        doc(&mut out, &words, 2);
        let (input, output) = (workflow.input(), workflow.output());
        let optional = if is_optional(spec.input.as_ref()) { "?" } else { "" };
        let _ = writeln!(out, "    {}(input{optional}: {input}): Promise<{output}>;", key(&workflow.code));
    }
    out.push_str("  }\n");
    for workflow in workflows.values() {
        for (suffix, schema) in [("Input", &workflow.spec.input), ("Output", &workflow.spec.output)] {
            if let Some(schema) = schema {
                let text = type_of(&schema.0.value(), &|_| None, 1);
                let _ = writeln!(out, "\n  type {}Workflow{suffix} = {text};", workflow.types);
            }
        }
    }
    for connector in connectors.values() {
        connector.write(&mut out);
    }
    out.push_str("}\n");
    for workflow in workflows.values() {
        workflow.context(&mut out, &connectors);
    }
    out
}

/// A connector with its names.
struct Connector<'a> {
    spec: &'a ConnectorSpec,
    /// Its name in `ctx.connectors`.
    code: String,
    /// The prefix of the names of its types.
    types: String,
}

/// A workflow with its names.
struct Workflow<'a> {
    name: &'a str,
    spec: &'a WorkflowSpec,
    code: String,
    types: String,
}

/// Names in code, in camel case. If two names have the same camel case, the name that the runtime resolves has it: the one
/// that is identical to it, or else the first. The other keeps its own name.
fn code_names<'a>(names: impl Iterator<Item = &'a str> + Clone) -> impl Iterator<Item = String> {
    let mut used: BTreeSet<String> = names.clone().map(str::to_owned).collect();
    names.map(move |name| {
        let short = camel(name);
        if short != name && used.insert(short.clone()) { short } else { name.to_owned() }
    })
}

/// Allocated names of types.
#[derive(Default)]
struct TypeNames {
    types: BTreeSet<String>,
}

impl TypeNames {
    fn allocate(&mut self, name: &str) -> String {
        let mut letters = camel(name).chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        if let Some(first) = letters.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        if !letters.starts_with(|c: char| c.is_ascii_alphabetic()) {
            letters.insert(0, '_');
        }
        let numbered = (1..).map(|at| if at == 1 { letters.clone() } else { format!("{letters}_{at}") });
        let mut free = numbered.filter(|name| !self.types.contains(name));
        let name = free.next().unwrap_or_default();
        self.types.insert(name.clone());
        name
    }
}

fn connectors(catalog: &Catalog) -> BTreeMap<&str, Connector<'_>> {
    let mut found = BTreeMap::new();
    for entry in catalog.of_kind(Kind::Connector) {
        if let Some(Spec::Connector(spec)) = entry.spec() {
            found.entry(entry.id.name.as_str()).or_insert(&**spec);
        }
    }
    let mut names = TypeNames::default();
    let codes: Vec<String> = code_names(found.keys().copied()).collect();
    let named = found.into_iter().zip(codes).map(|((name, spec), code)| {
        let types = names.allocate(name);
        (name, Connector { spec, code, types })
    });
    named.collect()
}

fn workflows(catalog: &Catalog) -> BTreeMap<&str, Workflow<'_>> {
    let mut found = BTreeMap::new();
    for entry in catalog.of_kind(Kind::Workflow) {
        if let Some(Spec::Workflow(spec)) = entry.spec() {
            found.entry(entry.id.name.as_str()).or_insert(&**spec);
        }
    }
    let mut names = TypeNames::default();
    let codes: Vec<String> = code_names(found.keys().copied()).collect();
    let named = found.into_iter().zip(codes).map(|((name, spec), code)| {
        let types = names.allocate(name);
        (name, Workflow { name, spec, code, types })
    });
    named.collect()
}

/// True if the argument is optional.
fn is_optional(schema: Option<&SchemaValue>) -> bool {
    schema.is_none_or(|schema| is_fully_optional(&schema.0.value()))
}

fn union(names: &[String]) -> String {
    if names.is_empty() { "never".to_owned() } else { names.join(" | ") }
}

fn secrets(out: &mut String, workflows: &BTreeMap<&str, Workflow<'_>>) {
    let names: BTreeSet<&String> = workflows.values().flat_map(|workflow| &workflow.spec.secrets).collect();
    let names: Vec<String> = names.into_iter().map(|name| quoted(name)).collect();
    let _ = writeln!(out, "\n  /** Secrets that workflows declare. */\n  type SecretName = {};", union(&names));
}

/// The documentation of an action.
fn documentation(action: &Action) -> Vec<String> {
    let mut words: Vec<String> = action.title.iter().chain(&action.description).cloned().collect();
    words.extend(action.deprecated.iter().map(|instead| format!("@deprecated {instead}")));
    words
}

impl Connector<'_> {
    fn write(&self, out: &mut String) {
        let spec = self.spec;
        let mut names = TypeNames::default();
        let named: Vec<(String, String, &Action)> = spec
            .actions
            .iter()
            .zip(code_names(spec.actions.keys().map(String::as_str)))
            .map(|((name, action), code)| (code, names.allocate(name), &**action))
            .collect();
        let mut types = TypeNames::default();
        let entities: BTreeMap<&str, String> =
            spec.entities.keys().map(|name| (name.as_str(), format!("{}Entity", types.allocate(name)))).collect();
        let entity = |name: &str| entities.get(name).map(|entity| format!("{}.{entity}", self.types));

        out.push('\n');
        let about = std::iter::once(&spec.display_name).chain(&spec.description).cloned().collect::<Vec<_>>();
        doc(out, &about, 1);
        let _ = writeln!(out, "  interface {}Connector {{", self.types);
        for (code, types, action) in &named {
            doc(out, &documentation(action), 2);
            let type_name = |schema: &Option<SchemaValue>, suffix: &str| match schema {
                Some(_) => format!("{}.{types}{suffix}", self.types),
                None => "unknown".to_owned(),
            };
            let optional = if is_optional(action.input.as_ref()) { "?" } else { "" };
            let (input, output) = (type_name(&action.input, "Input"), type_name(&action.output, "Output"));
            let _ =
                writeln!(out, "    {}(input{optional}: {input}, options?: CallOptions): Promise<{output}>;", key(code));
        }
        out.push_str("  }\n");

        let schemas = entity_schemas(&spec.entities);
        if schemas.is_empty() && named.iter().all(|(.., action)| action.input.is_none() && action.output.is_none()) {
            return;
        }
        let _ = writeln!(out, "\n  namespace {} {{", self.types);
        for (name, type_name) in &entities {
            let about = spec.entities.get(*name);
            let about = about.into_iter().flat_map(|entity| entity.title.iter().chain(&entity.description)).cloned();
            doc(out, &about.collect::<Vec<_>>(), 2);
            let text = type_of(schemas.get(*name).unwrap_or(&Value::Null), &entity, 2);
            let _ = writeln!(out, "    type {type_name} = {text};");
        }
        for (_, types, action) in &named {
            for (suffix, schema) in [("Input", &action.input), ("Output", &action.output)] {
                if let Some(schema) = schema {
                    let text = type_of(&schema.0.value(), &entity, 2);
                    let _ = writeln!(out, "    type {types}{suffix} = {text};");
                }
            }
        }
        out.push_str("  }\n");
    }
}

impl Workflow<'_> {
    fn input(&self) -> String {
        if self.spec.input.is_some() { format!("{}WorkflowInput", self.types) } else { "unknown".to_owned() }
    }

    fn output(&self) -> String {
        if self.spec.output.is_some() { format!("{}WorkflowOutput", self.types) } else { "unknown".to_owned() }
    }

    /// Writes the type of its context.
    fn context(&self, out: &mut String, connectors: &BTreeMap<&str, Connector<'_>>) {
        let spec = self.spec;
        out.push('\n');
        let mut about = vec![format!("The context of the code of workflow `{}`.", self.name)];
        about.extend(spec.description.clone());
        doc(out, &about, 0);
        let input = match spec.input {
            Some(_) => format!("Evenkeel.{}", self.input()),
            None => "unknown".to_owned(),
        };
        let mut config = String::from("{");
        for (name, value) in &spec.config {
            let _ = write!(config, "\n{}readonly {}: {};", pad(2), key(name), type_of_value(&value.value(), 2));
        }
        config.push_str(if spec.config.is_empty() { "}" } else { "\n  }" });
        let names: BTreeSet<&String> = spec.secrets.iter().collect();
        let names: Vec<String> = names.into_iter().map(|name| quoted(name)).collect();
        let connectors = self.connectors(connectors);
        let arguments = [input, connectors, config, union(&names)].join(",\n  ");
        let _ = writeln!(out, "interface {}Ctx extends Ctx<\n  {arguments}\n> {{}}", self.types);
    }

    /// The type of its connectors: the declared ones under their names, and all others.
    fn connectors(&self, connectors: &BTreeMap<&str, Connector<'_>>) -> String {
        let mut declared = String::new();
        let mut hidden = Vec::new();
        for (alias, used) in &self.spec.connectors {
            let Some(connector) = connectors.get(used.connector.as_str()) else { continue };
            let whole = format!("Evenkeel.{}Connector", connector.types);
            let names = connector.spec.actions.keys();
            let named = names.clone().zip(code_names(names.map(String::as_str)));
            let picked = named.filter(|(name, _)| used.actions.contains(name)).map(|(_, code)| quoted(&code));
            let picked: Vec<String> = picked.collect();
            let selected = if used.actions.is_empty() { whole } else { format!("Pick<{whole}, {}>", union(&picked)) };
            let _ = write!(declared, "\n{}readonly {}: {selected};", pad(2), key(alias));
            hidden.push(quoted(alias));
        }
        if hidden.is_empty() {
            return "Evenkeel.Connectors".to_owned();
        }
        // A declared name hides a connector of the same name.
        format!("Omit<Evenkeel.Connectors, {}> & {{{declared}\n  }}", union(&hidden))
    }
}

#[cfg(test)]
mod tests;
