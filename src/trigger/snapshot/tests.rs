//! Each rule of the comparison of polls.

mod histories;

use serde_json::json;

use super::*;

const DAY: i64 = 24 * 60 * 60;
const RETENTION: i64 = 7 * DAY;
const START: i64 = 1_800_000_000;

type Known = BTreeMap<String, RememberedRecord>;

fn record(id: &str, data: Value) -> Record {
    Record { id: id.to_owned(), version: None, data }
}

fn versioned(id: &str, version: &str, data: Value) -> Record {
    Record { version: Some(version.to_owned()), ..record(id, data) }
}

fn complete(now: i64) -> Listing {
    Listing { complete: true, now, ..Listing::default() }
}

fn changes_only(now: i64) -> Listing {
    Listing { now, ..Listing::default() }
}

/// Stores the result of a comparison.
fn write(known: &mut Known, found: &Comparison) {
    let ids: BTreeSet<&str> = found.remember.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids.len(), found.remember.len(), "a record is stored twice");
    for id in &found.forget {
        assert!(!ids.contains(id.as_str()), "{id} is both stored and forgotten");
        assert!(known.remove(id).is_some(), "{id} is forgotten but was not remembered");
    }
    for row in &found.remember {
        assert_ne!(known.insert(row.id.clone(), row.clone()).as_ref(), Some(row), "an unchanged record is stored");
    }
}

fn poll(known: &mut Known, records: &[Record], polled: Listing) -> Comparison {
    let found = compare(known, records, &polled);
    write(known, &found);
    found
}

fn changes_of(found: &Comparison) -> Vec<(Change, &str)> {
    found.events.iter().map(|event| (event.change, event.id.as_str())).collect()
}

/// The remembered records after a first poll.
fn baseline(records: &[Record]) -> Known {
    let mut known = Known::new();
    let found = poll(&mut known, records, Listing { first: true, ..complete(START) });
    assert_eq!(found.events, []);
    known
}

fn numbered(ids: std::ops::Range<u32>) -> Vec<Record> {
    ids.map(|id| record(&id.to_string(), json!({"n": id}))).collect()
}

#[test]
fn a_first_poll_makes_no_events_and_the_next_one_only_those_of_changes() {
    let mut known = baseline(&[record("1", json!({"a": 1})), record("2", json!({"a": 1}))]);
    let now = [record("3", json!({"a": 1})), record("1", json!({"a": 2}))];
    let found = poll(&mut known, &now, complete(START + 60));
    assert_eq!(changes_of(&found), [(Change::Created, "3"), (Change::Updated, "1"), (Change::Deleted, "2")]);
    let [created, updated, deleted] = &found.events[..] else { panic!() };
    assert_eq!((&created.data, &created.fields[..]), (&json!({"a": 1}), &[][..]));
    assert_eq!(updated.data, json!({"a": 2}));
    assert_eq!(json!(updated.fields), json!([{"path": "/a", "before": 1, "after": 2}]));
    assert_eq!((&deleted.data, &deleted.fields[..]), (&json!({"a": 1}), &[][..]));
    assert_eq!(poll(&mut known, &now, complete(START + 120)), Comparison::default());
}

#[test]
fn the_last_record_of_an_id_counts_and_records_without_an_id_are_skipped() {
    let mut known = baseline(&[record("1", json!(1))]);
    let records = [record("1", json!(2)), record("", json!(0)), record("1", json!(1)), record(" ", json!(0))];
    let found = poll(&mut known, &records, complete(START + 1));
    assert_eq!((changes_of(&found), found.unidentified), (vec![], 2));
    let found = poll(&mut known, &[record("1", json!(3)), record("1", json!(4))], complete(START + 2));
    assert_eq!(changes_of(&found), [(Change::Updated, "1")]);
    assert_eq!(found.events[0].data, json!(4));
}

#[test]
fn holds_back_deletions_while_a_record_without_an_id_is_listed() {
    let mut known = baseline(&numbered(0..3));
    let lost: Vec<Record> = numbered(0..3).into_iter().map(|it| Record { id: String::new(), ..it }).collect();
    for confirmed in [false, true] {
        let found = poll(&mut known, &lost, Listing { confirmed, ..complete(START + 60) });
        assert_eq!((changes_of(&found), found.held, found.unidentified), (vec![], 3, 3));
    }
    assert_eq!(poll(&mut known, &numbered(0..3), complete(START + 120)), Comparison::default());
}

#[test]
fn a_partial_poll_deletes_and_forgets_nothing() {
    let mut known = baseline(&numbered(0..3));
    for (day, polled) in
        [(1, Listing { partial: true, ..complete(0) }), (100, Listing { partial: true, ..complete(0) })]
    {
        let found = poll(&mut known, &numbered(0..1), Listing { now: START + day * DAY, ..polled });
        assert_eq!((changes_of(&found), &found.forget[..]), (vec![], &[][..]));
    }
    // A gap of a hundred days does not make every record new.
    let found = poll(&mut known, &numbered(0..3), complete(START + 100 * DAY));
    assert_eq!((changes_of(&found), found.remember.len()), (vec![], 2));
    // Neither does it for a source of changes whose poll failed.
    let late = changes_only(START + 200 * DAY);
    assert_eq!(poll(&mut known.clone(), &[], Listing { partial: true, ..late }), Comparison::default());
    assert_eq!(changes_of(&poll(&mut known.clone(), &numbered(0..3), Listing { partial: true, ..late })), []);
    // A listing of changes never deletes.
    assert_eq!(changes_of(&poll(&mut known, &[], changes_only(START + 101 * DAY))), []);
}

#[test]
fn a_record_that_was_not_listed_within_the_retention_is_created_again() {
    let one = [record("1", json!(1))];
    let until = START + RETENTION + RETENTION / 10;
    for (now, between, want) in [
        (until, false, vec![]),
        (until + 1, false, vec![(Change::Created, "1")]),
        // A poll in between that forgets it makes no difference.
        (until + 2, true, vec![(Change::Created, "1")]),
    ] {
        let mut known = baseline(&one);
        if between {
            assert_eq!(poll(&mut known, &[], changes_only(until + 1)).forget, ["1"]);
        }
        assert_eq!(changes_of(&poll(&mut known, &one, changes_only(now))), want, "{now}");
    }
    // `seen` may lag by a tenth of the retention.
    let mut known = baseline(&one);
    assert_eq!(poll(&mut known, &one, changes_only(START + RETENTION / 10)), Comparison::default());
    assert_eq!(changes_of(&poll(&mut known, &one, changes_only(until))), []);
    // A declared retention.
    let mut known = baseline(&one);
    let found = poll(&mut known, &[], Listing { remember_seconds: 100, ..changes_only(START + 111) });
    assert_eq!(found.forget, ["1"]);
}

#[test]
fn stores_seen_only_if_it_lags() {
    let records = numbered(0..3);
    let mut known = baseline(&records);
    assert_eq!(poll(&mut known, &records, complete(START + RETENTION / 10)), Comparison::default());
    let found = poll(&mut known, &records, complete(START + RETENTION / 10 + 1));
    assert_eq!((changes_of(&found), found.remember.len()), (vec![], 3));
    assert!(known.values().all(|row| row.seen == START + RETENTION / 10 + 1));
    // A clock that was a year ahead.
    assert_eq!(poll(&mut known, &records, complete(START - 365 * DAY)).remember.len(), 3);
}

#[test]
fn a_version_decides_alone_unless_it_is_empty() {
    let mut known = baseline(&[versioned("1", "v1", json!({"a": 1})), versioned("2", "", json!({"a": 1}))]);
    let now = [versioned("1", "v1", json!({"a": 2})), versioned("2", "", json!({"a": 2}))];
    assert_eq!(changes_of(&poll(&mut known, &now, complete(START + 1))), [(Change::Updated, "2")]);
    let found = poll(&mut known, &[versioned("1", "v2", json!({"a": 1})), now[1].clone()], complete(START + 2));
    assert_eq!((changes_of(&found), &found.events[0].fields[..]), (vec![(Change::Updated, "1")], &[][..]));
}

#[test]
fn compares_large_records_without_remembering_their_fields() {
    let large = |text: &str| record("1", json!({"text": text.repeat(MAX_FIELDS_BYTES)}));
    let mut known = baseline(&[large("a")]);
    assert_eq!(known["1"].fields, Value::Null);
    assert_eq!(poll(&mut known, &[large("a")], complete(START + 1)), Comparison::default());
    let found = poll(&mut known, &[large("b")], complete(START + 2));
    assert_eq!((changes_of(&found), &found.events[0].fields[..]), (vec![(Change::Updated, "1")], &[][..]));
    let found = poll(&mut known, &[], complete(START + 3));
    assert_eq!((changes_of(&found), &found.events[0].data), (vec![(Change::Deleted, "1")], &Value::Null));
}

#[test]
fn keys_are_equal_for_a_repeated_finding_and_differ_for_every_other_change() {
    let mut known = Known::new();
    let mut keys = BTreeSet::new();
    let there = |value: i32| vec![record("1", json!(value))];
    // Created, changed back and forth, deleted, created as before, and once more.
    let states = [there(1), there(2), there(1), there(2), vec![], there(2), vec![], there(2), there(1)];
    for (at, records) in (1..).zip(&states) {
        let again = compare(&known, records, &complete(START + at + 7));
        let found = poll(&mut known, records, complete(START + at));
        assert_eq!(found.events.len(), 1);
        assert_eq!(found.events, again.events);
        assert!(keys.insert(found.events[0].key.clone()), "{at}");
    }
    // A change to the same data from other data.
    let key = |before: i32| compare(&baseline(&there(before)), &there(3), &complete(START + 1)).events[0].key.clone();
    assert_ne!(key(1), key(2));
    // Another record with the same data.
    let other = compare(&Known::new(), &[record("2", json!(1))], &complete(START));
    assert!(!keys.contains(&other.events[0].key));
    assert_eq!(other.events[0].key.len(), 64);
}

#[test]
fn a_deleted_record_is_remembered_for_the_retention() {
    let mut known = baseline(&numbered(0..1));
    assert_eq!(changes_of(&poll(&mut known, &[], complete(START + 1))), [(Change::Deleted, "0")]);
    assert_eq!((known["0"].gone, known["0"].changes, &known["0"].fields), (true, 2, &Value::Null));
    assert_eq!(poll(&mut known, &[], complete(START + 1 + RETENTION)), Comparison::default());
    assert_eq!(poll(&mut known, &[], complete(START + 2 + RETENTION + RETENTION / 10)).forget, ["0"]);
    assert!(known.is_empty());
}

#[test]
fn deletions_of_more_than_half_need_the_confirmation_of_a_second_poll() {
    // Remembered, listed, held back.
    for (there, listed, held) in [(20, 0, 20), (20, 9, 11), (20, 10, 0), (21, 10, 11), (21, 11, 0), (19, 0, 0)] {
        let mut known = baseline(&numbered(0..there));
        let found = poll(&mut known, &numbered(0..listed), complete(START + 1));
        let deleted = if held > 0 { 0 } else { (there - listed) as usize };
        assert_eq!((found.held, found.events.len()), (held, deleted), "{there} {listed}");
    }
    // Without a confirmation nothing is deleted. Created and updated records are reported anyway.
    let mut known = baseline(&numbered(0..30));
    let found = poll(&mut known, &[record("new", json!(1)), record("0", json!(1))], complete(START + 1));
    assert_eq!((changes_of(&found), found.held), (vec![(Change::Created, "new"), (Change::Updated, "0")], 29));
    let mut all = numbered(1..30);
    all.extend([record("new", json!(1)), record("0", json!(1))]);
    let found = poll(&mut known, &all, Listing { confirmed: true, ..complete(START + 2) });
    assert_eq!(found, Comparison::default());
    // The second poll confirms the deletions, and the third finds nothing. Deleted records do not count as remembered.
    assert_eq!(poll(&mut known, &[], complete(START + 3)).held, 31);
    let partial = poll(&mut known, &[], Listing { partial: true, confirmed: true, ..complete(START + 4) });
    assert_eq!(partial, Comparison::default());
    let found = poll(&mut known, &[], Listing { confirmed: true, ..complete(START + 5) });
    assert_eq!((found.held, found.events.len()), (0, 31));
    assert_eq!(poll(&mut known, &[], complete(START + 6)), Comparison::default());
}

#[test]
fn lists_the_differences_of_fields() {
    for (before, after, want) in [
        (json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1}), json!([])),
        (json!({"a": 1}), json!({"a": 1.0}), json!([])),
        (json!({"a": 1}), json!({"a": "1"}), json!([{"path": "/a", "before": 1, "after": "1"}])),
        (json!({"a": 1}), json!({"a": null}), json!([{"path": "/a", "before": 1, "after": null}])),
        (json!({"a": 1}), json!({}), json!([{"path": "/a", "before": 1}])),
        (json!({}), json!({"a": null}), json!([{"path": "/a", "after": null}])),
        (json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), json!([{"path": "/a/b", "before": 1, "after": 2}])),
        (json!({"a": {}}), json!({"a": []}), json!([{"path": "/a", "before": {}, "after": []}])),
        (json!({"x/y~z": 1}), json!({"x/y~z": 2}), json!([{"path": "/x~1y~0z", "before": 1, "after": 2}])),
        (json!({"": 1}), json!({"": 2}), json!([{"path": "/", "before": 1, "after": 2}])),
        (json!({"l": [1, 2]}), json!({"l": [1, 3]}), json!([{"path": "/l/1", "before": 2, "after": 3}])),
        (json!({"l": [1, 2]}), json!({"l": [0, 1, 2]}), json!([{"path": "/l", "before": [1, 2], "after": [0, 1, 2]}])),
        (json!("a"), json!({"a": 1}), json!([{"path": "", "before": "a", "after": {"a": 1}}])),
        // As floating point numbers these two would be equal.
        (
            json!({"id": 9007199254740992_u64}),
            json!({"id": 9007199254740993_u64}),
            json!([{"path": "/id", "before": 9007199254740992_u64, "after": 9007199254740993_u64}]),
        ),
    ] {
        assert_eq!(json!(differences(&before, &after)), want, "{before} {after}");
        let of = |data: &Value| hash(&record("1", data.clone()));
        assert_eq!(of(&before) == of(&after), want == json!([]), "{before} {after}");
    }
    let many = |value: i32| -> Value { (0..500).map(|at| (at.to_string(), json!(value))).collect() };
    assert_eq!(differences(&many(1), &many(2)).len(), MAX_FIELD_CHANGES);
}

#[test]
fn hashes_canonical_json() {
    let of = |record: &Record| hash(record);
    let digest = |text: &str| Digest::of(text.as_bytes()).hex();
    let data = json!({"b": [1.0, -0.0, 1e300, 0.1], "a": {"d": null, "c": "é\n"}});
    assert_eq!(of(&record("1", data.clone())), digest(r#"{"a":{"c":"é\n","d":null},"b":[1,0,1e+300,0.1]}"#));
    assert_eq!(of(&versioned("1", "W/\"7\"", data)), digest("W/\"7\""));
}

#[test]
fn reads_records_without_the_optional_fields() {
    let old = json!({"id": "1", "hash": "00", "fields": {"a": 1}, "seen": 7});
    let row: RememberedRecord = serde_json::from_value(old).unwrap();
    assert_eq!((row.gone, row.changes), (false, 0));
    assert_eq!(serde_json::from_value::<RememberedRecord>(json!(row)).unwrap(), row);
}

#[test]
fn adapts_the_interval_to_changes_failures_and_rate_limits() {
    let seconds = Duration::from_secs;
    let bounds = Some((seconds(60), seconds(3600)));
    // Current, adaptive, changes, rate limited, failures in a row, next; the base is 300 seconds.
    for (current, adaptive, changes, limited, failed, want) in [
        (300, bounds, 1, false, 0, 150),
        (100, bounds, 9, false, 0, 60),
        (300, bounds, 0, false, 0, 450),
        (3000, bounds, 0, false, 0, 3600),
        (9000, bounds, 1, false, 0, 3600),
        (60, bounds, 5, true, 0, 120),
        (4000, bounds, 0, true, 0, 4800),
        (300, bounds, 0, false, 1, 600),
        (3000, bounds, 0, false, 1, 3000),
        (300, None, 0, false, 0, 300),
        (300, None, 7, false, 0, 300),
        (4800, None, 0, false, 0, 300),
        (300, None, 0, true, 0, 600),
        (600, None, 0, true, 0, 1200),
        (300, None, 0, false, 1, 600),
        (600, None, 0, false, 2, 1200),
        (300, None, 0, false, 4, 4800),
        (300, None, 0, false, 99, 4800),
        (1000, None, 0, true, 1, 2000),
        (300, Some((seconds(900), seconds(600))), 0, false, 0, 900),
        (0, Some((seconds(0), seconds(600))), 1, false, 0, 1),
    ] {
        let next = next_interval(seconds(current), seconds(300), adaptive, changes, limited, failed);
        assert_eq!(next, seconds(want), "{current} {adaptive:?} {changes} {limited} {failed}");
    }
    // Up to the declared maximum if sixteen times the base is less.
    let long = Some((seconds(60), seconds(9000)));
    assert_eq!(next_interval(seconds(4000), seconds(300), long, 0, true, 0), seconds(8000));
    assert_eq!(next_interval(seconds(8000), seconds(300), long, 0, true, 0), seconds(9000));
    // Up to one hour if sixteen times the base is less.
    assert_eq!(next_interval(seconds(10), seconds(10), None, 0, false, 30), seconds(3600));
}
