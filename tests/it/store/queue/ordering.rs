//! Executions that wait for each other: ordering keys and concurrency groups.

use std::sync::Arc;
use std::time::Duration;

use evenkeel::store::Store;
use evenkeel::store::queue::{Disposition, ExecutionFilter, ExecutionStatus, NewExecution};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::{Fixture, on_both};
use super::{
    HOUR, accept, all_due, claim, claim_one, completed, enqueue, get, ids, new_execution, release, stored, two,
};

on_both!(
    runs_an_ordering_key_in_order_for_any_result,
    keeps_the_order_of_one_call,
    keeps_the_order_of_concurrent_tasks,
    a_retry_precedes_the_next_of_its_ordering_key,
    a_waiting_or_lost_execution_keeps_its_ordering_key,
    a_held_execution_continues_as_it_was_with_the_time_that_it_had_left,
    cancelling_unblocks_only_the_next_of_the_ordering_key,
    ordering_keys_are_independent,
    a_concurrency_group_never_exceeds_its_limit,
    blocked_executions_do_not_use_a_concurrency_group,
    waiting_executions_use_a_concurrency_group,
    ordering_keys_within_a_concurrency_group_make_progress,
);

fn ordered(key: &str) -> NewExecution {
    NewExecution { ordering_key: key.to_owned(), ..new_execution("ordered") }
}

fn limited(limit: i64) -> NewExecution {
    NewExecution { concurrency_group: "group".to_owned(), concurrency_limit: limit, ..new_execution("limited") }
}

async fn runs_an_ordering_key_in_order_for_any_result(fixture: Fixture) {
    let store = &*fixture.store;
    let mut accepted = Vec::new();
    for _ in 0..5 {
        accepted.push(accept(store, ordered("a")).await);
    }
    let statuses =
        [ExecutionStatus::Completed, ExecutionStatus::Failed, ExecutionStatus::TimedOut, ExecutionStatus::Cancelled];
    for (id, status) in accepted.iter().zip(statuses) {
        let execution = claim_one(store).await;
        assert_eq!(execution.id, *id);
        assert!(claim(store, 9).await.is_empty());
        stored(store, release(&execution, Disposition::Ended(status, Value::Null, json!({ "code": "X" })))).await;
    }
    // One is accepted while the last waits, and one when no other is open.
    let next = accept(store, ordered("a")).await;
    for id in [&accepted[4], &next] {
        let execution = claim_one(store).await;
        assert_eq!(execution.id, *id);
        stored(store, release(&execution, completed())).await;
    }
    assert_eq!(accept(store, ordered("a")).await, claim_one(store).await.id);
}

async fn keeps_the_order_of_one_call(fixture: Fixture) {
    let store = &*fixture.store;
    // Ids of one millisecond are not ordered.
    let mut executions: Vec<NewExecution> = (0..6).map(|_| ordered("a")).collect();
    executions.sort_by(|one, other| other.id.cmp(&one.id));
    let wanted: Vec<String> = executions.iter().map(|execution| execution.id.clone()).collect();
    let changes: Vec<_> = executions.chunks(2).map(|some| enqueue(some.to_vec())).collect();
    store.commit(&changes).await.unwrap();
    let first = claim_one(store).await;
    assert_eq!(first.id, wanted[0]);
    store.cancel("live", &wanted[3]).await.unwrap();
    assert!(claim(store, 9).await.is_empty(), "the first still runs");
    stored(store, release(&first, completed())).await;
    for id in [&wanted[1], &wanted[2], &wanted[4], &wanted[5]] {
        let execution = claim_one(store).await;
        assert_eq!(execution.id, *id);
        stored(store, release(&execution, completed())).await;
    }
}

async fn keeps_the_order_of_concurrent_tasks(fixture: Fixture) {
    let stores = two(&fixture).await;
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let store = stores[task % 2].clone();
        tasks.spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..4 {
                mine.push(accept(&*store, ordered("a")).await);
            }
            mine
        });
    }
    let mut order = Vec::new();
    let deadline = Instant::now() + Duration::from_mins(2);
    while order.len() < 32 && Instant::now() < deadline {
        let some = claim(&*stores[0], 9).await;
        assert!(some.len() <= 1, "{some:?}");
        for execution in some {
            assert!(claim(&*stores[1], 9).await.is_empty(), "one at a time");
            stored(&*stores[1], release(&execution, completed())).await;
            order.push(execution);
        }
    }
    assert_eq!(order.len(), 32);
    assert!(order.is_sorted_by_key(|execution| execution.created_at), "in the order they were accepted");
    for mine in tasks.join_all().await {
        let places: Vec<_> =
            mine.iter().map(|id| order.iter().position(|execution| execution.id == *id).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
    }
}

async fn a_retry_precedes_the_next_of_its_ordering_key(fixture: Fixture) {
    let store = &*fixture.store;
    let (first, second) = (accept(store, ordered("a")).await, accept(store, ordered("a")).await);
    let execution = claim_one(store).await;
    stored(store, release(&execution, Disposition::Retry(0, Value::Null))).await;
    let execution = claim_one(store).await;
    assert_eq!((&execution.id, execution.attempt), (&first, 2));
    let then = store.time().await.unwrap() + HOUR;
    stored(store, release(&execution, Disposition::Retry(then, Value::Null))).await;
    assert!(claim(store, 9).await.is_empty(), "the next must not overtake it");
    all_due(&fixture).await;
    let execution = claim_one(store).await;
    assert_eq!((&execution.id, execution.attempt), (&first, 3));
    stored(store, release(&execution, completed())).await;
    assert_eq!(claim_one(store).await.id, second);
}

async fn a_held_execution_continues_as_it_was_with_the_time_that_it_had_left(fixture: Fixture) {
    let store = &*fixture.store;
    let reason = json!({"code": "TENANT_NOT_ACTIVE", "message": "tenant `acme` is suspended"});
    let id = accept(store, new_execution("held")).await;
    let hold = |time: i64| Disposition::Hold(time, reason.clone());
    let then = store.time().await.unwrap() + HOUR;
    // One that had not begun stays queued, and has no deadline yet.
    stored(store, release(&claim_one(store).await, hold(then))).await;
    assert!(claim(store, 9).await.is_empty());
    let row =
        store.executions("live", &ExecutionFilter { limit: 1, ..ExecutionFilter::default() }).await.unwrap().remove(0);
    assert_eq!(
        (row.status, row.error_message.as_deref()),
        (ExecutionStatus::Queued, Some("tenant `acme` is suspended"))
    );
    all_due(&fixture).await;
    let execution = claim_one(store).await;
    assert_eq!((&execution.id, execution.attempt, execution.deadline_at), (&id, 1, 0));
    // One that waited waits again, and its deadline moves by the time of the hold.
    let deadline = store.time().await.unwrap() + 2 * HOUR;
    stored(store, release(&execution, Disposition::Suspend(1, deadline))).await;
    let execution = claim_one(store).await;
    assert_eq!(execution.deadline_at, deadline);
    let before = store.time().await.unwrap();
    stored(store, release(&execution, hold(before + HOUR))).await;
    let held = get(store, &id).await;
    assert_eq!(held.status, ExecutionStatus::Waiting);
    let moved = held.deadline_at - deadline;
    assert!(moved <= HOUR && moved > HOUR - 60_000_000, "{moved}");
}

async fn a_waiting_or_lost_execution_keeps_its_ordering_key(fixture: Fixture) {
    let store = &*fixture.store;
    let (first, second) = (accept(store, ordered("a")).await, accept(store, ordered("a")).await);
    let execution = claim_one(store).await;
    let then = store.time().await.unwrap() + HOUR;
    stored(store, release(&execution, Disposition::Suspend(then, then))).await;
    assert!(claim(store, 9).await.is_empty());
    all_due(&fixture).await;
    let execution = store.claim("live", "lost", 9, HOUR).await.unwrap();
    assert_eq!(ids(&execution), [&*first]);
    assert!(claim(store, 9).await.is_empty());
    all_due(&fixture).await;
    let execution = claim_one(store).await;
    assert_eq!((&execution.id, execution.lease_expirations), (&first, 1));
    stored(store, release(&execution, Disposition::Requeue)).await;
    let execution = claim_one(store).await;
    assert_eq!(execution.id, first);
    // A follow-up with the same ordering key comes last.
    let follow = ordered("a");
    let change = evenkeel::store::queue::Change::Release {
        claim: execution.claim(),
        disposition: completed(),
        steps: Vec::new(),
        logs: Vec::new(),
        follow_ups: vec![follow.clone()],
        dead_letter: None,
        claim_next: None,
    };
    stored(store, change).await;
    for id in [second, follow.id] {
        let execution = claim_one(store).await;
        assert_eq!(execution.id, id);
        stored(store, release(&execution, completed())).await;
    }
}

async fn cancelling_unblocks_only_the_next_of_the_ordering_key(fixture: Fixture) {
    let store = &*fixture.store;
    let mut accepted = Vec::new();
    for _ in 0..6 {
        accepted.push(accept(store, ordered("a")).await);
    }
    // The first, before a worker claims it.
    assert_eq!(store.cancel("live", &accepted[0]).await.unwrap(), Some(ExecutionStatus::Queued));
    let execution = claim_one(store).await;
    assert_eq!(execution.id, accepted[1]);
    // A blocked one: the next one stays blocked.
    assert_eq!(store.cancel("live", &accepted[2]).await.unwrap(), Some(ExecutionStatus::Queued));
    assert!(claim(store, 9).await.is_empty());
    // The first while it executions: it ends when its worker releases it.
    assert_eq!(store.cancel("live", &execution.id).await.unwrap(), Some(ExecutionStatus::Running));
    assert!(claim(store, 9).await.is_empty());
    stored(store, release(&execution, Disposition::Ended(ExecutionStatus::Cancelled, Value::Null, Value::Null))).await;
    let execution = claim_one(store).await;
    assert_eq!(execution.id, accepted[3]);
    // The first while it waits.
    let then = store.time().await.unwrap() + HOUR;
    stored(store, release(&execution, Disposition::Suspend(then, then))).await;
    assert_eq!(store.cancel("live", &execution.id).await.unwrap(), Some(ExecutionStatus::Waiting));
    assert_eq!(claim_one(store).await.id, accepted[4]);
    // Its claim is no longer valid.
    assert_eq!(
        super::commit(store, release(&execution, completed())).await,
        evenkeel::store::queue::CommitResult::Fenced
    );
    assert_eq!(get(store, &execution.id).await.status, ExecutionStatus::Cancelled);
}

async fn ordering_keys_are_independent(fixture: Fixture) {
    let store = &*fixture.store;
    let executions =
        [ordered("a"), ordered("b"), NewExecution { environment: "draft".to_owned(), ..ordered("a") }, ordered("a")];
    stored(store, enqueue(executions.to_vec())).await;
    let claimed = claim(store, 9).await;
    assert_eq!(claimed.len(), 2);
    assert_eq!(store.claim("draft", "worker", 9, HOUR).await.unwrap().len(), 1);
    for execution in &claimed {
        stored(store, release(execution, completed())).await;
    }
    assert_eq!(claim_one(store).await.id, executions[3].id);
}

async fn a_concurrency_group_never_exceeds_its_limit(fixture: Fixture) {
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
                accept(&*store, limited(3)).await;
            }
        });
    }
    accepting.join_all().await;
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 50);
}

/// Claims and ends executions until 50 have ended; returns the number that it ended.
async fn work(store: &Arc<dyn Store>, worker: &str) -> usize {
    let (mut ended, deadline) = (0, Instant::now() + Duration::from_mins(2));
    let filter = |status| ExecutionFilter { status: Some(status), ..ExecutionFilter::default() };
    while store.executions("live", &filter(ExecutionStatus::Completed)).await.unwrap().len() < 50 {
        assert!(Instant::now() < deadline, "some executions are not claimed: {:?}", store.depth("live").await.unwrap());
        for execution in store.claim("live", worker, 2, HOUR).await.unwrap() {
            let running = store.executions("live", &filter(ExecutionStatus::Running)).await.unwrap();
            assert!(running.len() <= 3, "{}", running.len());
            stored(&**store, release(&execution, completed())).await;
            ended += 1;
        }
    }
    ended
}

async fn blocked_executions_do_not_use_a_concurrency_group(fixture: Fixture) {
    let store = &*fixture.store;
    let first = accept(store, NewExecution { ordering_key: "a".to_owned(), ..limited(2) }).await;
    let free = accept(store, limited(2)).await;
    let claimed = claim(store, 9).await;
    assert_eq!(claimed.len(), 2);
    for _ in 0..20 {
        accept(store, NewExecution { ordering_key: "a".to_owned(), ..limited(2) }).await;
    }
    let last = accept(store, limited(2)).await;
    let execution = claimed.iter().find(|execution| execution.id == free).unwrap();
    stored(store, release(execution, completed())).await;
    assert_eq!(
        claim_one(store).await.id,
        last,
        "the group is below its limit, and the others wait for the ordering key"
    );
    assert_eq!(get(store, &first).await.status, ExecutionStatus::Running);
}

async fn waiting_executions_use_a_concurrency_group(fixture: Fixture) {
    let store = &*fixture.store;
    for _ in 0..4 {
        accept(store, limited(2)).await;
    }
    let claimed = claim(store, 9).await;
    assert_eq!(claimed.len(), 2);
    let then = store.time().await.unwrap() + HOUR;
    stored(store, release(&claimed[0], Disposition::Suspend(then, then))).await;
    stored(store, release(&claimed[1], Disposition::Retry(then, Value::Null))).await;
    assert!(claim(store, 9).await.is_empty());
    store.cancel("live", &claimed[0].id).await.unwrap();
    let next = claim_one(store).await;
    store.cancel("live", &claimed[1].id).await.unwrap();
    assert_ne!(claim_one(store).await.id, next.id);
}

async fn ordering_keys_within_a_concurrency_group_make_progress(fixture: Fixture) {
    let store = &*fixture.store;
    // Two ordering keys in one group with a limit of 1: each keeps its order, and all end.
    let mut left = Vec::new();
    for number in 0..10 {
        let key = ["a", "b"][number % 2].to_owned();
        left.push((key.clone(), accept(store, NewExecution { ordering_key: key, ..limited(1) }).await));
    }
    while !left.is_empty() {
        let execution = claim_one(store).await;
        let first = left.iter().position(|(key, _)| *key == execution.ordering_key).unwrap();
        assert_eq!(left.remove(first).1, execution.id);
        stored(store, release(&execution, completed())).await;
    }
    assert_eq!(store.depth("live").await.unwrap().open, 0);
}
