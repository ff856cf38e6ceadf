//! The types of `ctx`, for editors: a TypeScript declaration file made from a catalog.
//!
//! Everything is global, in `Ctx`, `WORKFLOWCtx` and the namespace `Evenkeel`: scripts import nothing.

mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use self::schema::{doc, fits_nothing, key, pad, quoted, type_of, type_of_value};
use crate::catalog::Catalog;
use crate::definition::action::Action;
use crate::definition::common::SchemaValue;
use crate::definition::connector::ConnectorSpec;
use crate::definition::json_schema::entity_schemas;
use crate::definition::workflow::WorkflowSpec;
use crate::definition::{Kind, Spec};
use crate::script::camel;

/// What does not depend on the definitions. The namespace in it is still open.
const FIXED: &str = include_str!("declarations/ctx.d.ts");

/// The declaration file of a catalog. The same definitions give the same text, whatever the order of their files.
pub fn declarations(catalog: &Catalog) -> String {
    let connectors = connectors(catalog);
    let workflows = workflows(catalog);
    let mut out = FIXED.to_owned();
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
        for (what, schema) in [("Input", &workflow.spec.input), ("Output", &workflow.spec.output)] {
            if let Some(schema) = schema {
                let text = type_of(&schema.0.value(), &|_| None, 1);
                let _ = writeln!(out, "\n  type {}Workflow{what} = {text};", workflow.types);
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
    /// In `ctx.connectors`.
    code: String,
    /// What the names of its types begin with.
    types: String,
}

/// A workflow with its names.
struct Workflow<'a> {
    name: &'a str,
    spec: &'a WorkflowSpec,
    code: String,
    types: String,
}

/// Names in code. Of two that are written alike, the one that is found when code runs has the short name: the one that
/// is written so itself, or the first; the other keeps its own.
fn codes<'a>(names: impl Iterator<Item = &'a str> + Clone) -> impl Iterator<Item = String> {
    let mut taken: BTreeSet<String> = names.clone().map(str::to_owned).collect();
    names.map(move |name| {
        let short = camel(name);
        if short != name && taken.insert(short.clone()) { short } else { name.to_owned() }
    })
}

/// Names of types, each once.
#[derive(Default)]
struct Names {
    types: BTreeSet<String>,
}

impl Names {
    fn types(&mut self, name: &str) -> String {
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
    let mut names = Names::default();
    let codes: Vec<String> = codes(found.keys().copied()).collect();
    let named = found.into_iter().zip(codes).map(|((name, spec), code)| {
        let types = names.types(name);
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
    let mut names = Names::default();
    let codes: Vec<String> = codes(found.keys().copied()).collect();
    let named = found.into_iter().zip(codes).map(|((name, spec), code)| {
        let types = names.types(name);
        (name, Workflow { name, spec, code, types })
    });
    named.collect()
}

/// May the argument be left out?
fn is_optional(schema: Option<&SchemaValue>) -> bool {
    schema.is_none_or(|schema| fits_nothing(&schema.0.value()))
}

fn union(names: &[String]) -> String {
    if names.is_empty() { "never".to_owned() } else { names.join(" | ") }
}

fn secrets(out: &mut String, workflows: &BTreeMap<&str, Workflow<'_>>) {
    let names: BTreeSet<&String> = workflows.values().flat_map(|workflow| &workflow.spec.secrets).collect();
    let names: Vec<String> = names.into_iter().map(|name| quoted(name)).collect();
    let _ = writeln!(out, "\n  /** Secrets that workflows declare. */\n  type SecretName = {};", union(&names));
}

/// What an action says of itself.
fn words(action: &Action) -> Vec<String> {
    let mut words: Vec<String> = action.title.iter().chain(&action.description).cloned().collect();
    words.extend(action.deprecated.iter().map(|instead| format!("@deprecated {instead}")));
    words
}

impl Connector<'_> {
    fn write(&self, out: &mut String) {
        let spec = self.spec;
        let mut names = Names::default();
        let named: Vec<(String, String, &Action)> = spec
            .actions
            .iter()
            .zip(codes(spec.actions.keys().map(String::as_str)))
            .map(|((name, action), code)| (code, names.types(name), &**action))
            .collect();
        let mut types = Names::default();
        let entities: BTreeMap<&str, String> =
            spec.entities.keys().map(|name| (name.as_str(), format!("{}Entity", types.types(name)))).collect();
        let entity = |name: &str| entities.get(name).map(|of| format!("{}.{of}", self.types));

        out.push('\n');
        let about = std::iter::once(&spec.display_name).chain(&spec.description).cloned().collect::<Vec<_>>();
        doc(out, &about, 1);
        let _ = writeln!(out, "  interface {}Connector {{", self.types);
        for (code, types, action) in &named {
            doc(out, &words(action), 2);
            let of = |schema: &Option<SchemaValue>, what: &str| match schema {
                Some(_) => format!("{}.{types}{what}", self.types),
                None => "unknown".to_owned(),
            };
            let optional = if is_optional(action.input.as_ref()) { "?" } else { "" };
            let (input, output) = (of(&action.input, "Input"), of(&action.output, "Output"));
            let _ =
                writeln!(out, "    {}(input{optional}: {input}, options?: CallOptions): Promise<{output}>;", key(code));
        }
        out.push_str("  }\n");

        let schemas = entity_schemas(&spec.entities);
        if schemas.is_empty() && named.iter().all(|(.., action)| action.input.is_none() && action.output.is_none()) {
            return;
        }
        let _ = writeln!(out, "\n  namespace {} {{", self.types);
        for (name, of) in &entities {
            let about = spec.entities.get(*name);
            let about = about.into_iter().flat_map(|one| one.title.iter().chain(&one.description)).cloned();
            doc(out, &about.collect::<Vec<_>>(), 2);
            let text = type_of(schemas.get(*name).unwrap_or(&Value::Null), &entity, 2);
            let _ = writeln!(out, "    type {of} = {text};");
        }
        for (_, types, action) in &named {
            for (what, schema) in [("Input", &action.input), ("Output", &action.output)] {
                if let Some(schema) = schema {
                    let text = type_of(&schema.0.value(), &entity, 2);
                    let _ = writeln!(out, "    type {types}{what} = {text};");
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

    /// The context of its code.
    fn context(&self, out: &mut String, connectors: &BTreeMap<&str, Connector<'_>>) {
        let spec = self.spec;
        out.push('\n');
        let mut about = vec![format!("What the code of the workflow `{}` is given.", self.name)];
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

    /// Those that it declares under their names, and all others.
    fn connectors(&self, connectors: &BTreeMap<&str, Connector<'_>>) -> String {
        let mut own = String::new();
        let mut taken = Vec::new();
        for (alias, used) in &self.spec.connectors {
            let Some(connector) = connectors.get(used.connector.as_str()) else { continue };
            let whole = format!("Evenkeel.{}Connector", connector.types);
            let names = connector.spec.actions.keys();
            let named = names.clone().zip(codes(names.map(String::as_str)));
            let picked = named.filter(|(name, _)| used.actions.contains(name)).map(|(_, code)| quoted(&code));
            let picked: Vec<String> = picked.collect();
            let of = if used.actions.is_empty() { whole } else { format!("Pick<{whole}, {}>", union(&picked)) };
            let _ = write!(own, "\n{}readonly {}: {of};", pad(2), key(alias));
            taken.push(quoted(alias));
        }
        if taken.is_empty() {
            return "Evenkeel.Connectors".to_owned();
        }
        // A name that it declares stands for what it says, also where a connector has the same.
        format!("Omit<Evenkeel.Connectors, {}> & {{{own}\n  }}", union(&taken))
    }
}

#[cfg(test)]
mod tests;
