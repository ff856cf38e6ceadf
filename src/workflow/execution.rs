//! One execution at work: what its code asks for is done once, recorded, and answered from the record ever after.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::desk::Desk;
use super::engine::{Call, Ended, Host, Limits, Op, Reply, Stop, Thrown};
use super::ground::Live;
use super::journal::{Journal, Seen};
use super::mask::{Masks, shortened};
use super::program::Program;
use super::{spans, steps};
use crate::definition::workflow::Tier;
use crate::store::queue::{Change, Done, LogLine, NewRun, Run, Step};
use crate::store::{Micros, StoreError};
use crate::text::Digest;

/// Lines that one attempt of an execution may write.
const MOST_LINES: usize = 2_000;
/// Bytes of one line.
const MOST_LINE: usize = 4 << 10;
/// Bytes of a recorded input.
pub(super) const MOST_SHOWN: usize = 16 << 10;
/// How deep workflows may run workflows.
pub(super) const DEEPEST: usize = 8;

/// One execution, taken by this process.
pub struct Execution {
    /// What it is.
    pub run: Run,
    /// Its version of the workflow.
    pub program: Arc<Program>,
    /// What it runs on.
    pub live: Live,
    /// When its attempt is over.
    pub deadline: Micros,
    pub(super) desk: Arc<Desk>,
    pub(super) state: Mutex<State>,
    /// Its place among those that work, given up while it waits for another that may need it.
    pub(super) seat: Mutex<Option<OwnedSemaphorePermit>>,
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Execution").field("run", &self.run.id).finish_non_exhaustive()
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

impl Execution {
    /// An execution that goes on from its record.
    pub fn new(
        run: Run,
        program: Arc<Program>,
        live: Live,
        desk: Arc<Desk>,
        steps: Vec<Step>,
        deadline: Micros,
        seat: OwnedSemaphorePermit,
    ) -> Execution {
        let journal = Journal::new(steps, run.attempt);
        let state = Mutex::new(State { journal, ..State::default() });
        Execution { run, program, live, deadline, desk, state, seat: Mutex::new(Some(seat)) }
    }

    /// Runs until it ends or waits.
    pub async fn run(self: &Arc<Self>, stop: Stop) -> Ended {
        let left = u64::try_from(self.deadline.saturating_sub(self.desk.now())).unwrap_or(0);
        let time = Duration::from_micros(left);
        let time = self.desk.settings().longest.map_or(time, |longest| longest.min(time));
        let limits = Limits { time, ..self.desk.limits() };
        if let Some(problem) = self.program.refuses(&self.run.input) {
            return Ended::Threw(Thrown::new("INVALID_INPUT", format!("the input does not fit its schema: {problem}")));
        }
        let ended = match &self.program.code {
            Some(code) => {
                let call = Call {
                    file: self.program.file.clone(),
                    code: Arc::clone(code),
                    context: self.context(),
                    // The same each time that the code is run; a clock that stands has its own beginning.
                    now: if self.desk.clock().is_virtual() { self.desk.now() } else { self.run.started_at.max(1) },
                    seed: u64::from_be_bytes(
                        Digest::of(self.run.id.as_bytes()).bytes().first_chunk::<8>().copied().unwrap_or_default(),
                    ),
                };
                let host: Arc<dyn Host> = Arc::clone(self) as Arc<dyn Host>;
                self.desk.engine().run(call, limits, host, stop).await
            }
            None => steps::run(self, limits, stop).await,
        };
        match ended {
            Ended::Returned(output) => match self.program.refuses_output(&output) {
                Some(problem) => {
                    let message = format!("the output does not fit its schema: {problem}");
                    Ended::Threw(Thrown::new("INVALID_OUTPUT", message))
                }
                None => Ended::Returned(self.masked(output)),
            },
            Ended::Threw(mut thrown) => {
                if thrown.line > 0 {
                    thrown.line += self.program.line;
                }
                thrown.message = self.lock().masks.text(&thrown.message);
                thrown.stack = self.lock().masks.text(&thrown.stack);
                thrown.details = self.masked(thrown.details);
                Ended::Threw(thrown)
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

    async fn perform(self: Arc<Self>, op: Op) -> Reply {
        match op {
            Op::Log { level, message } => self.log(&level, &message),
            Op::Begin { name } => self.begin(&name),
            Op::End { name, output, error } => self.end(&name, output, error).await,
            Op::Secret { name } => self.secret(&name),
            Op::Sleep { ms } => self.sleep(ms).await,
            Op::Wait { name, timeout, question } => {
                let label = if question.is_null() { format!("event {name}") } else { format!("approval {name}") };
                let kind = if question.is_null() { "event" } else { "approval" };
                self.wait(&label, kind, timeout, question).await
            }
            Op::Workflow { workflow, input } => self.child(&workflow, input).await,
            other => self.once(other).await,
        }
    }

    fn log(&self, level: &str, message: &str) -> Reply {
        let now = self.desk.now();
        let mut state = self.lock();
        if state.journal.replays() {
            return Reply::Value(Value::Null, now);
        }
        state.lines += 1;
        if state.lines <= MOST_LINES {
            let mut message = state.masks.text(message);
            if message.len() > MOST_LINE {
                let end = (0..=MOST_LINE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
                message.truncate(end);
                message.push('…');
            }
            let message = if state.lines == MOST_LINES { "more lines are not kept".to_owned() } else { message };
            state.logs.push(LogLine { at: now, level: level.to_owned(), message });
        }
        Reply::Value(Value::Null, now)
    }

    fn begin(&self, name: &str) -> Reply {
        let now = self.desk.now();
        let mut state = self.lock();
        match state.journal.begin(name) {
            Seen::Answered(output, at) => Reply::Value(json!({"name": name, "output": output}), at),
            Seen::Failed(error) => Reply::Value(json!({"name": name, "error": error}), now),
            Seen::Waits(step) => Reply::Value(json!({"name": step.name}), now),
            Seen::New { name, .. } => {
                state.begun.insert(name.clone(), now);
                Reply::Value(json!({"name": name}), now)
            }
        }
    }

    async fn end(&self, name: &str, output: Value, error: Value) -> Reply {
        let now = self.desk.now();
        let step = {
            let mut state = self.lock();
            let Some(order) = state.journal.end(name) else { return Reply::Value(Value::Null, now) };
            let started_at = state.begun.remove(name).unwrap_or(now);
            let status = if error.is_null() { "Completed" } else { "Failed" };
            self.step(
                name,
                "step",
                order,
                status,
                (Value::Null, state.masks.value(output), state.masks.value(error)),
                started_at,
                now,
            )
        };
        self.save(step, None, Vec::new()).await.unwrap_or(Reply::Value(Value::Null, now))
    }

    fn secret(&self, name: &str) -> Reply {
        let now = self.desk.now();
        if !self.program.spec.secrets.iter().any(|declared| declared == name) {
            let message = format!("secret `{name}` is not declared; add it to `secrets` of the workflow");
            return Reply::Error(json!({"code": "SECRET_NOT_DECLARED", "message": message}), now);
        }
        match self.live.actions.secret(name) {
            Ok(value) => {
                self.lock().masks.add(name, &value);
                Reply::Value(Value::String(value), now)
            }
            Err(message) => Reply::Error(json!({"code": "CREDENTIAL_UNAVAILABLE", "message": message}), now),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one row")]
    pub(super) fn step(
        &self,
        name: &str,
        kind: &str,
        order: i64,
        status: &str,
        (input, output, error): (Value, Value, Value),
        started_at: Micros,
        finished_at: Micros,
    ) -> Step {
        Step {
            name: name.to_owned(),
            order,
            kind: kind.to_owned(),
            attempt: self.run.attempt,
            status: status.to_owned(),
            input: shortened(input, MOST_SHOWN),
            output,
            error: shortened(error, MOST_SHOWN),
            started_at,
            finished_at,
        }
    }

    /// Keeps a step: in the store before code goes on, where the execution is to survive and it is not within another
    /// step. Gives what to answer instead,
    /// where that cannot be done.
    pub(super) async fn save(&self, mut step: Step, within: Option<&str>, follow: Vec<NewRun>) -> Option<Reply> {
        spans::tell_step(&self.run, &step, within);
        if within.is_none() && self.is_durable() || !follow.is_empty() {
            return self.store(vec![step], follow).await;
        }
        step.output = shortened(step.output, MOST_SHOWN);
        let mut state = self.lock();
        if state.steps.len() < 1000 {
            state.steps.push(step);
        }
        None
    }

    pub(super) async fn store(&self, mut steps: Vec<Step>, follow: Vec<NewRun>) -> Option<Reply> {
        let unsaved = self.take_unsaved();
        let mut all = unsaved.steps;
        all.append(&mut steps);
        let change = Change::Progress { claim: self.run.claim(), steps: all, logs: unsaved.logs, follow };
        match self.desk.commit(change).await {
            Ok(Done::Fenced) => Some(Reply::Gone),
            Ok(Done::Refused(why)) => {
                Some(Reply::Error(json!({"code": "STORE_REFUSED", "message": why}), self.desk.now()))
            }
            Ok(_) => None,
            // What was done and not recorded would be done again: this process may not go on as if it were.
            Err(_) => Some(Reply::Gone),
        }
    }
}

impl Host for Execution {
    fn call(self: Arc<Self>, op: Op) -> BoxFuture<'static, Reply> {
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
