//! `Trigger`: what starts workflows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Duration;
use super::event::{Filter, Verify};
use super::workflow::Priority;

/// What starts workflows: exactly one of `webhook`, `schedule`, `appEvent`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["webhook"]}, {"required": ["schedule"]}, {"required": ["appEvent"]}]))]
pub struct TriggerSpec {
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Does it start anything? `true` unless set.
    #[serde(default = "super::common::yes")]
    pub active: bool,
    /// A call from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookTrigger>,
    /// The time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleTrigger>,
    /// An event of a connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_event: Option<AppEventTrigger>,
}

/// A call from outside, to `/hooks/{trigger}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookTrigger {
    /// How a call proves where it comes from.
    pub verify: Verify,
    /// A secret part of the address (a UUID), for callers that can sign nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "uuid"))]
    pub webhook_id: Option<String>,
    /// What makes two calls the same event: a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub deduplicate: Option<String>,
    /// How long a call is remembered for that, `24h` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1m", "x-evenkeel-max" = "30d"))]
    pub deduplication_window: Option<Duration>,
    /// Are calls worked on side by side or one after the other? `Parallel` unless set.
    #[serde(default)]
    pub execution_mode: ExecutionMode,
    /// Calls with the same key are worked on one after the other, in the order they came, and others beside them: a
    /// template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub order_by: Option<String>,
    /// What happens to events that cannot be worked on.
    #[serde(default)]
    pub dead_letters: DeadLetters,
    /// Which workflows it starts.
    #[schemars(length(min = 1, max = 100))]
    pub routes: Vec<Route>,
}

/// Side by side or one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ExecutionMode {
    #[default]
    Parallel,
    Sequential,
}

/// What happens to events that cannot be worked on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLetters {
    /// Are they kept for a replay? `true` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Events that no route matches: kept or dropped? `Drop` unless set.
    #[serde(default)]
    pub unmatched: Unmatched,
    /// How long they are kept, `30d` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1h", "x-evenkeel-max" = "365d"))]
    pub retention: Option<Duration>,
}

/// Events that no route matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Unmatched {
    #[default]
    Drop,
    Keep,
}

/// A workflow that a trigger starts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// Name of the Workflow.
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: String,
    /// Conditions on the event, by dotted path; all must hold. Every event where left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "filter"))]
    pub when: Filter,
    /// Groups of conditions of which one must hold, beside all of `when`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub when_any: Vec<Filter>,
    /// Headers that the workflow gets in `ctx.headers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header", "x-evenkeel-template" = "route"))]
    pub headers: BTreeMap<String, String>,
    /// The workflow's input: a tree of templates; the event where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "route"))]
    pub input: Option<super::Json>,
    /// The tenant it runs for: a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "route"))]
    pub tenant: Option<String>,
    /// Which executions go first; the workflow's where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Collect events for this long and start one execution with all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "1h"))]
    pub batch_window: Option<Duration>,
}

/// The time: exactly one of `interval`, `daily`, `weekly`, `monthly`, `cron`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["interval"]}, {"required": ["daily"]}, {"required": ["weekly"]}, {"required": ["monthly"]},
    {"required": ["cron"]}
]))]
pub struct ScheduleTrigger {
    /// Every so often, at least `1s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "365d"))]
    pub interval: Option<Duration>,
    /// Every day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily: Option<Daily>,
    /// On days of the week.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly: Option<Weekly>,
    /// On days of the month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly: Option<Monthly>,
    /// A cron expression: minute, hour, day of month, month, day of week.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "cron"))]
    pub cron: Option<String>,
    /// IANA time zone of all times, `UTC` unless set. A time that a clock change skips is run at the change; one that
    /// comes twice is run once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "timeZone"))]
    pub time_zone: Option<String>,
    /// Nothing before this date and time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "dateTime"))]
    pub starts_at: Option<String>,
    /// Nothing after this date and time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "dateTime"))]
    pub ends_at: Option<String>,
    /// Random delay up to this, so that many schedules do not start together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "0s", "x-evenkeel-max" = "1h"))]
    pub jitter: Option<Duration>,
    /// Runs that were missed while nothing was running; `One` unless set.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// A run that is due while the last one is still running; `Skip` unless set.
    #[serde(default)]
    pub overlap: Overlap,
    /// Not running until this is removed. `false` unless set.
    #[serde(default)]
    pub paused: bool,
    /// The workflows' input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "noTemplate"))]
    pub payload: Option<super::Json>,
    /// Which workflows it starts.
    #[schemars(length(min = 1, max = 100))]
    pub routes: Vec<ScheduleRoute>,
}

/// A workflow that a schedule starts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleRoute {
    /// Name of the Workflow.
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: String,
    /// Headers that the workflow gets in `ctx.headers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header"))]
    pub headers: BTreeMap<String, String>,
    /// Its input; the schedule's `payload` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "noTemplate"))]
    pub payload: Option<super::Json>,
    /// The tenants it runs for, one execution each; once without a tenant where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Tenant"))]
    pub tenants: Vec<String>,
    /// Which executions go first; `P3` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

/// Every day.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Daily {
    /// Time of day, `HH:MM`.
    #[schemars(extend("x-evenkeel-type" = "timeOfDay"))]
    pub at: String,
}

/// On days of the week.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Weekly {
    /// The days.
    #[schemars(length(min = 1, max = 7))]
    pub days: Vec<Weekday>,
    /// Time of day, `HH:MM`.
    #[schemars(extend("x-evenkeel-type" = "timeOfDay"))]
    pub at: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
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
    /// The days, 1 to 31; a month without that day runs on its last one.
    #[schemars(length(min = 1, max = 31), inner(range(min = 1, max = 31)))]
    pub days: Vec<u8>,
    /// Time of day, `HH:MM`.
    #[schemars(extend("x-evenkeel-type" = "timeOfDay"))]
    pub at: String,
}

/// Runs that were missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CatchUp {
    /// None of them is run.
    Skip,
    /// One run for all of them.
    #[default]
    One,
    /// Each of them, the oldest first, at most 100.
    All,
}

/// A run that is due while the last one is still running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Overlap {
    /// It is not run.
    #[default]
    Skip,
    /// It waits; at most one.
    Queue,
    /// It is run beside the other.
    Allow,
}

/// An event of a connector.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppEventTrigger {
    /// Name of the Connector.
    #[schemars(extend("x-evenkeel-ref" = "Connector"))]
    pub connector: String,
    /// The connector's event.
    #[schemars(extend("x-evenkeel-ref" = "Event"))]
    pub event: String,
    /// The connection that is listened to; every active connection of the connector where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Connection"))]
    pub connection: Option<String>,
    /// What happens to events that cannot be worked on.
    #[serde(default)]
    pub dead_letters: DeadLetters,
    /// Which workflows it starts.
    #[schemars(length(min = 1, max = 100))]
    pub routes: Vec<Route>,
}
