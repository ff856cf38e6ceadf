//! What executions are told, by hand and by those that they started, and batches.

use evenkeel::store::queue::{Change, Disposition, Execution, ExecutionStatus, NewExecution, SignalKind, StepStatus};
use evenkeel::store::{Store, StoreError};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::{Fixture, on_both};
use super::{
    HOUR, accept, accepts, all_due, claim, claim_one, completed, get, leaves, new_run, pass, progress, step, stored,
    two,
};

on_both!(
    a_word_wakes_who_waits_for_it,
    a_word_that_came_before_wakes_too,
    a_word_that_nobody_waits_for_wakes_once,
    no_word_is_lost_between_a_look_and_the_wait,
    words_under_one_name_are_counted,
    who_ended_hears_nothing,
    who_waits_goes_on_when_its_time_is_over,
    a_child_tells_its_parent,
    no_answer_is_lost_between_a_look_and_the_wait,
    a_child_that_is_cancelled_tells_its_parent,
    a_child_of_nobody_leaves_nothing_behind,
    a_batch_collects_until_it_starts,
    many_join_one_batch,
);

/// Suspend for a word as executions do: what it waits for is a step.
async fn waits(store: &dyn Store, run: &Execution, name: &str) {
    stored(store, progress(run, vec![step(name, 1, StepStatus::Waiting)], Vec::new())).await;
    let then = store.time().await.unwrap() + HOUR;
    stored(store, leaves(run, Disposition::Suspend(then, then))).await;
}

async fn running(store: &dyn Store) -> Execution {
    accept(store, new_run("any")).await;
    claim_one(store).await
}

async fn a_word_wakes_who_waits_for_it(fixture: Fixture) {
    let store = &*fixture.store;
    let run = running(store).await;
    waits(store, &run, "event go").await;
    assert_eq!(get(store, &run.id).await.status, ExecutionStatus::Waiting);
    assert!(claim(store, 9).await.is_empty());
    assert_eq!(store.received_signal(&run.id, "event go").await.unwrap(), None);
    assert!(store.signal("live", &run.id, SignalKind::Event, "go", &json!({ "yes": true })).await.unwrap());
    assert_eq!(store.received_signal(&run.id, "event go").await.unwrap(), Some(json!({ "yes": true })));
    let again = claim_one(store).await;
    assert_eq!((&again.id, again.attempt, again.lease_expirations), (&run.id, 1, 0));
    assert!(!store.signal("draft", &run.id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    assert!(!store.signal("live", "nobody", SignalKind::Event, "go", &json!(1)).await.unwrap());
    assert!(store.signal("live", &run.id, SignalKind::Event, "a\0b", &json!(1)).await.is_err());
}

async fn a_word_that_came_before_wakes_too(fixture: Fixture) {
    let store = &*fixture.store;
    let run = running(store).await;
    assert!(store.signal("live", &run.id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    waits(store, &run, "event go").await;
    assert_eq!(claim_one(store).await.id, run.id);
    // Even before it runs.
    let id = accept(store, new_run("any")).await;
    assert!(store.signal("live", &id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    let run = claim_one(store).await;
    waits(store, &run, "event go").await;
    let run = claim_one(store).await;
    // What was heard wakes nobody again.
    stored(store, progress(&run, vec![step("event go", 1, StepStatus::Completed)], Vec::new())).await;
    waits(store, &run, "event stop").await;
    stored(store, accepts(vec![])).await;
    let found = get(store, &run.id).await;
    assert_eq!(found.status, ExecutionStatus::Waiting);
}

async fn a_word_that_nobody_waits_for_wakes_once(fixture: Fixture) {
    let store = &*fixture.store;
    let run = running(store).await;
    waits(store, &run, "event go").await;
    assert!(store.signal("live", &run.id, SignalKind::Event, "other", &json!(1)).await.unwrap());
    // It may look; then it sleeps, and does not go round and round.
    for run in claim(store, 9).await {
        waits(store, &run, "event go").await;
    }
    assert!(claim(store, 9).await.is_empty());
    assert!(store.signal("live", &run.id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    assert_eq!(claim_one(store).await.id, run.id);
}

async fn no_word_is_lost_between_a_look_and_the_wait(fixture: Fixture) {
    let [here, there] = two(&fixture).await;
    for _ in 0..3 {
        let run = running(&*here).await;
        stored(&*here, progress(&run, vec![step("event go", 1, StepStatus::Waiting)], Vec::new())).await;
        let then = here.time().await.unwrap() + HOUR;
        // A long transaction, in whose middle the word comes.
        let later = (0..300).map(|_| NewExecution { delay: HOUR, ..new_run("later") }).collect();
        let changes = [leaves(&run, Disposition::Suspend(then, then)), accepts(later)];
        let waiting = async { here.commit(&changes).await.unwrap() };
        let telling = async {
            pass(15).await;
            there.signal("live", &run.id, SignalKind::Event, "go", &json!(1)).await.unwrap()
        };
        let (_, told) = tokio::join!(waiting, telling);
        assert!(told);
        let run = claim_one(&*here).await;
        stored(&*here, leaves(&run, completed())).await;
    }
}

async fn words_under_one_name_are_counted(fixture: Fixture) {
    let stores = two(&fixture).await;
    let run = running(&*stores[0]).await;
    for number in 1..=3 {
        assert!(stores[0].signal("live", &run.id, SignalKind::Event, "a_b%", &json!(number)).await.unwrap());
    }
    assert!(stores[0].signal("live", &run.id, SignalKind::Event, "axb% #1", &json!(7)).await.unwrap());
    for (name, number) in [("event a_b%", 1), ("event a_b% #2", 2), ("event a_b% #3", 3), ("event axb% #1", 7)] {
        assert_eq!(stores[0].received_signal(&run.id, name).await.unwrap(), Some(json!(number)), "{name}");
    }
    let mut tasks = JoinSet::new();
    for number in 1..=12 {
        let (store, id) = (stores[number % 2].clone(), run.id.clone());
        tasks.spawn(async move {
            assert!(store.signal("live", &id, SignalKind::Event, "go", &json!(number)).await.unwrap())
        });
    }
    tasks.join_all().await;
    let mut words = Vec::new();
    for number in 1..=12_u64 {
        let name = if number == 1 { "event go".to_owned() } else { format!("event go #{number}") };
        words.extend(stores[0].received_signal(&run.id, &name).await.unwrap().and_then(|word| word.as_u64()));
    }
    words.sort_unstable();
    assert_eq!(words, (1..=12).collect::<Vec<u64>>(), "no word is lost");
}

async fn who_ended_hears_nothing(fixture: Fixture) {
    let store = &*fixture.store;
    let run = running(store).await;
    stored(store, leaves(&run, completed())).await;
    assert!(!store.signal("live", &run.id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    assert_eq!(store.received_signal(&run.id, "event go").await.unwrap(), None);
    assert!(claim(store, 9).await.is_empty());
    let before = get(store, &run.id).await;
    assert_eq!(store.cancel("live", &run.id).await.unwrap(), Some(ExecutionStatus::Completed));
    assert_eq!(get(store, &run.id).await, before);
    assert_eq!(store.cancel("draft", &run.id).await.unwrap(), None);
}

async fn who_waits_goes_on_when_its_time_is_over(fixture: Fixture) {
    let store = &*fixture.store;
    let run = running(store).await;
    let now = store.time().await.unwrap();
    stored(store, leaves(&run, Disposition::Suspend(now + HOUR / 2, now + HOUR))).await;
    assert_eq!(store.next_ready_at("live").await.unwrap(), Some(now + HOUR / 2));
    all_due(&fixture).await;
    let again = claim_one(store).await;
    assert_eq!((again.deadline_at, again.attempt, again.lease_expirations), (now + HOUR, 1, 0));
    // One that was asked to end while it ran ends where it would wait, and one that waits ends at once.
    store.cancel("live", &run.id).await.unwrap();
    waits(store, &again, "event go").await;
    assert_eq!(get(store, &run.id).await.status, ExecutionStatus::Cancelled);
    let run = running(store).await;
    waits(store, &run, "event go").await;
    assert_eq!(store.cancel("live", &run.id).await.unwrap(), Some(ExecutionStatus::Waiting));
    let ended = get(store, &run.id).await;
    assert_eq!((ended.status, &ended.error["code"]), (ExecutionStatus::Cancelled, &json!("CANCELLED")));
    assert!(ended.finished_at > 0 && claim(store, 9).await.is_empty());
}

fn child(parent: &Execution) -> NewExecution {
    NewExecution { parent: parent.id.clone(), parent_signal: "child".to_owned(), ..new_run("child") }
}

/// A parent that waits, and its child that runs.
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

async fn a_child_tells_its_parent(fixture: Fixture) {
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
        waits(store, &parent, "child").await;
        // An attempt that is tried again is no answer.
        stored(store, leaves(&child, Disposition::Retry(0, json!({ "code": "FLAKY" })))).await;
        let child = claim_one(store).await;
        assert_eq!(child.attempt, 2);
        stored(store, leaves(&child, outcome)).await;
        let parent = claim_one(store).await;
        let answer = json!({ "run": child.id, "status": status, "output": output, "error": error });
        assert_eq!(store.received_signal(&parent.id, "child").await.unwrap(), Some(answer));
        stored(store, leaves(&parent, completed())).await;
    }
}

async fn no_answer_is_lost_between_a_look_and_the_wait(fixture: Fixture) {
    let [here, there] = two(&fixture).await;
    for _ in 0..3 {
        let (parent, child) = family(&*here).await;
        let then = here.time().await.unwrap() + HOUR;
        let later = (0..300).map(|_| NewExecution { delay: HOUR, ..new_run("later") }).collect();
        let changes = [leaves(&parent, Disposition::Suspend(then, then)), accepts(later)];
        let waiting = async { here.commit(&changes).await.unwrap() };
        let answering = async {
            pass(15).await;
            stored(&*there, leaves(&child, completed())).await
        };
        tokio::join!(waiting, answering);
        let parent = claim_one(&*here).await;
        stored(&*here, leaves(&parent, completed())).await;
    }
}

async fn a_child_that_is_cancelled_tells_its_parent(fixture: Fixture) {
    let store = &*fixture.store;
    let (parent, child) = family(store).await;
    waits(store, &parent, "child").await;
    stored(store, leaves(&child, Disposition::Requeue)).await;
    assert_eq!(store.cancel("live", &child.id).await.unwrap(), Some(ExecutionStatus::Queued));
    assert_eq!(claim_one(store).await.id, parent.id);
    let told = store.received_signal(&parent.id, "child").await.unwrap().unwrap();
    assert_eq!((&told["status"], &told["error"]["code"]), (&json!("Cancelled"), &json!("CANCELLED")));
}

async fn a_child_of_nobody_leaves_nothing_behind(fixture: Fixture) {
    let store = &*fixture.store;
    let (parent, child) = family(store).await;
    stored(store, leaves(&parent, completed())).await;
    stored(store, leaves(&child, completed())).await;
    assert!(get(store, &parent.id).await.status.is_final());
    assert!(claim(store, 9).await.is_empty());
    assert_eq!(fixture.number("SELECT count(*) FROM signals").await, 0);
}

fn collected(number: i64, window: i64) -> NewExecution {
    NewExecution { batch_key: "orders".to_owned(), delay: window, input: json!(number), ..new_run("batch") }
}

async fn a_batch_collects_until_it_starts(fixture: Fixture) {
    let store = &*fixture.store;
    let first = accept(store, collected(1, HOUR)).await;
    for number in 2..=3 {
        let id = accept(store, collected(number, HOUR)).await;
        assert!(store.execution("live", &id).await.unwrap().is_none());
    }
    accept(store, NewExecution { batch_key: "others".to_owned(), delay: HOUR, ..new_run("batch") }).await;
    accept(store, NewExecution { environment: "draft".to_owned(), ..collected(9, HOUR) }).await;
    assert!(claim(store, 9).await.is_empty(), "its window is open");
    fixture.sql(&format!("UPDATE runs SET ready_at = 1 WHERE id = '{first}'")).await;
    let run = claim_one(store).await;
    assert_eq!((&run.id, &run.input), (&first, &json!([1, 2, 3])));
    // It started, so the next is another's; and stays so when it is tried again.
    let second = accept(store, collected(4, HOUR)).await;
    stored(store, leaves(&run, Disposition::Retry(0, Value::Null))).await;
    accept(store, collected(5, HOUR)).await;
    assert_eq!(get(store, &second).await.input, json!([4, 5]));
    assert_eq!(claim_one(store).await.input, json!([1, 2, 3]));
    store.cancel("live", &second).await.unwrap();
    let third = accept(store, collected(6, HOUR)).await;
    assert_eq!(get(store, &third).await.input, json!([6]));
}

async fn many_join_one_batch(fixture: Fixture) {
    let stores = two(&fixture).await;
    let mut tasks = JoinSet::new();
    for number in 0..30 {
        let store = stores[number as usize % 2].clone();
        tasks.spawn(async move {
            let change = [accepts(vec![collected(number, 20_000)])];
            loop {
                match store.commit(&change).await {
                    Ok(_) => return,
                    // More tasks than connections, which are slow to make where the machine is busy.
                    Err(StoreError::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    // A worker takes what is ready meanwhile.
    let mut inputs: Vec<i64> = Vec::new();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(2);
    while inputs.len() < 30 && tokio::time::Instant::now() < deadline {
        for run in claim(&*stores[0], 9).await {
            inputs.extend(run.input.as_array().unwrap().iter().filter_map(Value::as_i64));
        }
        pass(3).await;
    }
    tasks.join_all().await;
    inputs.sort_unstable();
    assert_eq!(inputs, (0..30).collect::<Vec<i64>>());
}
