//! `Alert`: tells when something runs badly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Duration;

/// Tells when a measured value passes its threshold.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlertSpec {
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What is measured.
    pub condition: AlertCondition,
    /// Is it bad above or below the threshold? `Above` unless set.
    #[serde(default)]
    pub direction: Direction,
    /// Per cent for `ErrorRate`, milliseconds for latencies, executions a minute for `Throughput`, executions for `FailureCount`.
    #[schemars(range(min = 0.0))]
    pub threshold: f64,
    /// Time over which it is measured, `5m` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1m", "x-evenkeel-max" = "7d"))]
    pub window: Option<Duration>,
    /// How long it must stay so, `0s` unless set.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "0s", "x-evenkeel-max" = "7d"))]
    pub lasting: Option<Duration>,
    /// The workflows it watches; all where neither workflows nor connectors are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflows: Vec<String>,
    /// The connectors it watches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Connector"))]
    pub connectors: Vec<String>,
    /// Who is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub notify: Vec<Notify>,
    /// Not watching. `false` unless set.
    #[serde(default)]
    pub muted: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum AlertCondition {
    ErrorRate,
    LatencyP99,
    LatencyP95,
    LatencyAverage,
    Throughput,
    FailureCount,
}

/// Bad above or below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Direction {
    #[default]
    Above,
    Below,
}

/// Who is told: exactly one of `email`, `workflow`, `action`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["email"]}, {"required": ["workflow"]}, {"required": ["action"]}]))]
pub struct Notify {
    /// An e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "email"))]
    pub email: Option<String>,
    /// A workflow, with the alert as its input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: Option<String>,
    /// A connector's action, as `connector/action`, with the alert as its input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: Option<String>,
}
