//! What traces show of executions. Ids are computed from the record, so that what happens after a restart, or in another
//! process, still hangs together.

use serde_json::Value;

use crate::store::queue::{Execution, ExecutionStatus, Step, StepKind, StepStatus};
use crate::telemetry::{Kind, Span, trace_of_known};

/// The trace of an execution, for what happens in it; empty where there is none.
pub(super) fn of_run(run: &Execution) -> String {
    trace_of_known(&run.trace, &run.id)
}

/// The trace of a step, for what happens in it.
pub(super) fn of_step(run: &Execution, step: &str, within: Option<&str>) -> String {
    trace_of_known(&above(run, within), &seed(run, step))
}

/// Tells of an execution that ended.
pub(super) fn tell_run(run: &Execution) {
    if run.trace.is_empty() {
        return;
    }
    let name = format!("workflow {}", run.workflow);
    let span = Span::known_below(&run.trace, &run.id, Kind::Consumer, name);
    let began = if run.started_at > 0 { run.started_at } else { run.created_at };
    let mut span = span.between(began, run.finished_at);
    span.set("evenkeel.environment", run.environment.clone());
    span.set("evenkeel.workflow", run.workflow.clone());
    span.set("evenkeel.workflow.version", run.version);
    span.set("evenkeel.workflow.tier", run.tier.as_str());
    span.set("evenkeel.generation", run.generation);
    span.set("evenkeel.execution", run.id.clone());
    span.set("evenkeel.execution.status", run.status.as_str());
    span.set("evenkeel.execution.attempt", run.attempt);
    span.set("evenkeel.triggered_by", run.triggered_by.as_str());
    for (name, value) in
        [("evenkeel.trigger", &run.source), ("evenkeel.event", &run.event), ("evenkeel.tenant", &run.tenant)]
    {
        if !value.is_empty() {
            span.set(name, value.clone());
        }
    }
    if run.status != ExecutionStatus::Completed {
        span.fail(code(&run.error));
    }
}

/// Tells of a step that ended; one that waits is told of when it ends.
pub(super) fn tell_step(run: &Execution, step: &Step, within: Option<&str>) {
    if run.trace.is_empty() || step.status == StepStatus::Waiting {
        return;
    }
    let spoken = spoken(&step.name, within);
    let first = || spoken.split(' ').next().unwrap_or_default();
    let (name, is_known) = match step.kind {
        // What is asked for by a script is anybody's data: paths of addresses, keys of state, times.
        StepKind::Sleep => ("sleep".to_owned(), false),
        kind @ (StepKind::Fetch | StepKind::State) => (format!("{kind} {}", first()), false),
        // The others are named by authors, and the name says what it is.
        _ => (spoken.to_owned(), true),
    };
    let span = Span::known_below(&above(run, within), &seed(run, &step.name), Kind::Internal, name);
    let mut span = span.between(step.started_at, step.finished_at);
    if is_known {
        span.set("evenkeel.step", step.name.clone());
    }
    span.set("evenkeel.step.kind", step.kind.as_str());
    span.set("evenkeel.execution", run.id.clone());
    if step.status == StepStatus::Failed {
        span.fail(code(&step.error));
    }
}

fn code(error: &Value) -> &str {
    error["code"].as_str().filter(|code| !code.is_empty()).unwrap_or("FAILED")
}

/// The trace that a step hangs below: the step that it is part of, or the execution.
fn above(run: &Execution, within: Option<&str>) -> String {
    let run_trace = of_run(run);
    within.map_or_else(|| run_trace.clone(), |step| trace_of_known(&run_trace, &seed(run, step)))
}

fn seed(run: &Execution, step: &str) -> String {
    format!("{} {} {step}", run.id, run.attempt)
}

/// A step's name without what tells it apart from others of its execution: names of spans are few.
fn spoken<'a>(name: &'a str, within: Option<&str>) -> &'a str {
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
    fn names_of_spans_are_few() {
        for (name, within, said) in [
            ("orbit-crm/create 1a2b3c4d", None, "orbit-crm/create"),
            ("orbit-crm/create 1a2b3c4d #12", None, "orbit-crm/create"),
            ("charge #2", None, "charge"),
            ("charge/pay/charge #3", Some("charge"), "pay/charge"),
            ("order #7/pay/charge", Some("order #7"), "pay/charge"),
            ("GET https://api.example/v1 0badcafe", None, "GET https://api.example/v1"),
            ("sleep 1000ms deadbeef", None, "sleep 1000ms"),
            ("take #one", None, "take #one"),
        ] {
            assert_eq!(spoken(name, within), said);
        }
    }

    #[test]
    fn the_trace_of_a_step_is_the_same_before_it_is_told_and_in_another_process() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
        let run = Execution { id: "run-1".into(), attempt: 1, trace, ..Execution::default() };
        assert_eq!(of_step(&run, "charge", None), of_step(&run.clone(), "charge", None));
        assert_ne!(of_step(&run, "charge", None), of_step(&run, "ship", None));
        assert_ne!(of_step(&run, "charge", None), of_step(&Execution { attempt: 2, ..run.clone() }, "charge", None));
        assert_eq!(of_step(&Execution { trace: String::new(), ..run }, "charge", None), "");
    }
}
