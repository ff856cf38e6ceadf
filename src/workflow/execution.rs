//! An active execution: its record, its unsaved results, and how both are stored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::dispatcher::Dispatcher;
use super::engine::{HostReply, ScriptException};
use super::journal::Journal;
use super::mask::{Masks, shortened};
use super::program::Program;
use super::runtime_context::LiveEnvironment;
use super::spans;
use crate::definition::workflow::Tier;
use crate::store::queue::{Change, CommitResult, Execution, LogLine, NewExecution, Step, StepKind, StepStatus};
use crate::store::{Micros, StoreError};

/// Maximum size of a recorded input, and of the recorded output of a nested step, in bytes.
const MAX_SHOWN_BYTES: usize = 16 << 10;
/// Maximum number of unsaved steps.
const MAX_UNSAVED_STEPS: usize = 1_000;

/// An execution that runs in this process.
pub(super) struct ActiveExecution {
    /// Its row in the store, as claimed.
    pub(super) record: Execution,
    /// Its version of the workflow.
    pub(super) program: Arc<Program>,
    /// The environment that it runs in.
    pub(super) live: LiveEnvironment,
    /// The end of its attempt.
    pub(super) deadline: Micros,
    pub(super) dispatcher: Arc<Dispatcher>,
    state: Mutex<State>,
    /// Its permit, which it frees while it waits for another execution that may need it.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl std::fmt::Debug for ActiveExecution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActiveExecution").field("id", &self.record.id).finish_non_exhaustive()
    }
}

/// The mutable state of an active execution.
#[derive(Default)]
pub(super) struct State {
    pub(super) journal: Journal,
    /// Start times of open durable steps, by name.
    pub(super) begun: BTreeMap<String, Micros>,
    pub(super) masks: Masks,
    /// Number of log lines of this attempt.
    pub(super) lines: usize,
    unsaved: Unsaved,
}

/// Results that are not stored yet.
#[derive(Default)]
pub(super) struct Unsaved {
    pub(super) steps: Vec<Step>,
    pub(super) logs: Vec<LogLine>,
}

/// The key of a step: its name, its kind, and its position.
#[derive(Clone, Copy)]
pub(super) struct StepKey<'a> {
    pub(super) name: &'a str,
    pub(super) kind: StepKind,
    pub(super) order: i64,
}

/// The values of a step.
#[derive(Default)]
pub(super) struct StepValues {
    pub(super) input: Value,
    pub(super) output: Value,
    pub(super) error: Value,
}

impl ActiveExecution {
    /// An execution that continues from its recorded steps.
    pub(super) fn new(
        record: Execution,
        program: Arc<Program>,
        live: LiveEnvironment,
        dispatcher: Arc<Dispatcher>,
        steps: Vec<Step>,
        deadline: Micros,
        permit: OwnedSemaphorePermit,
    ) -> ActiveExecution {
        let journal = Journal::new(steps, record.attempt);
        let state = Mutex::new(State { journal, ..State::default() });
        ActiveExecution { record, program, live, deadline, dispatcher, state, permit: Mutex::new(Some(permit)) }
    }

    /// Takes the results that are not stored yet.
    pub(super) fn take_unsaved(&self) -> Unsaved {
        std::mem::take(&mut self.lock().unsaved)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees the permit.
    pub(super) fn free_permit(&self) {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A value without secrets.
    pub(super) fn masked(&self, value: Value) -> Value {
        self.lock().masks.value(value)
    }

    /// An exception without secrets, with the line in the file of the definition.
    pub(super) fn presentable(&self, mut exception: ScriptException) -> ScriptException {
        if exception.line > 0 {
            exception.line += self.program.line;
        }
        let masks = &self.lock().masks;
        exception.message = masks.text(&exception.message);
        exception.stack = masks.text(&exception.stack);
        exception.details = masks.value(exception.details);
        exception
    }

    /// The data of `ctx`.
    pub(super) fn context(&self) -> Value {
        let record = &self.record;
        let tenant = self.live.runtime.tenants.get(&record.tenant);
        let tenant = match (record.tenant.as_str(), tenant) {
            ("", _) => Value::Null,
            (id, None) => json!({"id": id}),
            (id, Some(tenant)) => json!({
                "id": id, "displayName": tenant.display_name, "externalId": tenant.external_id,
                "region": tenant.region, "plan": tenant.plan,
            }),
        };
        json!({
            "input": record.input,
            "headers": record.headers,
            "tenant": tenant,
            "config": self.program.spec.config,
            "execution": {
                "id": record.id, "workflow": record.workflow, "version": record.version, "attempt": record.attempt,
                "environment": record.environment, "triggeredBy": record.triggered_by, "trigger": record.source,
            },
        })
    }

    /// True if its steps are stored while it runs, so that it continues after a crash.
    pub(super) fn is_durable(&self) -> bool {
        self.program.spec.tier != Tier::Instant
    }

    /// A step of this attempt, with inputs and errors shortened.
    pub(super) fn step(
        &self,
        key: StepKey<'_>,
        status: StepStatus,
        values: StepValues,
        started_at: Micros,
        finished_at: Micros,
    ) -> Step {
        Step {
            name: key.name.to_owned(),
            order: key.order,
            kind: key.kind,
            attempt: self.record.attempt,
            status,
            input: shortened(values.input, MAX_SHOWN_BYTES),
            output: values.output,
            error: shortened(values.error, MAX_SHOWN_BYTES),
            started_at,
            finished_at,
        }
    }

    /// Adds a log line to the unsaved results.
    pub(super) fn push_line(state: &mut State, line: LogLine) {
        state.unsaved.logs.push(line);
    }

    /// Saves a step. A step of a durable execution that is not nested in another step is stored before the code continues;
    /// others are stored with the next change. Returns the reply to send instead of the step's own if storing failed.
    pub(super) async fn save_step(&self, mut step: Step, within: Option<&str>) -> Option<HostReply> {
        spans::export_step_span(&self.record, &step, within);
        if within.is_none() && self.is_durable() {
            return self.store_progress(vec![step], Vec::new()).await;
        }
        step.output = shortened(step.output, MAX_SHOWN_BYTES);
        let mut state = self.lock();
        if state.unsaved.steps.len() < MAX_UNSAVED_STEPS {
            state.unsaved.steps.push(step);
        }
        None
    }

    /// Stores the unsaved results together with steps and new executions. Returns the reply to send if that failed.
    pub(super) async fn store_progress(
        &self,
        mut steps: Vec<Step>,
        follow_ups: Vec<NewExecution>,
    ) -> Option<HostReply> {
        let unsaved = self.take_unsaved();
        let mut all = unsaved.steps;
        all.append(&mut steps);
        let change = Change::Progress { claim: self.record.claim(), steps: all, logs: unsaved.logs, follow_ups };
        match self.dispatcher.commit(change).await {
            Ok(CommitResult::Fenced) => Some(HostReply::LeaseLost),
            Ok(CommitResult::Refused(cause)) => {
                Some(HostReply::Error(json!({"code": "STORE_REFUSED", "message": cause}), self.dispatcher.now()))
            }
            Ok(_) => None,
            // A step that ran and was not recorded would run again: this process must not continue as if it were.
            Err(_) => Some(HostReply::LeaseLost),
        }
    }
}

/// Milliseconds of a script in microseconds.
pub(super) fn micros_of_ms(ms: f64) -> Micros {
    (ms.clamp(0.0, 1e13) * 1000.0) as Micros
}

pub(super) fn store_error(error: &StoreError) -> Value {
    json!({"code": "UNAVAILABLE", "message": error.to_string()})
}
