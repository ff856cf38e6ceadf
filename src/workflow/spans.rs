//! Spans of executions and steps. Their ids are derived from the record, so that a trace stays connected across restarts
//! and processes.

use serde_json::Value;

use crate::store::queue::{Execution, ExecutionStatus, Step, StepKind, StepStatus};
use crate::telemetry::{Span, SpanKind, derived_child_traceparent};

/// The `traceparent` of work within an execution; empty if the execution has no trace.
pub(super) fn execution_traceparent(execution: &Execution) -> String {
    derived_child_traceparent(&execution.trace, &execution.id)
}

/// The `traceparent` of work within a step.
pub(super) fn step_traceparent(execution: &Execution, step: &str, within: Option<&str>) -> String {
    derived_child_traceparent(&parent_traceparent(execution, within), &seed(execution, step))
}

/// Exports the span of an ended execution.
pub(super) fn export_execution_span(execution: &Execution) {
    if execution.trace.is_empty() {
        return;
    }
    let name = format!("workflow {}", execution.workflow);
    let span = Span::derived_child(&execution.trace, &execution.id, SpanKind::Consumer, name);
    let began = if execution.started_at > 0 { execution.started_at } else { execution.created_at };
    let mut span = span.with_times(began, execution.finished_at);
    span.set("evenkeel.environment", execution.environment.clone());
    span.set("evenkeel.workflow", execution.workflow.clone());
    span.set("evenkeel.workflow.version", execution.version);
    span.set("evenkeel.workflow.tier", execution.tier.as_str());
    span.set("evenkeel.generation", execution.generation);
    span.set("evenkeel.execution", execution.id.clone());
    span.set("evenkeel.execution.status", execution.status.as_str());
    span.set("evenkeel.execution.attempt", execution.attempt);
    span.set("evenkeel.triggered_by", execution.triggered_by.as_str());
    for (name, value) in [
        ("evenkeel.trigger", &execution.source),
        ("evenkeel.event", &execution.event),
        ("evenkeel.tenant", &execution.tenant),
    ] {
        if !value.is_empty() {
            span.set(name, value.clone());
        }
    }
    if execution.status != ExecutionStatus::Completed {
        span.fail(error_code(&execution.error));
    }
}

/// Exports the span of an ended step. Waiting steps are skipped until they end.
pub(super) fn export_step_span(execution: &Execution, step: &Step, within: Option<&str>) {
    if execution.trace.is_empty() || step.status == StepStatus::Waiting {
        return;
    }
    let base = base_name(&step.name, within);
    let first_word = || base.split(' ').next().unwrap_or_default();
    let (name, is_named_by_author) = match step.kind {
        // The content of these calls may be personal data: paths of URLs, keys of state, times.
        StepKind::Sleep => ("sleep".to_owned(), false),
        kind @ (StepKind::Fetch | StepKind::State) => (format!("{kind} {}", first_word()), false),
        // Other steps are named by authors.
        _ => (base.to_owned(), true),
    };
    let span = Span::derived_child(
        &parent_traceparent(execution, within),
        &seed(execution, &step.name),
        SpanKind::Internal,
        name,
    );
    let mut span = span.with_times(step.started_at, step.finished_at);
    if is_named_by_author {
        span.set("evenkeel.step", step.name.clone());
    }
    span.set("evenkeel.step.kind", step.kind.as_str());
    span.set("evenkeel.execution", execution.id.clone());
    if step.status == StepStatus::Failed {
        span.fail(error_code(&step.error));
    }
}

fn error_code(error: &Value) -> &str {
    error["code"].as_str().filter(|code| !code.is_empty()).unwrap_or("FAILED")
}

/// The `traceparent` of the parent of a step: the step that contains it, or the execution.
fn parent_traceparent(execution: &Execution, within: Option<&str>) -> String {
    let outer = execution_traceparent(execution);
    within.map_or_else(|| outer.clone(), |step| derived_child_traceparent(&outer, &seed(execution, step)))
}

fn seed(execution: &Execution, step: &str) -> String {
    format!("{} {} {step}", execution.id, execution.attempt)
}

/// The name of a step without its number and digest, so that spans have few distinct names.
fn base_name<'a>(name: &'a str, within: Option<&str>) -> &'a str {
    let name = within.and_then(|step| name.strip_prefix(step)?.strip_prefix('/')).unwrap_or(name);
    let is_count = |text: &str| text.strip_prefix('#').is_some_and(|count| count.parse::<u32>().is_ok());
    let is_digest = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = name.rsplit_once(' ').filter(|(_, last)| is_count(last)).map_or(name, |(name, _)| name);
    name.rsplit_once(' ').filter(|(_, last)| is_digest(last)).map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_spans_have_neither_numbers_nor_digests() {
        for (name, within, expected) in [
            ("orbit-crm/create 1a2b3c4d", None, "orbit-crm/create"),
            ("orbit-crm/create 1a2b3c4d #12", None, "orbit-crm/create"),
            ("charge #2", None, "charge"),
            ("charge/pay/charge #3", Some("charge"), "pay/charge"),
            ("order #7/pay/charge", Some("order #7"), "pay/charge"),
            ("GET https://api.example/v1 0badcafe", None, "GET https://api.example/v1"),
            ("sleep 1000ms deadbeef", None, "sleep 1000ms"),
            ("take #one", None, "take #one"),
        ] {
            assert_eq!(base_name(name, within), expected);
        }
    }

    #[test]
    fn the_traceparent_of_a_step_is_derived_from_its_record() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
        let execution = Execution { id: "run-1".into(), attempt: 1, trace, ..Execution::default() };
        assert_eq!(step_traceparent(&execution, "charge", None), step_traceparent(&execution.clone(), "charge", None));
        assert_ne!(step_traceparent(&execution, "charge", None), step_traceparent(&execution, "ship", None));
        assert_ne!(
            step_traceparent(&execution, "charge", None),
            step_traceparent(&Execution { attempt: 2, ..execution.clone() }, "charge", None)
        );
        assert_eq!(step_traceparent(&Execution { trace: String::new(), ..execution }, "charge", None), "");
    }
}
