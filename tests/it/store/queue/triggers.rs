//! Versions, schedules, subscriptions, pollers and workflow state.

use evenkeel::store::StoreError;
use evenkeel::store::queue::{
    Change, CommitResult, EnqueueRequest, NewExecution, PollCommit, PollState, RowRange, ScheduleState, StoredRecord,
    Subscription, SubscriptionStatus,
};
use evenkeel::text::Digest;
use serde_json::json;
use tokio::task::JoinSet;

use super::super::{Fixture, on_both};
use super::{HOUR, event, keyed, new_execution, pass, two};

on_both!(
    equal_content_is_the_same_version,
    concurrent_publishers_number_versions_once,
    one_of_concurrent_processes_fires_a_schedule,
    stores_a_poll_as_a_whole,
    stores_one_of_concurrent_polls,
    stores_and_removes_subscriptions,
    workflow_state_expires,
);

fn workflow(name: &str, content: &str) -> (String, Digest, String) {
    (name.to_owned(), Digest::of(content.as_bytes()), content.to_owned())
}

async fn equal_content_is_the_same_version(fixture: Fixture) {
    let store = &*fixture.store;
    let publish = async |generation: u64, content: &str| {
        store.publish("live", generation, &[workflow("ship", content)]).await.unwrap().remove(0)
    };
    let first = publish(1, "one").await;
    assert_eq!((first.version, first.generation, first.digest), (1, 1, Digest::of(b"one")));
    assert_eq!(publish(2, "one").await, first);
    let second = publish(3, "two").await;
    assert_eq!((second.version, second.generation), (2, 3));
    // The first content again.
    assert_eq!(publish(4, "one").await, first);
    assert_eq!(publish(5, "three").await.version, 3);
    let two = store.publish("live", 6, &[workflow("bill", "one"), workflow("ship", "two")]).await.unwrap();
    assert_eq!((two[0].version, &two[1]), (1, &second));
    assert_eq!(store.publish("draft", 1, &[workflow("ship", "three")]).await.unwrap()[0].version, 1);

    assert_eq!(store.version("live", "ship", 1).await.unwrap().as_deref(), Some("one"));
    assert_eq!(store.version("live", "ship", 2).await.unwrap().as_deref(), Some("two"));
    assert_eq!(store.version("draft", "ship", 1).await.unwrap().as_deref(), Some("three"));
    assert_eq!(store.version("live", "ship", 4).await.unwrap(), None);
    let all = store.versions("live").await.unwrap();
    let all: Vec<(&str, i64)> = all.iter().map(|version| (version.workflow.as_str(), version.version)).collect();
    assert_eq!(all, [("bill", 1), ("ship", 1), ("ship", 2), ("ship", 3)]);
}

async fn concurrent_publishers_number_versions_once(fixture: Fixture) {
    let stores = two(&fixture).await;
    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let store = stores[number % 2].clone();
        tasks.spawn(async move {
            let content = format!("{}", number % 3);
            let found = store.publish("live", 1, &[workflow("ship", &content)]).await.unwrap().remove(0);
            (content, found.version)
        });
    }
    let mut found = tasks.join_all().await;
    found.sort();
    found.dedup();
    let mut versions: Vec<i64> = found.iter().map(|(_, version)| *version).collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3], "{found:?}");
}

async fn one_of_concurrent_processes_fires_a_schedule(fixture: Fixture) {
    let stores = two(&fixture).await;
    let before = stores[0].schedule("live", "nightly").await.unwrap();
    assert_eq!(before, ScheduleState { until: before.until, ..ScheduleState::default() });
    assert!(before.until > 0 && before.until <= stores[0].time().await.unwrap());
    assert_eq!(stores[1].schedule("live", "nightly").await.unwrap(), before, "it does not change");
    let after = ScheduleState {
        until: before.until + HOUR,
        fired: 1,
        missed: 2,
        late: 3,
        last: before.until + 7,
        ..before.clone()
    };
    let tick = |before: &ScheduleState| {
        let tick = Some(("live".to_owned(), "nightly".to_owned(), before.clone(), after.clone()));
        let event = event("nightly");
        let executions = vec![NewExecution { event: event.id.clone(), ..new_execution("report") }];
        let ids = (event.id.clone(), executions[0].id.clone());
        (
            Change::Accept(Box::new(EnqueueRequest {
                event: Some(event),
                executions,
                tick,
                ..EnqueueRequest::default()
            })),
            ids,
        )
    };
    let mut tasks = JoinSet::new();
    for number in 0..3 {
        let (store, (change, ids)) = (stores[number % 2].clone(), tick(&before));
        tasks.spawn(async move { (super::commit(&*store, change).await, ids) });
    }
    let answers = tasks.join_all().await;
    for (done, (event, execution)) in &answers {
        let won = *done == CommitResult::Stored(Vec::new());
        assert!(won || *done == CommitResult::Fenced, "{done:?}");
        assert_eq!(stores[0].event("live", event).await.unwrap().is_some(), won);
        assert_eq!(stores[0].execution("live", execution).await.unwrap().is_some(), won);
    }
    assert_eq!(answers.iter().filter(|(done, _)| *done == CommitResult::Fenced).count(), 2);
    assert_eq!(stores[1].schedule("live", "nightly").await.unwrap(), after);
    // Also later; and the next tick continues from there.
    assert_eq!(super::commit(&*stores[0], tick(&before).0).await, CommitResult::Fenced);
    assert_eq!(super::commit(&*stores[0], tick(&after).0).await, CommitResult::Stored(Vec::new()));
}

fn polled(version: i64) -> PollCommit {
    let state = PollState {
        trigger: "orders".to_owned(),
        connection: "acme".to_owned(),
        cursor: json!({ "after": version }),
        next_at: 7,
        interval: 60,
        primed: true,
        version,
        ..PollState::default()
    };
    PollCommit { environment: "live".to_owned(), state, ..PollCommit::default() }
}

fn record(id: &str, hash: &str) -> StoredRecord {
    StoredRecord { id: id.to_owned(), hash: hash.to_owned(), fields: json!({ "h": hash, "z": "\0" }), seen: 3 }
}

fn found(change: Change) -> EnqueueRequest {
    match change {
        Change::Accept(request) => *request,
        other => panic!("{other:?}"),
    }
}

async fn stores_a_poll_as_a_whole(fixture: Fixture) {
    let store = &*fixture.store;
    let records = async || {
        let mut records = store.records("live", "orders", "acme").await.unwrap();
        records.sort_by(|one, other| one.id.cmp(&other.id));
        records
    };
    let (one, other) = (event("orders"), event("orders"));
    let first = PollCommit { upserted: vec![record("a", "1"), record("b", "1")], ..polled(0) };
    let done = store.commit_poll(&first, vec![found(keyed(&one, "k", HOUR)), found(keyed(&other, "k", HOUR))]).await;
    assert_eq!(done.unwrap(), [CommitResult::Stored(Vec::new()), CommitResult::Duplicate(one.id.clone())]);
    assert_eq!(records().await, [record("a", "1"), record("b", "1")]);
    assert_eq!(store.polls("live").await.unwrap(), [PollState { version: 1, ..polled(0).state }]);

    let second =
        PollCommit { upserted: vec![record("b", "2"), record("c", "1")], deleted: vec!["a".into()], ..polled(1) };
    assert!(store.commit_poll(&second, Vec::new()).await.unwrap().is_empty());
    assert_eq!(records().await, [record("b", "2"), record("c", "1")]);

    // A late poll stores nothing.
    let (late, state) = (event("orders"), store.polls("live").await.unwrap());
    for version in [0, 1, 7] {
        let stale = PollCommit { upserted: vec![record("d", "1")], deleted: vec!["b".into()], ..polled(version) };
        let error = store.commit_poll(&stale, vec![found(keyed(&late, "late", HOUR))]).await.unwrap_err();
        assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
    }
    assert!(store.event("live", &late.id).await.unwrap().is_none());
    assert_eq!(records().await, [record("b", "2"), record("c", "1")]);
    assert_eq!(store.polls("live").await.unwrap(), state);

    // If a part cannot be stored, nothing is.
    let bad = PollCommit { upserted: vec![record("d", "1")], ..polled(2) };
    let twice =
        EnqueueRequest { executions: vec![new_execution("twice"); 2], ..found(keyed(&event("orders"), "other", HOUR)) };
    assert!(store.commit_poll(&bad, vec![twice]).await.is_err());
    assert_eq!(store.polls("live").await.unwrap(), state);
    assert_eq!(records().await.len(), 2);

    store.remove_poll("live", "orders", "others").await.unwrap();
    assert_eq!(records().await.len(), 2);
    store.remove_poll("live", "orders", "acme").await.unwrap();
    assert!(records().await.is_empty() && store.polls("live").await.unwrap().is_empty());
    store.commit_poll(&polled(0), Vec::new()).await.unwrap();
}

async fn stores_one_of_concurrent_polls(fixture: Fixture) {
    let stores = two(&fixture).await;
    for version in 0..3 {
        let mut tasks = JoinSet::new();
        for number in 0..6 {
            let store = stores[number % 2].clone();
            let event = event("orders");
            tasks.spawn(async move {
                let found = found(keyed(&event, &format!("{version} {number}"), HOUR));
                store.commit_poll(&polled(version), vec![found]).await
            });
        }
        let answers = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        let fenced = answers.iter().filter(|answer| matches!(answer, Err(StoreError::Fenced { .. })));
        assert_eq!(fenced.count(), 5, "{answers:?}");
        let kept = stores[0].events("live", Some("orders"), &RowRange::newest(99)).await.unwrap().len();
        assert_eq!(i64::try_from(kept).unwrap(), version + 1);
    }
}

async fn stores_and_removes_subscriptions(fixture: Fixture) {
    let store = &*fixture.store;
    let of = |trigger: &str, connection: &str, status: SubscriptionStatus| Subscription {
        trigger: trigger.to_owned(),
        connection: connection.to_owned(),
        status,
        address: "secret".to_owned(),
        retry_at: 7,
        ..Subscription::default()
    };
    let (b, a, plain) = (
        of("b", "x", SubscriptionStatus::Subscribed),
        of("a", "y", SubscriptionStatus::Failed),
        of("a", "", SubscriptionStatus::Subscribing),
    );
    for one in [&b, &a, &plain] {
        store.put_subscription("live", one).await.unwrap();
    }
    store.put_subscription("draft", &b).await.unwrap();
    assert_eq!(store.subscriptions("live").await.unwrap(), [plain.clone(), a.clone(), b.clone()]);
    let changed = of("a", "y", SubscriptionStatus::Subscribed);
    store.put_subscription("live", &changed).await.unwrap();
    assert_eq!(store.subscriptions("live").await.unwrap(), [plain.clone(), changed.clone(), b.clone()]);
    store.remove_subscription("live", "a", "").await.unwrap();
    store.remove_subscription("live", "b", "other").await.unwrap();
    assert_eq!(store.subscriptions("live").await.unwrap(), [changed, b.clone()]);
    assert_eq!(store.subscriptions("draft").await.unwrap(), [b]);
}

async fn workflow_state_expires(fixture: Fixture) {
    let store = &*fixture.store;
    let memory = async |scope: &str, key: &str| store.workflow_state("live", scope, key).await.unwrap();
    assert_eq!(memory("a", "k").await, None);
    store.put_workflow_state("live", "a", "k", &json!({ "n": 1 }), None).await.unwrap();
    store.put_workflow_state("live", "b", "k", &json!(false), Some(HOUR)).await.unwrap();
    store.put_workflow_state("draft", "a", "k", &json!(2), None).await.unwrap();
    assert_eq!(memory("a", "k").await, Some(json!({ "n": 1 })));
    assert_eq!(memory("b", "k").await, Some(json!(false)));
    store.put_workflow_state("live", "a", "k", &json!(3), Some(HOUR)).await.unwrap();
    assert_eq!(memory("a", "k").await, Some(json!(3)));
    store.put_workflow_state("live", "a", "k", &json!(3), Some(5_000)).await.unwrap();
    pass(20).await;
    assert_eq!(memory("a", "k").await, None, "it has expired");
    store.put_workflow_state("live", "a", "k", &json!(4), None).await.unwrap();
    assert_eq!(memory("a", "k").await, Some(json!(4)));
    store.put_workflow_state("live", "a", "k", &json!(null), Some(HOUR)).await.unwrap();
    assert_eq!(memory("a", "k").await, None);
    assert_eq!(store.workflow_state("draft", "a", "k").await.unwrap(), Some(json!(2)));
    for (scope, key) in [("a\0", "k"), ("a", "k\0")] {
        assert!(store.put_workflow_state("live", scope, key, &json!(1), None).await.is_err());
    }
}
