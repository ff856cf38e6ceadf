//! The runner of tests beside workflows: no network, no waiting, and a virtual clock that jumps to the next awaited time.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::routing::{self, IncomingEvent};
use super::{TriggerKind, Triggers};
use crate::connector::testing::{Difference, TestResult, pretty, same};
use crate::connector::{self, CallError, ErrorCode, Runtime};
use crate::definition::Json;
use crate::definition::workflow::WorkflowTest;
use crate::store::queue::{EnqueueRequest, Execution, ExecutionStatus, NewExecution, SignalKind, TriggeredBy};
use crate::store::{self, Keys, Micros, Store};
use crate::workflow::{
    Actions, Clock, Dispatcher, EnvironmentProvider, LiveEnvironment, Program, Programs, QuickJs, ScriptEngine, Worker,
    WorkerSettings,
};

/// The default time of tests: 2026-01-01T00:00:00Z.
const DEFAULT_NOW: Micros = 1_767_225_600_000_000;
/// Maximum duration of a test in real time.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The environment of tests.
const ENVIRONMENT: &str = "test";

/// The definitions under test.
#[derive(Clone, Debug)]
pub struct TestSubject {
    /// The compiled connectors and connections.
    pub runtime: Arc<Runtime>,
    /// The workflows.
    pub programs: Arc<Programs>,
    /// The triggers.
    pub triggers: Arc<Triggers>,
}

/// Runs one test of a workflow.
///
/// # Errors
/// The test cannot be run. A failing test is not an error.
pub async fn run(subject: &TestSubject, program: &Arc<Program>, test: &WorkflowTest) -> Result<TestResult, String> {
    let mut differences = Vec::new();
    let expects_nothing = test.expect_output.is_none()
        && test.expect_error.is_none()
        && test.expect_calls.is_none()
        && test.expect_state.is_empty();
    match execute(subject, program, test).await? {
        TestRun::Ended(execution, calls, store) => {
            compare(test, &subject.runtime, &execution, &calls, &*store, &mut differences).await?;
        }
        TestRun::NotStarted(cause) => differences.push(Difference {
            what: "event".to_owned(),
            expected: format!("starts workflow {}", program.name),
            actual: cause,
        }),
    }
    Ok(TestResult {
        connector: "workflow".to_owned(),
        action: program.name.clone(),
        name: test.name.clone(),
        differences,
        expects_nothing,
    })
}

enum TestRun {
    /// The ended execution, its calls, and the store with its state.
    Ended(Box<Execution>, Vec<(String, Value)>, Arc<dyn Store>),
    NotStarted(String),
}

async fn execute(subject: &TestSubject, program: &Arc<Program>, test: &WorkflowTest) -> Result<TestRun, String> {
    let now = match test.now.as_deref() {
        Some(text) => jiff::Timestamp::from_str(text).map_err(|error| format!("now: {error}"))?.as_microsecond(),
        None => DEFAULT_NOW,
    };
    let store = store::open("sqlite::memory:", Keys::none()).await.map_err(message)?;
    let mocked = Arc::new(MockedActions {
        answers: test
            .actions
            .iter()
            .map(|(name, answers)| (name.clone(), answers.iter().map(Json::value).collect()))
            .collect(),
        secrets: test.secrets.clone(),
        calls: Mutex::default(),
    });
    let live = LiveEnvironment {
        runtime: Arc::clone(&subject.runtime),
        generation: 1,
        programs: Arc::clone(&subject.programs),
        actions: Arc::clone(&mocked) as Arc<dyn Actions>,
    };
    let environments: Arc<dyn EnvironmentProvider> = Arc::new(SingleEnvironment(live.clone()));
    let engine: Arc<dyn ScriptEngine> = Arc::new(QuickJs);
    let settings = WorkerSettings { concurrency: 16, max_real_time: Some(TIMEOUT / 2), ..WorkerSettings::default() };
    let dispatcher = Dispatcher::open(Arc::clone(&store), environments, engine, Clock::virtual_at(now), settings);
    let new = match new_execution(subject, program, test, &dispatcher, &live).await? {
        Ok(new) => new,
        Err(cause) => return Ok(TestRun::NotStarted(cause)),
    };
    let scope = state_scope(&new.tenant);
    for (key, value) in &test.state {
        store.put_workflow_state(ENVIRONMENT, &scope, key, &value.value(), None).await.map_err(message)?;
    }
    let id = new.id.clone();
    let end_of_execution = dispatcher.register_waiter(&id);
    // Stored before it starts, so that its signals are there when it waits for them.
    let accept = EnqueueRequest { executions: vec![NewExecution { delay: 0, ..new }], ..EnqueueRequest::default() };
    dispatcher.commit(store::queue::Change::Accept(Box::new(accept))).await.map_err(message)?;
    for (name, answers) in &test.events {
        for answer in answers {
            store.signal(ENVIRONMENT, &id, SignalKind::Event, name, &answer.value()).await.map_err(message)?;
        }
    }
    for (name, approved) in &test.approvals {
        let answer = json!({"approved": approved, "by": "test"});
        store.signal(ENVIRONMENT, &id, SignalKind::Approval, name, &answer).await.map_err(message)?;
    }
    let (shutdown, until) = watch::channel(false);
    let worker = tokio::spawn(Worker::new(Arc::clone(&dispatcher)).run(until));
    let ended = dispatcher.wait_for_end(ENVIRONMENT, &id, end_of_execution, TIMEOUT).await;
    let _ = shutdown.send(true);
    worker.abort();
    let ended = ended.ok_or_else(|| format!("{} did not end within {} s", test.name, TIMEOUT.as_secs()))?;
    let calls = std::mem::take(&mut *mocked.calls.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(TestRun::Ended(Box::new(Execution::clone(&ended)), calls, store))
}

fn message(error: store::StoreError) -> String {
    error.to_string()
}

/// The scope of `ctx.state` of a tenant.
fn state_scope(tenant: &str) -> String {
    if tenant.is_empty() { "organization".to_owned() } else { format!("tenant/{tenant}") }
}

/// The execution that a test starts, from its input or through a trigger from its event; or the reason that there is
/// none.
async fn new_execution(
    subject: &TestSubject,
    program: &Arc<Program>,
    test: &WorkflowTest,
    dispatcher: &Arc<Dispatcher>,
    live: &LiveEnvironment,
) -> Result<Result<NewExecution, String>, String> {
    let headers: BTreeMap<String, String> =
        test.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    let Some(event) = &test.event else {
        let new = dispatcher.new_execution(ENVIRONMENT, live, program).await.map_err(message)?;
        return Ok(Ok(NewExecution {
            triggered_by: TriggeredBy::Manual,
            input: program.with_defaults(test.input.as_ref().map_or_else(|| json!({}), Json::value))?,
            headers: json!(headers),
            tenant: test.tenant.clone().unwrap_or_default(),
            ..new
        }));
    };
    let name = test.trigger.as_deref().unwrap_or_default();
    let Some(trigger) = subject.triggers.get(name) else {
        return Ok(Err(format!("there is no trigger `{name}`; name one in `trigger`")));
    };
    let routes = match &trigger.kind {
        TriggerKind::Webhook(webhook) => &webhook.routes,
        TriggerKind::AppEvent(app) => &app.routes,
        TriggerKind::Schedule(_) => return Ok(Err(format!("trigger `{name}` is a schedule; use `input`"))),
    };
    let body = event.value();
    if let TriggerKind::AppEvent(app) = &trigger.kind
        && let Some(cause) = app.refusal_of(&subject.runtime, &body)
    {
        return Ok(Err(cause));
    }
    let incoming = IncomingEvent {
        headers,
        query: BTreeMap::new(),
        input: body.clone(),
        app_event: body.clone(),
        body,
        tenant: test.tenant.clone().unwrap_or_default(),
        key: None,
        ordering_key: String::new(),
        request: String::new(),
        trace: String::new(),
        live,
    };
    let accept = routing::route_event(dispatcher, ENVIRONMENT, trigger, routes, incoming).await.map_err(message)?;
    let started: Vec<String> = accept.executions.iter().map(|run| run.workflow.clone()).collect();
    let found = accept.executions.into_iter().find(|run| run.workflow == program.name);
    Ok(found.ok_or_else(|| match (started.as_slice(), accept.dead_letters.first()) {
        (_, Some(dead)) => dead.message.clone(),
        ([], None) => "no route of the trigger matches the event".to_owned(),
        (others, None) => format!("the event starts {} only", others.join(", ")),
    }))
}

/// The input of an action with the defaults of its schema, which a test may write or omit.
fn with_defaults(runtime: &Runtime, action: &str, input: Value) -> Value {
    let (connector, action) = action.split_once('/').unwrap_or_default();
    let found = connector::find(runtime, connector, action).ok();
    let filled = found.and_then(|(connector, action)| action.with_defaults(&connector.spec, &input).ok().flatten());
    filled.unwrap_or(input)
}

async fn compare(
    test: &WorkflowTest,
    runtime: &Runtime,
    execution: &Execution,
    calls: &[(String, Value)],
    store: &dyn Store,
    differences: &mut Vec<Difference>,
) -> Result<(), String> {
    let mut differs = |what: &str, expected: String, actual: String| {
        differences.push(Difference { what: what.to_owned(), expected, actual });
    };
    let error = || {
        let place = execution.error["file"]
            .as_str()
            .map_or_else(String::new, |file| format!(" at {file}:{}", execution.error["line"]));
        let text = |name: &str| execution.error[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {}{place}", text("code"), text("message"))
    };
    let completed = execution.status == ExecutionStatus::Completed;
    match (&test.expect_output, &test.expect_error) {
        (_, Some(wanted)) if completed => {
            differs("error", wanted.clone(), format!("no error; the output is\n{}", pretty(&execution.output)));
        }
        (_, Some(wanted)) if !error().contains(wanted.as_str()) => differs("error", wanted.clone(), error()),
        (Some(wanted), None) if completed && !same(&wanted.value(), &execution.output) => {
            differs("output", pretty(&wanted.value()), pretty(&execution.output));
        }
        (Some(wanted), None) if !completed => differs("output", pretty(&wanted.value()), format!("error {}", error())),
        (None, None) if !completed => differs("result", "success".to_owned(), format!("error {}", error())),
        _ => {}
    }
    if let Some(expected) = &test.expect_calls {
        let wanted: Vec<Value> = expected
            .iter()
            .map(|call| match &call.input {
                Some(input) => {
                    json!({"action": call.action, "input": with_defaults(runtime, &call.action, input.value())})
                }
                None => json!({"action": call.action}),
            })
            .collect();
        let actual: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(at, (action, input))| match expected.get(at).is_some_and(|call| call.input.is_none()) {
                true => json!({"action": action}),
                false => {
                    json!({"action": action, "input": with_defaults(runtime, action, input.clone())})
                }
            })
            .collect();
        if !same(&json!(wanted), &json!(actual)) {
            differs("calls", pretty(&json!(wanted)), pretty(&json!(actual)));
        }
    }
    let scope = state_scope(&execution.tenant);
    let (mut wanted, mut actual) = (Map::new(), Map::new());
    for (key, expected) in &test.expect_state {
        let value = store.workflow_state(ENVIRONMENT, &scope, key).await.map_err(|error| error.to_string())?;
        wanted.insert(key.clone(), expected.value());
        actual.insert(key.clone(), value.unwrap_or_default());
    }
    if !same(&json!(wanted), &json!(actual)) {
        differs("state", pretty(&json!(wanted)), pretty(&json!(actual)));
    }
    Ok(())
}

/// A provider of the environment under test.
#[derive(Debug)]
struct SingleEnvironment(LiveEnvironment);

impl EnvironmentProvider for SingleEnvironment {
    fn live(&self, _: &str) -> Option<LiveEnvironment> {
        Some(self.0.clone())
    }

    fn names(&self) -> Vec<String> {
        vec![ENVIRONMENT.to_owned()]
    }

    fn dead_letter_retention(&self, _: &str, _: &str) -> Option<Duration> {
        None
    }
}

/// Actions with the responses that a test declares.
struct MockedActions {
    answers: BTreeMap<String, Vec<Value>>,
    secrets: BTreeMap<String, String>,
    calls: Mutex<Vec<(String, Value)>>,
}

#[async_trait]
impl Actions for MockedActions {
    async fn call(&self, connector: &str, action: &str, call: connector::Call) -> Result<Value, CallError> {
        let name = format!("{connector}/{action}");
        let earlier = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let earlier = calls.iter().filter(|(called, _)| *called == name).count();
            calls.push((name.clone(), call.input));
            earlier
        };
        let answers = self.answers.get(&name);
        let answer = answers.and_then(|answers| answers.get(earlier).or_else(|| answers.last()));
        let Some(answer) = answer else {
            return Err(CallError::new(
                ErrorCode::NoMock,
                format!("the test declares no response; add one to `actions.{name}`"),
            ));
        };
        match answer.get("$error") {
            None => Ok(answer.clone()),
            Some(error) => {
                let text = error.get("message").or(Some(error)).and_then(Value::as_str).unwrap_or("failed");
                let mut failed = CallError::new(ErrorCode::Upstream, text);
                failed.upstream_status =
                    error.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
                failed.upstream = error.get("body").cloned().map(Box::new);
                Err(failed)
            }
        }
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        Ok(self.secrets.get(name).cloned().unwrap_or_else(|| format!("[secret {name}]")))
    }

    async fn fetch(&self, url: &str, _: &Value, _: &str) -> Result<Value, CallError> {
        let answer = self.answers.get("fetch").and_then(|answers| answers.first());
        let calls = &self.calls;
        calls.lock().unwrap_or_else(PoisonError::into_inner).push(("fetch".to_owned(), json!(url)));
        answer.cloned().ok_or_else(|| {
            CallError::new(ErrorCode::NoMock, "the test declares no response; add one to `actions.fetch`")
        })
    }
}
