//! Fields of outputs that templates read.

use super::callee::{Callee, CalleeName};
use super::sites::{StepCallees, step_callees};
use crate::catalog::{CatalogView, Entry};
use crate::check::inputs::METHODS;
use crate::definition::Kind;
use crate::definition::json_schema::UndeclaredField;
use crate::definition::schema_validator::{TemplateUse, nearest, quoted_list};
use crate::template::{FieldLocation, analyse};
use crate::text::{Finding, Node, Range, Severity, Span, codes};

/// A part of an output that a template reads.
struct OutputRead<'a> {
    callee: CalleeName,
    fields: Vec<String>,
    node: &'a Node,
    /// The path in the text of the template.
    range: std::ops::Range<usize>,
    /// True if the template fails without the part.
    is_needed: bool,
}

pub(super) fn check(catalog: CatalogView<'_>, entry: &Entry, steps: &StepCallees, findings: &mut Vec<Finding>) {
    for read in reads(entry, steps) {
        let Some(callee) = Callee::find(catalog, &read.callee) else { continue };
        let Some(schema) = callee.schema("output") else { continue };
        let fields: Vec<&str> = read.fields.iter().map(String::as_str).collect();
        let is_method = |name: &str| METHODS.contains(&name);
        let Some(undeclared) = schema.scope().undeclared(&fields, &is_method) else { continue };
        let field = fields.get(undeclared.at).copied().unwrap_or_default();
        // The field is a part of the path that is read.
        let text = read.node.as_str().unwrap_or_default();
        let within = text.get(read.range.clone()).and_then(|path| path.rfind(field));
        let range = within.map_or(read.range.clone(), |at| {
            let start = read.range.start + at;
            start..start + field.len()
        });
        let span = entry.span(read.node.locate(entry.text(), range));
        findings.extend(finding(&callee, &undeclared, field, span, read.is_needed));
    }
}

/// The parts of outputs that the templates of a definition read: the callee, the names of the part, and its place in
/// the document.
pub(crate) fn output_reads(entry: &Entry) -> Vec<(CalleeName, Vec<String>, Range)> {
    let get = |pointer: &str| entry.node(pointer).map(Node::to_json);
    let steps = step_callees(&entry.id, &entry.facts.references, &get);
    let place = |read: OutputRead<'_>| {
        let at = read.node.locate(entry.text(), read.range.clone());
        (read.callee, read.fields, at)
    };
    reads(entry, &steps).into_iter().map(place).collect()
}

fn reads<'a>(entry: &'a Entry, steps: &StepCallees) -> Vec<OutputRead<'a>> {
    let mut reads = Vec::new();
    for template in &entry.facts.templates {
        let Some(node) = entry.node(&template.pointer) else { continue };
        let Some(text) = node.as_str() else { continue };
        let poll = poll_callee(entry, template);
        if poll.is_none() && (steps.is_empty() || !text.contains("steps")) {
            continue;
        }
        let location = FieldLocation::of_mark(template.location).unwrap_or(FieldLocation::Step);
        let analysis = analyse(text, location, false);
        for (path, range) in &analysis.reads {
            let parts: Vec<&str> = path.split('.').collect();
            let (callee, fields) = match (parts.as_slice(), &poll) {
                (["steps", name, "output" | "body", fields @ ..], _) => {
                    (steps.callee(&template.pointer, name).map(|step| step.callee.clone()), fields)
                }
                (["output", fields @ ..], Some(action)) => (Some(action.clone()), fields),
                _ => continue,
            };
            let Some(callee) = callee.filter(|_| !fields.is_empty()) else { continue };
            let is_needed = analysis.unguarded.contains_key(path);
            reads.push(OutputRead {
                callee,
                fields: fields.iter().map(|name| (*name).to_owned()).collect(),
                node,
                range: range.clone(),
                is_needed,
            });
        }
    }
    reads
}

/// The action whose output a template of a poll reads.
fn poll_callee(entry: &Entry, template: &TemplateUse) -> Option<CalleeName> {
    if entry.id.kind != Kind::Connector || !matches!(template.location, "pollOutput" | "pollRecord") {
        return None;
    }
    let (poll, _) = template.pointer.rsplit_once('/')?;
    CalleeName::action(entry.node(&format!("{poll}/action"))?.as_str()?, &entry.id)
}

/// The finding about a field that an output does not have. A schema that allows others is suspicious of misspellings only.
pub(super) fn finding(
    callee: &Callee<'_>,
    undeclared: &UndeclaredField<'_>,
    field: &str,
    span: Span,
    is_certain: bool,
) -> Option<Finding> {
    let near = nearest(field, undeclared.declared.iter().copied());
    if near.is_none() && !undeclared.is_closed {
        return None;
    }
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if undeclared.declared.len() > 12 => "correct the name, or declare the field in the output".to_owned(),
        None => format!("it has {}; correct the name, or declare the field", quoted_list(&undeclared.declared)),
    };
    let severity = if undeclared.is_closed && is_certain { Severity::Error } else { Severity::Warning };
    let message = format!("the output of {} has no `{field}`", callee.name);
    let finding = Finding::new(&codes::UNKNOWN_OUTPUT, span, message).severity(severity);
    Some(finding.also(callee.declared_at("output", ""), "declared here").help(help))
}
