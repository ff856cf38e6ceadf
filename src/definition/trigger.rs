//! `Trigger`: starts workflows by calls, schedules and events.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Duration;
use super::event::{Filter, Verify};
use super::workflow::Priority;

/// An origin of workflow executions. Set exactly one of `webhook`, `schedule`, `appEvent`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["webhook"]}, {"required": ["schedule"]}, {"required": ["appEvent"]}]))]
pub struct TriggerSpec {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Enables the trigger. Default: `true`.
    #[serde(default = "super::common::yes")]
    pub active: bool,
    /// Incoming HTTP call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookTrigger>,
    /// Schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleTrigger>,
    /// Event of a connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_event: Option<AppEventTrigger>,
}

/// An incoming HTTP call to `/hooks/{trigger}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookTrigger {
    /// Verification of the call's origin.
    pub verify: Verify,
    /// Secret part of the address (a UUID), for callers that cannot sign their calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "uuid"))]
    pub webhook_id: Option<String>,
    /// Deduplication key: a template. Calls with the same key are the same event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub deduplicate: Option<String>,
    /// Period in which duplicates are recognised, from `1m` to `30d`. Default: `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1m", "x-evenkeel-max" = "30d"))]
    pub deduplication_window: Option<Duration>,
    /// Processing of concurrent calls. Default: `Parallel`.
    #[serde(default)]
    pub execution_mode: ExecutionMode,
    /// Ordering key: a template. Calls with the same key are processed one after another, in the order of arrival;
    /// calls with different keys are processed in parallel.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub order_by: Option<String>,
    /// Handling of events that cannot be processed.
    #[serde(default)]
    pub dead_letters: DeadLetters,
    /// Workflows to start.
    #[schemars(length(min = 1, max = 100))]
    pub routes: Vec<Route>,
}

/// The processing of concurrent calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum ExecutionMode {
    #[default]
    Parallel,
    Sequential,
}

/// Handling of events that cannot be processed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLetters {
    /// Keeps events that cannot be processed as dead letters, for a later replay. Default: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Handling of events that match no route. Default: `Drop`.
    #[serde(default)]
    pub unmatched: Unmatched,
    /// Retention of dead letters, from `1h` to `365d`. Default: `30d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1h", "x-evenkeel-max" = "365d"))]
    pub retention: Option<Duration>,
}

/// The handling of events that match no route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Unmatched {
    #[default]
    Drop,
    Keep,
}

/// A workflow that a trigger starts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// Name of the Workflow to start.
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: String,
    /// Conditions on the body of the event, by dotted path into it. All must hold. If omitted, every event matches.
    /// Example: `{ amount: { gt: 100 } }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "filter"))]
    pub when: Filter,
    /// Groups of conditions. At least one group must hold, in addition to `when`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub when_any: Vec<Filter>,
    /// Headers that the workflow reads as `ctx.headers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header", "x-evenkeel-template" = "route"))]
    pub headers: BTreeMap<String, String>,
    /// Input of the workflow: a tree whose strings are templates. Default: the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "route"))]
    pub input: Option<super::Json>,
    /// Tenant of the execution: a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "route"))]
    pub tenant: Option<String>,
    /// Priority of the executions. Default: the priority of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Period in which events are collected, from `1s` to `1h`. One execution is started with all of them. If omitted,
    /// each event starts an execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "1h"))]
    pub batch_window: Option<Duration>,
}

/// A schedule. Set exactly one of `interval`, `daily`, `weekly`, `monthly`, `cron`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["interval"]}, {"required": ["daily"]}, {"required": ["weekly"]}, {"required": ["monthly"]},
    {"required": ["cron"]}
]))]
pub struct ScheduleTrigger {
    /// Fixed interval, from `1s` to `365d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "365d"))]
    #[schemars(extend("examples" = ["15m"]))]
    pub interval: Option<Duration>,
    /// Every day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"at": "06:30"}]))]
    pub daily: Option<Daily>,
    /// On days of the week.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly: Option<Weekly>,
    /// On days of the month.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"days": [1, 15], "at": "06:30"}]))]
    pub monthly: Option<Monthly>,
    /// Cron expression with five fields: minute, hour, day of month, month, day of week. Example: `0 6 * * 1-5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "cron"))]
    pub cron: Option<String>,
    /// IANA time zone of all times, such as `Europe/Berlin`. A time that a clock change skips runs at the change; a
    /// time that occurs twice runs once. Default: `UTC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "timeZone"))]
    pub time_zone: Option<String>,
    /// Start of the schedule: a date and time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "dateTime"))]
    pub starts_at: Option<String>,
    /// End of the schedule: a date and time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "dateTime"))]
    pub ends_at: Option<String>,
    /// Maximum random delay, from `0s` to `1h`, which prevents many schedules from starting at once. Default: `0s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "0s", "x-evenkeel-max" = "1h"))]
    pub jitter: Option<Duration>,
    /// Handling of runs that were missed while no process was running. Default: `One`.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Handling of a run that is due while the previous one is still running. Default: `Skip`.
    #[serde(default)]
    pub overlap: Overlap,
    /// Pauses the schedule. Default: `false`.
    #[serde(default)]
    pub paused: bool,
    /// Input of the workflows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "noTemplate"))]
    pub payload: Option<super::Json>,
    /// Workflows to start.
    #[schemars(length(min = 1, max = 100))]
    pub routes: Vec<ScheduleRoute>,
}

/// A workflow that a schedule starts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleRoute {
    /// Name of the Workflow to start.
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: String,
    /// Headers that the workflow reads as `ctx.headers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header"))]
    pub headers: BTreeMap<String, String>,
    /// Input of the workflow. Default: `payload` of the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "noTemplate"))]
    pub payload: Option<super::Json>,
    /// Tenants, with one execution for each. If omitted, one execution without a tenant is started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Tenant"))]
    pub tenants: Vec<String>,
    /// Priority of the executions. Default: `P3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

/// Every day.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Daily {
    /// Time of day, as `HH:MM`.
    #[schemars(extend("x-evenkeel-type" = "timeOfDay"))]
    pub at: String,
}

/// On days of the week.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Weekly {
    /// Days of the week.
    #[schemars(length(min = 1, max = 7))]
    pub days: Vec<Weekday>,
    /// Time of day, as `HH:MM`.
    #[schemars(extend("x-evenkeel-type" = "timeOfDay"))]
    pub at: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// On days of the month.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Monthly {
    /// Days of the month, from 1 to 31. In a shorter month the last day is used.
    #[schemars(length(min = 1, max = 31), inner(range(min = 1, max = 31)))]
    pub days: Vec<u8>,
    /// Time of day, as `HH:MM`.
    #[schemars(extend("x-evenkeel-type" = "timeOfDay"))]
    pub at: String,
}

/// The handling of missed runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CatchUp {
    /// Skips all missed runs.
    Skip,
    /// Starts one run for all missed runs.
    #[default]
    One,
    /// Starts every missed run, oldest first, at most 100.
    All,
}

/// The handling of a run that is due while the previous one is still running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Overlap {
    /// Skips the run.
    #[default]
    Skip,
    /// Queues the run; at most one run waits.
    Queue,
    /// Starts the run in parallel.
    Allow,
}

/// Event of a connector.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppEventTrigger {
    /// Name of the Connector.
    #[schemars(extend("x-evenkeel-ref" = "Connector"))]
    pub connector: String,
    /// Name of the connector's event.
    #[schemars(extend("x-evenkeel-ref" = "Event"))]
    pub event: String,
    /// Connection whose events are received. Default: every active connection of the connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Connection"))]
    pub connection: Option<String>,
    /// Handling of events that cannot be processed.
    #[serde(default)]
    pub dead_letters: DeadLetters,
    /// Workflows to start.
    #[schemars(length(min = 1, max = 100))]
    pub routes: Vec<Route>,
}
