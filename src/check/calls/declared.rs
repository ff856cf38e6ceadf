//! Calls in documents: steps, routes, schedules, widgets and polls.

use super::callee::Callee;
use super::outputs;
use super::own_input::own_input;
use super::places::value;
use super::report::{self, Caller};
use super::sites::{StepCallees, call_site, step_callees};
use crate::catalog::{CatalogView, Entry};
use crate::definition::Kind;
use crate::text::{Finding, PartialValue};

pub(in crate::check) fn check(catalog: CatalogView<'_>, entry: &Entry, findings: &mut Vec<Finding>) {
    if !matches!(entry.id.kind, Kind::Connector | Kind::Workflow | Kind::Trigger | Kind::Widget) {
        return;
    }
    let steps = step_callees(&entry.id, &entry.facts.references, &|pointer| value(entry, pointer));
    for reference in &entry.facts.references {
        let known = |root: &str, names: &[&str]| known_path(catalog, entry, &steps, &reference.pointer, root, names);
        let get = |pointer: &str| value(entry, pointer);
        let Some(site) = call_site(&entry.id, reference, &get, &known) else { continue };
        let Some(callee) = Callee::find(catalog, &site.callee) else { continue };
        let resolve = |path: &[String]| own_input(entry, &reference.pointer, path, false);
        let input = site.input.clone().resolved(&resolve);
        let caller = Caller { entry, reference: &site.reference, passed: site.passed_at.as_deref() };
        for misfit in callee.misfits(&input) {
            findings.push(report::finding(&callee, &misfit, caller.span(&misfit)));
        }
    }
    outputs::check(catalog, entry, &steps, findings);
}

/// The known part of the value at a path that a template of a step reads.
fn known_path(
    catalog: CatalogView<'_>,
    entry: &Entry,
    steps: &StepCallees,
    pointer: &str,
    root: &str,
    names: &[&str],
) -> PartialValue {
    match (root, names) {
        ("input", path) if matches!(entry.id.kind, Kind::Connector | Kind::Workflow) => {
            own_input(entry, pointer, &owned(path), false)
        }
        ("steps", [name, "output" | "body", path @ ..]) => {
            let called = steps.callee(pointer, name).filter(|step| !step.may_fail);
            let callee = called.and_then(|step| Callee::find(catalog, &step.callee));
            let output = callee.as_ref().and_then(|callee| callee.schema("output"));
            output.map_or(PartialValue::Unknown, |output| output.scope().value_at(&owned(path), false))
        }
        _ => PartialValue::Unknown,
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|name| (*name).to_owned()).collect()
}
