//! Calls in the tests of workflows: that simulated outputs are possible, and that expected inputs are accepted.

use serde_json::Value;

use super::callee::{Callee, CalleeName};
use super::places::{existing, part};
use super::report::{self, Caller};
use crate::catalog::{CatalogView, Entry};
use crate::definition::Spec;
use crate::definition::json_schema::MisfitKind;
use crate::text::{Finding, PartialValue, codes};

pub(in crate::check) fn check(catalog: CatalogView<'_>, entry: &Entry, findings: &mut Vec<Finding>) {
    let Some(Spec::Workflow(spec)) = entry.spec() else { return };
    for (at, test) in spec.tests.iter().enumerate() {
        let base = format!("/spec/tests/{at}");
        for (action, outputs) in &test.actions {
            let Some(callee) = find(catalog, entry, action) else { continue };
            let Some(schema) = callee.schema("output") else { continue };
            for (number, output) in outputs.iter().enumerate() {
                let value = output.value();
                if value.get("$error").is_some() {
                    continue;
                }
                let pointer = format!("{base}/actions{}/{number}", part(action));
                for misfit in schema.scope().misfits(&PartialValue::of(&value)) {
                    if !misfit.kind.is_certain() {
                        continue;
                    }
                    let at = existing(entry, &pointer, &misfit.pointer);
                    let span = match misfit.kind {
                        MisfitKind::Refused => entry.key_span(&at),
                        _ => entry.value_span(&at),
                    };
                    let message = format!("{} never gives this output: {}", callee.name, misfit.message);
                    let help =
                        misfit.help.clone().unwrap_or_else(|| "correct the test, or the output schema".to_owned());
                    findings.push(
                        Finding::new(&codes::MOCK_OUTPUT, span, message)
                            .also(callee.declared_at("output", &misfit.schema), "declared here")
                            .help(help),
                    );
                }
            }
        }
        for (number, call) in test.expect_calls.iter().flatten().enumerate() {
            let Some(callee) = find(catalog, entry, &call.action) else { continue };
            let Some(input) = &call.input else { continue };
            let (reference, passed) =
                (format!("{base}/expectCalls/{number}/action"), format!("{base}/expectCalls/{number}/input"));
            let caller = Caller { entry, reference: &reference, passed: Some(&passed) };
            let value: Value = input.value();
            for misfit in callee.misfits(&PartialValue::of(&value)) {
                findings.push(report::finding(&callee, &misfit, caller.span(&misfit)));
            }
        }
    }
}

/// The action that a test names; `None` if it does not exist, which is reported by itself.
fn find<'a>(catalog: CatalogView<'a>, entry: &Entry, action: &str) -> Option<Callee<'a>> {
    Callee::find(catalog, &CalleeName::action(action, &entry.id)?)
}
