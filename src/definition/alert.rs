//! `Alert`: a notification about a measured value that crosses a threshold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Duration;

/// A notification that is sent when a measured value crosses a threshold.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-planned" = {"instead": "nothing is measured, and no notification is sent", "remedy": "set alerts on the metrics of the server until then"}))]
pub struct AlertSpec {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Measured value.
    pub condition: AlertCondition,
    /// Side of the threshold on which the alert fires. Default: `Above`.
    #[serde(default)]
    pub direction: Direction,
    /// Threshold: per cent for `ErrorRate`, milliseconds for latencies, executions per minute for `Throughput`,
    /// executions for `FailureCount`.
    #[schemars(range(min = 0.0))]
    pub threshold: f64,
    /// Measurement window, from `1m` to `7d`. Default: `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1m", "x-evenkeel-max" = "7d"))]
    pub window: Option<Duration>,
    /// Duration for which the condition must hold before the alert fires, from `0s` to `7d`. Default: `0s`.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "0s", "x-evenkeel-max" = "7d"))]
    pub lasting: Option<Duration>,
    /// Workflows to measure. If neither `workflows` nor `connectors` is set, all are measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflows: Vec<String>,
    /// Connectors to measure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Connector"))]
    pub connectors: Vec<String>,
    /// Recipients of the notification.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub notify: Vec<Notify>,
    /// Disables the alert. Default: `false`.
    #[serde(default)]
    pub muted: bool,
}

/// Measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum AlertCondition {
    ErrorRate,
    LatencyP99,
    LatencyP95,
    LatencyAverage,
    Throughput,
    FailureCount,
}

/// The side of the threshold on which an alert fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Direction {
    #[default]
    Above,
    Below,
}

/// A recipient of a notification. Set exactly one of `email`, `workflow`, `action`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["email"]}, {"required": ["workflow"]}, {"required": ["action"]}]))]
pub struct Notify {
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "email"))]
    pub email: Option<String>,
    /// Workflow to start with the alert as input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: Option<String>,
    /// Action to call with the alert as input, as `CONNECTOR/ACTION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: Option<String>,
}
