//! `Workflow`: code or steps that triggers, callers and schedules start.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Json;
use super::action::OnError;
use super::common::{Code, Duration, Retry, SchemaValue};

/// A workflow, written as code or as steps. Set exactly one of `source`, `steps`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["source"]}, {"required": ["steps"]}]))]
pub struct WorkflowSpec {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Tier, which determines the allowed timeouts and if the caller waits for the output.
    pub tier: Tier,
    /// Maximum duration of an execution. Default: `1m` for `Instant`, `15m` for `Standard`, `6h` for `Long`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Retries of failed executions. Default: no retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Enables the workflow. Default: `true`.
    #[serde(default = "super::common::yes")]
    pub active: bool,
    /// Priority of the executions. Default: `P2`.
    #[serde(default)]
    pub priority: Priority,
    /// Limit of concurrent executions. Default: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Requires a tenant for every execution. Default: `false`.
    #[serde(default)]
    pub requires_tenant: bool,
    /// JSON Schema of the input. If omitted, every input is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<SchemaValue>,
    /// JSON Schema of the output. If omitted, every output is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<SchemaValue>,
    /// Connectors that the code calls, by their name in the code. Declared connectors are validated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "identifier"))]
    pub connectors: BTreeMap<String, Box<UsedConnector>>,
    /// Names of secrets that the code reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Secret"))]
    pub secrets: Vec<String>,
    /// Configuration values that the code reads as `ctx.config.NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "identifier", "x-evenkeel-type" = "noTemplate"))]
    pub config: BTreeMap<String, Json>,
    /// TypeScript or JavaScript code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Code>,
    /// Steps, executed in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub steps: Option<Vec<Step>>,
    /// Workflow to start after the last attempt of an execution failed. Its input is the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub on_failure: Option<String>,
    /// Sample executions with the expected result. `evenkeel test` runs them without network access.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub tests: Vec<WorkflowTest>,
}

/// The tier of a workflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// The caller waits for the output. Timeout: `1s` to `2m`.
    Instant,
    /// The caller receives the status 202 and the id of the execution. Timeout: `5s` to `15m`.
    #[default]
    Standard,
    /// The caller receives the status 202 and the id of the execution. Timeout: `30s` to `6h`.
    Long,
}

impl Tier {
    /// The text form, as written in definitions and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Instant => "Instant",
            Tier::Standard => "Standard",
            Tier::Long => "Long",
        }
    }

    /// The tier with a text form; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Tier> {
        [Tier::Instant, Tier::Standard, Tier::Long].into_iter().find(|tier| tier.as_str() == name)
    }

    /// The minimum and maximum timeout.
    pub fn range(self) -> (Duration, Duration) {
        match self {
            Tier::Instant => (Duration::seconds(1), Duration::seconds(120)),
            Tier::Standard => (Duration::seconds(5), Duration::seconds(900)),
            Tier::Long => (Duration::seconds(30), Duration::seconds(21_600)),
        }
    }
}

/// The priority of an execution. `P1` is the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Priority {
    /// A user waits for the result.
    P1,
    /// Started by an event.
    #[default]
    P2,
    /// Schedules and batches.
    P3,
    /// Polling.
    P4,
}

/// The limit of concurrent executions of a workflow.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concurrency {
    /// Maximum number of concurrent executions.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
    /// Applies the limit to each tenant separately. Default: `false`.
    #[serde(default)]
    pub per_tenant: bool,
}

/// A connector that code calls.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UsedConnector {
    /// Name of the Connector.
    #[schemars(extend("x-evenkeel-ref" = "Connector"))]
    pub connector: String,
    /// Connection to use. Default: the connection of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Connection"))]
    pub connection: Option<String>,
    /// Actions that the code may call. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "UsedAction"))]
    pub actions: Vec<String>,
}

/// A step of a workflow. Set exactly one of `action`, `workflow`, `set`, `wait`, `approval`, `notify`, `gate`, `loop`,
/// `parallel`, `switch`, `code`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["action"]}, {"required": ["workflow"]}, {"required": ["set"]}, {"required": ["wait"]},
    {"required": ["approval"]}, {"required": ["notify"]}, {"required": ["gate"]}, {"required": ["loop"]},
    {"required": ["parallel"]}, {"required": ["switch"]}, {"required": ["code"]}
]))]
pub struct Step {
    /// Name of the step. Later steps read its result as `steps.NAME.output`.
    #[schemars(length(min = 1, max = 63), extend("x-evenkeel-type" = "stepName"))]
    pub name: String,
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Condition: a template. The step runs only if it renders to a truthy value.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "condition"))]
    pub condition: Option<String>,
    /// Action to call, as `CONNECTOR/ACTION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: Option<String>,
    /// Connection for `action`. Default: the connection of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Connection"))]
    pub connection: Option<String>,
    /// Workflow to run. The step waits for its output.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: Option<String>,
    /// Input of `action` or `workflow`: a tree whose strings are templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub input: Option<Json>,
    /// Value of the step: a tree whose strings are templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub set: Option<Json>,
    /// Waiting time, from `1s` to `6h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "6h"))]
    pub wait: Option<Duration>,
    /// Approval by a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Notification to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notification>,
    /// Condition to continue: a template. If it renders to a falsy value, the execution ends successfully.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "condition"))]
    pub gate: Option<String>,
    /// Steps for each item of a list.
    #[serde(rename = "loop", skip_serializing_if = "Option::is_none")]
    pub each: Option<Loop>,
    /// Branches that run in parallel, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 20))]
    pub parallel: Option<BTreeMap<String, Vec<Step>>>,
    /// Cases, of which the first one whose condition holds is executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    pub switch: Option<Vec<Case>>,
    /// JavaScript code: the body of a function with the parameter `ctx`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub code: Option<String>,
    /// Maximum duration of the step, from `1s` to `6h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "6h"))]
    pub timeout: Option<Duration>,
    /// Retries of the step. Default: no retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Reaction to a failure of the step. Default: `Halt`.
    #[serde(default)]
    pub on_error: OnError,
}

/// Approval by a person.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// Question to the approver: a template.
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub message: String,
    /// Roles that may answer: a caller needs one of them. Default: every caller with the right to operate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Role"))]
    pub roles: Vec<String>,
    /// Maximum waiting time, from `1s` to `6h`. The execution fails afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "6h"))]
    pub timeout: Option<Duration>,
}

/// Notification to send.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notification {
    /// Action that sends the notification, as `CONNECTOR/ACTION`.
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: String,
    /// Input of the action: a tree whose strings are templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub input: Option<Json>,
}

/// Steps for each item of a list.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Loop {
    /// List: a template that renders to a list. Steps read `item` and `index`.
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub over: String,
    /// Maximum number of items. Default: `1000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_items: Option<u32>,
    /// Number of items that are processed concurrently. Default: `1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub concurrency: Option<u32>,
    /// Steps to execute.
    #[schemars(length(min = 1, max = 50))]
    pub steps: Vec<Step>,
}

/// A case of a `switch` step.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// Condition: a template. If omitted, the case always matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "condition"))]
    pub when: Option<String>,
    /// Steps to execute.
    #[schemars(length(min = 1, max = 50))]
    pub steps: Vec<Step>,
}

/// A sample execution with the expected result.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkflowTest {
    /// Name of the test, unique within the workflow.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Input of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// Event that is sent to `trigger` instead of an input. The routes of the trigger determine the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Json>,
    /// Trigger that receives `event`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Trigger"))]
    pub trigger: Option<String>,
    /// Headers that the workflow reads as `ctx.headers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Tenant of the execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Time at the start (RFC 3339). The clock advances to the end of each wait immediately. Default:
    /// `2026-01-01T00:00:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "dateTime"))]
    pub now: Option<String>,
    /// Initial content of `ctx.state`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub state: BTreeMap<String, Json>,
    /// Values of secrets that the code reads. Default: placeholders.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// Events that `ctx.waitForEvent` receives, by name and in order. A wait for any other event times out immediately.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, Vec<Json>>,
    /// Answers to approvals, by step name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approvals: BTreeMap<String, bool>,
    /// Simulated outputs of actions, by `CONNECTOR/ACTION` and in the order of calls. The last output is repeated.
    /// `{ $error: { message, status, body } }` simulates a failure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, Vec<Json>>,
    /// Expected output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_output: Option<Json>,
    /// Text that the error must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_error: Option<String>,
    /// Expected calls of actions, in order. Further calls fail the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub expect_calls: Option<Vec<ExpectedCall>>,
    /// Expected content of `ctx.state` at the end. `null` means that the key must not exist.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expect_state: BTreeMap<String, Json>,
}

/// A call of an action that a test expects.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedCall {
    /// Action, as `CONNECTOR/ACTION`.
    pub action: String,
    /// Expected input. If omitted, any input is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
}
