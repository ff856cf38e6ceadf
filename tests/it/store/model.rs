//! Random histories, compared step by step with a simple model.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel::definition::{Id, Kind};
use evenkeel::store::{Cause, Keys, Lease, Store, StoreError, Tombstone};
use evenkeel::text::Digest;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{Fixture, activation, object};

const HOUR: i64 = 3_600_000_000;

#[derive(Clone, Debug)]
enum Step {
    /// Expects the active generation or another one; with the last acquired lease or none.
    Activate {
        root: u8,
        off: u8,
        removed: Vec<u8>,
        restored: Vec<u8>,
        leased: bool,
    },
    PutState {
        name: u8,
        value: u8,
    },
    PutObjects {
        objects: Vec<u8>,
    },
    Damage {
        object: u8,
    },
    DeleteOld {
        keep: u32,
    },
    Sweep,
    Acquire {
        holder: u8,
    },
    Release,
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    let few = || vec(0..5_u8, 0..4);
    prop_oneof![
        4 => (0..8_u8, 0..4_u8, few(), few(), any::<bool>())
            .prop_map(|(root, off, removed, restored, leased)| Step::Activate { root, off, removed, restored, leased }),
        2 => (0..3_u8, 0..3_u8).prop_map(|(name, value)| Step::PutState { name, value }),
        2 => vec(0..12_u8, 0..6).prop_map(|objects| Step::PutObjects { objects }),
        1 => (0..12_u8).prop_map(|object| Step::Damage { object }),
        1 => (0..4_u32).prop_map(|keep| Step::DeleteOld { keep }),
        1 => Just(Step::Sweep),
        2 => (0..3_u8).prop_map(|holder| Step::Acquire { holder }),
        1 => Just(Step::Release),
        1 => Just(Step::Expire),
    ]
}

/// The expected content of the store.
#[derive(Default)]
struct Model {
    /// By number: true if the object is sound, false if it is damaged.
    objects: BTreeMap<u8, bool>,
    generations: BTreeMap<u64, u8>,
    last: u64,
    tombstones: BTreeMap<u8, u64>,
    states: BTreeMap<u8, u8>,
    /// Holder, token, and true if it has expired.
    lease: Option<(u8, i64, bool)>,
    token: i64,
    /// The lease that a process believes to hold.
    held: Option<Lease>,
}

fn root(number: u8) -> (Digest, Vec<u8>) {
    object(&format!("object {number}"))
}

fn tombstone_id(number: u8) -> Id {
    Id { kind: Kind::Connector, name: format!("c{number}") }
}

/// Runs one history in its own environment.
async fn run_history(fixture: &Fixture, environment: &str, steps: &[Step]) {
    // Objects are shared by environments: each history begins without any.
    fixture.sql("DELETE FROM objects").await;
    let mut model = Model::default();
    let store = Arc::clone(&fixture.store);
    for step in steps {
        apply_step(fixture, &*store, environment, &mut model, step).await;
        compare(&*store, environment, &model, step).await;
    }
    fixture.sql(&format!("DELETE FROM generations WHERE environment = '{environment}'")).await;
}

async fn apply_step(fixture: &Fixture, store: &dyn Store, environment: &str, model: &mut Model, step: &Step) {
    match step {
        Step::Activate { root: number, off, removed, restored, leased } => {
            // `off` 0 and 1 expect the active generation.
            let expected = if *off < 2 { model.last } else { model.last + u64::from(*off) - 1 };
            let mut wanted = activation(store, environment, expected, &format!("object {number}")).await;
            model.objects.insert(*number, true);
            wanted.tombstones = removed.iter().map(|number| tombstone(*number, model.last)).collect();
            wanted.restored = restored.iter().map(|number| tombstone_id(*number)).collect();
            let lease = model.held.clone().filter(|_| *leased);
            let holds = lease.as_ref().is_none_or(|lease| {
                model.lease.is_some_and(|(holder, token, expired)| {
                    !expired && lease.holder == holder.to_string() && lease.token == token
                })
            });
            match store.activate(&wanted, lease.as_ref()).await {
                Ok(generation) => {
                    assert!(holds && expected == model.last, "{step:?}");
                    model.last += 1;
                    assert_eq!(generation.number, model.last);
                    model.generations.insert(model.last, *number);
                    model.tombstones.retain(|number, _| !restored.contains(number));
                    model.tombstones.extend(removed.iter().map(|number| (*number, model.last - 1)));
                }
                Err(StoreError::Fenced { .. }) => assert!(!holds, "{step:?}"),
                Err(StoreError::Stale { active, .. }) => {
                    assert!(holds && expected != model.last && active == model.last, "{step:?}");
                }
                Err(other) => panic!("{step:?}: {other}"),
            }
        }
        Step::PutState { name, value } => {
            let written = store.put_state(environment, &name.to_string(), &json!(value)).await.unwrap();
            assert_eq!(written, model.states.insert(*name, *value) != Some(*value), "{step:?}");
        }
        Step::PutObjects { objects } => {
            let wanted: Vec<_> = objects.iter().map(|number| root(*number)).collect();
            let written = store.put_objects(&wanted).await.unwrap();
            let new = objects.iter().filter(|number| model.objects.insert(**number, true) != Some(true)).count();
            assert_eq!(written, new as u64, "{step:?}");
        }
        Step::Damage { object } => {
            let (at, bad) = (fixture.bytes(root(*object).0.bytes()), fixture.bytes(b"bad"));
            let rows = fixture.sql(&format!("UPDATE objects SET content = {bad} WHERE digest = {at}")).await;
            assert_eq!(rows == 1, model.objects.contains_key(object), "{step:?}");
            model.objects.entry(*object).and_modify(|sound| *sound = false);
        }
        Step::DeleteOld { keep } => {
            let deleted = store.delete_old_generations(environment, *keep, -HOUR).await.unwrap();
            let (before, oldest) = (model.generations.len(), model.last.saturating_sub(u64::from((*keep).max(1))));
            model.generations.retain(|number, _| *number > oldest);
            assert_eq!(deleted, (before - model.generations.len()) as u64, "{step:?}");
        }
        Step::Sweep => {
            fixture.sql("UPDATE objects SET created_at = created_at - 1000000").await;
            let (roots, now) = store.all_roots().await.unwrap();
            let removed = store.sweep_objects(&roots, now).await.unwrap();
            let (needed, before): (Vec<u8>, _) = (model.generations.values().copied().collect(), model.objects.len());
            model.objects.retain(|number, _| needed.contains(number));
            assert_eq!(removed, (before - model.objects.len()) as u64, "{step:?}");
        }
        Step::Acquire { holder } => acquire(store, environment, model, *holder).await,
        Step::Release => {
            if let Some(held) = &model.held {
                store.release_lease(held).await.unwrap();
                let current = model
                    .lease
                    .is_some_and(|(holder, token, _)| (holder.to_string(), token) == (held.holder.clone(), held.token));
                model.lease = model.lease.filter(|_| !current);
            }
        }
        Step::Expire => {
            fixture.sql(&format!("UPDATE leases SET expires_at = 1 WHERE name = '{environment}'")).await;
            model.lease = model.lease.map(|(holder, token, _)| (holder, token, true));
        }
    }
}

async fn acquire(store: &dyn Store, environment: &str, model: &mut Model, holder: u8) {
    let lease = store.acquire_lease(environment, &holder.to_string(), 3_600).await.unwrap();
    let expected = match model.lease {
        Some((same, token, _)) if same == holder => Some(token),
        Some((_, _, false)) => None,
        _ => Some(model.token + 1),
    };
    assert_eq!(lease.as_ref().map(|lease| lease.token), expected);
    if let Some(lease) = lease {
        model.token = lease.token;
        model.lease = Some((holder, lease.token, false));
        model.held = Some(lease);
    }
}

/// Compares everything that can be read.
async fn compare(store: &dyn Store, environment: &str, model: &Model, step: &Step) {
    let active = store.active(environment).await.unwrap();
    assert_eq!(active.map_or(0, |active| active.number), model.last, "{step:?}");
    let history = store.history(environment, None, 999).await.unwrap();
    let stored: BTreeMap<u64, Digest> = history.iter().map(|one| (one.number, one.digest)).collect();
    let wanted = model.generations.iter().map(|(number, object)| (*number, root(*object).0));
    assert_eq!(stored, wanted.collect(), "{step:?}");
    assert!(history.iter().all(|one| one.cause == Cause::Source));

    let tombstones = store.tombstones(environment).await.unwrap();
    let tombstones: Vec<(String, u64)> =
        tombstones.into_iter().map(|tombstone| (tombstone.id, tombstone.generation)).collect();
    let wanted = model.tombstones.iter().map(|(number, generation)| (tombstone_id(*number).to_string(), *generation));
    assert_eq!(tombstones, wanted.collect::<Vec<_>>(), "{step:?}");

    for name in 0..3_u8 {
        let wanted: Option<Value> = model.states.get(&name).map(|value| json!(value));
        assert_eq!(store.state(environment, &name.to_string()).await.unwrap(), wanted, "{step:?}");
    }
    for number in 0..12_u8 {
        let (digest, content) = root(number);
        match (store.objects(&[digest]).await, model.objects.get(&number)) {
            (Ok(contents), Some(true)) => assert_eq!(contents, [content], "{step:?}"),
            (Err(StoreError::Corrupt { problem: "damaged", .. }), Some(false)) => {}
            (Err(StoreError::Corrupt { problem: "missing", .. }), None) => {}
            (answer, wanted) => panic!("{step:?}: object {number} is {answer:?}, not {wanted:?}"),
        }
    }
    let wanted = model.lease.filter(|(_, _, expired)| !expired).map(|(holder, ..)| holder.to_string());
    assert_eq!(store.lease_holder(environment).await.unwrap(), wanted, "{step:?}");
}

fn tombstone(number: u8, generation: u64) -> Tombstone {
    Tombstone { id: tombstone_id(number).to_string(), item: json!({ "n": number }), generation, at: 0, window: HOUR }
}

fn random_histories(fixture: impl Future<Output = Fixture>, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let fixture = runtime.block_on(fixture);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let count = std::cell::Cell::new(0);
    runner
        .run(&vec(step(), 1..25), |steps| {
            count.set(count.get() + 1);
            let environment = format!("e{}", count.get());
            runtime.block_on(run_history(&fixture, &environment, &steps));
            Ok(())
        })
        .unwrap();
}

#[test]
fn random_histories_on_sqlite() {
    random_histories(Fixture::sqlite(Keys::none()), 24);
}

#[test]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
fn random_histories_on_postgres() {
    random_histories(Fixture::postgres(Keys::none()), 24);
}
