//! Executions that wait for each other: one after the other in a lane, so many at a time at a gate.

use std::sync::Arc;
use std::time::Duration;

use evenkeel::store::Store;
use evenkeel::store::queue::{Disposition, ExecutionFilter, ExecutionStatus, NewExecution};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::{Fixture, on_both};
use super::{HOUR, accept, accepts, all_due, claim, claim_one, completed, get, ids, leaves, new_run, stored, two};

on_both!(
    a_lane_goes_in_order_whatever_becomes_of_them,
    a_lane_keeps_the_order_of_one_call,
    a_lane_keeps_the_order_of_many_tasks,
    a_retry_comes_before_the_next_in_the_lane,
    who_waits_or_is_lost_keeps_its_lane,
    cancelling_in_a_lane_lets_only_the_next_go,
    lanes_do_not_wait_for_each_other,
    a_gate_lets_so_many_through,
    a_gate_is_not_held_by_those_that_wait_in_a_lane,
    a_gate_counts_those_that_wait,
    a_lane_at_a_gate_goes_on,
);

fn in_lane(lane: &str) -> NewExecution {
    NewExecution { ordering_key: lane.to_owned(), ..new_run("lane") }
}

fn at_gate(limit: i64) -> NewExecution {
    NewExecution { concurrency_group: "gate".to_owned(), concurrency_limit: limit, ..new_run("gate") }
}

async fn a_lane_goes_in_order_whatever_becomes_of_them(fixture: Fixture) {
    let store = &*fixture.store;
    let mut accepted = Vec::new();
    for _ in 0..5 {
        accepted.push(accept(store, in_lane("a")).await);
    }
    let statuses =
        [ExecutionStatus::Completed, ExecutionStatus::Failed, ExecutionStatus::TimedOut, ExecutionStatus::Cancelled];
    for (id, status) in accepted.iter().zip(statuses) {
        let run = claim_one(store).await;
        assert_eq!(run.id, *id);
        assert!(claim(store, 9).await.is_empty());
        stored(store, leaves(&run, Disposition::Ended(status, Value::Null, json!({ "code": "X" })))).await;
    }
    // One that comes while the last waits, and one that comes when the lane is empty.
    let next = accept(store, in_lane("a")).await;
    for id in [&accepted[4], &next] {
        let run = claim_one(store).await;
        assert_eq!(run.id, *id);
        stored(store, leaves(&run, completed())).await;
    }
    assert_eq!(accept(store, in_lane("a")).await, claim_one(store).await.id);
}

async fn a_lane_keeps_the_order_of_one_call(fixture: Fixture) {
    let store = &*fixture.store;
    // Ids of one millisecond are in no order.
    let mut runs: Vec<NewExecution> = (0..6).map(|_| in_lane("a")).collect();
    runs.sort_by(|one, other| other.id.cmp(&one.id));
    let wanted: Vec<String> = runs.iter().map(|run| run.id.clone()).collect();
    let changes: Vec<_> = runs.chunks(2).map(|some| accepts(some.to_vec())).collect();
    store.commit(&changes).await.unwrap();
    let first = claim_one(store).await;
    assert_eq!(first.id, wanted[0]);
    store.cancel("live", &wanted[3]).await.unwrap();
    assert!(claim(store, 9).await.is_empty(), "the first still runs");
    stored(store, leaves(&first, completed())).await;
    for id in [&wanted[1], &wanted[2], &wanted[4], &wanted[5]] {
        let run = claim_one(store).await;
        assert_eq!(run.id, *id);
        stored(store, leaves(&run, completed())).await;
    }
}

async fn a_lane_keeps_the_order_of_many_tasks(fixture: Fixture) {
    let stores = two(&fixture).await;
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let store = stores[task % 2].clone();
        tasks.spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..4 {
                mine.push(accept(&*store, in_lane("a")).await);
            }
            mine
        });
    }
    let mut order = Vec::new();
    let deadline = Instant::now() + Duration::from_mins(2);
    while order.len() < 32 && Instant::now() < deadline {
        let some = claim(&*stores[0], 9).await;
        assert!(some.len() <= 1, "{some:?}");
        for run in some {
            assert!(claim(&*stores[1], 9).await.is_empty(), "one at a time");
            stored(&*stores[1], leaves(&run, completed())).await;
            order.push(run);
        }
    }
    assert_eq!(order.len(), 32);
    assert!(order.is_sorted_by_key(|run| run.created_at), "in the order they were accepted");
    for mine in tasks.join_all().await {
        let places: Vec<_> = mine.iter().map(|id| order.iter().position(|run| run.id == *id).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
    }
}

async fn a_retry_comes_before_the_next_in_the_lane(fixture: Fixture) {
    let store = &*fixture.store;
    let (first, second) = (accept(store, in_lane("a")).await, accept(store, in_lane("a")).await);
    let run = claim_one(store).await;
    stored(store, leaves(&run, Disposition::Retry(0, Value::Null))).await;
    let run = claim_one(store).await;
    assert_eq!((&run.id, run.attempt), (&first, 2));
    let then = store.time().await.unwrap() + HOUR;
    stored(store, leaves(&run, Disposition::Retry(then, Value::Null))).await;
    assert!(claim(store, 9).await.is_empty(), "the next may not overtake it");
    all_due(&fixture).await;
    let run = claim_one(store).await;
    assert_eq!((&run.id, run.attempt), (&first, 3));
    stored(store, leaves(&run, completed())).await;
    assert_eq!(claim_one(store).await.id, second);
}

async fn who_waits_or_is_lost_keeps_its_lane(fixture: Fixture) {
    let store = &*fixture.store;
    let (first, second) = (accept(store, in_lane("a")).await, accept(store, in_lane("a")).await);
    let run = claim_one(store).await;
    let then = store.time().await.unwrap() + HOUR;
    stored(store, leaves(&run, Disposition::Suspend(then, then))).await;
    assert!(claim(store, 9).await.is_empty());
    all_due(&fixture).await;
    let run = store.claim("live", "lost", 9, HOUR).await.unwrap();
    assert_eq!(ids(&run), [&*first]);
    assert!(claim(store, 9).await.is_empty());
    all_due(&fixture).await;
    let run = claim_one(store).await;
    assert_eq!((&run.id, run.lease_expirations), (&first, 1));
    stored(store, leaves(&run, Disposition::Requeue)).await;
    let run = claim_one(store).await;
    assert_eq!(run.id, first);
    // What it starts in its own lane comes after those that are there.
    let follow = in_lane("a");
    let change = evenkeel::store::queue::Change::Release {
        claim: run.claim(),
        disposition: completed(),
        steps: Vec::new(),
        logs: Vec::new(),
        follow_ups: vec![follow.clone()],
        dead_letter: None,
        claim_next: None,
    };
    stored(store, change).await;
    for id in [second, follow.id] {
        let run = claim_one(store).await;
        assert_eq!(run.id, id);
        stored(store, leaves(&run, completed())).await;
    }
}

async fn cancelling_in_a_lane_lets_only_the_next_go(fixture: Fixture) {
    let store = &*fixture.store;
    let mut accepted = Vec::new();
    for _ in 0..6 {
        accepted.push(accept(store, in_lane("a")).await);
    }
    // The first before anybody took it.
    assert_eq!(store.cancel("live", &accepted[0]).await.unwrap(), Some(ExecutionStatus::Queued));
    let run = claim_one(store).await;
    assert_eq!(run.id, accepted[1]);
    // One that is parked: the one after it must not go.
    assert_eq!(store.cancel("live", &accepted[2]).await.unwrap(), Some(ExecutionStatus::Queued));
    assert!(claim(store, 9).await.is_empty());
    // The first while it runs: it ends when its worker says so.
    assert_eq!(store.cancel("live", &run.id).await.unwrap(), Some(ExecutionStatus::Running));
    assert!(claim(store, 9).await.is_empty());
    stored(store, leaves(&run, Disposition::Ended(ExecutionStatus::Cancelled, Value::Null, Value::Null))).await;
    let run = claim_one(store).await;
    assert_eq!(run.id, accepted[3]);
    // The first while it waits.
    let then = store.time().await.unwrap() + HOUR;
    stored(store, leaves(&run, Disposition::Suspend(then, then))).await;
    assert_eq!(store.cancel("live", &run.id).await.unwrap(), Some(ExecutionStatus::Waiting));
    assert_eq!(claim_one(store).await.id, accepted[4]);
    // Its claim is void.
    assert_eq!(super::commit(store, leaves(&run, completed())).await, evenkeel::store::queue::CommitResult::Fenced);
    assert_eq!(get(store, &run.id).await.status, ExecutionStatus::Cancelled);
}

async fn lanes_do_not_wait_for_each_other(fixture: Fixture) {
    let store = &*fixture.store;
    let runs =
        [in_lane("a"), in_lane("b"), NewExecution { environment: "draft".to_owned(), ..in_lane("a") }, in_lane("a")];
    stored(store, accepts(runs.to_vec())).await;
    let taken = claim(store, 9).await;
    assert_eq!(taken.len(), 2);
    assert_eq!(store.claim("draft", "worker", 9, HOUR).await.unwrap().len(), 1);
    for run in &taken {
        stored(store, leaves(run, completed())).await;
    }
    assert_eq!(claim_one(store).await.id, runs[3].id);
}

async fn a_gate_lets_so_many_through(fixture: Fixture) {
    let stores = two(&fixture).await;
    let mut tasks = JoinSet::new();
    for task in 0..4 {
        let store = stores[task % 2].clone();
        tasks.spawn(async move {
            let ended = work(&store, &format!("worker {task}")).await;
            assert!(ended > 0);
            ended
        });
    }
    let mut accepting = JoinSet::new();
    for task in 0..5 {
        let store = stores[task % 2].clone();
        accepting.spawn(async move {
            for _ in 0..10 {
                accept(&*store, at_gate(3)).await;
            }
        });
    }
    accepting.join_all().await;
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 50);
}

/// Takes and ends executions until 50 ended; gives how many it ended.
async fn work(store: &Arc<dyn Store>, worker: &str) -> usize {
    let (mut ended, deadline) = (0, Instant::now() + Duration::from_mins(2));
    let filter = |status| ExecutionFilter { status: Some(status), ..ExecutionFilter::default() };
    while store.executions("live", &filter(ExecutionStatus::Completed)).await.unwrap().len() < 50 {
        assert!(Instant::now() < deadline, "some do not get their turn: {:?}", store.depth("live").await.unwrap());
        for run in store.claim("live", worker, 2, HOUR).await.unwrap() {
            let running = store.executions("live", &filter(ExecutionStatus::Running)).await.unwrap();
            assert!(running.len() <= 3, "{}", running.len());
            stored(&**store, leaves(&run, completed())).await;
            ended += 1;
        }
    }
    ended
}

async fn a_gate_is_not_held_by_those_that_wait_in_a_lane(fixture: Fixture) {
    let store = &*fixture.store;
    let lane = accept(store, NewExecution { ordering_key: "a".to_owned(), ..at_gate(2) }).await;
    let free = accept(store, at_gate(2)).await;
    let taken = claim(store, 9).await;
    assert_eq!(taken.len(), 2);
    for _ in 0..20 {
        accept(store, NewExecution { ordering_key: "a".to_owned(), ..at_gate(2) }).await;
    }
    let last = accept(store, at_gate(2)).await;
    let run = taken.iter().find(|run| run.id == free).unwrap();
    stored(store, leaves(run, completed())).await;
    assert_eq!(claim_one(store).await.id, last, "there is a place, and the others wait for the lane");
    assert_eq!(get(store, &lane).await.status, ExecutionStatus::Running);
}

async fn a_gate_counts_those_that_wait(fixture: Fixture) {
    let store = &*fixture.store;
    for _ in 0..4 {
        accept(store, at_gate(2)).await;
    }
    let taken = claim(store, 9).await;
    assert_eq!(taken.len(), 2);
    let then = store.time().await.unwrap() + HOUR;
    stored(store, leaves(&taken[0], Disposition::Suspend(then, then))).await;
    stored(store, leaves(&taken[1], Disposition::Retry(then, Value::Null))).await;
    assert!(claim(store, 9).await.is_empty());
    store.cancel("live", &taken[0].id).await.unwrap();
    let next = claim_one(store).await;
    store.cancel("live", &taken[1].id).await.unwrap();
    assert_ne!(claim_one(store).await.id, next.id);
}

async fn a_lane_at_a_gate_goes_on(fixture: Fixture) {
    let store = &*fixture.store;
    // Two lanes through one gate of one place: each has its order, and all end.
    let mut left = Vec::new();
    for number in 0..10 {
        let lane = ["a", "b"][number % 2].to_owned();
        left.push((lane.clone(), accept(store, NewExecution { ordering_key: lane, ..at_gate(1) }).await));
    }
    while !left.is_empty() {
        let run = claim_one(store).await;
        let first = left.iter().position(|(lane, _)| *lane == run.ordering_key).unwrap();
        assert_eq!(left.remove(first).1, run.id);
        stored(store, leaves(&run, completed())).await;
    }
    assert_eq!(store.depth("live").await.unwrap().open, 0);
}
