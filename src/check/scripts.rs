//! The code of workflows: its syntax, its exports, and the actions that it calls.

use std::collections::BTreeSet;

use crate::catalog::references::path_of;
use crate::catalog::{CatalogView, Entry};
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::definition::workflow::{Step, WorkflowSpec};
use crate::definition::{Kind, Spec};
use crate::script::{Script, ScriptCall, ScriptError, camel, read_script, read_script_body};
use crate::text::{Finding, Node, Range, Span, codes, escaped};

/// Maximum number of reported errors of one script.
const MAX_ERRORS: usize = 20;

pub(super) fn check(catalog: CatalogView<'_>, entry: &Entry, findings: &mut Vec<Finding>) {
    let Some(Spec::Workflow(spec)) = entry.spec() else { return };
    if let Some(source) = &spec.source {
        if source.inline.is_some() {
            if let Some((text, place)) = written(entry, "/spec/source/inline") {
                module(catalog, entry, spec, read_script(text), &place, findings);
            }
        } else {
            file(catalog, entry, spec, findings);
        }
    }
    if let Some(steps) = &spec.steps {
        bodies(catalog, entry, spec, steps, "/spec/steps", findings);
    }
}

/// A text of the document, and a function from ranges of its bytes to places.
#[allow(clippy::type_complexity, reason = "a text and a function of it")]
fn written<'a>(entry: &'a Entry, pointer: &str) -> Option<(&'a str, impl Fn((usize, usize)) -> Span + 'a)> {
    let node: &Node = entry.node(pointer)?;
    let text = node.as_str()?;
    Some((text, move |(start, end): (usize, usize)| {
        let end = end.max(start).min(text.len());
        entry.span(node.locate(entry.text(), start.min(end)..end))
    }))
}

fn file(catalog: CatalogView<'_>, entry: &Entry, spec: &WorkflowSpec, findings: &mut Vec<Finding>) {
    let reference = entry.facts.references.iter().find(|reference| reference.pointer == "/spec/source/file");
    let Some(path) = reference.and_then(|reference| path_of(entry, reference)) else { return };
    // A missing file is reported by the check of references. The content of an existing file may be unknown.
    let Some(file) = catalog.code_of(&path) else { return };
    let place = |(start, end): (usize, usize)| {
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Range { start: short(start), end: short(end.max(start)) }.within(file.id)
    };
    if !file.is_text {
        let message = format!("`{path}` is not UTF-8 text");
        findings.push(Finding::new(&codes::ENCODING, place((0, 0)), message).help("save the file as UTF-8"));
        return;
    }
    module(catalog, entry, spec, read_script(file.source.text()), &place, findings);
}

/// Checks the source of a workflow, which is a module.
fn module(
    catalog: CatalogView<'_>,
    entry: &Entry,
    spec: &WorkflowSpec,
    read: Result<Script, Vec<ScriptError>>,
    place: &dyn Fn((usize, usize)) -> Span,
    findings: &mut Vec<Finding>,
) {
    let script = match read {
        Ok(script) => script,
        Err(errors) => return mistakes(&errors, place, findings),
    };
    for (name, at) in script.imports.iter().take(MAX_ERRORS) {
        let span = place((*at, *at + "import".len()));
        let message = format!("`{name}` cannot be imported: a script is one file");
        findings.push(
            Finding::new(&codes::SCRIPT_IMPORT, span, message)
                .help("write what it needs into the file, or use `import type` where only types are needed"),
        );
    }
    if !script.exports_default {
        let message = "the script has no `export default`, so there is nothing to run";
        findings.push(
            Finding::new(&codes::SCRIPT_EXPORT, place((0, 0)), message)
                .help("write `export default async function (ctx) { … }`"),
        );
    }
    calls(catalog, entry, spec, &script, place, findings);
}

/// Checks steps of code at any depth.
fn bodies(
    catalog: CatalogView<'_>,
    entry: &Entry,
    spec: &WorkflowSpec,
    steps: &[Step],
    pointer: &str,
    findings: &mut Vec<Finding>,
) {
    for (at, step) in steps.iter().enumerate() {
        let base = format!("{pointer}/{at}");
        if step.code.is_some()
            && let Some((text, place)) = written(entry, &format!("{base}/code"))
        {
            match read_script_body(text) {
                Ok(script) => calls(catalog, entry, spec, &script, &place, findings),
                Err(errors) => mistakes(&errors, &place, findings),
            }
        }
        if let Some(each) = &step.each {
            bodies(catalog, entry, spec, &each.steps, &format!("{base}/loop/steps"), findings);
        }
        for (name, steps) in step.parallel.iter().flatten() {
            bodies(catalog, entry, spec, steps, &format!("{base}/parallel/{}", escaped(name)), findings);
        }
        for (number, case) in step.switch.iter().flatten().enumerate() {
            bodies(catalog, entry, spec, &case.steps, &format!("{base}/switch/{number}/steps"), findings);
        }
    }
}

fn mistakes(errors: &[ScriptError], place: &dyn Fn((usize, usize)) -> Span, findings: &mut Vec<Finding>) {
    for error in errors.iter().take(MAX_ERRORS) {
        // Parser messages start with a capital and end with a full stop, findings do not.
        let message = error.message.trim().trim_end_matches('.');
        let mut letters = message.chars();
        let second = letters.clone().nth(1).is_some_and(char::is_lowercase);
        let message = match letters.next() {
            Some(first) if second => first.to_lowercase().chain(letters).collect(),
            _ => message.to_owned(),
        };
        findings.push(
            Finding::new(&codes::SCRIPT_SYNTAX, place(error.at), message)
                .help("correct the code; of TypeScript, types are understood, and `enum` and `namespace` are not"),
        );
    }
}

/// Reports calls of actions and workflows that do not exist, that the workflow does not declare, or whose input the callee
/// refuses.
fn calls(
    catalog: CatalogView<'_>,
    entry: &Entry,
    spec: &WorkflowSpec,
    script: &Script,
    place: &dyn Fn((usize, usize)) -> Span,
    findings: &mut Vec<Finding>,
) {
    for call in &script.workflow_calls {
        let exists = super::calls::workflow_call(catalog, entry, call, place, findings);
        if !exists && !may_be_elsewhere(catalog, &call.workflow) {
            let names = catalog.of_kind(Kind::Workflow).map(|workflow| camel(&workflow.id.name));
            let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
            let message = format!("there is no workflow `{}`", call.workflow);
            let span = place(call.workflow_at);
            findings
                .push(Finding::new(&codes::UNKNOWN_REFERENCE, span, message).help(suggestion(&call.workflow, &names)));
        }
    }
    for call in &script.calls {
        let used = spec.connectors.get(&call.connector);
        let name = match used {
            // A missing connector is reported at the declaration.
            Some(used) => Some(used.connector.clone()),
            None => find(catalog, &call.connector),
        };
        let Some(name) = name else {
            if call.of_context && !may_be_elsewhere(catalog, &call.connector) {
                findings.push(unknown_connector(catalog, spec, call, place(call.connector_at)));
            }
            continue;
        };
        let Some(connector) = catalog.find(Kind::Connector, &name) else { continue };
        // From the document, as a connector with errors has actions too.
        let actions = connector.node("/spec/actions").map_or(&[][..], Node::entries);
        let names = || actions.iter().map(|action| &*action.key.name);
        let exact = names().find(|action| *action == call.action);
        let Some(action) = exact.or_else(|| names().find(|action| camel(action) == call.action)) else {
            if !call.of_context {
                continue;
            }
            let in_code: Vec<String> = names().map(camel).collect();
            let message = format!("connector `{name}` has no action `{}`", call.action);
            let span = place(call.action_at);
            findings
                .push(Finding::new(&codes::UNKNOWN_REFERENCE, span, message).help(suggestion(&call.action, &in_code)));
            continue;
        };
        if call.of_context {
            super::calls::action_call(entry, connector, action, call, place, findings);
        }
        if let Some(used) = used.filter(|used| !used.actions.is_empty() && !used.actions.iter().any(|a| a == action)) {
            let declared = format!("/spec/connectors/{}/actions", escaped(&call.connector));
            let message = format!("`{action}` is not among the actions of `{name}` that this workflow says it calls");
            findings.push(
                Finding::new(&codes::SCRIPT_ACTION, place(call.action_at), message)
                    .also(entry.key_span(&declared), format!("{} only", quoted_list(&used.actions)))
                    .help(format!("add `{action}` to `connectors.{}.actions`", call.connector)),
            );
        }
    }
}

/// The name of the connector that code refers to.
fn find(catalog: CatalogView<'_>, name: &str) -> Option<String> {
    if catalog.find(Kind::Connector, name).is_some() {
        return Some(name.to_owned());
    }
    let found = catalog.of_kind(Kind::Connector).find(|connector| camel(&connector.id.name) == name);
    found.map(|connector| connector.id.name.clone())
}

/// True if the connector may be in a file that is not loaded, or in a document that cannot be read.
fn may_be_elsewhere(catalog: CatalogView<'_>, name: &str) -> bool {
    let mut hyphenated = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_uppercase() {
            hyphenated.push('-');
        }
        hyphenated.extend(letter.to_lowercase());
    }
    catalog.is_alone() || catalog.is_nameless(name) || catalog.is_nameless(&hyphenated)
}

fn unknown_connector(catalog: CatalogView<'_>, spec: &WorkflowSpec, call: &ScriptCall, span: Span) -> Finding {
    let names = catalog.of_kind(Kind::Connector).map(|connector| camel(&connector.id.name));
    let names: BTreeSet<String> =
        names.chain(spec.connectors.keys().cloned()).filter(|name| !name.is_empty()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let message = format!("there is no connector `{}`", call.connector);
    Finding::new(&codes::UNKNOWN_REFERENCE, span, message).help(suggestion(&call.connector, &names))
}

/// A suggestion to correct a name.
fn suggestion(name: &str, candidates: &[String]) -> String {
    match nearest(name, candidates.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if candidates.is_empty() => "there are none; define it".to_owned(),
        None if candidates.len() <= 12 => format!("there are {}", quoted_list(candidates)),
        None => "define it, or correct the name".to_owned(),
    }
}
