//! Changes that are found by polling: the records that a poll listed, compared with what is remembered of them.
//!
//! Nothing here reads or writes anything: the caller hands in what is remembered, and writes what comes back. Events
//! and memory belong into one transaction. Where a crash loses both, the next poll finds the same changes again, with
//! the same keys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::definition::event::Change;
use crate::text::Digest;

/// How long records are remembered where a poll says nothing else: 7 days.
pub const REMEMBER_SECONDS: i64 = 7 * 24 * 60 * 60;
/// Largest text of a record that is remembered with its fields.
const FIELDS_BYTES: usize = 16 * 1024;
/// Most field differences that an event tells.
const FIELD_CHANGES: usize = 100;
/// Where this many records are known, a poll that lacks more than half of them is suspicious.
const SUSPICIOUS_FROM: usize = 20;
/// Shortest time between two polls, whatever is declared: half of nothing would stay nothing for ever.
const SHORTEST: Duration = Duration::from_secs(1);
/// The time that failures and rate limits may always reach.
const PATIENCE: Duration = Duration::from_hours(1);

/// One record as remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// What identifies the record.
    pub id: String,
    /// SHA-256, hexadecimal, of the declared version, or else of the record as canonical JSON.
    pub hash: String,
    /// The record as its last event told it; null where its text is larger than 16 KiB.
    pub fields: Value,
    /// When it was listed, or found deleted: unix seconds. It may be behind by a tenth of the memory.
    pub seen: i64,
    /// Was it deleted? It stays in memory for a while, so that one that comes back has keys of its own.
    #[serde(default)]
    pub gone: bool,
    /// How many changes were found since it is remembered. It makes keys differ where a record changes there and back.
    #[serde(default)]
    pub changes: u64,
}

/// One record as a poll listed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What identifies it; a record where this is empty or only blanks is skipped.
    pub id: String,
    /// What tells that it changed; the whole record does where this is left out or empty.
    pub version: Option<String>,
    /// The record.
    pub data: Value,
}

/// What kind of poll it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Does the source list every record? Only then is a missing record deleted, and only where every page arrived.
    pub complete: bool,
    /// Did the poll fail before its last page? What arrived is compared; nothing is deleted and nothing forgotten,
    /// since the rest was not asked about.
    pub partial: bool,
    /// The first poll of a subscription: what it lists is remembered and makes no events. It stays the first until one
    /// is not partial; otherwise the records of the lost pages would be told as created.
    pub first: bool,
    /// Did the complete poll before this one hold back deletions ([`Outcome::held`])? Polls between that were not
    /// complete, or partial, do not count.
    pub confirmed: bool,
    /// When it was: unix seconds.
    pub now: i64,
    /// How long records are remembered, in seconds; [`REMEMBER_SECONDS`] where it is zero or less.
    pub remember_seconds: i64,
}

/// A change that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// What happened.
    pub change: Change,
    /// The record's id.
    pub id: String,
    /// The record. For one that was deleted: as it was remembered, so null where it was large.
    pub data: Value,
    /// Where an updated record differs: at most 100 fields. Empty where its fields were too large to remember, or only
    /// the version changed.
    pub fields: Vec<FieldChange>,
    /// SHA-256, hexadecimal: the same where a change is found again since nothing was written, and different for every
    /// other change of the source. A record that was forgotten starts anew, so who looks for repeated keys keeps them
    /// no longer than records are remembered. Two sources may have the same keys.
    pub key: String,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// Where it is: a JSON pointer (RFC 6901). Lists of the same length differ by item, others as a whole.
    pub path: String,
    /// What it was; left out where it was not there, which is not the same as null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; left out where it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What a poll found, and what to write about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The changes: at most one of each record; first those of listed records as listed, then deletions by id.
    pub events: Vec<Found>,
    /// What to write, in place of what was remembered under the same ids.
    pub remember: Vec<Remembered>,
    /// Ids of what to remove from memory; none of them is in `remember`.
    pub forget: Vec<String>,
    /// Records that were skipped since they have no id.
    pub unidentified: u64,
    /// Deletions that were held back: see [`compare`].
    pub held: u64,
}

/// Finds what changed between what is known and what a poll listed.
///
/// - A record that is listed and not known was created; one whose hash differs was updated. The order of records and of
///   their fields says nothing. Of records with the same id the last one counts.
/// - A known record that is missing was deleted, where the poll was complete and not partial. Such deletions are held
///   back (they make no events, and nothing is written about them) where an API may have answered too little: where
///   more than half of at least 20 known records are missing, until the next complete poll in a row lacks records too
///   ([`Polled::confirmed`]); and as long as a record without an id is listed, since it may be any of the missing ones.
/// - Where a source lists changes only, a record that was not listed for longer than the memory (and at most a tenth
///   more) is forgotten, and created when it is listed again. A source that lists everything forgets none but deleted
///   ones, however long nobody asked it.
/// - A record that is listed as it was is written only where `seen` is behind by more than a tenth of the memory.
pub fn compare(known: &BTreeMap<String, Remembered>, records: &[Record], poll: &Polled) -> Outcome {
    let mut outcome = Outcome::default();
    let memory = if poll.remember_seconds > 0 { poll.remember_seconds } else { REMEMBER_SECONDS };
    let slack = memory / 10;
    // `seen` may be behind by the slack: without it here, a record would be forgotten before its time.
    let expired = |row: &Remembered| {
        let subject = !poll.partial && (row.gone || !poll.complete);
        subject && poll.now.saturating_sub(row.seen) > memory.saturating_add(slack)
    };

    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        if record.id.trim().is_empty() {
            outcome.unidentified += 1;
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
            // Also where `seen` is in the future: a clock that was wrong must not keep a record for ever.
            Some(row) if row.hash == hash => {
                if poll.now.abs_diff(row.seen) > slack.unsigned_abs() {
                    outcome.remember.push(Remembered { seen: poll.now, ..row.clone() });
                }
            }
            Some(old) => {
                // Null is what was too large; a record that is null has no fields either.
                let fields = if old.fields.is_null() { Vec::new() } else { differences(&old.fields, &record.data) };
                outcome.change(Change::Updated, row, next(record, hash, row, poll.now), &record.data, fields);
            }
            None => {
                let row_after = next(record, hash, row, poll.now);
                outcome.change(Change::Created, row, row_after, &record.data, Vec::new());
            }
        }
    }

    let unlisted = |row: &&Remembered| !last.contains_key(row.id.as_str());
    outcome.forget.extend(known.values().filter(unlisted).filter(|row| expired(row)).map(|row| row.id.clone()));
    if poll.complete && !poll.partial {
        let present = known.values().filter(|row| !row.gone).count();
        let missing: Vec<&Remembered> = known.values().filter(unlisted).filter(|row| !row.gone).collect();
        let suspicious = present >= SUSPICIOUS_FROM && missing.len() > present / 2;
        if outcome.unidentified > 0 || (suspicious && !poll.confirmed) {
            outcome.held = missing.len() as u64;
        } else {
            for row in missing {
                let changes = row.changes.saturating_add(1);
                let after = Remembered { gone: true, seen: poll.now, changes, fields: Value::Null, ..row.clone() };
                outcome.change(Change::Deleted, Some(row), after, &row.fields, Vec::new());
            }
        }
    }
    if poll.first {
        outcome.events.clear();
    }
    outcome
}

impl Outcome {
    /// Adds a change of a record that was remembered as `before`, and is as `after`.
    fn change(
        &mut self,
        change: Change,
        before: Option<&Remembered>,
        after: Remembered,
        data: &Value,
        fields: Vec<FieldChange>,
    ) {
        let name = match change {
            Change::Created => "Created",
            Change::Updated => "Updated",
            Change::Deleted => "Deleted",
        };
        // Hashes alone would not do: the third change of A, B, A, B is like the first.
        let (previous, count) = (before.map_or("", |row| row.hash.as_str()), after.changes.to_string());
        let parts = [after.id.as_str(), name, previous, after.hash.as_str(), count.as_str()];
        let key = Digest::of_parts(parts.map(str::as_bytes)).hex();
        self.events.push(Found { change, id: after.id.clone(), data: data.clone(), fields, key });
        self.remember.push(after);
    }
}

/// What is remembered of a record that was created or updated. The count goes on even where it was gone.
fn next(record: &Record, hash: String, row: Option<&Remembered>, now: i64) -> Remembered {
    let large = record.data.to_string().len() > FIELDS_BYTES;
    Remembered {
        id: record.id.clone(),
        hash,
        fields: if large { Value::Null } else { record.data.clone() },
        seen: now,
        gone: false,
        changes: row.map_or(0, |row| row.changes).saturating_add(1),
    }
}

/// What tells that a record changed.
fn hash(record: &Record) -> String {
    // A template whose field is missing renders to nothing: as a version it would hide every change.
    let version = record.version.as_deref().filter(|version| !version.is_empty());
    match version {
        Some(version) => Digest::of(version.as_bytes()).hex(),
        None => Digest::of(canonical(&record.data).to_string().as_bytes()).hex(),
    }
}

/// A value with sorted keys and one form of each number, after RFC 8785. Other than there, large integers keep all
/// their digits: as floating point, two ids next to each other would be the same.
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

/// An integer where it is one: `1`, `1.0` and `1e0` are the same number.
fn canonical_number(number: &Number) -> Number {
    match number.as_f64() {
        // Within these bounds a whole number is converted exactly.
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e18 => Number::from(float as i64),
        _ => number.clone(),
    }
}

/// Where two values differ, by path: none exactly where they are the same as canonical JSON.
fn differences(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    differ(&mut String::new(), Some(before), Some(after), &mut found);
    found
}

/// Adds the differences at and below a path.
fn differ(path: &mut String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    if found.len() >= FIELD_CHANGES {
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
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                below(&name.replace('~', "~0").replace('/', "~1"), one.get(name), other.get(name));
            }
            return;
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                below(&at.to_string(), Some(one), Some(other));
            }
            return;
        }
        (Some(Value::Number(one)), Some(Value::Number(other))) => canonical_number(one) == canonical_number(other),
        (one, other) => one == other,
    };
    if !same {
        found.push(FieldChange { path: path.clone(), before: before.cloned(), after: after.cloned() });
    }
}

/// The time until the next poll.
///
/// - `current` is the time there was before this poll, `base` the declared interval, `adaptive` its shortest and
///   longest.
/// - After failures: the base, doubled for each of them in a row, and no shorter than now. Rate limited: twice as long
///   as now. Both up to 16 times the base, an hour, or the longest declared, whichever is most.
/// - Otherwise, where it adapts: half where anything changed, half as much again where nothing did, within its bounds.
///   The base where it does not adapt.
/// - Never less than a second.
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
        let most = base.saturating_mul(16).max(PATIENCE).max(longest);
        let failed = if failed_in_a_row > 0 { base.saturating_mul(1 << failed_in_a_row.min(16)) } else { current };
        let limited = current.saturating_mul(if rate_limited { 2 } else { 1 });
        failed.max(limited).min(most)
    } else {
        let next = if changes > 0 { current / 2 } else { current.saturating_mul(3) / 2 };
        // Not `clamp`, which panics where the bounds are the wrong way round.
        next.min(longest).max(shortest)
    };
    next.max(SHORTEST)
}

#[cfg(test)]
mod tests;
