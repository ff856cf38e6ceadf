//! The places of calls in a definition, which the plan names when a change breaks them.

use crate::catalog::Entry;
use crate::catalog::references::path_of;
use crate::check::calls::{CalleeName, callee_of, output_reads};
use crate::definition::schema_validator::{Reference, ReferenceKind};
use crate::definition::workflow::{Step, WorkflowTest};
use crate::definition::{Kind, Spec};
use crate::text::{Range, escaped};

/// A use of an action or a workflow, with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct CallPlace {
    pub(super) kind: CallKind,
    /// JSON pointer of the value in the document.
    pub(super) pointer: Box<str>,
    /// Path of the file from the root of the source.
    pub(super) path: Box<str>,
    /// The line, from 1; the first line of code.
    pub(super) line: u32,
}

/// The kind of a use.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CallKind {
    /// A reference to an action or workflow.
    Reference {
        /// The type of its target.
        to: ReferenceKind,
        /// The name as written.
        name: Box<str>,
    },
    /// Code in the document.
    Code,
    /// Code in the file at `path`.
    CodeFile,
    /// A read of a part of an output.
    Read(Box<CalleeName>, Box<[String]>),
    /// Simulated outputs in a test.
    SimulatedOutput(Box<CalleeName>),
    /// An expected call in a test. The pointer is that of its input.
    ExpectedCall(Box<CalleeName>),
}

impl CallPlace {
    /// The reference, without its position in the file.
    pub(super) fn reference(&self) -> Option<Reference> {
        let CallKind::Reference { to, name } = &self.kind else { return None };
        Some(Reference { to: *to, name: name.to_string(), pointer: self.pointer.to_string(), span: Range::default() })
    }
}

/// The uses of actions and workflows in a definition.
pub(super) fn call_places(entry: &Entry) -> Box<[CallPlace]> {
    if !matches!(entry.id.kind, Kind::Connector | Kind::Workflow | Kind::Trigger | Kind::Widget) {
        return Box::default();
    }
    let mut places = Vec::new();
    let mut add = |kind: CallKind, pointer: &str, (path, line): (&str, u32)| {
        places.push(CallPlace { kind, pointer: pointer.into(), path: path.into(), line });
    };
    for reference in &entry.facts.references {
        if callee_of(&entry.id, reference).is_some() {
            let kind = CallKind::Reference { to: reference.to, name: reference.name.as_str().into() };
            add(kind, &reference.pointer, entry.place_of(&reference.pointer));
        }
    }
    for (callee, path, range) in output_reads(entry) {
        add(CallKind::Read(Box::new(callee), path.into()), "", entry.source.line_of(range.start));
    }
    if let Some(Spec::Workflow(spec)) = entry.spec() {
        if spec.source.as_ref().is_some_and(|source| source.inline.is_some()) {
            add(CallKind::Code, "/spec/source/inline", first_line(entry, "/spec/source/inline"));
        }
        let file = entry.facts.references.iter().find(|reference| reference.pointer == "/spec/source/file");
        if let Some(path) = file.and_then(|reference| path_of(entry, reference)) {
            add(CallKind::CodeFile, "/spec/source/file", (path.as_str(), 1));
        }
        let mut code = Vec::new();
        code_steps(spec.steps.as_deref().unwrap_or_default(), "/spec/steps", &mut code);
        for pointer in &code {
            add(CallKind::Code, pointer, first_line(entry, pointer));
        }
        for (at, test) in spec.tests.iter().enumerate() {
            of_test(entry, test, &format!("/spec/tests/{at}"), &mut add);
        }
    }
    places.into()
}

/// A function that adds a use with its pointer, file and line.
type AddPlace<'a> = dyn FnMut(CallKind, &str, (&str, u32)) + 'a;

fn of_test(entry: &Entry, test: &WorkflowTest, base: &str, add: &mut AddPlace<'_>) {
    for action in test.actions.keys() {
        if let Some(callee) = CalleeName::action(action, &entry.id) {
            let pointer = format!("{base}/actions/{}", escaped(action));
            add(CallKind::SimulatedOutput(Box::new(callee)), &pointer, entry.place_of(&pointer));
        }
    }
    for (number, call) in test.expect_calls.iter().flatten().enumerate() {
        if let Some(callee) = CalleeName::action(&call.action, &entry.id) {
            let base = format!("{base}/expectCalls/{number}");
            add(
                CallKind::ExpectedCall(Box::new(callee)),
                &format!("{base}/input"),
                entry.place_of(&format!("{base}/action")),
            );
        }
    }
}

/// The file and line of the first line of a text.
fn first_line<'a>(entry: &'a Entry, pointer: &str) -> (&'a str, u32) {
    let Some(node) = entry.node(pointer) else { return entry.place() };
    entry.source.line_of(node.locate(entry.text(), 0..0).start)
}

/// The pointers of steps of code at any depth.
fn code_steps(steps: &[Step], pointer: &str, found: &mut Vec<String>) {
    for (at, step) in steps.iter().enumerate() {
        let base = format!("{pointer}/{at}");
        if step.code.is_some() {
            found.push(format!("{base}/code"));
        }
        if let Some(each) = &step.each {
            code_steps(&each.steps, &format!("{base}/loop/steps"), found);
        }
        for (name, steps) in step.parallel.iter().flatten() {
            code_steps(steps, &format!("{base}/parallel/{}", escaped(name)), found);
        }
        for (number, case) in step.switch.iter().flatten().enumerate() {
            code_steps(&case.steps, &format!("{base}/switch/{number}/steps"), found);
        }
    }
}
