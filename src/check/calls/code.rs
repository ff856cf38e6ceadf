//! Calls in code: their arguments, and the parts of their outputs that the code reads.

use super::callee::{Callee, CalleeName};
use super::own_input::own_input;
use super::{outputs, report};
use crate::catalog::{CatalogView, Entry};
use crate::definition::json_schema::MisfitKind;
use crate::definition::{Id, Kind};
use crate::script::{ScriptArgument, ScriptCall, ScriptRead, WorkflowCall, camel};
use crate::text::{Finding, Span};

/// A function from ranges of a script to places.
type ScriptPlace<'a> = &'a dyn Fn((usize, usize)) -> Span;

/// Checks a call of an action that exists.
pub(in crate::check) fn action_call(
    entry: &Entry,
    connector: &Entry,
    action: &str,
    call: &ScriptCall,
    place: ScriptPlace<'_>,
    findings: &mut Vec<Finding>,
) {
    let name = CalleeName { id: connector.id.clone(), action: Some(action.to_owned()) };
    let callee = Callee::of(connector, name);
    argument(entry, &callee, &call.argument, call.action_at, place, findings);
    reads(&callee, &call.reads, place, findings);
}

/// Checks a call of a workflow. Returns false if there is no such workflow.
pub(in crate::check) fn workflow_call(
    catalog: CatalogView<'_>,
    entry: &Entry,
    call: &WorkflowCall,
    place: ScriptPlace<'_>,
    findings: &mut Vec<Finding>,
) -> bool {
    let found = catalog.find(Kind::Workflow, &call.workflow).or_else(|| {
        let mut all = catalog.of_kind(Kind::Workflow);
        all.find(|workflow| camel(&workflow.id.name) == call.workflow)
    });
    let Some(workflow) = found else { return false };
    let id = Id { kind: Kind::Workflow, name: workflow.id.name.clone() };
    let callee = Callee::of(workflow, CalleeName { id, action: None });
    argument(entry, &callee, &call.argument, call.workflow_at, place, findings);
    reads(&callee, &call.reads, place, findings);
    true
}

fn argument(
    entry: &Entry,
    callee: &Callee<'_>,
    argument: &ScriptArgument,
    name_at: (usize, usize),
    place: ScriptPlace<'_>,
    findings: &mut Vec<Finding>,
) {
    let input = argument.value.clone().resolved(&|path| own_input(entry, "", path, true));
    for misfit in callee.misfits(&input) {
        let at = match (misfit.pointer.rsplit_once('/'), misfit.kind) {
            // A missing field of the argument itself is a mistake of the call.
            (Some(("", _)), MisfitKind::Missing | MisfitKind::MissingInType) => name_at,
            _ => argument.place(&misfit.pointer),
        };
        findings.push(report::finding(callee, &misfit, place(at)));
    }
}

fn reads(callee: &Callee<'_>, reads: &[ScriptRead], place: ScriptPlace<'_>, findings: &mut Vec<Finding>) {
    let Some(schema) = callee.schema("output").filter(|_| !reads.is_empty()) else { return };
    for read in reads {
        let path: Vec<&str> = read.path.iter().map(String::as_str).collect();
        // What every object has, such as `toString`, is reported by no schema.
        let is_method = |name: &str| ["toString", "hasOwnProperty", "valueOf"].contains(&name);
        if let Some(undeclared) = schema.scope().undeclared(&path, &is_method) {
            let field = path.get(undeclared.at).copied().unwrap_or_default();
            // A missing field is `undefined` in code, which code may expect.
            findings.extend(outputs::finding(callee, &undeclared, field, place(read.at), false));
        }
    }
}
