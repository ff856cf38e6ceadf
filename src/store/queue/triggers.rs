//! What comes in, and what triggers remember.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Micros;

/// Something that came in and may start executions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its id.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// The trigger.
    pub trigger: String,
    /// `webhook`, `schedule`, `appEvent`.
    pub kind: String,
    /// When it was accepted, by the store's clock; set by the store.
    pub at: Micros,
    /// Headers without credentials.
    pub headers: Value,
    /// What it says.
    pub payload: Value,
    /// `Started`, `Unmatched` or `Dead`.
    pub outcome: String,
    /// The request that brought it; empty where none.
    pub request: String,
    /// Its trace.
    pub trace: String,
}

/// An event or execution that nobody could work on, kept for a replay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// The trigger; empty where none.
    pub trigger: String,
    /// The workflow; empty where no route matched.
    pub workflow: String,
    /// The event; empty where none.
    pub event: String,
    /// The execution that failed; empty where none was started.
    pub run: String,
    /// The tenant; empty where none.
    pub tenant: String,
    /// One word: `Failed`, `Unmatched`, `Unreadable`.
    pub reason: String,
    /// More about it. Never a secret.
    pub message: String,
    /// The input, or the event's payload.
    pub payload: Value,
    /// The headers.
    pub headers: Value,
    /// `Pending`, `Replayed` or `Expired`.
    pub status: String,
    /// How often it was replayed.
    pub replays: i64,
    /// When it was kept, by the store's clock; set by the store.
    pub at: Micros,
    /// How long it is kept.
    pub retention: Micros,
}

/// What happened to a schedule so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleState {
    /// Everything that was due until then was looked at.
    pub until: Micros,
    /// Times that started something.
    pub fired: i64,
    /// Times that were passed over.
    pub missed: i64,
    /// Times that started more than a minute after they were due.
    pub late: i64,
    /// The last time that started something; 0 for none.
    pub last: Micros,
    /// What it was, by content: another one is not due for what it would have done before it was there.
    pub shape: String,
}

/// A webhook that was asked for at an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// The trigger.
    pub trigger: String,
    /// The connection; empty where there is none.
    pub connection: String,
    /// `Subscribing`, `Subscribed`, `Unsubscribing`, `Failed`.
    pub status: String,
    /// The secret part of the address that the application calls.
    pub address: String,
    /// The application's id of it; empty where none is known.
    pub external: String,
    /// What was asked for, so that a change asks anew; empty where nothing was.
    pub digest: String,
    /// What is needed to take it back: connector and event, as `connector/event`.
    pub event: String,
    /// Why the last attempt failed.
    pub error: String,
    /// When that is to be tried again.
    pub retry_at: Micros,
}

/// Where a poller stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollState {
    /// The trigger.
    pub trigger: String,
    /// The connection; empty where there is none.
    pub connection: String,
    /// Where the next poll goes on.
    pub cursor: Value,
    /// When it is due.
    pub next_at: Micros,
    /// The interval now, in microseconds.
    pub interval: Micros,
    /// Failures in a row.
    pub failures: i64,
    /// Did one poll succeed?
    pub primed: bool,
    /// Were deletions held back for another look?
    pub held: bool,
    /// Why the last one failed; empty where it did not.
    pub error: String,
    /// What is polled, by content: another one begins anew.
    pub shape: String,
    /// Grows with each write: who writes with an older one is [`StoreError::Fenced`].
    pub version: i64,
}

/// A record as a poller remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in `trigger::snapshot`")]
pub struct StoredRecord {
    pub id: String,
    pub hash: String,
    pub fields: Value,
    pub seen: i64,
}

/// What a poll found, to be stored at once.
#[derive(Clone, Debug, Default)]
pub struct Polled {
    /// The environment.
    pub environment: String,
    /// Where it stands now; `version` as it was read.
    pub state: PollState,
    /// Records to remember.
    pub remember: Vec<StoredRecord>,
    /// Ids of records to forget.
    pub forget: Vec<String>,
}

/// A key that makes two events the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DedupKey {
    /// The key.
    pub key: String,
    /// How long it is remembered.
    pub window: Micros,
}
