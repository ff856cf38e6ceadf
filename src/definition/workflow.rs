//! `Workflow`: code or steps that run when something happens.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Json;
use super::action::OnError;
use super::common::{Code, Duration, Retry, SchemaValue};

/// Code or steps: exactly one of `source`, `steps`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["source"]}, {"required": ["steps"]}]))]
pub struct WorkflowSpec {
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How long it may run and whether the caller waits.
    pub tier: Tier,
    /// Longest run; `1m` for Instant, `15m` for Standard, `6h` for Long unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// When a failed execution is tried again; never where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// May it run? `true` unless set.
    #[serde(default = "super::common::yes")]
    pub active: bool,
    /// Which executions go first; `P2` unless set.
    #[serde(default)]
    pub priority: Priority,
    /// How many executions run at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Must every execution belong to a tenant? `false` unless set.
    #[serde(default)]
    pub requires_tenant: bool,
    /// JSON Schema of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<SchemaValue>,
    /// JSON Schema of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<SchemaValue>,
    /// The connectors that the code calls, so that they can be checked: by the name used in code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "identifier"))]
    pub connectors: BTreeMap<String, Box<UsedConnector>>,
    /// Secrets that the code reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Secret"))]
    pub secrets: Vec<String>,
    /// Values that the code reads as `ctx.config.name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "identifier", "x-evenkeel-type" = "noTemplate"))]
    pub config: BTreeMap<String, Json>,
    /// TypeScript or JavaScript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Code>,
    /// Steps, run in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub steps: Option<Vec<Step>>,
    /// The workflow that runs when an execution failed for good; it gets the error as its input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub on_failure: Option<String>,
    /// Sample runs with their outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub tests: Vec<WorkflowTest>,
}

/// How long a workflow may run and whether the caller waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// The caller waits for the output: 1s to 2m.
    Instant,
    /// The caller gets 202 and the execution's id: 5s to 15m.
    #[default]
    Standard,
    /// The same, 30s to 6h.
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

    /// Shortest and longest timeout.
    pub fn range(self) -> (Duration, Duration) {
        match self {
            Tier::Instant => (Duration::seconds(1), Duration::seconds(120)),
            Tier::Standard => (Duration::seconds(5), Duration::seconds(900)),
            Tier::Long => (Duration::seconds(30), Duration::seconds(21_600)),
        }
    }
}

/// Which executions go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Priority {
    /// A user waits for it.
    P1,
    /// An event started it.
    #[default]
    P2,
    /// Schedules and batches.
    P3,
    /// Polling.
    P4,
}

/// How many executions run at the same time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concurrency {
    /// Executions.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: u32,
    /// Counted for each tenant by itself? `false` unless set.
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
    /// A fixed connection; the tenant's own where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Connection"))]
    pub connection: Option<String>,
    /// The actions that it calls; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "UsedAction"))]
    pub actions: Vec<String>,
}

/// One step: exactly one of `action`, `workflow`, `set`, `wait`, `approval`, `notify`, `gate`, `loop`, `parallel`, `switch`, `code`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["action"]}, {"required": ["workflow"]}, {"required": ["set"]}, {"required": ["wait"]},
    {"required": ["approval"]}, {"required": ["notify"]}, {"required": ["gate"]}, {"required": ["loop"]},
    {"required": ["parallel"]}, {"required": ["switch"]}, {"required": ["code"]}
]))]
pub struct Step {
    /// Name of the step; later ones read its result as `steps.name.output`.
    #[schemars(length(min = 1, max = 63), extend("x-evenkeel-type" = "stepName"))]
    pub name: String,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Run it only where this renders to something true.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "condition"))]
    pub condition: Option<String>,
    /// Calls a connector's action, as `connector/action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: Option<String>,
    /// A fixed connection for `action`; the tenant's own where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Connection"))]
    pub connection: Option<String>,
    /// Runs another workflow and waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: Option<String>,
    /// Input of `action` or `workflow`: a tree of templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub input: Option<Json>,
    /// Makes a value: a tree of templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub set: Option<Json>,
    /// Waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "6h"))]
    pub wait: Option<Duration>,
    /// Waits for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Tells somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notification>,
    /// Ends the run, as a success, where this renders to something false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "condition"))]
    pub gate: Option<String>,
    /// Steps for each item of a list.
    #[serde(rename = "loop", skip_serializing_if = "Option::is_none")]
    pub each: Option<Loop>,
    /// Branches that run side by side, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 20))]
    pub parallel: Option<BTreeMap<String, Vec<Step>>>,
    /// The first case whose condition holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    pub switch: Option<Vec<Case>>,
    /// JavaScript: the body of a function of `ctx`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub code: Option<String>,
    /// Longest run of the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "6h"))]
    pub timeout: Option<Duration>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What a failure does; `Halt` unless set.
    #[serde(default)]
    pub on_error: OnError,
}

/// Waits for a person.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// What is asked: a template.
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub message: String,
    /// Who may answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Role"))]
    pub roles: Vec<String>,
    /// Longest wait; the run fails after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "6h"))]
    pub timeout: Option<Duration>,
}

/// Tells somebody.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notification {
    /// The action that sends it, as `connector/action`.
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: String,
    /// Its input: a tree of templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub input: Option<Json>,
}

/// Steps for each item of a list.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Loop {
    /// The list: a template that keeps its type. Steps read `item` and `index`.
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub over: String,
    /// Most items, 1000 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_items: Option<u32>,
    /// Items at the same time, 1 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub concurrency: Option<u32>,
    /// The steps.
    #[schemars(length(min = 1, max = 50))]
    pub steps: Vec<Step>,
}

/// A case of a switch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// Condition: a template. Always where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "condition"))]
    pub when: Option<String>,
    /// The steps.
    #[schemars(length(min = 1, max = 50))]
    pub steps: Vec<Step>,
}

/// A sample run with its outcome.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkflowTest {
    /// Name of the test, unique within the workflow.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// The input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// The event that starts it instead, by way of `trigger`: its routes decide what the input is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Json>,
    /// The trigger that `event` comes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Trigger"))]
    pub trigger: Option<String>,
    /// The headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The tenant it runs for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What the clock says when it starts (RFC 3339), `2026-01-01T00:00:00Z` unless set. It jumps to whatever is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "dateTime"))]
    pub now: Option<String>,
    /// Values that `ctx.state` holds when it starts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub state: BTreeMap<String, Json>,
    /// Values of secrets that the code reads; placeholders where left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// What `ctx.waitForEvent` gets, by name and in order; a wait for others is over at once, as if its time were.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, Vec<Json>>,
    /// Answers to approvals, by the step's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approvals: BTreeMap<String, bool>,
    /// What actions answer, by `connector/action` and call by call; the last one stands for all that follow.
    /// `{ $error: { message, status, body } }` is a failure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, Vec<Json>>,
    /// The output that must result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_output: Option<Json>,
    /// Text that the error must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_error: Option<String>,
    /// The calls of actions that it must make, in order and no others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub expect_calls: Option<Vec<ExpectedCall>>,
    /// Values that `ctx.state` must hold when it ended; null for one that must not be there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expect_state: BTreeMap<String, Json>,
}

/// A call of an action that a workflow must make.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedCall {
    /// The action, as `connector/action`.
    pub action: String,
    /// Its input; any where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
}
