//! Events, dead letters, and the state of triggers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Micros;
use super::states::{DeadLetterReason, DeadLetterStatus, EventOutcome, SubscriptionStatus, TriggeredBy};

/// An event that a trigger received.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its id.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// The trigger.
    pub trigger: String,
    /// The kind of the trigger.
    pub kind: TriggeredBy,
    /// Time of its acceptance, by the store's clock; set by the store.
    pub at: Micros,
    /// Its headers, without credentials.
    pub headers: Value,
    /// Its payload.
    pub payload: Value,
    /// The result of routing it.
    pub outcome: EventOutcome,
    /// Id of the request that delivered it; empty if none.
    pub request: String,
    /// Its trace.
    pub trace: String,
}

/// An event as lists show it, without headers and payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "described in `Event`")]
pub struct EventSummary {
    pub id: String,
    pub environment: String,
    pub trigger: String,
    pub kind: TriggeredBy,
    pub at: Micros,
    pub outcome: EventOutcome,
    pub request: String,
    pub trace: String,
}

/// An event or an execution that failed for good, kept for a replay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// The trigger; empty if none.
    pub trigger: String,
    /// The workflow; empty if no route matched.
    pub workflow: String,
    /// Id of the event; empty if none.
    pub event: String,
    /// Id of the execution that failed; empty if none was started.
    pub execution: String,
    /// The tenant; empty if none.
    pub tenant: String,
    /// Its reason.
    pub reason: DeadLetterReason,
    /// Details of the reason. Never a secret.
    pub message: String,
    /// The input of the execution, or the payload of the event.
    pub payload: Value,
    /// Its headers.
    pub headers: Value,
    /// Its status.
    pub status: DeadLetterStatus,
    /// Number of replays.
    pub replays: i64,
    /// Time of its creation, by the store's clock; set by the store.
    pub at: Micros,
    /// Time for which it can be replayed, in microseconds.
    pub retention: Micros,
}

/// A dead letter as lists show it, without its headers and payload.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "described in `DeadLetter`")]
pub struct DeadLetterSummary {
    pub id: String,
    pub environment: String,
    pub trigger: String,
    pub workflow: String,
    pub event: String,
    pub execution: String,
    pub tenant: String,
    pub reason: DeadLetterReason,
    pub message: String,
    pub status: DeadLetterStatus,
    pub replays: i64,
    pub at: Micros,
    pub retention: Micros,
}

impl DeadLetter {
    /// The part that lists show.
    pub fn summary(&self) -> DeadLetterSummary {
        DeadLetterSummary {
            id: self.id.clone(),
            environment: self.environment.clone(),
            trigger: self.trigger.clone(),
            workflow: self.workflow.clone(),
            event: self.event.clone(),
            execution: self.execution.clone(),
            tenant: self.tenant.clone(),
            reason: self.reason,
            message: self.message.clone(),
            status: self.status,
            replays: self.replays,
            at: self.at,
            retention: self.retention,
        }
    }
}

impl DeadLetterSummary {
    /// The dead letter with its headers and payload.
    pub fn with_payload(self, headers: Value, payload: Value) -> DeadLetter {
        let DeadLetterSummary { id, environment, trigger, workflow, event, execution, tenant, reason, message, .. } =
            self;
        DeadLetter {
            id,
            environment,
            trigger,
            workflow,
            event,
            execution,
            tenant,
            reason,
            message,
            payload,
            headers,
            status: self.status,
            replays: self.replays,
            at: self.at,
            retention: self.retention,
        }
    }
}

/// A part of a list from the newest row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowRange {
    /// Only rows before this one (its time and id): the last one of the previous part.
    pub before: Option<(Micros, String)>,
    /// Maximum number of rows.
    pub limit: u32,
}

impl RowRange {
    /// The newest rows.
    pub fn newest(limit: u32) -> RowRange {
        RowRange { before: None, limit }
    }
}

/// The state of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleState {
    /// All times that were due until then have been processed.
    pub until: Micros,
    /// Number of times that started an execution.
    pub fired: i64,
    /// Number of times that were skipped.
    pub missed: i64,
    /// Number of times that started more than a minute after they were due.
    pub late: i64,
    /// Last time that started an execution; 0 if none.
    pub last: Micros,
    /// Reason for which the last time was skipped; empty if it was not, or only missed.
    #[serde(default)]
    pub error: String,
    /// Digest of the schedule. A changed schedule is not due for times before the change.
    pub shape: String,
}

/// A subscription: a webhook registered at an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// The trigger.
    pub trigger: String,
    /// The connection; empty if none.
    pub connection: String,
    /// Its status.
    pub status: SubscriptionStatus,
    /// The secret part of the address that the application calls.
    pub address: String,
    /// The application's id of the subscription; empty if unknown.
    pub external: String,
    /// Digest of the request; a changed request subscribes again. Empty if nothing was requested.
    pub digest: String,
    /// Connector and event, as `connector/event`: needed to unsubscribe.
    pub event: String,
    /// Error of the last attempt.
    pub error: String,
    /// Time of the next attempt.
    pub retry_at: Micros,
}

/// The state of a poller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollState {
    /// The trigger.
    pub trigger: String,
    /// The connection; empty if none.
    pub connection: String,
    /// Position at which the next poll continues.
    pub cursor: Value,
    /// Time of the next poll.
    pub next_at: Micros,
    /// Current interval, in microseconds.
    pub interval: Micros,
    /// Number of consecutive failures.
    pub failures: i64,
    /// True once a poll succeeded.
    pub primed: bool,
    /// True while deletions await confirmation by another poll.
    pub held: bool,
    /// Error of the last poll; empty if it succeeded.
    pub error: String,
    /// Digest of the poll's definition; a changed one starts over.
    pub shape: String,
    /// Grows with each write; a write with an older one is [`StoreError::Fenced`](super::super::StoreError::Fenced).
    pub version: i64,
}

/// A record as a poller last saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRecord {
    /// Its id at the application.
    pub id: String,
    /// Digest of its content.
    pub hash: String,
    /// The fields that are compared.
    pub fields: Value,
    /// Time at which it was last listed, in seconds.
    pub seen: i64,
}

/// The result of a poll, stored in one transaction.
#[derive(Clone, Debug, Default)]
pub struct PollCommit {
    /// The environment.
    pub environment: String,
    /// The new state; `version` as it was read.
    pub state: PollState,
    /// Records to insert or update.
    pub upserted: Vec<StoredRecord>,
    /// Ids of records to delete.
    pub deleted: Vec<String>,
}

/// The key by which two deliveries are the same event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DedupKey {
    /// The key.
    pub key: String,
    /// Time for which it is remembered, in microseconds.
    pub window: Micros,
}
