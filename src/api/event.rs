//! Events and dead letters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Time, present, schema};
use crate::store::queue::{self, DeadLetterReason, DeadLetterStatus, EventOutcome, TriggeredBy};

/// An event that a trigger received, without its headers and payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventSummary {
    /// Id of the event.
    pub id: String,
    /// Name of the trigger.
    pub trigger: String,
    /// Kind of the trigger.
    #[schemars(schema_with = "schema::words::<TriggeredBy>")]
    pub kind: TriggeredBy,
    /// Time of its acceptance.
    pub at: Option<Time>,
    /// The result of routing it.
    #[schemars(schema_with = "schema::words::<EventOutcome>")]
    pub outcome: EventOutcome,
    /// Id of the request that delivered it.
    pub request: Option<String>,
    /// Its trace, as a `traceparent` header.
    pub trace: Option<String>,
}

/// An event with its headers and payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The event without them.
    #[serde(flatten)]
    pub summary: EventSummary,
    /// Its headers, without credentials.
    pub headers: Value,
    /// Its payload.
    pub payload: Value,
}

/// An event or an execution that failed for good, kept for a replay; without its headers and payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterSummary {
    /// Id of the dead letter.
    pub id: String,
    /// Name of the trigger.
    pub trigger: Option<String>,
    /// Name of the workflow; null if no route matched.
    pub workflow: Option<String>,
    /// Id of the event.
    pub event: Option<String>,
    /// Id of the execution that failed; null if none was started.
    pub execution: Option<String>,
    /// Name of the tenant.
    pub tenant: Option<String>,
    /// Its reason.
    #[schemars(schema_with = "schema::words::<DeadLetterReason>")]
    pub reason: DeadLetterReason,
    /// Details of the reason.
    pub message: String,
    /// Its status.
    #[schemars(schema_with = "schema::words::<DeadLetterStatus>")]
    pub status: DeadLetterStatus,
    /// Number of replays.
    pub replays: i64,
    /// Time of its creation.
    pub at: Option<Time>,
    /// End of the time for which it can be replayed.
    pub expires_at: Option<Time>,
}

/// A dead letter with its headers and payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The dead letter without them.
    #[serde(flatten)]
    pub summary: DeadLetterSummary,
    /// Headers of the event.
    pub headers: Value,
    /// The input of the execution, or the payload of the event.
    pub payload: Value,
}

/// A dead letter that was replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// Id of the dead letter.
    pub dead_letter: String,
    /// Ids of the executions that were started.
    pub executions: Vec<String>,
}

/// An event that a webhook accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Id of the event; empty if nothing was stored, because the event does not list its change.
    pub event: String,
    /// Ids of the executions that it started.
    pub executions: Vec<String>,
    /// True if the event had been accepted before, so that nothing was started.
    pub duplicate: bool,
}

impl From<queue::EventSummary> for EventSummary {
    fn from(event: queue::EventSummary) -> EventSummary {
        EventSummary {
            id: event.id,
            trigger: event.trigger,
            kind: event.kind,
            at: Time::of(event.at),
            outcome: event.outcome,
            request: present(&event.request),
            trace: present(&event.trace),
        }
    }
}

impl From<queue::Event> for Event {
    fn from(event: queue::Event) -> Event {
        let queue::Event { id, environment, trigger, kind, at, headers, payload, outcome, request, trace } = event;
        let summary = queue::EventSummary { id, environment, trigger, kind, at, outcome, request, trace };
        Event { summary: summary.into(), headers, payload }
    }
}

impl From<queue::DeadLetterSummary> for DeadLetterSummary {
    fn from(letter: queue::DeadLetterSummary) -> DeadLetterSummary {
        DeadLetterSummary {
            id: letter.id,
            trigger: present(&letter.trigger),
            workflow: present(&letter.workflow),
            event: present(&letter.event),
            execution: present(&letter.execution),
            tenant: present(&letter.tenant),
            reason: letter.reason,
            message: letter.message,
            status: letter.status,
            replays: letter.replays,
            at: Time::of(letter.at),
            expires_at: Time::of(letter.at.saturating_add(letter.retention)),
        }
    }
}

impl From<queue::DeadLetter> for DeadLetter {
    fn from(letter: queue::DeadLetter) -> DeadLetter {
        let (headers, payload) = (letter.headers.clone(), letter.payload.clone());
        DeadLetter { summary: letter.summary().into(), headers, payload }
    }
}
