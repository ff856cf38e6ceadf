//! What an execution waits for: the time, a word from outside, another workflow.

use std::sync::PoisonError;
use std::time::Duration;

use serde_json::{Value, json};

use super::engine::HostReply;
use super::execution::{ActiveExecution, DEEPEST, micros, store_error};
use super::journal::JournalEntry;
use super::program::camel;
use super::spans;
use crate::store::Micros;
use crate::store::queue::{NewExecution, Step, StepKind, StepStatus, TriggeredBy, new_id};

/// Sleeps that are shorter are slept in place, in microseconds.
const SHORT: Micros = 2_000_000;

impl ActiveExecution {
    pub(super) async fn sleep(&self, ms: f64) -> HostReply {
        let seen = self.lock().journal.ask_outside(&format!("sleep {ms}ms"), &json!(ms));
        let now = self.desk.now();
        let (name, order, until, started_at) = match seen {
            JournalEntry::Answered(_, at) => return HostReply::Value(Value::Null, at),
            JournalEntry::Failed(error) => return HostReply::Error(error, now),
            JournalEntry::Suspend(step) => (step.name, step.order, step.finished_at, step.started_at),
            JournalEntry::New { name, order, .. } => (name, order, now.saturating_add(micros(ms)), now),
        };
        let stays = !self.is_durable() || self.desk.clock().is_virtual() || until.saturating_sub(now) <= SHORT;
        if !stays {
            let nothing = (json!({"ms": ms}), Value::Null, Value::Null);
            let step = self.step(&name, StepKind::Sleep, order, StepStatus::Waiting, nothing, started_at, until);
            return self.save(step, None, Vec::new()).await.unwrap_or(HostReply::Parked(until));
        }
        self.desk.clock().until(until).await;
        let nothing = (json!({"ms": ms}), Value::Null, Value::Null);
        let step = self.step(&name, StepKind::Sleep, order, StepStatus::Completed, nothing, started_at, until);
        self.save(step, None, Vec::new()).await.unwrap_or(HostReply::Value(Value::Null, until))
    }

    /// Suspend for a word from outside: an event, an answer.
    pub(super) async fn wait(&self, label: &str, kind: StepKind, timeout: Option<f64>, question: Value) -> HostReply {
        let now = self.desk.now();
        let seen = self.lock().journal.wait(label);
        let limit = timeout.map_or(self.deadline, |ms| now.saturating_add(micros(ms)));
        match seen {
            JournalEntry::Answered(output, at) => HostReply::Value(output, at),
            JournalEntry::Failed(error) => HostReply::Error(error, now),
            JournalEntry::Suspend(step) => self.waits(*step, kind).await,
            JournalEntry::New { name, order, .. } => {
                let values = (json!({"question": self.masked(question)}), Value::Null, Value::Null);
                let step = self.step(&name, kind, order, StepStatus::Waiting, values, now, limit);
                if let Some(reply) = self.save(step.clone(), None, Vec::new()).await {
                    return reply;
                }
                self.waits(step, kind).await
            }
        }
    }

    /// Looks whether the word came.
    async fn waits(&self, mut step: Step, kind: StepKind) -> HostReply {
        loop {
            let now = self.desk.now();
            // Each attempt runs a child of its own, and hears that one only.
            let name = match kind {
                StepKind::Workflow => format!("{} @{}", step.name, step.attempt),
                _ => step.name.clone(),
            };
            let told = match self.desk.store().received_signal(&self.run.id, &name).await {
                Ok(told) => told,
                Err(error) => return HostReply::Error(store_error(&error), now),
            };
            let until = step.finished_at;
            match told {
                Some(word) => {
                    step.finished_at = now;
                    let (output, error) = match kind {
                        StepKind::Workflow if word["status"] != "Completed" => (Value::Null, word["error"].clone()),
                        StepKind::Workflow => (word["output"].clone(), Value::Null),
                        _ => (word, Value::Null),
                    };
                    step.status = if error.is_null() { StepStatus::Completed } else { StepStatus::Failed };
                    step.attempt = self.run.attempt;
                    (step.output, step.error) = (output.clone(), error.clone());
                    let reply = match error.is_null() {
                        true => HostReply::Value(output, now),
                        false => HostReply::Error(error, now),
                    };
                    return self.save(step, None, Vec::new()).await.unwrap_or(reply);
                }
                None if now >= until => {
                    let error =
                        json!({"code": "WAIT_TIMEOUT", "message": format!("nobody answered `{}` in time", step.name)});
                    (step.status, step.error, step.attempt) = (StepStatus::Failed, error.clone(), self.run.attempt);
                    return self.save(step, None, Vec::new()).await.unwrap_or(HostReply::Error(error, now));
                }
                // Where time only moves when somebody waits, nobody else will answer.
                None if self.desk.clock().is_virtual() && kind != StepKind::Workflow => {
                    self.desk.clock().until(until).await
                }
                None if self.is_durable() && !self.desk.clock().is_virtual() => return HostReply::Parked(until),
                None => {
                    self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
                    self.desk.news(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Runs another workflow and waits for its output.
    pub(super) async fn child(&self, workflow: &str, input: Value) -> HostReply {
        let now = self.desk.now();
        let refused = |code: &str, message: String| HostReply::Error(json!({"code": code, "message": message}), now);
        let programs = &self.live.programs;
        let found = programs.get(workflow).or_else(|| programs.values().find(|one| camel(&one.name) == workflow));
        let Some(program) = found else {
            let near = crate::definition::schema_validator::nearest(workflow, programs.keys().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return refused("UNKNOWN_WORKFLOW", format!("there is no workflow `{workflow}`{near}"));
        };
        let question = json!({"workflow": workflow, "input": input});
        let seen = self.lock().journal.ask_outside(&format!("workflow {}", program.name), &question);
        let (name, order) = match seen {
            JournalEntry::Answered(output, at) => return HostReply::Value(output, at),
            JournalEntry::Failed(error) => return HostReply::Error(error, now),
            JournalEntry::Suspend(step) => return self.waits(*step, StepKind::Workflow).await,
            JournalEntry::New { name, order, .. } => (name, order),
        };
        let depth = self.run.headers.get("x-evenkeel-depth").and_then(Value::as_str);
        let depth: usize = depth.and_then(|depth| depth.parse().ok()).unwrap_or(0);
        if depth >= DEEPEST {
            return refused("TOO_DEEP", format!("workflows run workflows more than {DEEPEST} deep"));
        }
        let mut run = match self.desk.new_run(&self.run.environment, &self.live, program).await {
            Ok(run) => run,
            Err(error) => return HostReply::Error(store_error(&error), now),
        };
        run = NewExecution {
            id: new_id(),
            tenant: self.run.tenant.clone(),
            triggered_by: TriggeredBy::Workflow,
            source: self.run.workflow.clone(),
            event: self.run.event.clone(),
            parent: self.run.id.clone(),
            parent_signal: format!("{name} @{}", self.run.attempt),
            input: input.clone(),
            headers: json!({"x-evenkeel-depth": (depth + 1).to_string()}),
            trace: spans::of_step(&self.run, &name, None),
            ..run
        };
        let values = (self.masked(input), Value::Null, Value::Null);
        let step = self.step(&name, StepKind::Workflow, order, StepStatus::Waiting, values, now, self.deadline);
        // Together, so that a crash between the two neither loses the child nor starts it twice.
        let stored = self.store(vec![step.clone()], vec![run]).await;
        if let Some(reply) = stored {
            return reply;
        }
        self.desk.wake();
        self.waits(step, StepKind::Workflow).await
    }
}
