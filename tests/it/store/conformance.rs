//! Objects, generations, tombstones, states, the audit log and replicas on both databases.

use std::collections::BTreeSet;

use evenkeel::definition::{Id, Kind};
use evenkeel::store::{Audit, Cause, StoreError, Tombstone};
use evenkeel::text::Digest;
use serde_json::json;

use super::{Fixture, activation, object};

const HOUR: i64 = 3_600_000_000;

super::on_both!(
    returns_objects_in_order,
    detects_and_repairs_damaged_objects,
    refuses_an_object_with_a_wrong_digest,
    stores_ten_thousand_objects_in_one_call,
    stores_large_objects_up_to_the_limit,
    stores_objects_from_concurrent_writers,
    numbers_generations_and_finds_them,
    a_refused_activation_changes_nothing,
    one_of_concurrent_activations_succeeds,
    stores_tombstones_until_restored_or_expired,
    deletes_old_generations_by_count_and_age,
    deletes_old_audit_lines_by_count,
    a_sweep_removes_unneeded_objects,
    writes_states_only_if_they_differ,
    changes_wake_waiters,
    lists_audit_lines_from_the_newest,
    lists_live_replicas,
    refuses_names_that_cannot_be_stored,
);

async fn returns_objects_in_order(fixture: Fixture) {
    let store = fixture.store;
    let objects = [object("one"), object("two"), object("three"), object("")];
    let twice = [&objects[..], &objects[..1]].concat();
    assert_eq!(store.put_objects(&twice).await.unwrap(), 4);
    assert_eq!(store.put_objects(&objects).await.unwrap(), 0);
    assert_eq!(store.put_objects(&[]).await.unwrap(), 0);

    let digests = [objects[2].0, objects[0].0, objects[3].0, objects[2].0];
    let expected: [&[u8]; 4] = [b"three", b"one", b"", b"three"];
    assert_eq!(store.objects(&digests).await.unwrap(), expected);
    assert!(store.objects(&[]).await.unwrap().is_empty());

    let missing = Digest::of(b"four");
    let error = store.objects(&[objects[0].0, missing]).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { digest, problem: "missing" } if digest == missing), "{error}");
}

async fn detects_and_repairs_damaged_objects(fixture: Fixture) {
    let store = &fixture.store;
    let (sound, damaged) = (object("sound"), object("damaged"));
    store.put_objects(&[sound.clone(), damaged.clone()]).await.unwrap();
    // Of the same length: only the digest differs.
    let (at, bad) = (fixture.bytes(damaged.0.bytes()), fixture.bytes(b"Damaged"));
    assert_eq!(fixture.sql(&format!("UPDATE objects SET content = {bad} WHERE digest = {at}")).await, 1);

    let error = store.objects(&[sound.0, damaged.0]).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { digest, problem: "damaged" } if digest == damaged.0), "{error}");
    assert_eq!(store.objects(&[sound.0]).await.unwrap(), [b"sound"]);

    assert_eq!(store.put_objects(&[sound.clone(), damaged.clone()]).await.unwrap(), 1);
    assert_eq!(store.objects(&[damaged.0]).await.unwrap(), [b"damaged"]);
}

async fn refuses_an_object_with_a_wrong_digest(fixture: Fixture) {
    let wrong = (Digest::of(b"one"), b"two".to_vec());
    let error = fixture.store.put_objects(&[object("fine"), wrong]).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    // All or nothing.
    assert!(fixture.store.objects(&[object("fine").0]).await.is_err());
}

async fn stores_ten_thousand_objects_in_one_call(fixture: Fixture) {
    let store = fixture.store;
    let filler = "x".repeat(2048);
    let objects: Vec<_> = (0..10_000).map(|number| object(&format!("{number} {filler}"))).collect();
    assert_eq!(store.put_objects(&objects).await.unwrap(), 10_000);
    assert_eq!(store.put_objects(&objects).await.unwrap(), 0);
    let digests: Vec<Digest> = objects.iter().map(|(digest, _)| *digest).collect();
    let contents = store.objects(&digests).await.unwrap();
    assert!(contents.iter().eq(objects.iter().map(|(_, content)| content)));
}

async fn stores_large_objects_up_to_the_limit(fixture: Fixture) {
    let store = fixture.store;
    // More than one statement takes, alone and together.
    let objects = [1, 9, 5, 5].map(|mebibytes| object(&mebibytes.to_string().repeat(mebibytes << 20)));
    assert_eq!(store.put_objects(&objects).await.unwrap(), 3);
    for (digest, content) in objects {
        assert!(store.objects(&[digest]).await.unwrap() == [content]);
    }
    let too_large = vec![0; (64 << 20) + 1];
    let error = store.put_objects(&[object("fine"), (Digest::of(b""), too_large)]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(text) if text.contains("67108865")), "{error}");
}

async fn stores_objects_from_concurrent_writers(fixture: Fixture) {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8_usize {
        let store = fixture.store.clone();
        tasks.spawn(async move {
            // Overlapping sets, in different orders.
            let mut objects: Vec<_> = (0..200).map(|number| object(&format!("{}", number + 20 * task))).collect();
            objects.rotate_left(task * 7);
            store.put_objects(&objects).await.unwrap()
        });
    }
    let written: u64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(written, 340);
}

async fn numbers_generations_and_finds_them(fixture: Fixture) {
    let store = &*fixture.store;
    assert!(store.active("live").await.unwrap().is_none());
    assert!(store.environments().await.unwrap().is_empty());

    let first = store.activate(&activation(store, "live", 0, "one").await, None).await.unwrap();
    assert_eq!((first.number, first.digest), (1, object("one").0));
    let second = activation(store, "live", 1, "two").await;
    let second = store.activate(&evenkeel::store::Activation { cause: Cause::Rollback, ..second }, None).await.unwrap();
    let third = store.activate(&activation(store, "live", 2, "one").await, None).await.unwrap();
    let other = store.activate(&activation(store, "draft", 0, "one").await, None).await.unwrap();
    assert_eq!((second.number, third.number, other.number), (2, 3, 1));

    assert_eq!(store.active("live").await.unwrap().unwrap(), third);
    assert_eq!(store.active("draft").await.unwrap().unwrap(), other);
    assert_eq!(store.environments().await.unwrap(), ["draft", "live"]);
    assert_eq!(store.generation("live", 2).await.unwrap().unwrap(), second);
    assert!(store.generation("live", 4).await.unwrap().is_none());
    assert!(store.generation("live", u64::MAX).await.unwrap().is_none());

    assert_eq!(store.history("live", None, 2).await.unwrap(), [third.clone(), second.clone()]);
    assert_eq!(store.history("live", Some(3), 9).await.unwrap(), [second, first]);
    assert!(store.history("live", Some(1), 9).await.unwrap().is_empty());

    let (roots, _) = store.all_roots().await.unwrap();
    assert_eq!(BTreeSet::from_iter(roots), BTreeSet::from([object("one").0, object("two").0]));
    let record = store.audit_log("live", 9).await.unwrap();
    let actions: Vec<&str> = record.iter().map(|line| line.action.as_str()).collect();
    assert_eq!(actions, ["Source", "Rollback", "Source"]);
    assert_eq!(record[0].details["generation"], 3);
    assert_eq!(record[0].at, third.at);
}

async fn a_refused_activation_changes_nothing(fixture: Fixture) {
    let store = &*fixture.store;
    store.activate(&activation(store, "live", 0, "one").await, None).await.unwrap();
    let writes = store.writes();
    for expected in [0, 2, u64::MAX] {
        let mut stale = activation(store, "live", 1, "one").await;
        stale.expected = expected;
        stale.tombstones = vec![stone("Connector/orbit", HOUR)];
        let error = store.activate(&stale, None).await.unwrap_err();
        assert!(matches!(error, StoreError::Stale { active: 1, .. }), "{error}");
    }
    let mut rootless = activation(store, "live", 1, "one").await;
    rootless.digest = Digest::of(b"never stored");
    let error = store.activate(&rootless, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { problem: "missing", .. }), "{error}");
    // An environment without an activation is not listed.
    let unborn = activation(store, "draft", 7, "one").await;
    assert!(matches!(store.activate(&unborn, None).await, Err(StoreError::Stale { expected: 7, active: 0 })));

    assert_eq!(store.history("live", None, 9).await.unwrap().len(), 1);
    assert_eq!(store.audit_log("live", 9).await.unwrap().len(), 1);
    assert!(store.tombstones("live").await.unwrap().is_empty());
    assert_eq!(store.environments().await.unwrap(), ["live"]);
    // Only the root was marked as used.
    assert_eq!(store.writes(), writes + 5);
}

async fn one_of_concurrent_activations_succeeds(fixture: Fixture) {
    let (here, there) = (fixture.store.clone(), fixture.another().await);
    for expected in 0..5 {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..12 {
            let store = if number % 2 == 0 { here.clone() } else { there.clone() };
            tasks.spawn(async move {
                let wanted = activation(&*store, "live", expected, &format!("{expected}-{number}")).await;
                store.activate(&wanted, None).await
            });
        }
        let answers = tasks.join_all().await;
        let winners: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        assert_eq!(winners[0].number, expected + 1);
        let stale = |answer: &&Result<_, StoreError>| matches!(answer, Err(StoreError::Stale { .. }));
        assert_eq!(answers.iter().filter(stale).count(), 11, "{answers:?}");
        assert_eq!(here.active("live").await.unwrap().as_ref(), Some(winners[0]));
        assert_eq!(there.active("live").await.unwrap().as_ref(), Some(winners[0]));
    }
}

async fn stores_tombstones_until_restored_or_expired(fixture: Fixture) {
    let store = &*fixture.store;
    let mut first = activation(store, "live", 0, "one").await;
    first.tombstones = vec![
        stone("Workflow/sync", HOUR),
        stone("Connector/orbit", HOUR),
        stone("Widget/gone", 1),
        stone("Widget/big", i64::MAX),
    ];
    let generation = store.activate(&first, None).await.unwrap();

    let stones = store.tombstones("live").await.unwrap();
    let ids: Vec<&str> = stones.iter().map(|stone| stone.id.as_str()).collect();
    assert_eq!(ids, ["Connector/orbit", "Widget/big", "Workflow/sync"]);
    assert_eq!(stones[0], Tombstone { at: generation.at, ..stone("Connector/orbit", HOUR) });
    assert!(store.tombstones("draft").await.unwrap().is_empty());

    let mut second = activation(store, "live", 1, "two").await;
    second.restored = vec![Id { kind: Kind::Connector, name: "orbit".to_owned() }];
    let replaced = Tombstone { item: json!({ "content": "newer" }), ..stone("Workflow/sync", HOUR) };
    second.tombstones = vec![replaced.clone()];
    let generation = store.activate(&second, None).await.unwrap();
    let stones = store.tombstones("live").await.unwrap();
    assert_eq!(stones.len(), 2);
    assert_eq!(stones[1], Tombstone { at: generation.at, ..replaced });

    // Expired tombstones are not only hidden but deleted.
    store.delete_old_generations("live", 9, HOUR).await.unwrap();
    assert_eq!(fixture.sql("DELETE FROM tombstones WHERE id = 'Widget/gone'").await, 0);
    assert_eq!(store.tombstones("live").await.unwrap().len(), 2);
}

async fn deletes_old_generations_by_count_and_age(fixture: Fixture) {
    let store = &*fixture.store;
    for number in 0..6 {
        store.activate(&activation(store, "live", number, "one").await, None).await.unwrap();
    }
    let numbers = async || -> Vec<u64> {
        store.history("live", None, 99).await.unwrap().iter().map(|generation| generation.number).collect()
    };
    assert_eq!(store.delete_old_generations("live", 2, HOUR).await.unwrap(), 0, "all are young");
    assert_eq!(store.delete_old_generations("live", 9, -HOUR).await.unwrap(), 0, "all are among the newest");
    assert_eq!(store.delete_old_generations("draft", 0, -HOUR).await.unwrap(), 0);
    assert_eq!(store.delete_old_generations("live", 2, -HOUR).await.unwrap(), 4);
    assert_eq!(numbers().await, [6, 5]);
    assert_eq!(store.delete_old_generations("live", 0, -HOUR).await.unwrap(), 1, "the active one stays");
    assert_eq!(numbers().await, [6]);
    // Numbers are never reused.
    assert_eq!(store.activate(&activation(store, "live", 6, "one").await, None).await.unwrap().number, 7);
}

async fn deletes_old_audit_lines_by_count(fixture: Fixture) {
    let store = &*fixture.store;
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10005) \
                INSERT INTO audits (environment, written_at, actor, action, details) \
                SELECT 'live', i, 'me', 'Test', '{}' FROM n";
    assert_eq!(fixture.sql(fill).await, 10_005);
    store.append_audit(&line("draft", "Suspend")).await.unwrap();
    store.delete_old_generations("live", 9, HOUR).await.unwrap();
    let left = store.audit_log("live", u32::MAX).await.unwrap();
    assert_eq!((left.first().unwrap().at, left.last().unwrap().at), (10_005, 6));
    assert_eq!(left.len(), 10_000);
    assert_eq!(store.audit_log("draft", 9).await.unwrap().len(), 1);
}

async fn a_sweep_removes_unneeded_objects(fixture: Fixture) {
    let store = &*fixture.store;
    let objects = [object("needed"), object("unneeded"), object("stored again")];
    store.put_objects(&objects).await.unwrap();
    fixture.sql("UPDATE objects SET created_at = created_at - 1000000").await;
    let (_, before) = store.all_roots().await.unwrap();
    // A concurrent build stores one of them again, and a new one.
    store.put_objects(&[objects[2].clone(), object("new")]).await.unwrap();

    assert_eq!(store.sweep_objects(&[objects[0].0], before).await.unwrap(), 1);
    let kept = [objects[0].0, objects[2].0, object("new").0];
    assert_eq!(store.objects(&kept).await.unwrap().len(), 3);
    assert!(store.objects(&[objects[1].0]).await.is_err());
    assert_eq!(store.sweep_objects(&[], before - HOUR).await.unwrap(), 0, "all are younger");
}

async fn writes_states_only_if_they_differ(fixture: Fixture) {
    let store = &*fixture.store;
    assert!(store.state("live", "status").await.unwrap().is_none());
    assert!(store.put_state("live", "status", &json!({ "a": 1, "b": [1.5, null, "\u{0}é"] })).await.unwrap());
    let writes = store.writes();
    assert!(!store.put_state("live", "status", &json!({ "a": 1, "b": [1.5, null, "\u{0}é"] })).await.unwrap());
    assert!(!store.put_state("live", "status", &json!({ "b": [1.5, null, "\u{0}é"], "a": 1 })).await.unwrap());
    assert_eq!(store.writes(), writes, "an equal state is not written");
    assert!(store.put_state("live", "status", &json!({ "a": 2 })).await.unwrap());
    assert!(store.put_state("live", "controls", &json!(null)).await.unwrap());
    assert!(store.put_state("draft", "status", &json!(3)).await.unwrap());
    assert_eq!(store.writes(), writes + 3);
    assert_eq!(store.state("live", "status").await.unwrap().unwrap(), json!({ "a": 2 }));
    assert_eq!(store.state("live", "controls").await.unwrap().unwrap(), json!(null));
    assert_eq!(store.state("draft", "status").await.unwrap().unwrap(), json!(3));
}

async fn changes_wake_waiters(fixture: Fixture) {
    let (here, there) = (fixture.store.clone(), fixture.another().await);
    let mut changes = there.changes();
    here.put_state("live", "status", &json!(1)).await.unwrap();
    wait_until(&mut changes, async || there.state("live", "status").await.unwrap().is_some()).await;
    here.activate(&activation(&*here, "live", 0, "one").await, None).await.unwrap();
    wait_until(&mut changes, async || there.active("live").await.unwrap().is_some()).await;
}

/// Waits for changes until a condition holds.
pub async fn wait_until(changes: &mut tokio::sync::watch::Receiver<u64>, so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !so().await {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), waiting).await.expect("no change was reported");
}

async fn lists_audit_lines_from_the_newest(fixture: Fixture) {
    let store = &*fixture.store;
    for action in ["Suspend", "Resume", "Rollback"] {
        store.append_audit(&line("live", action)).await.unwrap();
    }
    store.append_audit(&line("", "Rotate")).await.unwrap();
    let lines = store.audit_log("live", 2).await.unwrap();
    let actions: Vec<&str> = lines.iter().map(|line| line.action.as_str()).collect();
    assert_eq!(actions, ["Rollback", "Resume"]);
    assert!(lines[0].at > 0 && lines[0].details == json!({ "why": "a test" }));
    assert_eq!(store.audit_log("", 9).await.unwrap().len(), 1);
    assert!(store.audit_log("live", 0).await.unwrap().is_empty());
}

async fn lists_live_replicas(fixture: Fixture) {
    let store = &*fixture.store;
    let generation = store.activate(&activation(store, "live", 0, "one").await, None).await.unwrap();
    store.report_replica("b", "live", &generation).await.unwrap();
    store.report_replica("a", "live", &generation).await.unwrap();
    store.report_replica("a", "draft", &generation).await.unwrap();
    let writes = store.writes();
    store.report_replica("a", "live", &generation).await.unwrap();
    assert_eq!(store.writes(), writes, "an unchanged report is not written");

    let replicas = store.replicas("live").await.unwrap();
    let names: Vec<&str> = replicas.iter().map(|replica| replica.replica.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((replicas[0].number, replicas[0].digest), (1, generation.digest));

    let next = store.activate(&activation(store, "live", 1, "two").await, None).await.unwrap();
    store.report_replica("a", "live", &next).await.unwrap();
    assert_eq!(store.replicas("live").await.unwrap()[0].number, 2, "a changed report is visible at once");
}

async fn refuses_names_that_cannot_be_stored(fixture: Fixture) {
    let store = &*fixture.store;
    for name in ["a\0b", &"a".repeat(513)] {
        let refused = |error: StoreError| assert!(matches!(error, StoreError::Refused(_)), "{error}");
        refused(store.put_state("live", name, &json!(1)).await.unwrap_err());
        refused(store.acquire_lease(name, "me", 1).await.unwrap_err());
        refused(store.append_audit(&line(name, "Test")).await.unwrap_err());
        let mut wanted = activation(store, "live", 0, "one").await;
        wanted.environment = name.to_owned();
        refused(store.activate(&wanted, None).await.unwrap_err());
    }
    store.put_state("live", &"é".repeat(256), &json!(1)).await.unwrap();
}

fn line(environment: &str, action: &str) -> Audit {
    let (environment, action) = (environment.to_owned(), action.to_owned());
    Audit { at: 0, environment, actor: "me".to_owned(), action, details: json!({ "why": "a test" }) }
}

fn stone(id: &str, window: i64) -> Tombstone {
    Tombstone { id: id.to_owned(), item: json!({ "content": id }), generation: 0, at: 7, window }
}
