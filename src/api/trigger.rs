//! Triggers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Time, present, schema};
use crate::store::queue::{self, SubscriptionStatus, TriggeredBy};

/// A trigger that is live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Name.
    pub name: String,
    /// Kind.
    #[schemars(schema_with = "schema::words::<TriggeredBy>")]
    pub kind: TriggeredBy,
    /// False if it starts no executions.
    pub active: bool,
    /// Reason why it cannot work, such as a secret without a value; null if it can.
    pub reason: Option<String>,
    /// File and line of the definition.
    pub source: String,
    /// Address that callers of a webhook use.
    pub url: Option<String>,
    /// The schedule in words.
    pub description: Option<String>,
    /// Next time of the schedule.
    pub next: Option<Time>,
    /// Counts of the schedule.
    pub counts: Option<ScheduleCounts>,
    /// Event of an application, as `connector/event`.
    pub event: Option<String>,
    /// Subscriptions at applications.
    pub subscriptions: Vec<Subscription>,
    /// Pollers of applications.
    pub polls: Vec<Poll>,
}

/// Counts of the times of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleCounts {
    /// Times that started an execution.
    pub fired: i64,
    /// Times that were skipped.
    pub missed: i64,
    /// Times that started more than a minute after they were due.
    pub late: i64,
    /// Reason for which a quota skipped the last time, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A subscription at an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Name of the connection.
    pub connection: Option<String>,
    /// Status.
    #[schemars(schema_with = "schema::words::<SubscriptionStatus>")]
    pub status: SubscriptionStatus,
    /// The application's id of the subscription.
    pub id: Option<String>,
    /// Error of the last attempt.
    pub error: Option<String>,
}

/// A poller of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Poll {
    /// Name of the connection.
    pub connection: Option<String>,
    /// Time of the next poll.
    pub next: Option<Time>,
    /// Number of consecutive failures.
    pub failures: i64,
    /// Error of the last poll.
    pub error: Option<String>,
}

impl From<&queue::ScheduleState> for ScheduleCounts {
    fn from(state: &queue::ScheduleState) -> ScheduleCounts {
        let error = present(&state.error);
        ScheduleCounts { fired: state.fired, missed: state.missed, late: state.late, error }
    }
}

/// The address of a subscription is a secret, so it is not among the fields.
impl From<&queue::Subscription> for Subscription {
    fn from(row: &queue::Subscription) -> Subscription {
        let (connection, id, error) = (present(&row.connection), present(&row.external), present(&row.error));
        Subscription { connection, status: row.status, id, error }
    }
}

impl From<&queue::PollState> for Poll {
    fn from(row: &queue::PollState) -> Poll {
        let (connection, error) = (present(&row.connection), present(&row.error));
        Poll { connection, next: Time::of(row.next_at), failures: row.failures, error }
    }
}
