//! One execution at work: what its code asks for is done once, recorded, and answered from the record ever after.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::dispatcher::Dispatcher;
use super::engine::{CancelToken, HostCall, HostReply, Limits, ScriptException, ScriptHost, ScriptOutcome, ScriptRun};
use super::journal::{Journal, JournalEntry};
use super::mask::{Masks, shortened};
use super::program::Program;
use super::runtime_context::LiveEnvironment;
use super::{spans, steps};
use crate::definition::workflow::Tier;
use crate::store::queue::{
    Change, CommitResult, Execution, LogLevel, LogLine, NewExecution, SignalKind, Step, StepKind, StepStatus,
};
use crate::store::{Micros, StoreError};
use crate::text::Digest;

/// Lines that one attempt of an execution may write.
const MAX_LINES: usize = 2_000;
/// Bytes of one line.
const MAX_LINE: usize = 4 << 10;
/// Bytes of a recorded input.
pub(super) const MAX_SHOWN: usize = 16 << 10;
/// How deep workflows may run workflows.
pub(super) const DEEPEST: usize = 8;

/// One execution, taken by this process.
pub struct ActiveExecution {
    /// What it is.
    pub run: Execution,
    /// Its version of the workflow.
    pub program: Arc<Program>,
    /// What it runs on.
    pub live: LiveEnvironment,
    /// When its attempt is over.
    pub deadline: Micros,
    pub(super) desk: Arc<Dispatcher>,
    pub(super) state: Mutex<State>,
    /// Its place among those that work, given up while it waits for another that may need it.
    pub(super) permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl std::fmt::Debug for ActiveExecution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActiveExecution").field("run", &self.run.id).finish_non_exhaustive()
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) journal: Journal,
    /// When durable steps began that have not ended, by name.
    begun: BTreeMap<String, Micros>,
    /// What is not stored yet.
    steps: Vec<Step>,
    logs: Vec<LogLine>,
    lines: usize,
    pub(super) masks: Masks,
}

/// What an execution did since it was last stored.
pub struct Unsaved {
    /// Steps.
    pub steps: Vec<Step>,
    /// Lines.
    pub logs: Vec<LogLine>,
}

impl ActiveExecution {
    /// An execution that goes on from its record.
    pub fn new(
        run: Execution,
        program: Arc<Program>,
        live: LiveEnvironment,
        desk: Arc<Dispatcher>,
        steps: Vec<Step>,
        deadline: Micros,
        permit: OwnedSemaphorePermit,
    ) -> ActiveExecution {
        let journal = Journal::new(steps, run.attempt);
        let state = Mutex::new(State { journal, ..State::default() });
        ActiveExecution { run, program, live, deadline, desk, state, permit: Mutex::new(Some(permit)) }
    }

    /// Runs until it ends or waits.
    pub async fn run(self: &Arc<Self>, stop: CancelToken) -> ScriptOutcome {
        let left = u64::try_from(self.deadline.saturating_sub(self.desk.now())).unwrap_or(0);
        let time = Duration::from_micros(left);
        let time = self.desk.settings().longest.map_or(time, |longest| longest.min(time));
        let limits = Limits { time, ..self.desk.limits() };
        if let Some(problem) = self.program.refuses(&self.run.input) {
            return ScriptOutcome::Threw(ScriptException::new(
                "INVALID_INPUT",
                format!("the input does not fit its schema: {problem}"),
            ));
        }
        let ended = match &self.program.code {
            Some(code) => {
                let call = ScriptRun {
                    file: self.program.file.clone(),
                    code: Arc::clone(code),
                    context: self.context(),
                    // The same each time that the code is run; a clock that stands has its own beginning.
                    now: if self.desk.clock().is_virtual() { self.desk.now() } else { self.run.started_at.max(1) },
                    seed: u64::from_be_bytes(
                        Digest::of(self.run.id.as_bytes()).bytes().first_chunk::<8>().copied().unwrap_or_default(),
                    ),
                };
                let host: Arc<dyn ScriptHost> = Arc::clone(self) as Arc<dyn ScriptHost>;
                self.desk.engine().run(call, limits, host, stop).await
            }
            None => steps::run(self, limits, stop).await,
        };
        match ended {
            ScriptOutcome::Returned(output) => match self.program.refuses_output(&output) {
                Some(problem) => {
                    let message = format!("the output does not fit its schema: {problem}");
                    ScriptOutcome::Threw(ScriptException::new("INVALID_OUTPUT", message))
                }
                None => ScriptOutcome::Returned(self.masked(output)),
            },
            ScriptOutcome::Threw(mut thrown) => {
                if thrown.line > 0 {
                    thrown.line += self.program.line;
                }
                thrown.message = self.lock().masks.text(&thrown.message);
                thrown.stack = self.lock().masks.text(&thrown.stack);
                thrown.details = self.masked(thrown.details);
                ScriptOutcome::Threw(thrown)
            }
            other => other,
        }
    }

    /// What was done since it was last stored.
    pub fn take_unsaved(&self) -> Unsaved {
        let mut state = self.lock();
        Unsaved { steps: std::mem::take(&mut state.steps), logs: std::mem::take(&mut state.logs) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn masked(&self, value: Value) -> Value {
        self.lock().masks.value(value)
    }

    /// What `ctx` holds.
    pub(super) fn context(&self) -> Value {
        let run = &self.run;
        let tenant = self.live.runtime.tenants.get(&run.tenant);
        let tenant = match (run.tenant.as_str(), tenant) {
            ("", _) => Value::Null,
            (id, None) => json!({"id": id}),
            (id, Some(tenant)) => json!({
                "id": id, "displayName": tenant.display_name, "externalId": tenant.external_id,
                "region": tenant.region, "plan": tenant.plan,
            }),
        };
        json!({
            "input": run.input,
            "headers": run.headers,
            "tenant": tenant,
            "config": self.program.spec.config,
            "execution": {
                "id": run.id, "workflow": run.workflow, "version": run.version, "attempt": run.attempt,
                "environment": run.environment, "triggeredBy": run.triggered_by, "trigger": run.source,
            },
        })
    }

    /// Is what it does kept while it runs, so that it goes on after a crash?
    pub(super) fn is_durable(&self) -> bool {
        self.program.spec.tier != Tier::Instant
    }

    async fn perform(self: Arc<Self>, op: HostCall) -> HostReply {
        match op {
            HostCall::Log { level, message } => self.log(level, &message),
            HostCall::Begin { name } => self.begin(&name),
            HostCall::End { name, output, error } => self.end(&name, output, error).await,
            HostCall::Secret { name } => self.secret(&name),
            HostCall::Sleep { ms } => self.sleep(ms).await,
            HostCall::Wait { name, timeout, question } => {
                let (kind, signal) = match question.is_null() {
                    true => (StepKind::Event, SignalKind::Event),
                    false => (StepKind::Approval, SignalKind::Approval),
                };
                self.wait(&signal.step_name(&name), kind, timeout, question).await
            }
            HostCall::Workflow { workflow, input } => self.child(&workflow, input).await,
            other => self.once(other).await,
        }
    }

    fn log(&self, level: LogLevel, message: &str) -> HostReply {
        let now = self.desk.now();
        let mut state = self.lock();
        if state.journal.replays() {
            return HostReply::Value(Value::Null, now);
        }
        state.lines += 1;
        if state.lines <= MAX_LINES {
            let mut message = state.masks.text(message);
            if message.len() > MAX_LINE {
                let end = (0..=MAX_LINE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
                message.truncate(end);
                message.push('…');
            }
            let message = if state.lines == MAX_LINES { "more lines are not kept".to_owned() } else { message };
            state.logs.push(LogLine { at: now, level, message });
        }
        HostReply::Value(Value::Null, now)
    }

    fn begin(&self, name: &str) -> HostReply {
        let now = self.desk.now();
        let mut state = self.lock();
        match state.journal.begin(name) {
            JournalEntry::Answered(output, at) => HostReply::Value(json!({"name": name, "output": output}), at),
            JournalEntry::Failed(error) => HostReply::Value(json!({"name": name, "error": error}), now),
            JournalEntry::Suspend(step) => HostReply::Value(json!({"name": step.name}), now),
            JournalEntry::New { name, .. } => {
                state.begun.insert(name.clone(), now);
                HostReply::Value(json!({"name": name}), now)
            }
        }
    }

    async fn end(&self, name: &str, output: Value, error: Value) -> HostReply {
        let now = self.desk.now();
        let step = {
            let mut state = self.lock();
            let Some(order) = state.journal.end(name) else { return HostReply::Value(Value::Null, now) };
            let started_at = state.begun.remove(name).unwrap_or(now);
            let status = if error.is_null() { StepStatus::Completed } else { StepStatus::Failed };
            self.step(
                name,
                StepKind::Step,
                order,
                status,
                (Value::Null, state.masks.value(output), state.masks.value(error)),
                started_at,
                now,
            )
        };
        self.save(step, None, Vec::new()).await.unwrap_or(HostReply::Value(Value::Null, now))
    }

    fn secret(&self, name: &str) -> HostReply {
        let now = self.desk.now();
        if !self.program.spec.secrets.iter().any(|declared| declared == name) {
            let message = format!("secret `{name}` is not declared; add it to `secrets` of the workflow");
            return HostReply::Error(json!({"code": "SECRET_NOT_DECLARED", "message": message}), now);
        }
        match self.live.actions.secret(name) {
            Ok(value) => {
                self.lock().masks.add(name, &value);
                HostReply::Value(Value::String(value), now)
            }
            Err(message) => HostReply::Error(json!({"code": "CREDENTIAL_UNAVAILABLE", "message": message}), now),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one row")]
    pub(super) fn step(
        &self,
        name: &str,
        kind: StepKind,
        order: i64,
        status: StepStatus,
        (input, output, error): (Value, Value, Value),
        started_at: Micros,
        finished_at: Micros,
    ) -> Step {
        Step {
            name: name.to_owned(),
            order,
            kind,
            attempt: self.run.attempt,
            status,
            input: shortened(input, MAX_SHOWN),
            output,
            error: shortened(error, MAX_SHOWN),
            started_at,
            finished_at,
        }
    }

    /// Keeps a step: in the store before code goes on, where the execution is to survive and it is not within another
    /// step. Gives what to answer instead,
    /// where that cannot be done.
    pub(super) async fn save(
        &self,
        mut step: Step,
        within: Option<&str>,
        follow: Vec<NewExecution>,
    ) -> Option<HostReply> {
        spans::tell_step(&self.run, &step, within);
        if within.is_none() && self.is_durable() || !follow.is_empty() {
            return self.store(vec![step], follow).await;
        }
        step.output = shortened(step.output, MAX_SHOWN);
        let mut state = self.lock();
        if state.steps.len() < 1000 {
            state.steps.push(step);
        }
        None
    }

    pub(super) async fn store(&self, mut steps: Vec<Step>, follow: Vec<NewExecution>) -> Option<HostReply> {
        let unsaved = self.take_unsaved();
        let mut all = unsaved.steps;
        all.append(&mut steps);
        let change = Change::Progress { claim: self.run.claim(), steps: all, logs: unsaved.logs, follow_ups: follow };
        match self.desk.commit(change).await {
            Ok(CommitResult::Fenced) => Some(HostReply::Gone),
            Ok(CommitResult::Refused(why)) => {
                Some(HostReply::Error(json!({"code": "STORE_REFUSED", "message": why}), self.desk.now()))
            }
            Ok(_) => None,
            // What was done and not recorded would be done again: this process may not go on as if it were.
            Err(_) => Some(HostReply::Gone),
        }
    }
}

impl ScriptHost for ActiveExecution {
    fn call(self: Arc<Self>, op: HostCall) -> BoxFuture<'static, HostReply> {
        Box::pin(self.perform(op))
    }
}

/// Milliseconds, as code has them, as microseconds.
pub(super) fn micros(ms: f64) -> Micros {
    (ms.clamp(0.0, 1e13) * 1000.0) as Micros
}

pub(super) fn store_error(error: &StoreError) -> Value {
    json!({"code": "UNAVAILABLE", "message": error.to_string()})
}
