//! Changes found by polling: listed records compared with the remembered ones.
//!
//! This module performs no IO. The caller passes the remembered records and stores the result, events and records in one
//! transaction. If a crash loses both, the next poll finds the same changes again, with the same keys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::definition::event::Change;
use crate::text::Digest;

/// The default retention of remembered records, in seconds: 7 days.
pub const REMEMBER_SECONDS: i64 = 7 * 24 * 60 * 60;
/// Maximum length of a record as JSON, in bytes, up to which its fields are remembered.
const MAX_FIELDS_BYTES: usize = 16 * 1024;
/// Maximum number of field differences in an event.
const MAX_FIELD_CHANGES: usize = 100;
/// Minimum number of remembered records for which a poll that lacks more than half of them is suspicious.
const MIN_SUSPICIOUS_RECORDS: usize = 20;
/// The minimum interval between two polls. Without it, halving an interval of zero would keep it at zero.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The interval that failures and rate limits may always reach.
const BACKOFF_CAP: Duration = Duration::from_hours(1);

/// A remembered record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RememberedRecord {
    /// The id of the record.
    pub id: String,
    /// SHA-256, hexadecimal, of the declared version, or else of the record as canonical JSON.
    pub hash: String,
    /// The record as of its last event; null if its JSON is larger than 16 KiB.
    pub fields: Value,
    /// The time when it was last listed, or found deleted, in Unix seconds. It may lag by a tenth of the retention.
    pub seen: i64,
    /// True if it was deleted. It is remembered for a while, so that a record that reappears has other keys.
    #[serde(default)]
    pub gone: bool,
    /// Number of changes since it was first remembered. It makes keys differ when a record changes back and forth.
    #[serde(default)]
    pub changes: u64,
}

/// A listed record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its id; a record whose id is blank is skipped.
    pub id: String,
    /// Its version. If it is missing or empty, the whole record is compared.
    pub version: Option<String>,
    /// The record.
    pub data: Value,
}

/// The properties of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// True if the source lists every record. Only then is a missing record deleted, and only if every page arrived.
    pub complete: bool,
    /// True if the poll failed before its last page. The listed records are compared; none is deleted or forgotten.
    pub partial: bool,
    /// True for the first poll: its records are remembered and make no events. It stays the first until a poll is not
    /// partial; otherwise the records of the lost pages would be reported as created.
    pub first: bool,
    /// True if the previous complete poll held back deletions ([`Comparison::held`]). Incomplete and partial polls in
    /// between do not count.
    pub confirmed: bool,
    /// The time of the poll in Unix seconds.
    pub now: i64,
    /// Retention of remembered records in seconds; [`REMEMBER_SECONDS`] if it is zero or less.
    pub remember_seconds: i64,
}

/// A change of a record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundChange {
    /// The kind of the change.
    pub change: Change,
    /// The record's id.
    pub id: String,
    /// The record. For a deletion: the remembered record, which is null if it was large.
    pub data: Value,
    /// The differences of an updated record: at most 100. Empty if its fields were too large to remember, or if only the
    /// version changed.
    pub fields: Vec<FieldChange>,
    /// The deduplication key: SHA-256, hexadecimal. It is the same if a change is found again because nothing was stored,
    /// and different for every other change of the source. A forgotten record restarts its keys, so a deduplication
    /// window must not exceed the retention of records. Two sources may have the same keys.
    pub key: String,
}

/// A difference of one field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// The JSON pointer of the field (RFC 6901). Lists of the same length are compared by item, others as a whole.
    pub path: String,
    /// The previous value; omitted if the field was missing, which differs from null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The new value; omitted if the field is missing now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The result of a comparison: the changes, and the records to store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// The changes, at most one per record: first those of listed records in their order, then deletions by id.
    pub events: Vec<FoundChange>,
    /// The records to remember, which replace those with the same ids.
    pub remember: Vec<RememberedRecord>,
    /// The ids of the records to forget; none of them is in `remember`.
    pub forget: Vec<String>,
    /// Number of records that were skipped because they have no id.
    pub unidentified: u64,
    /// Number of deletions that were held back; see [`compare`].
    pub held: u64,
}

/// Finds the changes between the remembered and the listed records.
///
/// - A listed record that is not remembered was created; a record whose hash differs was updated. The order of records
///   and of their fields does not matter. Of several records with one id the last one counts.
/// - A remembered record that is missing was deleted, if the listing is complete and not partial. Such deletions are held
///   back (they make no events, and nothing is stored about them) if the API may have returned too little: if more than
///   half of at least 20 remembered records are missing, until the next complete poll confirms it
///   ([`Listing::confirmed`]); and as long as a record without an id is listed, since it may be any of the missing ones.
/// - If a source lists changes only, a record that was not listed for longer than the retention (and at most a tenth
///   more) is forgotten, and counts as created when it is listed again. A source that lists everything forgets only
///   deleted records, however long it was not polled.
/// - An unchanged record is stored only if `seen` lags by more than a tenth of the retention.
pub fn compare(known: &BTreeMap<String, RememberedRecord>, records: &[Record], poll: &Listing) -> Comparison {
    let mut found = Comparison::default();
    let retention = if poll.remember_seconds > 0 { poll.remember_seconds } else { REMEMBER_SECONDS };
    let slack = retention / 10;
    // `seen` may lag by the slack; without it a record would be forgotten too early.
    let expired = |row: &RememberedRecord| {
        let subject = !poll.partial && (row.gone || !poll.complete);
        subject && poll.now.saturating_sub(row.seen) > retention.saturating_add(slack)
    };

    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        if record.id.trim().is_empty() {
            found.unidentified += 1;
        } else {
            last.insert(&record.id, at);
        }
    }
    for (at, record) in records.iter().enumerate() {
        if last.get(record.id.as_str()) != Some(&at) {
            continue;
        }
        let row = known.get(&record.id);
        let hash = hash(record);
        match row.filter(|row| !row.gone && !expired(row)) {
            // Applies to a `seen` in the future too: a wrong clock must not keep a record for ever.
            Some(row) if row.hash == hash => {
                if poll.now.abs_diff(row.seen) > slack.unsigned_abs() {
                    found.remember.push(RememberedRecord { seen: poll.now, ..row.clone() });
                }
            }
            Some(old) => {
                // Null stands for a record that was too large; a record that is null has no fields either.
                let fields = if old.fields.is_null() { Vec::new() } else { differences(&old.fields, &record.data) };
                found.change(Change::Updated, row, next(record, hash, row, poll.now), &record.data, fields);
            }
            None => {
                let row_after = next(record, hash, row, poll.now);
                found.change(Change::Created, row, row_after, &record.data, Vec::new());
            }
        }
    }

    let unlisted = |row: &&RememberedRecord| !last.contains_key(row.id.as_str());
    found.forget.extend(known.values().filter(unlisted).filter(|row| expired(row)).map(|row| row.id.clone()));
    if poll.complete && !poll.partial {
        let present = known.values().filter(|row| !row.gone).count();
        let missing: Vec<&RememberedRecord> = known.values().filter(unlisted).filter(|row| !row.gone).collect();
        let suspicious = present >= MIN_SUSPICIOUS_RECORDS && missing.len() > present / 2;
        if found.unidentified > 0 || (suspicious && !poll.confirmed) {
            found.held = missing.len() as u64;
        } else {
            for row in missing {
                let changes = row.changes.saturating_add(1);
                let after =
                    RememberedRecord { gone: true, seen: poll.now, changes, fields: Value::Null, ..row.clone() };
                found.change(Change::Deleted, Some(row), after, &row.fields, Vec::new());
            }
        }
    }
    if poll.first {
        found.events.clear();
    }
    found
}

impl Comparison {
    /// Adds a change of a record from `before` to `after`.
    fn change(
        &mut self,
        change: Change,
        before: Option<&RememberedRecord>,
        after: RememberedRecord,
        data: &Value,
        fields: Vec<FieldChange>,
    ) {
        let name = match change {
            Change::Created => "Created",
            Change::Updated => "Updated",
            Change::Deleted => "Deleted",
        };
        // Hashes alone are ambiguous: the third change of A, B, A, B equals the first.
        let (previous, count) = (before.map_or("", |row| row.hash.as_str()), after.changes.to_string());
        let parts = [after.id.as_str(), name, previous, after.hash.as_str(), count.as_str()];
        let key = Digest::of_parts(parts.map(str::as_bytes)).hex();
        self.events.push(FoundChange { change, id: after.id.clone(), data: data.clone(), fields, key });
        self.remember.push(after);
    }
}

/// The remembered form of a created or updated record. The count of changes continues after a deletion.
fn next(record: &Record, hash: String, row: Option<&RememberedRecord>, now: i64) -> RememberedRecord {
    let large = record.data.to_string().len() > MAX_FIELDS_BYTES;
    RememberedRecord {
        id: record.id.clone(),
        hash,
        fields: if large { Value::Null } else { record.data.clone() },
        seen: now,
        gone: false,
        changes: row.map_or(0, |row| row.changes).saturating_add(1),
    }
}

/// The hash that changes with the record: of its version, or of its canonical JSON.
fn hash(record: &Record) -> String {
    // A template with a missing field renders to an empty text, which would hide every change if it were the version.
    let version = record.version.as_deref().filter(|version| !version.is_empty());
    match version {
        Some(version) => Digest::of(version.as_bytes()).hex(),
        None => Digest::of(canonical(&record.data).to_string().as_bytes()).hex(),
    }
}

/// A value with sorted keys and one form of each number, after RFC 8785. Unlike there, large integers keep all digits: as
/// floating point numbers, two adjacent ids would be equal.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), canonical(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Number(number) => Value::Number(canonical_number(number)),
        scalar => scalar.clone(),
    }
}

/// A number as an integer if it is whole: `1`, `1.0` and `1e0` are the same number.
fn canonical_number(number: &Number) -> Number {
    match number.as_f64() {
        // Within these bounds a whole number is converted exactly.
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e18 => Number::from(float as i64),
        _ => number.clone(),
    }
}

/// The differences of two values by path: none exactly if they are the same as canonical JSON.
fn differences(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    differ(&mut String::new(), Some(before), Some(after), &mut found);
    found
}

/// Adds the differences at and below a path.
fn differ(path: &mut String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    if found.len() >= MAX_FIELD_CHANGES {
        return;
    }
    let mut below = |name: &str, before: Option<&Value>, after: Option<&Value>| {
        let length = path.len();
        path.push('/');
        path.push_str(name);
        differ(path, before, after, found);
        path.truncate(length);
    };
    let same = match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                below(&name.replace('~', "~0").replace('/', "~1"), before.get(name), after.get(name));
            }
            return;
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before.len() == after.len() => {
            for (at, (before, after)) in before.iter().zip(after).enumerate() {
                below(&at.to_string(), Some(before), Some(after));
            }
            return;
        }
        (Some(Value::Number(before)), Some(Value::Number(after))) => {
            canonical_number(before) == canonical_number(after)
        }
        (before, after) => before == after,
    };
    if !same {
        found.push(FieldChange { path: path.clone(), before: before.cloned(), after: after.cloned() });
    }
}

/// The time until the next poll.
///
/// - `current` is the interval before this poll, `base` the declared one, `adaptive` its minimum and maximum.
/// - After failures in a row: the base, doubled for each failure, and not shorter than `current`. After a rate limit:
///   twice `current`. Both up to 16 times the base, one hour, or the declared maximum, the largest of the three.
/// - Otherwise, if it is adaptive: half of `current` after changes, one and a half times `current` without, within its
///   bounds. The base if it is not adaptive.
/// - At least one second.
pub fn next_interval(
    current: Duration,
    base: Duration,
    adaptive: Option<(Duration, Duration)>,
    changes: usize,
    rate_limited: bool,
    failed_in_a_row: u32,
) -> Duration {
    let (shortest, longest) = adaptive.unwrap_or((base, base));
    let next = if rate_limited || failed_in_a_row > 0 {
        let cap = base.saturating_mul(16).max(BACKOFF_CAP).max(longest);
        let failed = if failed_in_a_row > 0 { base.saturating_mul(1 << failed_in_a_row.min(16)) } else { current };
        let limited = current.saturating_mul(if rate_limited { 2 } else { 1 });
        failed.max(limited).min(cap)
    } else {
        let next = if changes > 0 { current / 2 } else { current.saturating_mul(3) / 2 };
        // Not `clamp`, which panics if the bounds are swapped.
        next.min(longest).max(shortest)
    };
    next.max(MIN_INTERVAL)
}

#[cfg(test)]
mod tests;
