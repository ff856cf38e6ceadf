//! The queue on both databases, with several processes where the database supports that.

use std::sync::Arc;
use std::time::Duration;

use evenkeel::definition::workflow::Tier;
use evenkeel::store::queue::{
    Change, CommitResult, DeadLetter, DeadLetterReason, DeadLetterStatus, DedupKey, Disposition, EnqueueRequest, Event,
    EventOutcome, EventSummary, Execution, ExecutionStatus, LogLevel, LogLine, NewExecution, RowRange, Step, StepKind,
    StepStatus, TriggeredBy, new_id,
};
use evenkeel::store::{Store, StoreError};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Fixture;

mod claims;
mod commits;
mod history;
mod ordering;
mod signals;
mod triggers;

const HOUR: i64 = 3_600_000_000;
/// Makes all timers due and all leases expire.
const DUE: &str = "UPDATE executions SET \
     wake_at = CASE WHEN wake_at IS NULL THEN NULL ELSE 1 END, \
     lease_expires_at = CASE WHEN lease_expires_at IS NULL THEN NULL ELSE 1 END";

super::on_both!(
    stores_an_event_with_everything_that_it_starts,
    deduplicates_events_by_key,
    stores_one_of_concurrent_events_with_a_key,
    an_expired_key_accepts_a_new_event,
    a_refused_change_has_no_effect_on_others,
    stores_zero_bytes,
    keeps_the_order_of_fields_and_the_digits_of_numbers,
    an_execution_claimed_at_once_equals_the_stored_one,
);

pub fn new_execution(workflow: &str) -> NewExecution {
    NewExecution {
        id: new_id(),
        environment: "live".to_owned(),
        workflow: workflow.to_owned(),
        version: 1,
        generation: 1,
        tier: Tier::Standard,
        priority: 2,
        triggered_by: TriggeredBy::Manual,
        source: "me".to_owned(),
        input: json!({ "of": workflow }),
        headers: json!({}),
        ..NewExecution::default()
    }
}

pub fn event(trigger: &str) -> Event {
    Event {
        id: new_id(),
        environment: "live".to_owned(),
        trigger: trigger.to_owned(),
        kind: TriggeredBy::Webhook,
        headers: json!({ "x-kind": "test" }),
        payload: json!({ "to": trigger }),
        outcome: EventOutcome::Started,
        ..Event::default()
    }
}

pub fn dead_letter(workflow: &str) -> DeadLetter {
    DeadLetter {
        id: new_id(),
        environment: "live".to_owned(),
        workflow: workflow.to_owned(),
        reason: DeadLetterReason::Failed,
        message: "it did not work".to_owned(),
        payload: json!([1]),
        headers: json!({}),
        status: DeadLetterStatus::Pending,
        retention: HOUR,
        ..DeadLetter::default()
    }
}

pub fn step(name: &str, order: i64, status: StepStatus) -> Step {
    Step { name: name.to_owned(), order, kind: StepKind::Step, attempt: 1, status, ..Step::default() }
}

pub fn line(at: i64, message: &str) -> LogLine {
    LogLine { at, level: LogLevel::Info, message: message.to_owned() }
}

pub fn enqueue(executions: Vec<NewExecution>) -> Change {
    Change::Accept(Box::new(EnqueueRequest { executions, ..EnqueueRequest::default() }))
}

/// An event with a key, which starts one execution.
pub fn keyed(event: &Event, key: &str, window: i64) -> Change {
    Change::Accept(Box::new(EnqueueRequest {
        event: Some(event.clone()),
        dedup_key: Some(DedupKey { key: key.to_owned(), window }),
        executions: vec![NewExecution { event: event.id.clone(), ..new_execution("keyed") }],
        ..EnqueueRequest::default()
    }))
}

pub fn release(execution: &Execution, outcome: Disposition) -> Change {
    Change::Release {
        claim: execution.claim(),
        disposition: outcome,
        steps: Vec::new(),
        logs: Vec::new(),
        follow_ups: Vec::new(),
        dead_letter: None,
        claim_next: None,
    }
}

pub fn progress(execution: &Execution, steps: Vec<Step>, logs: Vec<LogLine>) -> Change {
    Change::Progress { claim: execution.claim(), steps, logs, follow_ups: Vec::new() }
}

pub fn completed() -> Disposition {
    Disposition::Ended(ExecutionStatus::Completed, json!("done"), Value::Null)
}

pub async fn commit(store: &dyn Store, change: Change) -> CommitResult {
    let mut done = store.commit(&[change]).await.unwrap();
    assert_eq!(done.len(), 1);
    done.remove(0)
}

/// Stores a change, which must be stored.
pub async fn stored(store: &dyn Store, change: Change) -> Vec<Execution> {
    match commit(store, change).await {
        CommitResult::Stored(claimed) => claimed,
        other => panic!("{other:?}"),
    }
}

/// Stores an execution; returns its id.
pub async fn accept(store: &dyn Store, execution: NewExecution) -> String {
    let id = execution.id.clone();
    stored(store, enqueue(vec![execution])).await;
    id
}

pub async fn claim(store: &dyn Store, most: u32) -> Vec<Execution> {
    store.claim("live", "worker", most, HOUR).await.unwrap()
}

/// Claims the only ready execution.
pub async fn claim_one(store: &dyn Store) -> Execution {
    let mut executions = claim(store, 10).await;
    assert_eq!(executions.len(), 1, "{executions:?}");
    executions.remove(0)
}

pub async fn get(store: &dyn Store, id: &str) -> Execution {
    store.execution("live", id).await.unwrap().unwrap()
}

pub fn ids(executions: &[Execution]) -> Vec<&str> {
    executions.iter().map(|execution| execution.id.as_str()).collect()
}

/// Makes all timers due and all leases expire.
pub async fn all_due(fixture: &Fixture) {
    fixture.sql(DUE).await;
}

pub async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Two stores on the database: of two processes if it supports that.
pub async fn two(fixture: &Fixture) -> [Arc<dyn Store>; 2] {
    [fixture.store.clone(), fixture.another().await]
}

async fn stores_an_event_with_everything_that_it_starts(fixture: Fixture) {
    let store = &*fixture.store;
    let event = event("orders");
    let executions: Vec<NewExecution> =
        ["one", "two"].map(|name| NewExecution { event: event.id.clone(), ..new_execution(name) }).into();
    let letter = DeadLetter { event: event.id.clone(), trigger: "orders".to_owned(), ..dead_letter("three") };
    let request = EnqueueRequest {
        event: Some(event.clone()),
        dedup_key: Some(DedupKey { key: "order 7".to_owned(), window: HOUR }),
        executions: executions.clone(),
        dead_letters: vec![letter.clone()],
        ..EnqueueRequest::default()
    };
    let before = store.time().await.unwrap();
    assert!(stored(store, Change::Accept(Box::new(request.clone()))).await.is_empty(), "no worker claims it");
    let found = store.event("live", &event.id).await.unwrap().unwrap();
    assert!(found.at >= before);
    assert_eq!(Event { at: 0, ..found.clone() }, event);
    assert!(store.event("draft", &event.id).await.unwrap().is_none());
    let listed = EventSummary {
        id: found.id.clone(),
        environment: found.environment.clone(),
        trigger: found.trigger.clone(),
        kind: found.kind,
        at: found.at,
        outcome: found.outcome,
        request: found.request.clone(),
        trace: found.trace.clone(),
    };
    assert_eq!(store.events("live", Some("orders"), &RowRange::newest(9)).await.unwrap(), [listed]);
    assert!(store.events("live", Some("others"), &RowRange::newest(9)).await.unwrap().is_empty());
    for execution in &executions {
        let found = get(store, &execution.id).await;
        assert_eq!(
            (found.status, found.event.as_str(), &found.input),
            (ExecutionStatus::Queued, &*event.id, &execution.input)
        );
        assert_eq!((found.attempt, found.token, found.started_at), (1, 0, 0));
    }
    let found = store.dead_letter("live", &letter.id).await.unwrap().unwrap();
    assert_eq!(DeadLetter { at: 0, ..found }, letter);

    // The last execution has the id of another one: nothing is stored, not even the key.
    let again = super::queue::event("orders");
    let refused = EnqueueRequest {
        event: Some(again.clone()),
        dedup_key: Some(DedupKey { key: "order 8".to_owned(), window: HOUR }),
        executions: vec![new_execution("new"), executions[0].clone()],
        ..EnqueueRequest::default()
    };
    let fresh = refused.executions[0].id.clone();
    assert!(matches!(commit(store, Change::Accept(Box::new(refused))).await, CommitResult::Refused(_)));
    assert!(store.event("live", &again.id).await.unwrap().is_none());
    assert!(store.execution("live", &fresh).await.unwrap().is_none());
    stored(store, keyed(&again, "order 8", HOUR)).await;
}

async fn deduplicates_events_by_key(fixture: Fixture) {
    let store = &*fixture.store;
    let (first, second) = (event("orders"), event("orders"));
    stored(store, keyed(&first, "a", HOUR)).await;
    assert_eq!(commit(store, keyed(&second, "a", HOUR)).await, CommitResult::Duplicate(first.id.clone()));
    // Also within one call.
    let third = event("orders");
    let changes = [keyed(&third, "b", HOUR), keyed(&second, "b", HOUR), keyed(&second, "a", HOUR)];
    let done = store.commit(&changes).await.unwrap();
    assert_eq!(done[0], CommitResult::Stored(Vec::new()));
    assert_eq!(done[1..], [CommitResult::Duplicate(third.id.clone()), CommitResult::Duplicate(first.id.clone())]);
    assert!(store.event("live", &second.id).await.unwrap().is_none());
    assert_eq!(store.depth("live").await.unwrap().open, 2, "a duplicate starts nothing");
    // Keys of other triggers and environments are different keys.
    stored(store, keyed(&event("others"), "a", HOUR)).await;
    stored(store, keyed(&Event { environment: "draft".to_owned(), ..event("orders") }, "a", HOUR)).await;
}

async fn stores_one_of_concurrent_events_with_a_key(fixture: Fixture) {
    let stores = two(&fixture).await;
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let store = stores[number % 2].clone();
        tasks.spawn(async move {
            let event = event("orders");
            let change = [keyed(&event, "one", HOUR)];
            loop {
                match store.commit(&change).await {
                    Ok(done) => return (done[0].clone(), event.id),
                    // There are more tasks than connections, which are slow to open on a busy machine.
                    Err(StoreError::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    let answers = tasks.join_all().await;
    let winners: Vec<&String> =
        answers.iter().filter(|(done, _)| *done == CommitResult::Stored(Vec::new())).map(|(_, id)| id).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    let others = answers.iter().filter(|(done, _)| *done == CommitResult::Duplicate(winners[0].clone())).count();
    assert_eq!(others, 49, "{answers:?}");
    assert_eq!(fixture.number("SELECT count(*) FROM events").await, 1);
    assert_eq!(fixture.number("SELECT count(*) FROM executions").await, 1);
}

async fn an_expired_key_accepts_a_new_event(fixture: Fixture) {
    let store = &*fixture.store;
    let (first, second, third) = (event("orders"), event("orders"), event("orders"));
    stored(store, keyed(&first, "a", 50_000)).await;
    pass(80).await;
    stored(store, keyed(&second, "a", HOUR)).await;
    assert_eq!(commit(store, keyed(&third, "a", HOUR)).await, CommitResult::Duplicate(second.id));
}

async fn a_refused_change_has_no_effect_on_others(fixture: Fixture) {
    let store = &*fixture.store;
    let claimed = accept(store, new_execution("first")).await;
    let execution = claim_one(store).await;
    let bad = event("orders");
    let (one, other) = (new_execution("one"), new_execution("other"));
    let changes = [
        enqueue(vec![one.clone()]),
        Change::Accept(Box::new(EnqueueRequest {
            event: Some(bad.clone()),
            executions: vec![NewExecution { id: claimed, ..new_execution("bad") }],
            ..EnqueueRequest::default()
        })),
        progress(&execution, vec![step("a", 1, StepStatus::Completed)], Vec::new()),
        progress(&Execution { token: 7, ..execution.clone() }, vec![step("b", 2, StepStatus::Completed)], Vec::new()),
        enqueue(vec![other.clone()]),
    ];
    let done = store.commit(&changes).await.unwrap();
    let fine = CommitResult::Stored(Vec::new());
    assert!(matches!(&done[1], CommitResult::Refused(why) if !why.is_empty()), "{done:?}");
    assert_eq!((&done[0], &done[2], &done[3], &done[4]), (&fine, &fine, &CommitResult::Fenced, &fine));
    assert!(store.event("live", &bad.id).await.unwrap().is_none());
    assert_eq!(store.steps(&execution.id).await.unwrap(), [step("a", 1, StepStatus::Completed)]);
    assert_eq!(ids(&claim(store, 9).await), [&*one.id, &*other.id]);
    assert!(store.commit(&[]).await.unwrap().is_empty());
}

async fn stores_zero_bytes(fixture: Fixture) {
    let store = &*fixture.store;
    let odd = json!({ "text": "a\0b", "ke\0y": "\u{1f600} é \u{ffff} \\u0000" });
    let event = Event { payload: odd.clone(), headers: odd.clone(), ..event("orders") };
    let execution = NewExecution { input: odd.clone(), headers: odd.clone(), ..new_execution("odd") };
    let request =
        EnqueueRequest { event: Some(event.clone()), executions: vec![execution.clone()], ..EnqueueRequest::default() };
    stored(store, Change::Accept(Box::new(request))).await;
    let found = store.event("live", &event.id).await.unwrap().unwrap();
    assert_eq!((&found.payload, &found.headers), (&odd, &odd));
    let execution = claim_one(store).await;
    assert_eq!((&execution.input, &execution.headers), (&odd, &odd));

    let full = Step { input: odd.clone(), output: odd.clone(), error: odd.clone(), ..step("a", 1, StepStatus::Failed) };
    let letter = DeadLetter { payload: odd.clone(), message: "what\0 it said".to_owned(), ..dead_letter("odd") };
    let left = Change::Release {
        claim: execution.claim(),
        disposition: Disposition::Ended(ExecutionStatus::Failed, odd.clone(), odd.clone()),
        steps: vec![full.clone()],
        logs: vec![line(1, "a\0b")],
        follow_ups: Vec::new(),
        dead_letter: Some(Box::new(letter.clone())),
        claim_next: None,
    };
    stored(store, left).await;
    let ended = get(store, &execution.id).await;
    assert_eq!((&ended.output, &ended.error, ended.status), (&odd, &odd, ExecutionStatus::Failed));
    assert_eq!(store.steps(&execution.id).await.unwrap(), [full]);
    assert_eq!(store.logs(&execution.id).await.unwrap(), [line(1, "a\u{fffd}b")]);
    let found = store.dead_letter("live", &letter.id).await.unwrap().unwrap();
    assert_eq!((&found.payload, found.message.as_str()), (&odd, "what\u{fffd} it said"));
    store.put_workflow_state("live", "orders", "odd", &odd, None).await.unwrap();
    assert_eq!(store.workflow_state("live", "orders", "odd").await.unwrap(), Some(odd));
}

async fn keeps_the_order_of_fields_and_the_digits_of_numbers(fixture: Fixture) {
    let store = &*fixture.store;
    let text = r#"{"z":1.0,"a":{"y":18446744073709551615,"b":-0.0},"m":[1e300,0.1,5e-324],"é":"\\u0000"}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    let event = Event { payload: value.clone(), headers: value.clone(), ..event("orders") };
    let new = NewExecution { input: value.clone(), headers: value.clone(), ..new_execution("any") };
    let request = EnqueueRequest { event: Some(event.clone()), executions: vec![new], ..EnqueueRequest::default() };
    stored(store, Change::Accept(Box::new(request))).await;
    let found = store.event("live", &event.id).await.unwrap().unwrap();
    let execution = claim_one(store).await;
    let disposition = Disposition::Ended(ExecutionStatus::Failed, value.clone(), value.clone());
    stored(store, release(&execution, disposition)).await;
    let ended = get(store, &execution.id).await;
    store.put_workflow_state("live", "s", "k", &value, None).await.unwrap();
    let state = store.workflow_state("live", "s", "k").await.unwrap().unwrap();
    let written = value.to_string();
    for read in [found.payload, found.headers, ended.input, ended.headers, ended.output, ended.error, state] {
        assert_eq!(read.to_string(), written);
    }
}

async fn an_execution_claimed_at_once_equals_the_stored_one(fixture: Fixture) {
    let store = &*fixture.store;
    let at_once = |executions: Vec<NewExecution>| {
        let claimed_by = Some(("worker".to_owned(), HOUR));
        Change::Accept(Box::new(EnqueueRequest { executions, claimed_by, ..EnqueueRequest::default() }))
    };
    let first = NewExecution { ordering_key: "key".to_owned(), ..new_execution("first") };
    let second = NewExecution { ordering_key: "key".to_owned(), ..new_execution("second") };
    let later = NewExecution { delay: HOUR, ..new_execution("later") };
    let batch = NewExecution { batch_key: "batch".to_owned(), ..new_execution("batch") };
    let all = vec![first.clone(), second.clone(), later.clone(), batch.clone()];
    let claimed = stored(store, at_once(all)).await;
    assert_eq!(ids(&claimed), [&*first.id, &*batch.id], "the others are not claimed");
    for execution in &claimed {
        assert_eq!(get(store, &execution.id).await, *execution);
        assert_eq!(
            (execution.status, execution.token, execution.worker.as_str()),
            (ExecutionStatus::Running, 1, "worker")
        );
    }
    assert!(claim(store, 9).await.is_empty());
    stored(store, release(&claimed[0], completed())).await;
    assert_eq!(claim_one(store).await.id, second.id);
}

/// Replays a dead letter that starts nothing; returns true if it was pending.
async fn replayed(store: &dyn Store, environment: &str, id: &str) -> bool {
    let replays = Some((environment.to_owned(), id.to_owned()));
    let request = EnqueueRequest { replays, ..Default::default() };
    let done = store.commit(&[Change::Accept(Box::new(request))]).await.unwrap();
    matches!(done.as_slice(), [CommitResult::Stored(_)])
}
