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
use super::program::{Program, camel};
use super::steps;
use crate::connector::{self, CallError};
use crate::definition::workflow::Tier;
use crate::store::queue::{Change, Done, LogLine, NewRun, Run, Step, new_id};
use crate::store::{Micros, StoreError};
use crate::text::Digest;

/// Sleeps that are shorter are slept in place, in microseconds.
const SHORT: Micros = 2_000_000;
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
    seat: Mutex<Option<OwnedSemaphorePermit>>,
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Execution").field("run", &self.run.id).finish_non_exhaustive()
    }
}

#[derive(Default)]
pub(super) struct State {
    journal: Journal,
    /// When durable steps began that have not ended, by name.
    begun: BTreeMap<String, Micros>,
    /// What is not stored yet.
    steps: Vec<Step>,
    logs: Vec<LogLine>,
    lines: usize,
    masks: Masks,
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
                    now: self.run.started_at.max(1),
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn masked(&self, value: Value) -> Value {
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
    fn is_durable(&self) -> bool {
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
        self.save(step, true, Vec::new()).await.unwrap_or(Reply::Value(Value::Null, now))
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

    /// Something that is done at once, and once.
    async fn once(self: &Arc<Self>, op: Op) -> Reply {
        let question = serde_json::to_value(&op).unwrap_or_default();
        let (kind, label, shown) = match &op {
            Op::Action { connector, action, input, .. } => match self.find(connector, action) {
                Ok((connector, action)) => ("action", format!("{connector}/{action}"), input.clone()),
                Err(error) => return Reply::Error(error, self.desk.now()),
            },
            Op::Fetch { url, init } => {
                let method = init.get("method").and_then(Value::as_str).unwrap_or("GET");
                let shown = url.split(['?', '#']).next().unwrap_or_default();
                ("fetch", format!("{method} {shown}"), init.get("body").cloned().unwrap_or_default())
            }
            Op::GetState { scope, key } => ("state", format!("get {scope} {key}"), Value::Null),
            Op::SetState { scope, key, value, .. } => ("state", format!("set {scope} {key}"), value.clone()),
            _ => return Reply::Error(json!({"code": "INTERNAL", "message": "unknown question"}), self.desk.now()),
        };
        let seen = {
            let mut state = self.lock();
            let label = state.masks.text(&label);
            state.journal.ask(&label, &question)
        };
        let (name, order, durable) = match seen {
            Seen::Answered(output, at) => return Reply::Value(output, at),
            Seen::Failed(error) => return Reply::Error(error, self.desk.now()),
            Seen::New { name, order, durable } => (name, order, durable),
            Seen::Waits(step) => (step.name, step.order, true),
        };
        let started_at = self.desk.now();
        let result = self.ask(op, &name).await;
        let now = self.desk.now();
        let (status, output, error, reply) = match result {
            Ok(output) => ("Completed", output.clone(), Value::Null, Reply::Value(output, now)),
            Err(error) => ("Failed", Value::Null, error.clone(), Reply::Error(error, now)),
        };
        let step = {
            let masks = &self.lock().masks;
            let values = (masks.value(shown), masks.value(output), masks.value(error));
            self.step(&name, kind, order, status, values, started_at, now)
        };
        self.save(step, durable, Vec::new()).await.unwrap_or(reply)
    }

    async fn ask(&self, op: Op, step: &str) -> Result<Value, Value> {
        match op {
            Op::Action { connector, action, input, options } => {
                let (connector, action) = self.find(&connector, &action)?;
                let connection = options.get("connection").and_then(Value::as_str).map(str::to_owned);
                let texts = |name: &str| -> BTreeMap<String, String> {
                    let values = options.get(name).and_then(Value::as_object).into_iter().flatten();
                    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    values.map(|(name, value)| (name.clone(), text(value))).collect()
                };
                let declared = self.program.spec.connectors.values().find(|used| used.connector == connector);
                let call = connector::Call {
                    input,
                    path_params: texts("pathParams"),
                    headers: texts("headers"),
                    query: texts("query"),
                    tenant: Some(self.run.tenant.clone()).filter(|tenant| !tenant.is_empty()),
                    connection: connection.or_else(|| declared.and_then(|used| used.connection.clone())),
                    // The same each time that this step is tried, so that applications can tell.
                    request_id: format!("{}-{}", self.run.id, Digest::of(step.as_bytes()).short()),
                    trace: child_of(&self.run.trace),
                    ..connector::Call::default()
                };
                let called = self.live.actions.call(&connector, &action, call).await;
                called.map_err(|error| error_value(&error, &format!("{connector}/{action}")))
            }
            Op::Fetch { url, init } => {
                self.live.actions.fetch(&url, &init).await.map_err(|error| error_value(&error, "fetch"))
            }
            Op::GetState { scope, key } => {
                let scope = self.scope(&scope);
                let found = self.desk.store().memory(&self.run.environment, &scope, &key).await;
                found.map(Option::unwrap_or_default).map_err(|error| store_error(&error))
            }
            Op::SetState { scope, key, value, ttl } => {
                let scope = self.scope(&scope);
                let ttl = ttl.map(micros);
                let stored = self.desk.store().remember(&self.run.environment, &scope, &key, &value, ttl).await;
                stored.map(|()| Value::Null).map_err(|error| store_error(&error))
            }
            _ => Err(json!({"code": "INTERNAL", "message": "unknown question"})),
        }
    }

    /// Values of one tenant are never another's.
    fn scope(&self, scope: &str) -> String {
        match scope {
            "invocation" => format!("run/{}", self.run.id),
            _ if self.run.tenant.is_empty() => "organization".to_owned(),
            _ => format!("tenant/{}", self.run.tenant),
        }
    }

    async fn sleep(&self, ms: f64) -> Reply {
        let seen = self.lock().journal.ask_outside(&format!("sleep {ms}ms"), &json!(ms));
        let now = self.desk.now();
        let (name, order, durable, until, started_at) = match seen {
            Seen::Answered(_, at) => return Reply::Value(Value::Null, at),
            Seen::Failed(error) => return Reply::Error(error, now),
            Seen::Waits(step) => (step.name, step.order, true, step.finished_at, step.started_at),
            Seen::New { name, order, durable } => (name, order, durable, now.saturating_add(micros(ms)), now),
        };
        let stays =
            !durable || !self.is_durable() || self.desk.clock().is_virtual() || until.saturating_sub(now) <= SHORT;
        if !stays {
            let nothing = (json!({"ms": ms}), Value::Null, Value::Null);
            let step = self.step(&name, "sleep", order, "Waiting", nothing, started_at, until);
            return self.save(step, true, Vec::new()).await.unwrap_or(Reply::Parked(until));
        }
        self.desk.clock().until(until).await;
        let nothing = (json!({"ms": ms}), Value::Null, Value::Null);
        let step = self.step(&name, "sleep", order, "Completed", nothing, started_at, until);
        self.save(step, durable, Vec::new()).await.unwrap_or(Reply::Value(Value::Null, until))
    }

    /// Waits for a word from outside: an event, an answer.
    async fn wait(&self, label: &str, kind: &str, timeout: Option<f64>, question: Value) -> Reply {
        let now = self.desk.now();
        let seen = self.lock().journal.wait(label);
        let limit = timeout.map_or(self.deadline, |ms| now.saturating_add(micros(ms)));
        match seen {
            Seen::Answered(output, at) => Reply::Value(output, at),
            Seen::Failed(error) => Reply::Error(error, now),
            Seen::Waits(step) => self.waits(*step, kind).await,
            Seen::New { name, order, .. } => {
                let values = (json!({"question": self.masked(question)}), Value::Null, Value::Null);
                let step = self.step(&name, kind, order, "Waiting", values, now, limit);
                if let Some(reply) = self.save(step.clone(), true, Vec::new()).await {
                    return reply;
                }
                self.waits(step, kind).await
            }
        }
    }

    /// Looks whether the word came.
    async fn waits(&self, mut step: Step, kind: &str) -> Reply {
        loop {
            let now = self.desk.now();
            // Each attempt runs a child of its own, and hears that one only.
            let name = match kind {
                "workflow" => format!("{} @{}", step.name, step.attempt),
                _ => step.name.clone(),
            };
            let told = match self.desk.store().signalled(&self.run.id, &name).await {
                Ok(told) => told,
                Err(error) => return Reply::Error(store_error(&error), now),
            };
            let until = step.finished_at;
            match told {
                Some(word) => {
                    step.finished_at = now;
                    let (output, error) = match kind {
                        "workflow" if word["status"] != "Completed" => (Value::Null, word["error"].clone()),
                        "workflow" => (word["output"].clone(), Value::Null),
                        _ => (word, Value::Null),
                    };
                    step.status = if error.is_null() { "Completed" } else { "Failed" }.to_owned();
                    step.attempt = self.run.attempt;
                    (step.output, step.error) = (output.clone(), error.clone());
                    let reply = match error.is_null() {
                        true => Reply::Value(output, now),
                        false => Reply::Error(error, now),
                    };
                    return self.save(step, true, Vec::new()).await.unwrap_or(reply);
                }
                None if now >= until => {
                    let error =
                        json!({"code": "WAIT_TIMEOUT", "message": format!("nobody answered `{}` in time", step.name)});
                    (step.status, step.error, step.attempt) = ("Failed".to_owned(), error.clone(), self.run.attempt);
                    return self.save(step, true, Vec::new()).await.unwrap_or(Reply::Error(error, now));
                }
                // Where time only moves when somebody waits, nobody else will answer.
                None if self.desk.clock().is_virtual() && kind != "workflow" => self.desk.clock().until(until).await,
                None if self.is_durable() && !self.desk.clock().is_virtual() => return Reply::Parked(until),
                None => {
                    self.seat.lock().unwrap_or_else(PoisonError::into_inner).take();
                    self.desk.news(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Runs another workflow and waits for its output.
    async fn child(&self, workflow: &str, input: Value) -> Reply {
        let now = self.desk.now();
        let refused = |code: &str, message: String| Reply::Error(json!({"code": code, "message": message}), now);
        let programs = &self.live.programs;
        let found = programs.get(workflow).or_else(|| programs.values().find(|one| camel(&one.name) == workflow));
        let Some(program) = found else {
            let near = crate::definition::shape::nearest(workflow, programs.keys().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return refused("UNKNOWN_WORKFLOW", format!("there is no workflow `{workflow}`{near}"));
        };
        let question = json!({"workflow": workflow, "input": input});
        let seen = self.lock().journal.ask_outside(&format!("workflow {}", program.name), &question);
        let (name, order) = match seen {
            Seen::Answered(output, at) => return Reply::Value(output, at),
            Seen::Failed(error) => return Reply::Error(error, now),
            Seen::Waits(step) => return self.waits(*step, "workflow").await,
            Seen::New { name, order, .. } => (name, order),
        };
        let depth = self.run.headers.get("x-evenkeel-depth").and_then(Value::as_str);
        let depth: usize = depth.and_then(|depth| depth.parse().ok()).unwrap_or(0);
        if depth >= DEEPEST {
            return refused("TOO_DEEP", format!("workflows run workflows more than {DEEPEST} deep"));
        }
        let mut run = match self.desk.new_run(&self.run.environment, &self.live, program).await {
            Ok(run) => run,
            Err(error) => return Reply::Error(store_error(&error), now),
        };
        run = NewRun {
            id: new_id(),
            tenant: self.run.tenant.clone(),
            triggered_by: "workflow".to_owned(),
            source: self.run.workflow.clone(),
            event: self.run.event.clone(),
            parent: self.run.id.clone(),
            answers: format!("{name} @{}", self.run.attempt),
            input: input.clone(),
            headers: json!({"x-evenkeel-depth": (depth + 1).to_string()}),
            trace: child_of(&self.run.trace),
            ..run
        };
        let values = (self.masked(input), Value::Null, Value::Null);
        let step = self.step(&name, "workflow", order, "Waiting", values, now, self.deadline);
        // Together, so that a crash between the two neither loses the child nor starts it twice.
        let stored = self.store(vec![step.clone()], vec![run]).await;
        if let Some(reply) = stored {
            return reply;
        }
        self.desk.wake();
        self.waits(step, "workflow").await
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one row")]
    fn step(
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

    /// Keeps a step: in the store before code goes on, where the execution is to survive. Gives what to answer instead,
    /// where that cannot be done.
    async fn save(&self, mut step: Step, durable: bool, follow: Vec<NewRun>) -> Option<Reply> {
        if durable && self.is_durable() || !follow.is_empty() {
            return self.store(vec![step], follow).await;
        }
        step.output = shortened(step.output, MOST_SHOWN);
        let mut state = self.lock();
        if state.steps.len() < 1000 {
            state.steps.push(step);
        }
        None
    }

    async fn store(&self, mut steps: Vec<Step>, follow: Vec<NewRun>) -> Option<Reply> {
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

    /// The connector and action of the names that code uses.
    fn find(&self, connector: &str, action: &str) -> Result<(String, String), Value> {
        let runtime = &self.live.runtime;
        let used = self.program.spec.connectors.get(connector).map(|used| used.connector.as_str());
        let found = used.or_else(|| {
            let exact = runtime.connectors.get_key_value(connector).map(|(name, _)| name.as_str());
            exact.or_else(|| runtime.connectors.keys().map(String::as_str).find(|name| camel(name) == connector))
        });
        let unknown = |code: &str, message: String| json!({"code": code, "message": message});
        let Some(found) = found.and_then(|name| runtime.connectors.get(name)) else {
            let names: Vec<String> = runtime.connectors.keys().map(|name| camel(name)).collect();
            let near = crate::definition::shape::nearest(connector, names.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(unknown("UNKNOWN_CONNECTOR", format!("there is no connector `{connector}`{near}")));
        };
        let names = || found.actions.keys().map(String::as_str);
        let Some(name) = names().find(|name| *name == action).or_else(|| names().find(|name| camel(name) == action))
        else {
            let all: Vec<String> = names().map(camel).collect();
            let near = crate::definition::shape::nearest(action, all.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let message = format!("connector `{}` has no action `{action}`{near}", found.name);
            return Err(unknown("UNKNOWN_ACTION", message));
        };
        Ok((found.name.clone(), name.to_owned()))
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

fn error_value(error: &CallError, what: &str) -> Value {
    let mut value = json!({"code": error.code.as_str(), "message": format!("{what}: {}", error.detail)});
    if let Some(status) = error.upstream_status {
        value["status"] = status.into();
    }
    if let Some(body) = &error.upstream {
        value["body"] = Value::clone(body);
    }
    value
}

fn store_error(error: &StoreError) -> Value {
    json!({"code": "UNAVAILABLE", "message": error.to_string()})
}

/// A span below the one of a trace: the same trace, a new id (W3C Trace Context); empty where there is no trace.
pub fn child_of(trace: &str) -> String {
    let mut parts = trace.split('-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("00"), Some(id), Some(_), Some(flags)) if id.len() == 32 => {
            format!("00-{id}-{:016x}-{flags}", rand::random::<u64>() | 1)
        }
        _ => String::new(),
    }
}

/// The trace of a request: its own, or a new one.
pub fn trace_of(header: Option<&str>) -> String {
    let valid = header.map(child_of).filter(|trace| !trace.is_empty());
    valid.unwrap_or_else(|| format!("00-{:032x}-{:016x}-01", rand::random::<u128>() | 1, rand::random::<u64>() | 1))
}
