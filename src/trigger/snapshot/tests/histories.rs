//! Random histories of a source against a mirror that is built from events only.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

type Source = BTreeMap<String, u8>;

#[derive(Clone, Copy, Debug)]
enum Crash {
    No,
    /// Neither the events nor the records were stored.
    LosesBoth,
    /// The events were stored, the records were not; the same poll is repeated.
    LosesRecords,
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8),
    Remove(u8),
    /// Removes all records below an id.
    Clear(u8),
    Wait(i64),
    /// Lists the records in an order, with older copies of some before them. A failing poll lists `arrived` of them.
    Poll {
        order: u64,
        copies: u64,
        arrived: Option<usize>,
        crash: Crash,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let crash = prop_oneof![6 => Just(Crash::No), 1 => Just(Crash::LosesBoth), 1 => Just(Crash::LosesRecords)];
    let arrived = prop_oneof![3 => Just(None), 1 => (0_usize..40).prop_map(Some)];
    prop_oneof![
        12 => (0_u8..32, 0_u8..3).prop_map(|(id, value)| Step::Set(id, value)),
        3 => (0_u8..32).prop_map(Step::Remove),
        1 => (0_u8..33).prop_map(Step::Clear),
        2 => (0_i64..5 * DAY).prop_map(Step::Wait),
        8 => (any::<u64>(), any::<u64>(), arrived, crash)
            .prop_map(|(order, copies, arrived, crash)| Step::Poll { order, copies, arrived, crash }),
    ]
}

/// A record of the source, with its fields in one of two orders.
fn listed(id: &str, value: u8, turned: bool) -> Record {
    let data = if turned { json!({"value": value, "id": id}) } else { json!({"id": id, "value": value}) };
    record(id, data)
}

/// The source as a poll lists it: in any order, some records twice, first with other data.
fn page(source: &Source, order: u64, copies: u64) -> Vec<Record> {
    let mut sorted: Vec<(u64, Record)> = Vec::new();
    for (at, (id, value)) in source.iter().enumerate() {
        let place = (order.rotate_left(at as u32) ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
        sorted.push((place, listed(id, *value, place & 2 == 2)));
        if copies.rotate_right(at as u32).is_multiple_of(4) {
            sorted.push((place / 2, listed(id, value.wrapping_add(1), false)));
        }
    }
    sorted.sort_by_key(|(place, _)| *place);
    sorted.into_iter().map(|(_, record)| record).collect()
}

/// A copy of the source that is built from events only.
#[derive(Default)]
struct Mirror {
    source: Source,
    keys: BTreeMap<String, i64>,
}

impl Mirror {
    /// Applies events, each key once.
    fn apply(&mut self, events: &[FoundChange], now: i64, again: bool) {
        // A deduplication window does not exceed the retention of records.
        self.keys.retain(|_, since| now - *since <= RETENTION);
        for event in events {
            let repeated = self.keys.insert(event.key.clone(), now).is_some();
            assert_eq!(repeated, again, "the key of {event:?}");
            if repeated {
                continue;
            }
            let value = event.data["value"].as_u64().unwrap() as u8;
            let before = match event.change {
                Change::Deleted => self.source.remove(&event.id),
                Change::Created | Change::Updated => self.source.insert(event.id.clone(), value),
            };
            match event.change {
                Change::Created => assert_eq!(before, None),
                Change::Deleted => assert_eq!(before, Some(value)),
                Change::Updated => {
                    let field = FieldChange {
                        path: "/value".to_owned(),
                        before: Some(json!(before.unwrap())),
                        after: Some(json!(value)),
                    };
                    assert_eq!(event.fields, [field]);
                }
            }
        }
    }
}

/// The changes that a poll must find, derived from the rules without hashes or remembered records.
fn expected(mirror: &Source, arrived: &Source, whole: bool, confirmed: bool) -> (BTreeSet<(Change, String)>, u64) {
    let mut events = BTreeSet::new();
    for (id, value) in arrived {
        match mirror.get(id) {
            None => events.insert((Change::Created, id.clone())),
            Some(before) if before != value => events.insert((Change::Updated, id.clone())),
            Some(_) => false,
        };
    }
    let missing: Vec<&String> = mirror.keys().filter(|id| whole && !arrived.contains_key(*id)).collect();
    if mirror.len() >= 20 && missing.len() * 2 > mirror.len() && !confirmed {
        return (events, missing.len() as u64);
    }
    events.extend(missing.into_iter().map(|id| (Change::Deleted, id.clone())));
    (events, 0)
}

/// Runs a history against a source that lists everything.
fn history(steps: &[Step]) {
    let (mut source, mut mirror, mut known) = (Source::new(), Mirror::default(), Known::new());
    let (mut now, mut held) = (START, 0);
    for step in steps {
        match step {
            Step::Set(id, value) => drop(source.insert(format!("{id:02}"), *value)),
            Step::Remove(id) => drop(source.remove(&format!("{id:02}"))),
            Step::Clear(below) => source.retain(|id, _| *id >= format!("{below:02}")),
            Step::Wait(seconds) => now += seconds,
            Step::Poll { order, copies, arrived, crash } => {
                let mut records = page(&source, *order, *copies);
                records.truncate(arrived.unwrap_or(usize::MAX));
                let polled = Listing { complete: true, partial: arrived.is_some(), ..complete(now) };
                let polled = Listing { confirmed: held > 0, ..polled };
                let read = |record: &Record| (record.id.clone(), record.data["value"].as_u64().unwrap() as u8);
                let seen: Source = records.iter().map(read).collect();
                let want = expected(&mirror.source, &seen, arrived.is_none(), polled.confirmed);

                let mut found = compare(&known, &records, &polled);
                let changes: Vec<_> = found.events.iter().map(|event| (event.change, event.id.clone())).collect();
                assert_eq!(changes.len(), changes.iter().collect::<BTreeSet<_>>().len());
                assert_eq!((changes.into_iter().collect(), found.held), want);
                match crash {
                    Crash::No => mirror.apply(&found.events, now, false),
                    Crash::LosesBoth => continue,
                    Crash::LosesRecords => {
                        mirror.apply(&found.events, now, false);
                        now += 60;
                        // In another order, and each record once.
                        let again = seen.iter().rev().map(|(id, value)| listed(id, *value, true));
                        let before = found.events.len();
                        found = compare(&known, &again.collect::<Vec<_>>(), &Listing { now, ..polled });
                        assert_eq!(found.events.len(), before);
                        mirror.apply(&found.events, now, true);
                    }
                }
                write(&mut known, &found);
                if arrived.is_none() {
                    held = found.held;
                    assert!(held > 0 || mirror.source == source);
                }
            }
        }
    }
    // After any history, two complete polls find everything.
    for _ in 0..2 {
        now += 60;
        let polled = Listing { confirmed: held > 0, ..complete(now) };
        let found = poll(&mut known, &page(&source, 7, 7), polled);
        mirror.apply(&found.events, now, false);
        held = found.held;
    }
    assert_eq!(mirror.source, source);
    let present: Vec<&String> = known.values().filter(|row| !row.gone).map(|row| &row.id).collect();
    assert_eq!(present, source.keys().collect::<Vec<_>>());
}

/// Any JSON, with several notations of numbers.
fn value() -> impl Strategy<Value = Value> {
    let texts = ["a", "b/c", "d~e", ""];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![
            "1",
            "1.0",
            "-0.0",
            "0",
            "1e18",
            "1000000000000000000",
            "0.1",
            "18446744073709551615"
        ])
        .prop_map(|text| serde_json::from_str(text).unwrap()),
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let entries = prop::collection::vec((prop::sample::select(texts.to_vec()), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            entries.prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// Writes or removes the value at a pointer; its parents exist.
fn put(root: &mut Value, path: &str, value: Option<&Value>) {
    let Some((parent, name)) = path.rsplit_once('/') else {
        *root = value.unwrap().clone();
        return;
    };
    match root.pointer_mut(parent).unwrap() {
        Value::Object(map) => {
            let name = name.replace("~1", "/").replace("~0", "~");
            match value {
                Some(value) => drop(map.insert(name, value.clone())),
                None => drop(map.shift_remove(&name)),
            }
        }
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.unwrap().clone(),
        other => panic!("{path} is in {other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn finds_exactly_the_changes_of_any_history(steps in prop::collection::vec(step(), 1..120)) {
        history(&steps);
    }

    /// The input is a list of listed ids with the time until the next poll.
    #[test]
    fn forgets_records_of_a_source_of_changes_only_after_the_retention(
        polls in prop::collection::vec((prop::collection::btree_map(0_u8..5, 0_u8..3, 0..4), 0..4 * DAY), 1..40),
    ) {
        let (mut known, mut now) = (Known::new(), START);
        let mut model: BTreeMap<String, (u8, i64)> = BTreeMap::new();
        for (ids, wait) in polls {
            let records: Vec<Record> = ids.iter().map(|(id, value)| listed(&id.to_string(), *value, false)).collect();
            let found = poll(&mut known, &records, changes_only(now));
            let changes: BTreeMap<&str, Change> = changes_of(&found).into_iter().map(|(change, id)| (id, change)).collect();
            for (id, value) in &ids {
                let id = id.to_string();
                let change = changes.get(id.as_str()).copied();
                match model.insert(id, (*value, now)) {
                    None => prop_assert_eq!(change, Some(Change::Created)),
                    Some((_, seen)) if now - seen > RETENTION + RETENTION / 10 => {
                        prop_assert_eq!(change, Some(Change::Created));
                    }
                    // In between, both are correct.
                    Some((_, seen)) if now - seen > RETENTION && change == Some(Change::Created) => {}
                    Some((before, _)) => prop_assert_eq!(change, (before != *value).then_some(Change::Updated)),
                }
            }
            prop_assert!(changes.keys().all(|id| ids.contains_key(&id.parse().unwrap())));
            let oldest = now - RETENTION - RETENTION / 10;
            prop_assert!(known.values().all(|row| row.seen >= oldest));
            now += wait;
        }
    }

    #[test]
    fn differences_reconstruct_the_new_value_and_are_empty_exactly_for_equal_hashes(before in value(), after in value()) {
        let found = differences(&before, &after);
        let of = |data: &Value| hash(&record("1", data.clone()));
        prop_assert_eq!(found.is_empty(), of(&before) == of(&after));
        let mut made = before.clone();
        for field in &found {
            prop_assert_eq!(before.pointer(&field.path), field.before.as_ref());
            prop_assert_eq!(after.pointer(&field.path), field.after.as_ref());
            put(&mut made, &field.path, field.after.as_ref());
        }
        prop_assert_eq!(of(&made), of(&after));
    }

    #[test]
    fn intervals_stay_within_their_bounds(
        times in prop::array::uniform4(prop_oneof![Just(0_u64), 1..100_000_u64, Just(u64::MAX)]),
        adapts in any::<bool>(),
        polls in prop::collection::vec((0_usize..2, any::<bool>(), 0_u32..40), 0..20),
    ) {
        let [mut current, base, shortest, longest] = times.map(Duration::from_secs);
        let adaptive = adapts.then_some((shortest, longest));
        for (changes, limited, failed) in polls {
            let next = next_interval(current, base, adaptive, changes, limited, failed);
            prop_assert!(next >= MIN_INTERVAL);
            let usual = if adapts { longest.max(shortest) } else { base };
            prop_assert!(next <= base.saturating_mul(16).max(BACKOFF_CAP).max(usual));
            if !limited && failed == 0 {
                let minimum = if adapts { shortest } else { base };
                prop_assert!(next <= usual.max(MIN_INTERVAL) && next >= minimum);
            }
            current = next;
        }
    }
}
