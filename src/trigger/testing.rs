//! Running the tests beside workflows: no network, no waiting, a clock that jumps to whatever is waited for.

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
    Actions, Clock, Dispatcher, EnvironmentProvider, LiveEnvironment, Program, Programs, QuickJs, ScriptEngine,
    Settings, Worker,
};

/// What the clock says in tests that do not: 2026-01-01T00:00:00Z.
const NOW: Micros = 1_767_225_600_000_000;
/// Longest run of a test, in real time.
const LONGEST: Duration = Duration::from_secs(20);
/// The environment of tests.
const ENVIRONMENT: &str = "test";

/// What a test runs on.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Everything that calls need.
    pub runtime: Arc<Runtime>,
    /// The workflows.
    pub programs: Arc<Programs>,
    /// The triggers.
    pub triggers: Arc<Triggers>,
}

/// Runs one test of a workflow.
///
/// # Errors
/// Where no test can be run: not where one fails.
pub async fn run(subject: &Subject, program: &Arc<Program>, test: &WorkflowTest) -> Result<TestResult, String> {
    let mut differences = Vec::new();
    let expects_nothing = test.expect_output.is_none()
        && test.expect_error.is_none()
        && test.expect_calls.is_none()
        && test.expect_state.is_empty();
    match play(subject, program, test).await? {
        Played::Ran(run, calls, store) => compare(test, &run, &calls, &*store, &mut differences).await?,
        Played::NotStarted(why) => differences.push(Difference {
            what: "event".to_owned(),
            expected: format!("starts workflow {}", program.name),
            actual: why,
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

enum Played {
    Ran(Box<Execution>, Vec<(String, Value)>, Arc<dyn Store>),
    NotStarted(String),
}

async fn play(subject: &Subject, program: &Arc<Program>, test: &WorkflowTest) -> Result<Played, String> {
    let told = |error: store::StoreError| error.to_string();
    let now = match test.now.as_deref() {
        Some(text) => jiff::Timestamp::from_str(text).map_err(|error| format!("now: {error}"))?.as_microsecond(),
        None => NOW,
    };
    let store = store::open("sqlite::memory:", Keys::none()).await.map_err(told)?;
    let mocked = Arc::new(Mocked {
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
        number: 1,
        programs: Arc::clone(&subject.programs),
        actions: Arc::clone(&mocked) as Arc<dyn Actions>,
    };
    let ground: Arc<dyn EnvironmentProvider> = Arc::new(One(live.clone()));
    let engine: Arc<dyn ScriptEngine> = Arc::new(QuickJs);
    let settings = Settings { concurrency: 16, longest: Some(LONGEST / 2), ..Settings::default() };
    let desk = Dispatcher::open(Arc::clone(&store), ground, engine, Clock::standing(now), settings);
    let run = match started(subject, program, test, &desk, &live).await? {
        Ok(run) => run,
        Err(why) => return Ok(Played::NotStarted(why)),
    };
    let scope = if run.tenant.is_empty() { "organization".to_owned() } else { format!("tenant/{}", run.tenant) };
    for (key, value) in &test.state {
        store.put_workflow_state(ENVIRONMENT, &scope, key, &value.value(), None).await.map_err(told)?;
    }
    let id = run.id.clone();
    let waiting = desk.watch(&id);
    // Stored first, so that it can be told what it will wait for before it asks.
    let intake = EnqueueRequest { executions: vec![NewExecution { delay: 0, ..run }], ..EnqueueRequest::default() };
    desk.commit(store::queue::Change::Accept(Box::new(intake))).await.map_err(told)?;
    for (name, answers) in &test.events {
        for answer in answers {
            store.signal(ENVIRONMENT, &id, SignalKind::Event, name, &answer.value()).await.map_err(told)?;
        }
    }
    for (name, approved) in &test.approvals {
        let answer = json!({"approved": approved, "by": "test"});
        store.signal(ENVIRONMENT, &id, SignalKind::Approval, name, &answer).await.map_err(told)?;
    }
    let (end, until) = watch::channel(false);
    let working = tokio::spawn(Worker::new(Arc::clone(&desk)).work(until));
    let ended = desk.wait(ENVIRONMENT, &id, waiting, LONGEST).await;
    let _ = end.send(true);
    working.abort();
    let ended = ended.ok_or_else(|| format!("{} did not end within {} s", test.name, LONGEST.as_secs()))?;
    let calls = std::mem::take(&mut *mocked.calls.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Played::Ran(Box::new(Execution::clone(&ended)), calls, store))
}

/// The execution that a test starts: of its input, or of its event by way of a trigger.
async fn started(
    subject: &Subject,
    program: &Arc<Program>,
    test: &WorkflowTest,
    desk: &Arc<Dispatcher>,
    live: &LiveEnvironment,
) -> Result<Result<NewExecution, String>, String> {
    let told = |error: store::StoreError| error.to_string();
    let headers: BTreeMap<String, String> =
        test.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    let Some(event) = &test.event else {
        let new = desk.new_run(ENVIRONMENT, live, program).await.map_err(told)?;
        return Ok(Ok(NewExecution {
            triggered_by: TriggeredBy::Manual,
            input: test.input.as_ref().map_or_else(|| json!({}), Json::value),
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
    let arriving = IncomingEvent {
        headers,
        query: BTreeMap::new(),
        input: body.clone(),
        event: body.clone(),
        body,
        tenant: test.tenant.clone().unwrap_or_default(),
        key: None,
        ordering_key: String::new(),
        request: String::new(),
        trace: String::new(),
        live,
    };
    let intake = routing::intake(desk, ENVIRONMENT, trigger, routes, arriving).await.map_err(told)?;
    let reached: Vec<String> = intake.executions.iter().map(|run| run.workflow.clone()).collect();
    let found = intake.executions.into_iter().find(|run| run.workflow == program.name);
    Ok(found.ok_or_else(|| match (reached.as_slice(), intake.dead_letters.first()) {
        (_, Some(dead)) => dead.message.clone(),
        ([], None) => "no route of the trigger matches it".to_owned(),
        (others, None) => format!("it starts {} only", others.join(", ")),
    }))
}

async fn compare(
    test: &WorkflowTest,
    run: &Execution,
    calls: &[(String, Value)],
    store: &dyn Store,
    found: &mut Vec<Difference>,
) -> Result<(), String> {
    let mut differs = |what: &str, expected: String, actual: String| {
        found.push(Difference { what: what.to_owned(), expected, actual });
    };
    let error = || {
        let place =
            run.error["file"].as_str().map_or_else(String::new, |file| format!(" at {file}:{}", run.error["line"]));
        let text = |name: &str| run.error[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {}{place}", text("code"), text("message"))
    };
    let completed = run.status == ExecutionStatus::Completed;
    match (&test.expect_output, &test.expect_error) {
        (_, Some(wanted)) if completed => {
            differs("error", wanted.clone(), format!("no error; the output is\n{}", pretty(&run.output)));
        }
        (_, Some(wanted)) if !error().contains(wanted.as_str()) => differs("error", wanted.clone(), error()),
        (Some(wanted), None) if completed && !same(&wanted.value(), &run.output) => {
            differs("output", pretty(&wanted.value()), pretty(&run.output));
        }
        (Some(wanted), None) if !completed => differs("output", pretty(&wanted.value()), format!("error {}", error())),
        (None, None) if !completed => differs("result", "success".to_owned(), format!("error {}", error())),
        _ => {}
    }
    if let Some(expected) = &test.expect_calls {
        let wanted: Vec<Value> = expected
            .iter()
            .map(|call| match &call.input {
                Some(input) => json!({"action": call.action, "input": input.value()}),
                None => json!({"action": call.action}),
            })
            .collect();
        let actual: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(at, (action, input))| match expected.get(at).is_some_and(|call| call.input.is_none()) {
                true => json!({"action": action}),
                false => json!({"action": action, "input": input}),
            })
            .collect();
        if !same(&json!(wanted), &json!(actual)) {
            differs("calls", pretty(&json!(wanted)), pretty(&json!(actual)));
        }
    }
    let scope = if run.tenant.is_empty() { "organization".to_owned() } else { format!("tenant/{}", run.tenant) };
    let (mut wanted, mut actual) = (Map::new(), Map::new());
    for (key, value) in &test.expect_state {
        let there = store.workflow_state(ENVIRONMENT, &scope, key).await.map_err(|error| error.to_string())?;
        wanted.insert(key.clone(), value.value());
        actual.insert(key.clone(), there.unwrap_or_default());
    }
    if !same(&json!(wanted), &json!(actual)) {
        differs("state", pretty(&json!(wanted)), pretty(&json!(actual)));
    }
    Ok(())
}

/// One generation that is live.
#[derive(Debug)]
struct One(LiveEnvironment);

impl EnvironmentProvider for One {
    fn live(&self, _: &str) -> Option<LiveEnvironment> {
        Some(self.0.clone())
    }

    fn environments(&self) -> Vec<String> {
        vec![ENVIRONMENT.to_owned()]
    }

    fn keeps_dead(&self, _: &str, _: &str) -> Option<Duration> {
        None
    }
}

/// Actions that answer what a test says.
struct Mocked {
    answers: BTreeMap<String, Vec<Value>>,
    secrets: BTreeMap<String, String>,
    calls: Mutex<Vec<(String, Value)>>,
}

#[async_trait]
impl Actions for Mocked {
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
                format!("the test gives no answer; add it to `actions.{name}`"),
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
        answer
            .cloned()
            .ok_or_else(|| CallError::new(ErrorCode::NoMock, "the test gives no answer; add it to `actions.fetch`"))
    }
}
