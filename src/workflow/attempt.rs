//! One attempt of an execution: prepared, run, and released with its disposition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::clock::micros_of;
use super::dispatcher::Dispatcher;
use super::engine::{CancelReason, CancelToken, ScriptException, ScriptHost, ScriptLimits, ScriptOutcome, ScriptRun};
use super::execution::ActiveExecution;
use super::program::Program;
use super::release::Release;
use super::runtime_context::LiveEnvironment;
use super::{spans, steps};
use crate::connector::CallError;
use crate::store::Micros;
use crate::store::queue::{
    CommitResult, DeadLetter, DeadLetterReason, Disposition, Execution, ExecutionStatus, NewExecution, TriggeredBy,
    new_id,
};
use crate::telemetry::repetition;
use crate::text::Digest;

/// Maximum number of lease expirations of an execution. An execution that crashes its worker must not crash all of them.
const MAX_LEASE_EXPIRATIONS: i64 = 5;
/// Delay before an execution of an environment that is not live is requeued.
const NOT_LIVE_DELAY: Duration = Duration::from_millis(200);
/// The shortest and the longest time for which an execution of a refused tenant is held before it is tried again.
const HOLD_TIMES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));
/// Codes of errors that another attempt cannot fix.
const FINAL_CODES: [&str; 3] = ["INVALID_INPUT", "WORKER_LOST", "NOT_RUNNABLE"];

/// Runs a claimed execution until it ends, waits or is released. Returns the next executions of its ordering key or
/// concurrency group that this worker claimed in the same transaction.
pub(super) async fn execute(
    dispatcher: &Arc<Dispatcher>,
    execution: Execution,
    cancel: CancelToken,
    permit: OwnedSemaphorePermit,
    shutting_down: &AtomicBool,
) -> Vec<Execution> {
    let started = Instant::now();
    let Some(live) = dispatcher.environments().live(&execution.environment) else {
        // No generation is active in this process yet. Another process, or this one a little later, continues.
        tokio::time::sleep(NOT_LIVE_DELAY).await;
        let _ = dispatcher.commit(Release::new(Disposition::Requeue).into_change(&execution)).await;
        return Vec::new();
    };
    if let Some(refusal) = refused_tenant(dispatcher, &live, &execution) {
        hold(dispatcher, &execution, &refusal).await;
        return Vec::new();
    }
    let (active, outcome) = match prepare(dispatcher, &execution, &live, permit).await {
        Ok(active) => {
            let outcome = run(&active, &cancel).await;
            (Some(active), outcome)
        }
        Err(message) => (None, failed("NOT_RUNNABLE", message)),
    };
    let Some(disposition) = disposition(dispatcher, &execution, active.as_deref(), outcome, cancel.reason()) else {
        tracing::warn!(execution = execution.id, workflow = execution.workflow, "another worker has this execution");
        return Vec::new();
    };
    let ended = ended(dispatcher, &execution, &disposition);
    match (&ended, &disposition) {
        (Some(ended), _) => log_end(ended, started),
        (None, Disposition::Retry(at, error)) => log_retry(dispatcher, &execution, *at, error),
        (None, _) => {}
    }
    let program = active.as_ref().map(|active| Arc::clone(&active.program));
    let unsaved = active.as_ref().map(|active| active.take_unsaved()).unwrap_or_default();
    let (follow_ups, dead_letter) = consequences(dispatcher, &execution, program.as_deref(), &live, &disposition).await;
    // With a backlog, the next execution waits for its turn like the others.
    let claims_next = !execution.ordering_key.is_empty()
        && !dispatcher.admission.has_backlog()
        && !dispatcher.has_concurrency_quota(&execution.environment)
        && !shutting_down.load(Ordering::Relaxed);
    let release = Release {
        steps: unsaved.steps,
        logs: unsaved.logs,
        follow_ups,
        dead_letter,
        claim_next: claims_next.then(|| (dispatcher.settings().worker.clone(), dispatcher.lease())),
        ..Release::new(disposition)
    };
    match dispatcher.commit(release.into_change(&execution)).await {
        Ok(CommitResult::Stored(next)) => {
            if let Some(ended) = ended {
                spans::export_execution_span(&ended);
                dispatcher.environments().execution_ended(&ended.environment, ended.status.as_str());
                dispatcher.report_end(ended);
            }
            return next;
        }
        Ok(CommitResult::Refused(cause)) => fail_unstorable(dispatcher, &execution, &cause).await,
        Ok(_) => tracing::warn!(execution = execution.id, "another worker has this execution"),
        // Its lease expires, and a worker that can store it runs it again.
        Err(error) => {
            tracing::error!(execution = execution.id, error = error.to_string(), "storing the result failed");
        }
    }
    Vec::new()
}

/// The refusal of the tenant of an execution. Tests name tenants at will.
fn refused_tenant(dispatcher: &Dispatcher, live: &LiveEnvironment, execution: &Execution) -> Option<CallError> {
    live.runtime.tenant_refusal(&execution.tenant).filter(|_| !dispatcher.clock().is_virtual())
}

/// Holds an execution until its tenant may run again: it is tried again after a time that grows with its age.
async fn hold(dispatcher: &Arc<Dispatcher>, execution: &Execution, refusal: &CallError) {
    let now = dispatcher.now();
    let (shortest, longest) = (micros_of(HOLD_TIMES.0), micros_of(HOLD_TIMES.1));
    let time = (now.saturating_sub(execution.created_at) / 8).clamp(shortest, longest);
    let (environment, tenant) = (&execution.environment, &execution.tenant);
    if let Some(repetitions) = repetition::fault_occurred(&format!("tenant {environment} {tenant} held")) {
        let reason = &refusal.detail;
        tracing::info!(environment, tenant, reason, repetitions, "executions of a tenant are held");
    }
    let error = json!({"code": refusal.code.as_str(), "message": refusal.detail});
    let disposition = Disposition::Hold(now.saturating_add(time), error);
    if let Err(error) = dispatcher.commit(Release::new(disposition).into_change(execution)).await {
        tracing::error!(execution = execution.id, error = error.to_string(), "holding an execution failed");
    }
}

/// Loads the program and the recorded steps of an execution.
async fn prepare(
    dispatcher: &Arc<Dispatcher>,
    execution: &Execution,
    live: &LiveEnvironment,
    permit: OwnedSemaphorePermit,
) -> Result<Arc<ActiveExecution>, String> {
    let program = dispatcher.program(live, execution).await?;
    // The first claim has no recorded steps.
    let is_first_claim = execution.token == 1 && execution.attempt == 1 && execution.lease_expirations == 0;
    let steps = match is_first_claim {
        true => Vec::new(),
        false => dispatcher.store().steps(&execution.id).await.map_err(|error| error.to_string())?,
    };
    let deadline = match execution.deadline_at > 0 {
        true => execution.deadline_at,
        false => dispatcher.now().saturating_add(micros_of(program.timeout())),
    };
    let dispatcher = Arc::clone(dispatcher);
    let mut execution = execution.clone();
    execution.input = program.with_defaults(execution.input)?;
    let active = ActiveExecution::new(execution, program, live.clone(), dispatcher, steps, deadline, permit);
    Ok(Arc::new(active))
}

/// Runs an attempt unless it is already over.
async fn run(active: &Arc<ActiveExecution>, cancel: &CancelToken) -> ScriptOutcome {
    let execution = &active.record;
    if execution.lease_expirations > MAX_LEASE_EXPIRATIONS {
        return failed("WORKER_LOST", format!("its lease expired {} times while it ran", execution.lease_expirations));
    }
    if active.deadline <= active.dispatcher.now() {
        return ScriptOutcome::TimedOut;
    }
    if execution.cancel_requested {
        return ScriptOutcome::Cancelled;
    }
    if let Some(problem) = active.program.input_violations(&execution.input) {
        return failed("INVALID_INPUT", format!("the input does not match its schema: {problem}"));
    }
    match run_program(active, cancel.clone()).await {
        ScriptOutcome::Returned(output) => match active.program.output_violations(&output) {
            Some(problem) => failed("INVALID_OUTPUT", format!("the output does not match its schema: {problem}")),
            None => ScriptOutcome::Returned(active.masked(output)),
        },
        ScriptOutcome::Threw(exception) => ScriptOutcome::Threw(active.presentable(exception)),
        other => other,
    }
}

/// Runs the code or the steps of the program.
async fn run_program(active: &Arc<ActiveExecution>, cancel: CancelToken) -> ScriptOutcome {
    let dispatcher = &active.dispatcher;
    let left = u64::try_from(active.deadline.saturating_sub(dispatcher.now())).unwrap_or(0);
    let time = Duration::from_micros(left);
    let time = dispatcher.settings().max_real_time.map_or(time, |limit| limit.min(time));
    let limits = ScriptLimits { time, ..dispatcher.limits() };
    let Some(code) = &active.program.code else { return steps::run(active, limits, cancel).await };
    let seed = Digest::of(active.record.id.as_bytes()).bytes().first_chunk::<8>().copied().unwrap_or_default();
    let script = ScriptRun {
        file: active.program.file.clone(),
        code: Arc::clone(code),
        context: active.context(),
        // The same in each run of the code. A virtual clock has its own start.
        now: if dispatcher.clock().is_virtual() { dispatcher.now() } else { active.record.started_at.max(1) },
        seed: u64::from_be_bytes(seed),
    };
    let host: Arc<dyn ScriptHost> = Arc::clone(active) as Arc<dyn ScriptHost>;
    dispatcher.engine().run(script, limits, host, cancel).await
}

fn failed(code: &str, message: String) -> ScriptOutcome {
    ScriptOutcome::Threw(ScriptException::new(code, message))
}

/// The disposition of an execution after an attempt; `None` if another worker decides it.
fn disposition(
    dispatcher: &Dispatcher,
    execution: &Execution,
    active: Option<&ActiveExecution>,
    outcome: ScriptOutcome,
    reason: Option<CancelReason>,
) -> Option<Disposition> {
    let end = |status, error: ScriptException| Some(Disposition::Ended(status, Value::Null, error.to_value()));
    match outcome {
        ScriptOutcome::Returned(output) => Some(Disposition::Ended(ExecutionStatus::Completed, output, Value::Null)),
        ScriptOutcome::Suspended(until) => {
            let deadline = active.map_or(until, |active| active.deadline);
            Some(Disposition::Suspend(until.min(deadline), deadline))
        }
        ScriptOutcome::Threw(exception) => {
            let delay = active.and_then(|active| active.program.retry_delay(execution.attempt));
            match delay.filter(|_| !FINAL_CODES.contains(&exception.code.as_str())) {
                Some(delay) if dispatcher.clock().is_virtual() => {
                    dispatcher.clock().advance(micros_of(delay));
                    Some(Disposition::Retry(0, exception.to_value()))
                }
                Some(delay) => {
                    // Before a limit or quota has units left, another attempt would fail as well.
                    let requested = exception.details["retryAfter"].as_u64().map(Duration::from_secs);
                    let delay = requested.map_or(delay, |requested| delay.max(requested));
                    let at = dispatcher.now().saturating_add(micros_of(delay));
                    Some(Disposition::Retry(at, exception.to_value()))
                }
                None => end(ExecutionStatus::Failed, exception),
            }
        }
        ScriptOutcome::TimedOut => {
            let limit = active.map_or(Duration::ZERO, |active| active.program.timeout());
            let limit = crate::definition::common::Duration(limit);
            end(ExecutionStatus::TimedOut, ScriptException::new("TIMEOUT", format!("it took longer than {limit}")))
        }
        ScriptOutcome::Cancelled => match reason {
            Some(CancelReason::Shutdown) => Some(Disposition::Requeue),
            Some(CancelReason::LeaseLost) => None,
            Some(CancelReason::Cancelled) | None => {
                end(ExecutionStatus::Cancelled, ScriptException::new("CANCELLED", "it was cancelled while it ran"))
            }
        },
        ScriptOutcome::LeaseLost => None,
    }
}

/// The execution as it ended; `None` if it continues later.
fn ended(dispatcher: &Dispatcher, execution: &Execution, disposition: &Disposition) -> Option<Execution> {
    let Disposition::Ended(status, output, error) = disposition else { return None };
    Some(Execution {
        status: *status,
        output: output.clone(),
        error: error.clone(),
        finished_at: dispatcher.now(),
        ..execution.clone()
    })
}

/// Logs the end of an execution: failures with their code, reason and place, so that no further command is needed.
fn log_end(execution: &Execution, started: Instant) {
    macro_rules! log {
        ($level:ident, $message:literal $(, $field:ident)*) => {
            tracing::$level!(
                execution = execution.id,
                environment = execution.environment,
                workflow = execution.workflow,
                version = execution.version,
                generation = execution.generation,
                status = execution.status.as_str(),
                attempt = execution.attempt,
                ms = started.elapsed().as_micros() as f64 / 1000.0,
                trace = execution.trace,
                $($field,)*
                $message
            )
        };
    }
    let error = &execution.error;
    let (code, reason) = (error["code"].as_str(), error["message"].as_str());
    let place = place_of(error);
    match execution.status {
        ExecutionStatus::Failed | ExecutionStatus::TimedOut => log!(warn, "the execution failed", code, reason, place),
        ExecutionStatus::Cancelled => log!(info, "the execution was cancelled"),
        _ => log!(info, "the execution completed"),
    }
}

/// Logs a failed attempt that is followed by another one.
fn log_retry(dispatcher: &Dispatcher, execution: &Execution, at: Micros, error: &Value) {
    tracing::info!(
        execution = execution.id,
        environment = execution.environment,
        workflow = execution.workflow,
        attempt = execution.attempt,
        code = error["code"].as_str(),
        reason = error["message"].as_str(),
        place = place_of(error),
        retry_in_ms = at.saturating_sub(dispatcher.now()).max(0) / 1000,
        "the attempt failed and is repeated"
    );
}

/// `file:line:column` of an error; `None` if it has no place.
fn place_of(error: &Value) -> Option<String> {
    let file = error["file"].as_str().filter(|file| !file.is_empty())?;
    let numbers =
        [&error["line"], &error["column"]].into_iter().map_while(|number| number.as_u64().filter(|at| *at > 0));
    Some(numbers.fold(file.to_owned(), |place, number| format!("{place}:{number}")))
}

/// The consequences of a failed execution: the workflow for failures, and a dead letter.
async fn consequences(
    dispatcher: &Dispatcher,
    execution: &Execution,
    program: Option<&Program>,
    live: &LiveEnvironment,
    disposition: &Disposition,
) -> (Vec<NewExecution>, Option<DeadLetter>) {
    let Disposition::Ended(ExecutionStatus::Failed | ExecutionStatus::TimedOut, _, error) = disposition else {
        return (Vec::new(), None);
    };
    let mut follow_ups = Vec::new();
    let handler = program.and_then(|program| program.spec.on_failure.as_deref());
    let handler = handler.and_then(|name| live.programs.get(name)).filter(|next| next.name != execution.workflow);
    if let Some(handler) = handler {
        match dispatcher.new_execution(&execution.environment, live, handler).await {
            Ok(new) => follow_ups.push(NewExecution {
                tenant: execution.tenant.clone(),
                triggered_by: TriggeredBy::Workflow,
                source: execution.workflow.clone(),
                parent: execution.id.clone(),
                event: execution.event.clone(),
                input: json!({
                    "execution": execution.id, "workflow": execution.workflow, "error": error,
                    "input": execution.input,
                }),
                trace: spans::execution_traceparent(execution),
                ..new
            }),
            Err(error) => tracing::error!(
                execution = execution.id,
                error = error.to_string(),
                "starting the `onFailure` workflow failed"
            ),
        }
    }
    let was_triggered = matches!(execution.triggered_by, TriggeredBy::Webhook | TriggeredBy::AppEvent);
    let retention = dispatcher.environments().dead_letter_retention(&execution.environment, &execution.source);
    let dead_letter = retention.filter(|_| was_triggered).map(|retention| DeadLetter {
        id: new_id(),
        environment: execution.environment.clone(),
        trigger: execution.source.clone(),
        workflow: execution.workflow.clone(),
        event: execution.event.clone(),
        execution: execution.id.clone(),
        tenant: execution.tenant.clone(),
        reason: DeadLetterReason::Failed,
        message: error["message"].as_str().unwrap_or_default().to_owned(),
        payload: execution.input.clone(),
        headers: execution.headers.clone(),
        retention: micros_of(retention),
        ..DeadLetter::default()
    });
    (follow_ups, dead_letter)
}

/// Fails an execution whose result cannot be stored, such as a text with a zero byte on PostgreSQL.
async fn fail_unstorable(dispatcher: &Dispatcher, execution: &Execution, cause: &str) {
    let exception = ScriptException::new("UNSTORABLE", format!("cannot store the result: {cause}"));
    let disposition = Disposition::Ended(ExecutionStatus::Failed, Value::Null, exception.to_value());
    let change = Release::new(disposition).into_change(execution);
    if let Ok(CommitResult::Stored(_)) = dispatcher.commit(change).await {
        dispatcher.report_end(Execution {
            status: ExecutionStatus::Failed,
            error: exception.to_value(),
            ..execution.clone()
        });
    }
}
