//! Query parameters.

use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{DEFAULT_LIMIT, MAX_LIMIT};

/// The part of a list to return.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PageQuery {
    /// Largest number of items: 1 to 1000 (default: 50).
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// Conditions on executions. All must hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutionQuery {
    /// Name of the workflow.
    pub workflow: Option<String>,
    /// Status, in any case.
    pub status: Option<String>,
    /// Name of the tenant.
    pub tenant: Option<String>,
    /// Name of the trigger.
    pub trigger: Option<String>,
    /// Id of the event.
    pub event: Option<String>,
    /// Accepted within this duration, such as `2h`.
    pub since: Option<String>,
    /// Text in the id, workflow, tenant, input, output or error, in any case.
    pub text: Option<String>,
    /// Largest number of items: 1 to 1000 (default: 50).
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// Conditions on events.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventQuery {
    /// Name of the trigger.
    pub trigger: Option<String>,
    /// Largest number of items: 1 to 1000 (default: 50).
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// Conditions on dead letters.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterQuery {
    /// `Pending`, `Replayed` or `Expired`.
    pub status: Option<String>,
    /// Largest number of items: 1 to 1000 (default: 50).
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// The generations to compare.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiffQuery {
    /// Number of the earlier generation (default: the one before `to`).
    pub from: Option<u64>,
    /// Number of the later generation (default: the active one).
    pub to: Option<u64>,
}

/// Options of writing a definition.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PutQuery {
    /// Duration of an override of the source's definition, from `1s` to `30d`.
    #[serde(rename = "override")]
    pub over: Option<String>,
    /// Reason: one line of at most 500 bytes.
    pub reason: Option<String>,
}

/// Options of sending a signal.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignalQuery {
    /// Keep the signal if the execution does not wait for it yet (default: false).
    pub keep: Option<bool>,
}

/// No query parameters.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

/// The limit of a page; `None` unless it is between 1 and 1000.
pub fn limit(limit: Option<u32>) -> Option<u32> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    (1..=MAX_LIMIT).contains(&limit).then_some(limit)
}
