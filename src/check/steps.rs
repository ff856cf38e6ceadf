//! Steps: unique names, and results that exist when they are read.

use std::collections::BTreeSet;

use crate::catalog::Entry;
use crate::definition::Kind;
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::template::{FieldLocation, analyse};
use crate::text::{Finding, Node, Span, codes, escaped};

pub(super) fn check(entry: &Entry, findings: &mut Vec<Finding>) {
    match entry.id.kind {
        Kind::Workflow => check_list(entry, "/spec/steps", &BTreeSet::new(), false, findings),
        Kind::Connector => {
            for action in entry.node("/spec/actions").map_or(&[][..], Node::entries) {
                let pointer = format!("/spec/actions/{}/steps", action.key.name);
                if let Some(steps) = action.value.get("steps") {
                    check_list(entry, &pointer, &BTreeSet::new(), false, findings);
                    let names = steps.items().iter().filter_map(|step| step.get("name")?.as_str());
                    let done = names.map(str::to_owned).collect();
                    // The response of the action reads the results of all steps.
                    let base = format!("/spec/actions/{}/response", escaped(&action.key.name));
                    reads(entry, &base, &done, &[], true, findings);
                }
            }
        }
        _ => {}
    }
}

/// Checks a list of steps. `before` are the steps that have run when the first one starts.
fn check_list(entry: &Entry, pointer: &str, before: &BTreeSet<String>, in_loop: bool, findings: &mut Vec<Finding>) {
    let steps = entry.node(pointer).map_or(&[][..], Node::items);
    // Far above the limit, which is reported. Every step would be compared with every template.
    if steps.len() > 1000 {
        return;
    }
    let later: Vec<&str> = steps.iter().filter_map(|step| step.get("name")?.as_str()).collect();
    let mut done = before.clone();
    for (at, step) in steps.iter().enumerate() {
        let base = format!("{pointer}/{at}");
        reads(entry, &base, &done, &later, in_loop, findings);
        let inner = [format!("{base}/loop/steps")].into_iter();
        let cases = step.get("switch").map_or(&[][..], Node::items);
        let inner = inner.chain((0..cases.len()).map(|case| format!("{base}/switch/{case}/steps")));
        let branches = step.get("parallel").map_or(&[][..], Node::entries);
        let inner = inner.chain(branches.iter().map(|branch| format!("{base}/parallel/{}", escaped(&branch.key.name))));
        for pointer in inner {
            let in_loop = in_loop || pointer.ends_with("/loop/steps");
            check_list(entry, &pointer, &done, in_loop, findings);
        }
        let Some(name) = step.get("name").and_then(Node::as_str) else { continue };
        if !done.insert(name.to_owned()) {
            let message = format!("there are two steps named `{name}`");
            let span = entry.value_span(&format!("{base}/name"));
            findings.push(Finding::new(&codes::STEP_ORDER, span, message).help("give one of them another name"));
        }
    }
}

/// Reports templates of one step, without its inner steps, that read a result that does not exist yet.
fn reads(
    entry: &Entry,
    base: &str,
    done: &BTreeSet<String>,
    later: &[&str],
    in_loop: bool,
    findings: &mut Vec<Finding>,
) {
    let inner = ["/loop/steps", "/switch/", "/parallel/"];
    for template in &entry.facts.templates {
        let Some(rest) = template.pointer.strip_prefix(base).filter(|rest| rest.starts_with('/')) else { continue };
        if inner.iter().any(|inner| rest.starts_with(inner)) && !rest.ends_with("/when") {
            continue;
        }
        let Some(node) = entry.node(&template.pointer) else { continue };
        let text = node.as_str().unwrap_or_default();
        for (read, range) in &analyse(text, FieldLocation::Step, false).reads {
            if let root @ ("item" | "index") = read.split('.').next().unwrap_or(read)
                && !in_loop
            {
                let span = entry.span(node.locate(entry.text(), range.clone()));
                let message = format!("`{root}` is only there inside a loop");
                findings.push(
                    Finding::new(&codes::TEMPLATE_NOT_HERE, span, message).help("move the step into `loop.steps`"),
                );
            }
            let mut parts = read.split('.');
            let (Some("steps"), Some(name)) = (parts.next(), parts.next()) else { continue };
            if done.contains(name) {
                let span = entry.span(node.locate(entry.text(), range.clone()));
                findings.extend(parts.next().and_then(|field| unknown_result(entry.id.kind, read, name, field, span)));
                continue;
            }
            let span = entry.span(node.locate(entry.text(), range.clone()));
            let finding = if later.contains(&name) {
                let message = format!("step `{name}` has not run yet");
                Finding::new(&codes::STEP_ORDER, span, message).help("move it before this one")
            } else {
                let help = match nearest(name, done.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name a step that comes before this one".into(),
                };
                Finding::new(&codes::UNKNOWN_REFERENCE, span, format!("there is no step `{name}`")).help(help)
            };
            findings.push(finding);
        }
    }
}

/// The finding about a field that the result of a step does not have.
fn unknown_result(kind: Kind, read: &str, name: &str, field: &str, span: Span) -> Option<Finding> {
    let fields: &[&str] = match kind {
        Kind::Connector => &["output", "body", "status_code", "headers", "error"],
        _ => &["output", "body", "error"],
    };
    if fields.contains(&field) {
        return None;
    }
    let step = if name.contains('-') { format!("steps['{name}']") } else { format!("steps.{name}") };
    let rest = read.split('.').skip(2).collect::<Vec<_>>().join(".");
    let near = nearest(field, fields.iter().copied());
    let meant = match near {
        Some(near) => format!("{step}.{}", rest.replacen(field, near, 1)),
        // Other names for a result.
        None if ["json", "data", "result", "response", "value"].contains(&field) => {
            format!("{step}.{}", rest.replacen(field, "output", 1))
        }
        None => format!("{step}.output.{rest}"),
    };
    let message = format!("the result of step `{name}` has no `{field}`");
    let help = format!("did you mean `{meant}`? A result has {}", quoted_list(fields));
    Some(Finding::new(&codes::TEMPLATE_NAME, span, message).help(help))
}
