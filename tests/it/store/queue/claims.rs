//! Claims and leases: order, fairness, expiry and renewal.

use std::collections::BTreeSet;

use evenkeel::store::queue::LostLease;

use super::super::on_both;
use super::*;

on_both!(
    claims_by_priority_before_tenant_and_age,
    serves_tenants_in_turn_one_claim_at_a_time,
    shares_a_claim_among_tenants,
    no_two_workers_claim_the_same_execution,
    an_expired_lease_is_claimed_by_another_worker,
    renewal_reports_lost_leases,
    renewals_and_commits_do_not_deadlock,
    a_requeued_execution_continues_unchanged,
    counts_the_queue,
);

async fn claims_by_priority_before_tenant_and_age(fixture: Fixture) {
    let store = &*fixture.store;
    let of = |priority, tenant: &str| NewExecution { priority, tenant: tenant.to_owned(), ..new_execution("any") };
    let mut accepted = Vec::new();
    for (priority, tenant) in [(4, "a"), (3, "a"), (2, "a"), (2, "a"), (2, "b"), (1, "b"), (1, "a")] {
        accepted.push(accept(store, of(priority, tenant)).await);
    }
    let mut order = Vec::new();
    for _ in 0..accepted.len() {
        let claimed = claim(store, 1).await;
        order.push(accepted.iter().position(|id| ids(&claimed) == [&**id]).unwrap());
    }
    let priorities: Vec<usize> = order.iter().map(|at| [4, 3, 2, 2, 2, 1, 1][*at]).collect();
    assert_eq!(priorities, [1, 1, 2, 2, 2, 3, 4]);
    let oldest_first: Vec<usize> = order.iter().copied().filter(|at| [2, 3].contains(at)).collect();
    assert_eq!(oldest_first, [2, 3]);
    assert!(claim(store, 9).await.is_empty());
}

async fn serves_tenants_in_turn_one_claim_at_a_time(fixture: Fixture) {
    let store = &*fixture.store;
    let of = |tenant: &str| NewExecution { tenant: tenant.to_owned(), ..new_execution("any") };
    stored(store, enqueue((0..40).map(|_| of("big")).collect())).await;
    for tenant in ["", "a", "z"] {
        stored(store, enqueue(vec![of(tenant), of(tenant)])).await;
    }
    let mut served = Vec::new();
    for _ in 0..8 {
        served.push(claim(store, 1).await.remove(0).tenant);
    }
    // The tenant with the most executions waits no less and no more than the others.
    for tenant in ["", "a", "big", "z"] {
        assert_eq!(served.iter().filter(|one| *one == tenant).count(), 2, "{served:?}");
    }
    let first: BTreeSet<&String> = served.iter().take(4).collect();
    assert_eq!(first.len(), 4, "{served:?}");
    let mut left = 0;
    while !claim(store, 1).await.is_empty() {
        left += 1;
    }
    assert_eq!(left, 38);
}

async fn shares_a_claim_among_tenants(fixture: Fixture) {
    let store = &*fixture.store;
    let of = |tenant: &str| NewExecution { tenant: tenant.to_owned(), ..new_execution("any") };
    stored(store, enqueue((0..500).map(|_| of("big")).collect())).await;
    stored(store, enqueue((0..3).map(|_| of("small")).collect())).await;
    let count = |executions: &[Execution], tenant: &str| {
        executions.iter().filter(|execution| execution.tenant == tenant).count()
    };
    let claimed = claim(store, 6).await;
    assert_eq!((count(&claimed, "big"), count(&claimed, "small")), (3, 3));
    // The other tenant gets the unused share.
    stored(store, enqueue(vec![of("small")])).await;
    let claimed = claim(store, 8).await;
    assert_eq!((count(&claimed, "big"), count(&claimed, "small")), (7, 1));
    assert_eq!(claim(store, 0).await.len(), 0);
}

async fn no_two_workers_claim_the_same_execution(fixture: Fixture) {
    let stores = two(&fixture).await;
    for tenant in ["a", "b", "c"] {
        let executions = (0..100).map(|_| NewExecution { tenant: tenant.to_owned(), ..new_execution("any") }).collect();
        stored(&*stores[0], enqueue(executions)).await;
    }
    let mut tasks = JoinSet::new();
    for number in 0..4 {
        let store = stores[number % 2].clone();
        tasks.spawn(async move {
            let worker = format!("worker {number}");
            let mut mine = Vec::new();
            while store.depth("live").await.unwrap().ready > 0 {
                let claimed = store.claim("live", &worker, 7, HOUR).await.unwrap();
                assert!(claimed.len() <= 7, "{}", claimed.len());
                assert!(claimed.iter().all(|execution| execution.worker == worker
                    && execution.token == 1
                    && execution.lease_expirations == 0));
                mine.extend(claimed.into_iter().map(|execution| execution.id));
            }
            mine
        });
    }
    let all: Vec<String> = tasks.join_all().await.concat();
    assert_eq!(all.len(), 300);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 300);
}

async fn an_expired_lease_is_claimed_by_another_worker(fixture: Fixture) {
    let [here, there] = two(&fixture).await;
    let id = accept(&*here, new_execution("any")).await;
    let lost = here.claim("live", "a", 9, HOUR).await.unwrap().remove(0);
    assert!(there.claim("live", "b", 9, HOUR).await.unwrap().is_empty());
    all_due(&fixture).await;
    let found = there.claim("live", "b", 9, HOUR).await.unwrap().remove(0);
    assert_eq!((found.id.as_str(), found.token, found.lease_expirations, found.attempt), (&*id, lost.token + 1, 1, 1));
    assert_eq!((found.started_at, found.worker.as_str()), (lost.started_at, "b"));

    let before = get(&*here, &id).await;
    let (steps, logs) = (vec![step("a", 1, StepStatus::Completed)], vec![line(1, "late")]);
    assert_eq!(commit(&*here, progress(&lost, steps.clone(), logs.clone())).await, CommitResult::Fenced);
    for outcome in [completed(), Disposition::Retry(0, Value::Null), Disposition::Suspend(0, 0), Disposition::Requeue] {
        let (claim, letter, follow) = (lost.claim(), dead_letter("any"), new_execution("next"));
        let ids = (letter.id.clone(), follow.id.clone());
        let (steps, logs, dead, follow) = (steps.clone(), logs.clone(), Some(Box::new(letter)), vec![follow]);
        let left = Change::Release {
            claim,
            disposition: outcome,
            steps,
            logs,
            follow_ups: follow,
            dead_letter: dead,
            claim_next: None,
        };
        assert_eq!(commit(&*here, left).await, CommitResult::Fenced);
        assert!(here.dead_letter("live", &ids.0).await.unwrap().is_none());
        assert!(here.execution("live", &ids.1).await.unwrap().is_none());
    }
    assert_eq!(get(&*here, &id).await, before);
    assert!(here.steps(&id).await.unwrap().is_empty() && here.logs(&id).await.unwrap().is_empty());
    stored(&*there, release(&found, completed())).await;
    // The holder cannot release it twice either.
    assert_eq!(commit(&*there, release(&found, completed())).await, CommitResult::Fenced);
}

async fn renewal_reports_lost_leases(fixture: Fixture) {
    let store = &*fixture.store;
    stored(store, enqueue((0..4).map(|_| new_execution("any")).collect())).await;
    let claimed = store.claim("live", "a", 3, HOUR / 3).await.unwrap();
    let held: Vec<(String, i64)> = claimed.iter().map(|execution| (execution.id.clone(), execution.token)).collect();
    let soon = fixture.number("SELECT max(lease_expires_at) FROM executions").await;
    assert!(store.renew("a", &held, HOUR / 2).await.unwrap().is_empty());
    assert!(fixture.number("SELECT max(lease_expires_at) FROM executions").await > soon);
    assert_eq!(store.cancel("live", &claimed[0].id).await.unwrap(), Some(ExecutionStatus::Running));
    assert_eq!(lost(&store.renew("a", &held, HOUR).await.unwrap()), [claimed[0].id.clone()]);
    assert_eq!(
        lost(&store.renew("b", &held[1..2], HOUR).await.unwrap()),
        [claimed[1].id.clone()],
        "held by another worker"
    );
    stored(store, release(&claimed[2], completed())).await;
    assert_eq!(lost(&store.renew("a", &held[1..], HOUR).await.unwrap()), [claimed[2].id.clone()]);
    assert!(get(store, &claimed[0].id).await.cancel_requested);
    assert_eq!(claim(store, 9).await.len(), 1, "leased executions are not ready");
    // A lease that expired and that no other worker claimed can still be renewed.
    let id = accept(store, new_execution("any")).await;
    let execution = store.claim("live", "a", 1, 1_000).await.unwrap().remove(0);
    pass(5).await;
    assert!(store.renew("a", &[(id.clone(), execution.token)], HOUR).await.unwrap().is_empty());
    assert!(claim(store, 9).await.is_empty());
    fixture.sql(&format!("UPDATE executions SET lease_expires_at = 1 WHERE id = '{id}'")).await;
    let other = claim_one(store).await;
    assert_eq!(
        lost(&store.renew("a", &[(id.clone(), execution.token)], HOUR).await.unwrap()),
        [id],
        "claimed by another worker"
    );
    assert_eq!(other.lease_expirations, 1);
}

async fn renewals_and_commits_do_not_deadlock(fixture: Fixture) {
    let [here, there] = two(&fixture).await;
    stored(&*here, enqueue((0..12).map(|_| new_execution("any")).collect())).await;
    let claimed = claim(&*here, 12).await;
    let held: Vec<(String, i64)> = claimed.iter().map(|execution| (execution.id.clone(), execution.token)).collect();
    let renewing = tokio::spawn(async move {
        for _ in 0..40 {
            assert!(there.renew("worker", &held, HOUR).await.unwrap().is_empty());
        }
    });
    for number in 0..40 {
        let changes: Vec<Change> = claimed
            .iter()
            .rev()
            .map(|execution| {
                progress(execution, vec![step(&format!("{number}"), number, StepStatus::Completed)], Vec::new())
            })
            .collect();
        let done = here.commit(&changes).await.unwrap();
        assert!(done.iter().all(|done| *done == CommitResult::Stored(Vec::new())), "{done:?}");
    }
    renewing.await.unwrap();
}

async fn a_requeued_execution_continues_unchanged(fixture: Fixture) {
    let store = &*fixture.store;
    accept(store, new_execution("any")).await;
    let execution = claim_one(store).await;
    stored(store, release(&execution, Disposition::Requeue)).await;
    let again = claim_one(store).await;
    assert_eq!((again.attempt, again.lease_expirations, again.token), (1, 0, execution.token + 1));
    let error = json!({ "code": "FLAKY" });
    let then = store.time().await.unwrap() + HOUR;
    stored(store, release(&again, Disposition::Retry(then, error.clone()))).await;
    assert_eq!(store.next_ready_at("live").await.unwrap(), Some(then));
    assert!(claim(store, 9).await.is_empty());
    all_due(&fixture).await;
    let third = claim_one(store).await;
    assert_eq!((third.attempt, third.lease_expirations, &third.error, third.deadline_at), (2, 0, &error, 0));
}

async fn counts_the_queue(fixture: Fixture) {
    let store = &*fixture.store;
    assert_eq!(store.depth("live").await.unwrap(), evenkeel::store::queue::QueueDepth::default());
    assert_eq!(store.next_ready_at("live").await.unwrap(), None);
    accept(store, NewExecution { ordering_key: "key".to_owned(), ..new_execution("runs") }).await;
    let execution = claim_one(store).await;
    for key in ["key", "key", "", ""] {
        accept(store, NewExecution { ordering_key: key.to_owned(), ..new_execution("waits") }).await;
    }
    accept(store, NewExecution { delay: HOUR, ..new_execution("later") }).await;
    accept(store, NewExecution { environment: "draft".to_owned(), ..new_execution("elsewhere") }).await;
    let letters = vec![dead_letter("one"), dead_letter("two")];
    store
        .commit(&[Change::Accept(Box::new(EnqueueRequest { dead_letters: letters, ..EnqueueRequest::default() }))])
        .await
        .unwrap();
    pass(2).await;
    let depth = store.depth("live").await.unwrap();
    assert_eq!((depth.ready, depth.open, depth.dead_letters), (2, 6, 2));
    assert!(depth.oldest >= 2_000 && depth.oldest < HOUR, "{depth:?}");
    stored(store, release(&execution, completed())).await;
    let depth = store.depth("live").await.unwrap();
    assert_eq!((depth.ready, depth.open), (3, 5));
}

/// The executions that a worker must stop.
fn lost(lost: &[LostLease]) -> Vec<String> {
    lost.iter().map(|lost| lost.execution.clone()).collect()
}
