//! Templates: the functions and variables that their field allows, and the inputs that they read.

use super::inputs::{METHODS, OptionalInputs, owner, properties};
use super::settings::TrackedSettings;
use std::collections::BTreeSet;

use crate::catalog::Entry;
use crate::definition::schema_validator::{TemplateUse, ValueFormat, nearest, quoted_list};
use crate::template::{Analysis, FieldLocation, Problem, ProblemKind, analyse};
use crate::text::{Code, Finding, Node, Severity, Span, codes};

pub(super) fn check(entry: &Entry, settings: TrackedSettings<'_>, findings: &mut Vec<Finding>) {
    let mut optional = OptionalInputs::default();
    for template in &entry.facts.templates {
        let Some(node) = entry.node(&template.pointer) else { continue };
        let Some(text) = node.as_str() else { continue };
        if template.location == "host" {
            host_only(entry, node, text, settings, findings);
            continue;
        }
        let (site, host) = site(template, text);
        let analysis = analyse(text, site, host);
        let place = |range: std::ops::Range<usize>| TemplateText { entry, node }.span(range);
        for problem in &analysis.problems {
            findings.push(finding(problem, place(problem.range.clone())));
        }
        for secret in &analysis.secrets {
            settings.secret(&secret.name, place(secret.range.clone()), findings);
        }
        for variable in analysis.variables.iter().filter(|variable| !variable.has_default) {
            settings.variable(&variable.name, place(variable.range.clone()), findings);
        }
        reads(entry, template, node, &analysis, findings);
        optional.check(entry, template, node, &analysis, findings);
    }
    keys(entry, findings);
    for marked in entry.facts.formatted.iter().filter(|marked| marked.format == ValueFormat::NoTemplate) {
        literals(entry, &marked.pointer, findings);
    }
}

/// The text of a template in its file.
struct TemplateText<'a> {
    entry: &'a Entry,
    node: &'a Node,
}

impl TemplateText<'_> {
    /// The place of a range of the text.
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        self.entry.span(self.node.locate(self.entry.text(), range))
    }
}

/// The location of a template by its mark, and whether the template starts with a host.
fn site(template: &TemplateUse, text: &str) -> (FieldLocation, bool) {
    let site = FieldLocation::of_mark(template.location).unwrap_or(FieldLocation::Body);
    if matches!(template.location, "baseUrl" | "absoluteUrl") {
        return (site, true);
    }
    // The URL of a subscription obeys the same rule for hosts.
    let host = site == FieldLocation::Subscription && template.pointer.ends_with("/url") && text.contains("://");
    (site, host)
}

fn finding(problem: &Problem, span: Span) -> Finding {
    let code: &'static Code = match problem.kind {
        ProblemKind::Syntax => &codes::TEMPLATE_SYNTAX,
        ProblemKind::UnknownName => &codes::TEMPLATE_NAME,
        ProblemKind::UnknownFilter | ProblemKind::UnknownFunction | ProblemKind::UnknownTest => {
            &codes::TEMPLATE_FUNCTION
        }
        ProblemKind::NotHere => &codes::TEMPLATE_NOT_HERE,
        ProblemKind::SecretNotAllowed => &codes::SECRET_NOT_ALLOWED,
        ProblemKind::HostNotVariable => &codes::HOST_NOT_VARIABLE,
        ProblemKind::Forbidden => &codes::TEMPLATE_FORBIDDEN,
        ProblemKind::TooLarge => &codes::TEMPLATE_TOO_LARGE,
        ProblemKind::NotLiteral | ProblemKind::BadArguments => &codes::TEMPLATE_ARGUMENTS,
    };
    let usual = match problem.kind {
        ProblemKind::Syntax => "see `evenkeel explain EK0301` for the syntax",
        ProblemKind::TooLarge => {
            "build large bodies from a tree whose leaves are templates, or use fewer nested blocks"
        }
        ProblemKind::Forbidden => "write the content here instead of including it",
        ProblemKind::NotLiteral => "write the name in quotes, so that it can be checked before anything runs",
        ProblemKind::HostNotVariable => "use literal text and `get_variable('name')` in the host",
        ProblemKind::SecretNotAllowed => "secrets may be used in headers, query and auth only",
        _ => "see `evenkeel explain templates` for the names that templates may use",
    };
    Finding::new(code, span, problem.message.clone()).help(problem.help.clone().unwrap_or_else(|| usual.into()))
}

/// A host without a URL, such as that of a database. Checked as the host of a URL.
fn host_only(entry: &Entry, node: &Node, text: &str, settings: TrackedSettings<'_>, findings: &mut Vec<Finding>) {
    const PREFIX: &str = "https://";
    let analysis = analyse(&format!("{PREFIX}{text}/"), FieldLocation::Url, true);
    let place = |range: std::ops::Range<usize>| {
        let start = range.start.saturating_sub(PREFIX.len()).min(text.len());
        let end = range.end.saturating_sub(PREFIX.len()).min(text.len());
        TemplateText { entry, node }.span(start..end)
    };
    findings.extend(analysis.problems.iter().map(|problem| finding(problem, place(problem.range.clone()))));
    for variable in analysis.variables.iter().filter(|variable| !variable.has_default) {
        settings.variable(&variable.name, place(variable.range.clone()), findings);
    }
}

/// Reports fields of the input and of forms that a template reads and that are not declared.
fn reads(entry: &Entry, template: &TemplateUse, node: &Node, analysis: &Analysis, findings: &mut Vec<Finding>) {
    for (path, read) in &analysis.reads {
        let mut parts = path.split('.');
        let missing = match parts.next() {
            Some("input") => owner(entry, template).and_then(|owner| {
                let schema = entry.node(&format!("{owner}/input"))?;
                undeclared(schema, parts)
                    .map(|(field, declared, closed)| (field, declared, closed, "the input schema has"))
            }),
            Some("form") => form_fields(entry, template).and_then(|declared| {
                let field = parts.next().filter(|field| !declared.iter().any(|name| name == field))?;
                Some((field, declared, true, "the form has"))
            }),
            _ => None,
        };
        let Some((field, declared, closed, who)) = missing else { continue };
        let help = match nearest(field, declared.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}; correct the name, or declare it", quoted_list(&declared)),
        };
        let text = node.as_str().unwrap_or_default();
        // The field is a part of the path that is read.
        let within = text.get(read.clone()).and_then(|read| read.rfind(field));
        let range = within.map_or(read.clone(), |at| read.start + at..read.start + at + field.len());
        let message = format!("{who} no `{field}`");
        // A schema that refuses other fields guarantees that this one never exists.
        let severity = if closed { Severity::Error } else { Severity::Warning };
        let span = TemplateText { entry, node }.span(range);
        findings.push(Finding::new(&codes::TEMPLATE_INPUT, span, message).help(help).severity(severity));
    }
}

/// The first part of a path that a schema does not declare, with the names that it declares there, and whether it
/// refuses others.
fn undeclared<'a, 'p>(schema: &'a Node, parts: impl Iterator<Item = &'p str>) -> Option<(&'p str, Vec<&'a str>, bool)> {
    let mut schema = schema;
    for part in parts {
        let declared = properties(schema)?;
        if METHODS.contains(&part) {
            return None;
        }
        if !declared.contains(&part) {
            let closed = schema.get("additionalProperties").is_some();
            return Some((part, declared, closed));
        }
        schema = schema.get("properties")?.get(part)?;
    }
    None
}

/// Names of the fields of the form that holds a template.
fn form_fields<'a>(entry: &'a Entry, template: &TemplateUse) -> Option<Vec<&'a str>> {
    let form = template.pointer.strip_prefix("/spec/forms/")?.split('/').next()?;
    let fields = entry.node(&format!("/spec/forms/{form}/fields"))?;
    Some(fields.items().iter().filter_map(|field| field.get("name")?.as_str()).collect())
}

/// Reports templates in the keys of trees, which are literal. Keys of headers have a form of their own.
fn keys(entry: &Entry, findings: &mut Vec<Finding>) {
    let mut reported = BTreeSet::new();
    for template in entry.facts.templates.iter().filter(|template| template.location != "header") {
        let mut end = 0;
        for part in template.pointer.split('/').skip(1) {
            end += part.len() + 1;
            let pointer = &template.pointer[..end];
            if (part.contains("{{") || part.contains("{%")) && reported.insert(pointer) {
                findings.push(
                    Finding::new(&codes::TEMPLATE_IN_LITERAL, entry.key_span(pointer), "a key is not a template").help(
                        "write a literal key; a map with computed keys is one template: `\"{{ {input.key: 1} }}\"`",
                    ),
                );
            }
        }
    }
}

/// Reports template expressions in a field that is never rendered.
fn literals(entry: &Entry, pointer: &str, findings: &mut Vec<Finding>) {
    let Some(node) = entry.node(pointer) else { return };
    let mut stack = vec![node];
    while let Some(node) = stack.pop() {
        if node.as_str().is_some_and(|text| text.contains("{{")) {
            findings.push(
                Finding::new(&codes::TEMPLATE_IN_LITERAL, entry.span(node.span), "this field is not a template")
                    .help("it is used as it is; remove the braces"),
            );
        }
        stack.extend(node.items());
        stack.extend(node.entries().iter().map(|entry| &entry.value));
    }
}
