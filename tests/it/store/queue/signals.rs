//! Signals from outside, results of children, and batches.

use evenkeel::store::queue::{Change, Disposition, Execution, ExecutionStatus, NewExecution, SignalKind, StepStatus};
use evenkeel::store::{Store, StoreError};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::{Fixture, on_both};
use super::{
    HOUR, accept, all_due, claim, claim_one, completed, enqueue, get, new_execution, pass, progress, release, step,
    stored, two,
};

on_both!(
    a_signal_wakes_a_waiting_execution,
    an_earlier_signal_wakes_a_later_wait,
    an_unrelated_signal_wakes_once,
    no_signal_is_lost_before_the_wait_is_stored,
    numbers_signals_of_one_name,
    an_ended_execution_receives_no_signal,
    a_wait_ends_at_its_timeout,
    a_child_sends_its_result_to_its_parent,
    no_result_is_lost_before_the_wait_is_stored,
    a_cancelled_child_sends_its_result,
    a_child_of_an_ended_parent_sends_nothing,
    a_batch_collects_events_until_it_starts,
    concurrent_events_join_one_batch,
);

/// Suspends an execution until a signal: the wait is a step.
async fn wait_for(store: &dyn Store, execution: &Execution, name: &str) {
    stored(store, progress(execution, vec![step(name, 1, StepStatus::Waiting)], Vec::new())).await;
    let then = store.time().await.unwrap() + HOUR;
    stored(store, release(execution, Disposition::Suspend(then, then))).await;
}

async fn running(store: &dyn Store) -> Execution {
    accept(store, new_execution("any")).await;
    claim_one(store).await
}

async fn a_signal_wakes_a_waiting_execution(fixture: Fixture) {
    let store = &*fixture.store;
    let execution = running(store).await;
    wait_for(store, &execution, "event go").await;
    assert_eq!(get(store, &execution.id).await.status, ExecutionStatus::Waiting);
    assert!(claim(store, 9).await.is_empty());
    assert_eq!(store.received_signal(&execution.id, "event go").await.unwrap(), None);
    assert!(store.signal("live", &execution.id, SignalKind::Event, "go", &json!({ "yes": true })).await.unwrap());
    assert_eq!(store.received_signal(&execution.id, "event go").await.unwrap(), Some(json!({ "yes": true })));
    let again = claim_one(store).await;
    assert_eq!((&again.id, again.attempt, again.lease_expirations), (&execution.id, 1, 0));
    assert!(!store.signal("draft", &execution.id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    assert!(!store.signal("live", "missing", SignalKind::Event, "go", &json!(1)).await.unwrap());
    assert!(store.signal("live", &execution.id, SignalKind::Event, "a\0b", &json!(1)).await.is_err());
}

async fn an_earlier_signal_wakes_a_later_wait(fixture: Fixture) {
    let store = &*fixture.store;
    let execution = running(store).await;
    assert!(store.signal("live", &execution.id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    wait_for(store, &execution, "event go").await;
    assert_eq!(claim_one(store).await.id, execution.id);
    // Even before the execution is claimed.
    let id = accept(store, new_execution("any")).await;
    assert!(store.signal("live", &id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    let execution = claim_one(store).await;
    wait_for(store, &execution, "event go").await;
    let execution = claim_one(store).await;
    // A received signal does not wake it again.
    stored(store, progress(&execution, vec![step("event go", 1, StepStatus::Completed)], Vec::new())).await;
    wait_for(store, &execution, "event stop").await;
    stored(store, enqueue(vec![])).await;
    let found = get(store, &execution.id).await;
    assert_eq!(found.status, ExecutionStatus::Waiting);
}

async fn an_unrelated_signal_wakes_once(fixture: Fixture) {
    let store = &*fixture.store;
    let execution = running(store).await;
    wait_for(store, &execution, "event go").await;
    assert!(store.signal("live", &execution.id, SignalKind::Event, "other", &json!(1)).await.unwrap());
    // It may look once; then it waits, without a busy loop.
    for execution in claim(store, 9).await {
        wait_for(store, &execution, "event go").await;
    }
    assert!(claim(store, 9).await.is_empty());
    assert!(store.signal("live", &execution.id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    assert_eq!(claim_one(store).await.id, execution.id);
}

async fn no_signal_is_lost_before_the_wait_is_stored(fixture: Fixture) {
    let [here, there] = two(&fixture).await;
    for _ in 0..3 {
        let execution = running(&*here).await;
        stored(&*here, progress(&execution, vec![step("event go", 1, StepStatus::Waiting)], Vec::new())).await;
        let then = here.time().await.unwrap() + HOUR;
        // The signal arrives in the middle of a long transaction.
        let later = (0..300).map(|_| NewExecution { delay: HOUR, ..new_execution("later") }).collect();
        let changes = [release(&execution, Disposition::Suspend(then, then)), enqueue(later)];
        let waiting = async { here.commit(&changes).await.unwrap() };
        let sending = async {
            pass(15).await;
            there.signal("live", &execution.id, SignalKind::Event, "go", &json!(1)).await.unwrap()
        };
        let (_, sent) = tokio::join!(waiting, sending);
        assert!(sent);
        let execution = claim_one(&*here).await;
        stored(&*here, release(&execution, completed())).await;
    }
}

async fn numbers_signals_of_one_name(fixture: Fixture) {
    let stores = two(&fixture).await;
    let execution = running(&*stores[0]).await;
    for number in 1..=3 {
        assert!(stores[0].signal("live", &execution.id, SignalKind::Event, "a_b%", &json!(number)).await.unwrap());
    }
    assert!(stores[0].signal("live", &execution.id, SignalKind::Event, "axb% #1", &json!(7)).await.unwrap());
    for (name, number) in [("event a_b%", 1), ("event a_b% #2", 2), ("event a_b% #3", 3), ("event axb% #1", 7)] {
        assert_eq!(stores[0].received_signal(&execution.id, name).await.unwrap(), Some(json!(number)), "{name}");
    }
    let mut tasks = JoinSet::new();
    for number in 1..=12 {
        let (store, id) = (stores[number % 2].clone(), execution.id.clone());
        tasks.spawn(async move {
            assert!(store.signal("live", &id, SignalKind::Event, "go", &json!(number)).await.unwrap());
        });
    }
    tasks.join_all().await;
    let mut words = Vec::new();
    for number in 1..=12_u64 {
        let name = if number == 1 { "event go".to_owned() } else { format!("event go #{number}") };
        words.extend(stores[0].received_signal(&execution.id, &name).await.unwrap().and_then(|word| word.as_u64()));
    }
    words.sort_unstable();
    assert_eq!(words, (1..=12).collect::<Vec<u64>>(), "no signal is lost");
}

async fn an_ended_execution_receives_no_signal(fixture: Fixture) {
    let store = &*fixture.store;
    let execution = running(store).await;
    stored(store, release(&execution, completed())).await;
    assert!(!store.signal("live", &execution.id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    assert_eq!(store.received_signal(&execution.id, "event go").await.unwrap(), None);
    assert!(claim(store, 9).await.is_empty());
    let before = get(store, &execution.id).await;
    assert_eq!(store.cancel("live", &execution.id).await.unwrap(), Some(ExecutionStatus::Completed));
    assert_eq!(get(store, &execution.id).await, before);
    assert_eq!(store.cancel("draft", &execution.id).await.unwrap(), None);
}

async fn a_wait_ends_at_its_timeout(fixture: Fixture) {
    let store = &*fixture.store;
    let execution = running(store).await;
    let now = store.time().await.unwrap();
    stored(store, release(&execution, Disposition::Suspend(now + HOUR / 2, now + HOUR))).await;
    assert_eq!(store.next_ready_at("live").await.unwrap(), Some(now + HOUR / 2));
    all_due(&fixture).await;
    let again = claim_one(store).await;
    assert_eq!((again.deadline_at, again.attempt, again.lease_expirations), (now + HOUR, 1, 0));
    // An execution whose cancellation was requested while it ran ends when it would wait; a waiting one ends at once.
    store.cancel("live", &execution.id).await.unwrap();
    wait_for(store, &again, "event go").await;
    assert_eq!(get(store, &execution.id).await.status, ExecutionStatus::Cancelled);
    let execution = running(store).await;
    wait_for(store, &execution, "event go").await;
    assert_eq!(store.cancel("live", &execution.id).await.unwrap(), Some(ExecutionStatus::Waiting));
    let ended = get(store, &execution.id).await;
    assert_eq!((ended.status, &ended.error["code"]), (ExecutionStatus::Cancelled, &json!("CANCELLED")));
    assert!(ended.finished_at > 0 && claim(store, 9).await.is_empty());
}

fn child(parent: &Execution) -> NewExecution {
    NewExecution { parent: parent.id.clone(), parent_signal: "child".to_owned(), ..new_execution("child") }
}

/// A parent that waits, and its running child.
async fn family(store: &dyn Store) -> (Execution, Execution) {
    let parent = running(store).await;
    let starts = Change::Progress {
        claim: parent.claim(),
        steps: vec![step("child", 1, StepStatus::Waiting)],
        logs: Vec::new(),
        follow_ups: vec![child(&parent)],
    };
    stored(store, starts).await;
    let child = claim_one(store).await;
    (parent, child)
}

async fn a_child_sends_its_result_to_its_parent(fixture: Fixture) {
    let store = &*fixture.store;
    let outcomes = [
        (completed(), "Completed", json!("done"), Value::Null),
        (
            Disposition::Ended(ExecutionStatus::Failed, Value::Null, json!({ "code": "X" })),
            "Failed",
            Value::Null,
            json!({ "code": "X" }),
        ),
    ];
    for (outcome, status, output, error) in outcomes {
        let (parent, child) = family(store).await;
        wait_for(store, &parent, "child").await;
        // A retried attempt is no result.
        stored(store, release(&child, Disposition::Retry(0, json!({ "code": "FLAKY" })))).await;
        let child = claim_one(store).await;
        assert_eq!(child.attempt, 2);
        stored(store, release(&child, outcome)).await;
        let parent = claim_one(store).await;
        let answer = json!({ "run": child.id, "status": status, "output": output, "error": error });
        assert_eq!(store.received_signal(&parent.id, "child").await.unwrap(), Some(answer));
        stored(store, release(&parent, completed())).await;
    }
}

async fn no_result_is_lost_before_the_wait_is_stored(fixture: Fixture) {
    let [here, there] = two(&fixture).await;
    for _ in 0..3 {
        let (parent, child) = family(&*here).await;
        let then = here.time().await.unwrap() + HOUR;
        let later = (0..300).map(|_| NewExecution { delay: HOUR, ..new_execution("later") }).collect();
        let changes = [release(&parent, Disposition::Suspend(then, then)), enqueue(later)];
        let waiting = async { here.commit(&changes).await.unwrap() };
        let answering = async {
            pass(15).await;
            stored(&*there, release(&child, completed())).await
        };
        tokio::join!(waiting, answering);
        let parent = claim_one(&*here).await;
        stored(&*here, release(&parent, completed())).await;
    }
}

async fn a_cancelled_child_sends_its_result(fixture: Fixture) {
    let store = &*fixture.store;
    let (parent, child) = family(store).await;
    wait_for(store, &parent, "child").await;
    stored(store, release(&child, Disposition::Requeue)).await;
    assert_eq!(store.cancel("live", &child.id).await.unwrap(), Some(ExecutionStatus::Queued));
    assert_eq!(claim_one(store).await.id, parent.id);
    let sent = store.received_signal(&parent.id, "child").await.unwrap().unwrap();
    assert_eq!((&sent["status"], &sent["error"]["code"]), (&json!("Cancelled"), &json!("CANCELLED")));
}

async fn a_child_of_an_ended_parent_sends_nothing(fixture: Fixture) {
    let store = &*fixture.store;
    let (parent, child) = family(store).await;
    stored(store, release(&parent, completed())).await;
    stored(store, release(&child, completed())).await;
    assert!(get(store, &parent.id).await.status.is_final());
    assert!(claim(store, 9).await.is_empty());
    assert_eq!(fixture.number("SELECT count(*) FROM execution_signals").await, 0);
}

fn collected(number: i64, window: i64) -> NewExecution {
    NewExecution { batch_key: "orders".to_owned(), delay: window, input: json!(number), ..new_execution("batch") }
}

async fn a_batch_collects_events_until_it_starts(fixture: Fixture) {
    let store = &*fixture.store;
    let first = accept(store, collected(1, HOUR)).await;
    for number in 2..=3 {
        let id = accept(store, collected(number, HOUR)).await;
        assert!(store.execution("live", &id).await.unwrap().is_none());
    }
    accept(store, NewExecution { batch_key: "others".to_owned(), delay: HOUR, ..new_execution("batch") }).await;
    accept(store, NewExecution { environment: "draft".to_owned(), ..collected(9, HOUR) }).await;
    assert!(claim(store, 9).await.is_empty(), "its window has not ended");
    fixture.sql(&format!("UPDATE executions SET wake_at = 1 WHERE id = '{first}'")).await;
    let execution = claim_one(store).await;
    assert_eq!((&execution.id, &execution.input), (&first, &json!([1, 2, 3])));
    // It has started: the next event begins another batch, also after a retry.
    let second = accept(store, collected(4, HOUR)).await;
    stored(store, release(&execution, Disposition::Retry(0, Value::Null))).await;
    accept(store, collected(5, HOUR)).await;
    assert_eq!(get(store, &second).await.input, json!([4, 5]));
    assert_eq!(claim_one(store).await.input, json!([1, 2, 3]));
    store.cancel("live", &second).await.unwrap();
    let third = accept(store, collected(6, HOUR)).await;
    assert_eq!(get(store, &third).await.input, json!([6]));
}

async fn concurrent_events_join_one_batch(fixture: Fixture) {
    let stores = two(&fixture).await;
    let mut tasks = JoinSet::new();
    for number in 0..30 {
        let store = stores[number as usize % 2].clone();
        tasks.spawn(async move {
            let change = [enqueue(vec![collected(number, 20_000)])];
            loop {
                match store.commit(&change).await {
                    Ok(_) => return,
                    // There are more tasks than connections, which are slow to open on a busy machine.
                    Err(StoreError::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    // A worker claims at the same time.
    let mut inputs: Vec<i64> = Vec::new();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(2);
    while inputs.len() < 30 && tokio::time::Instant::now() < deadline {
        for execution in claim(&*stores[0], 9).await {
            inputs.extend(execution.input.as_array().unwrap().iter().filter_map(Value::as_i64));
        }
        pass(3).await;
    }
    tasks.join_all().await;
    inputs.sort_unstable();
    assert_eq!(inputs, (0..30).collect::<Vec<i64>>());
}
