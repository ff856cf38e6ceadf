//! Calls that wait: for the time, for a signal from outside, and for another workflow.

use std::time::Duration;

use serde_json::{Value, json};

use super::engine::HostReply;
use super::execution::{ActiveExecution, StepKey, StepValues, micros_of_ms, store_error};
use super::execution_quota::{CountedExecutions, EXECUTIONS_PER_DAY};
use super::journal::JournalEntry;
use super::mask::shortened;
use super::program::{Program, camel};
use super::spans;
use crate::store::Micros;
use crate::store::queue::{ExecutionStatus, NewExecution, SignalKind, Step, StepKind, StepStatus, TriggeredBy, new_id};

/// Maximum duration of a sleep during which the execution stays in memory.
const SHORT_SLEEP: Micros = 2_000_000;
/// Maximum depth of workflows that run workflows.
const MAX_DEPTH: usize = 8;
/// Maximum size of the recorded question of an approval, in bytes.
const MAX_QUESTION_BYTES: usize = 8 << 10;
/// Interval at which an execution that waits in memory reads its signals.
const SIGNAL_POLL_INTERVAL: Duration = Duration::from_millis(50);

impl ActiveExecution {
    pub(super) async fn sleep(&self, ms: f64) -> HostReply {
        let entry = self.lock().journal.ask_outside(&format!("sleep {ms}ms"), &json!(ms));
        let now = self.dispatcher.now();
        let (name, order, until, started_at) = match entry {
            JournalEntry::Completed(_, at) => return HostReply::Value(Value::Null, at),
            JournalEntry::Failed(error) => return HostReply::Error(error, now),
            JournalEntry::Waiting(step) => (step.name, step.order, step.finished_at, step.started_at),
            JournalEntry::New { name, order, .. } => (name, order, now.saturating_add(micros_of_ms(ms)), now),
        };
        let clock = self.dispatcher.clock();
        let stays_in_memory = !self.is_durable() || clock.is_virtual() || until.saturating_sub(now) <= SHORT_SLEEP;
        let key = StepKey { name: &name, kind: StepKind::Sleep, order };
        let values = StepValues { input: json!({"ms": ms}), ..StepValues::default() };
        if !stays_in_memory {
            let step = self.step(key, StepStatus::Waiting, values, started_at, until);
            return self.save_step(step, None).await.unwrap_or(HostReply::Suspended(until));
        }
        clock.sleep_until(until).await;
        let step = self.step(key, StepStatus::Completed, values, started_at, until);
        self.save_step(step, None).await.unwrap_or(HostReply::Value(Value::Null, until))
    }

    /// Waits for a signal: an event, or the answer to a question.
    pub(super) async fn wait_for_signal(
        &self,
        signal: SignalKind,
        name: &str,
        timeout: Option<f64>,
        question: Value,
        roles: &[String],
    ) -> HostReply {
        let kind = match signal {
            SignalKind::Event => StepKind::Event,
            SignalKind::Approval => StepKind::Approval,
        };
        let now = self.dispatcher.now();
        let (signal_name, entry) = (name, self.lock().journal.wait(&signal.step_name(name)));
        let limit = timeout.map_or(self.deadline, |ms| now.saturating_add(micros_of_ms(ms)));
        match entry {
            JournalEntry::Completed(output, at) => HostReply::Value(output, at),
            JournalEntry::Failed(error) => HostReply::Error(error, now),
            JournalEntry::Waiting(step) => self.receive_signal(*step).await,
            JournalEntry::New { name, order, .. } => {
                // Who may answer is read from here, so the question must not make the record too long to be kept whole.
                let question = shortened(self.masked(question), MAX_QUESTION_BYTES);
                let mut input = json!({"question": question});
                if !roles.is_empty() {
                    input["roles"] = json!(roles);
                }
                let values = StepValues { input, ..StepValues::default() };
                let step = self.step(StepKey { name: &name, kind, order }, StepStatus::Waiting, values, now, limit);
                if let Some(reply) = self.save_step(step.clone(), None).await {
                    return reply;
                }
                if !self.dispatcher.clock().is_virtual() {
                    tracing::info!(
                        execution = self.record.id,
                        environment = self.record.environment,
                        workflow = self.record.workflow,
                        signal = signal.as_str(),
                        name = signal_name,
                        "the execution waits for a signal"
                    );
                }
                self.receive_signal(step).await
            }
        }
    }

    /// Receives the signal of a waiting step, or suspends the execution.
    async fn receive_signal(&self, mut step: Step) -> HostReply {
        loop {
            let now = self.dispatcher.now();
            // Each attempt starts a child of its own, and receives the signal of that child only.
            let name = match step.kind {
                StepKind::Workflow => format!("{} @{}", step.name, step.attempt),
                _ => step.name.clone(),
            };
            let signal = match self.dispatcher.store().received_signal(&self.record.id, &name).await {
                Ok(signal) => signal,
                Err(error) => return HostReply::Error(store_error(&error), now),
            };
            let until = step.finished_at;
            match signal {
                Some(signal) => {
                    let (output, error) = match step.kind {
                        StepKind::Workflow if signal["status"] == ExecutionStatus::Completed.as_str() => {
                            (signal["output"].clone(), Value::Null)
                        }
                        StepKind::Workflow => (Value::Null, signal["error"].clone()),
                        _ => (signal, Value::Null),
                    };
                    step.finished_at = now;
                    step.status = if error.is_null() { StepStatus::Completed } else { StepStatus::Failed };
                    step.attempt = self.record.attempt;
                    (step.output, step.error) = (output.clone(), error.clone());
                    let reply = match error.is_null() {
                        true => HostReply::Value(output, now),
                        false => HostReply::Error(error, now),
                    };
                    return self.save_step(step, None).await.unwrap_or(reply);
                }
                None if now >= until => {
                    let message = format!("`{}` received no signal in time", step.name);
                    let error = json!({"code": "WAIT_TIMEOUT", "message": message});
                    (step.status, step.error, step.attempt) = (StepStatus::Failed, error.clone(), self.record.attempt);
                    return self.save_step(step, None).await.unwrap_or(HostReply::Error(error, now));
                }
                // With a virtual clock no other signal arrives, so the wait times out.
                None if self.dispatcher.clock().is_virtual() && step.kind != StepKind::Workflow => {
                    self.dispatcher.clock().sleep_until(until).await;
                }
                None if self.is_durable() && !self.dispatcher.clock().is_virtual() => {
                    return HostReply::Suspended(until);
                }
                None => {
                    self.free_permit();
                    self.dispatcher.wait_for_change(SIGNAL_POLL_INTERVAL).await;
                }
            }
        }
    }

    /// Runs another workflow and waits for its output.
    pub(super) async fn run_child(&self, workflow: &str, input: Value) -> HostReply {
        let now = self.dispatcher.now();
        let program = match self.find_workflow(workflow) {
            Ok(program) => program,
            Err(error) => return HostReply::Error(error, now),
        };
        let question = json!({"workflow": workflow, "input": input});
        let entry = self.lock().journal.ask_outside(&format!("workflow {}", program.name), &question);
        let (name, order) = match entry {
            JournalEntry::Completed(output, at) => return HostReply::Value(output, at),
            JournalEntry::Failed(error) => return HostReply::Error(error, now),
            JournalEntry::Waiting(step) => return self.receive_signal(*step).await,
            JournalEntry::New { name, order, .. } => (name, order),
        };
        let depth = self.record.headers.get("x-evenkeel-depth").and_then(Value::as_str);
        let depth: usize = depth.and_then(|depth| depth.parse().ok()).unwrap_or(0);
        if depth >= MAX_DEPTH {
            let message = format!("workflows run workflows more than {MAX_DEPTH} levels deep");
            return HostReply::Error(json!({"code": "TOO_DEEP", "message": message}), now);
        }
        let input = match program.with_defaults(input) {
            Ok(input) => input,
            Err(message) => return HostReply::Error(json!({"code": "INVALID_INPUT", "message": message}), now),
        };
        let new = match self.dispatcher.new_execution(&self.record.environment, &self.live, program).await {
            Ok(new) => new,
            Err(error) => return HostReply::Error(store_error(&error), now),
        };
        let child = NewExecution {
            id: new_id(),
            tenant: self.record.tenant.clone(),
            triggered_by: TriggeredBy::Workflow,
            source: self.record.workflow.clone(),
            event: self.record.event.clone(),
            parent: self.record.id.clone(),
            parent_signal: format!("{name} @{}", self.record.attempt),
            input: input.clone(),
            headers: json!({"x-evenkeel-depth": (depth + 1).to_string()}),
            trace: spans::step_traceparent(&self.record, &name, None),
            ..new
        };
        let values = StepValues { input: self.masked(input), ..StepValues::default() };
        let key = StepKey { name: &name, kind: StepKind::Workflow, order };
        let step = self.step(key, StepStatus::Waiting, values, now, self.deadline);
        let mut children = vec![child];
        let mut counted = CountedExecutions::default();
        match self.dispatcher.retain_within_quota(&mut children, &mut counted).await {
            Ok(None) => {}
            Ok(Some(refusal)) => {
                let retry_after = crate::connector::retry_after_seconds(refusal.retry_after);
                let message = format!("cannot start workflow `{}`: {refusal}", program.name);
                let error = json!({"code": EXECUTIONS_PER_DAY, "message": message, "retryAfter": retry_after});
                return HostReply::Error(error, now);
            }
            Err(error) => return HostReply::Error(store_error(&error), now),
        }
        // In one transaction, so that a crash neither loses the child nor starts it twice.
        if let Some(reply) = self.store_progress(vec![step.clone()], children).await {
            self.dispatcher.uncount_executions(counted);
            return reply;
        }
        self.dispatcher.wake();
        self.receive_signal(step).await
    }

    fn find_workflow(&self, workflow: &str) -> Result<&Program, Value> {
        let programs = &self.live.programs;
        let found =
            programs.get(workflow).or_else(|| programs.values().find(|program| camel(&program.name) == workflow));
        found.map(|program| &**program).ok_or_else(|| {
            let near = crate::definition::schema_validator::nearest(workflow, programs.keys().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            json!({"code": "UNKNOWN_WORKFLOW", "message": format!("there is no workflow `{workflow}`{near}")})
        })
    }
}
