//! Executions, their steps and log lines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Time, counted, present, schema};
use crate::definition::workflow::Tier;
use crate::store::queue::{self, ExecutionStatus, LogLevel, StepKind, StepStatus, TriggeredBy};

/// An execution of a workflow, without its payloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionSummary {
    /// Id of the execution.
    pub id: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Version of the workflow that it runs; null if versions are not counted.
    pub version: Option<u64>,
    /// Number of the generation that it runs; null if generations are not counted.
    pub generation: Option<u64>,
    /// Tier of the workflow.
    pub tier: Tier,
    /// Status.
    #[schemars(schema_with = "schema::words::<ExecutionStatus>")]
    pub status: ExecutionStatus,
    /// Name of the tenant.
    pub tenant: Option<String>,
    /// Origin of the execution.
    #[schemars(schema_with = "schema::words::<TriggeredBy>")]
    pub triggered_by: TriggeredBy,
    /// Name of the trigger, or id of the execution that started it.
    pub source: Option<String>,
    /// Id of the event that started it.
    pub event: Option<String>,
    /// Id of the execution that it retries, or that runs it as a child.
    pub parent: Option<String>,
    /// Number of the attempt, from 1.
    pub attempt: i64,
    /// Claims of higher priorities come first: 1 for executions that a caller waits for, otherwise 0.
    pub priority: i64,
    /// Time of its acceptance.
    pub created_at: Option<Time>,
    /// Time of its first claim.
    pub started_at: Option<Time>,
    /// Time of its end.
    pub finished_at: Option<Time>,
    /// Milliseconds from its first claim to its end.
    pub duration_ms: Option<f64>,
    /// Message of its error.
    pub error_message: Option<String>,
    /// Its trace, as a `traceparent` header.
    pub trace: Option<String>,
    /// Steps that it waits for, if its status is `Waiting`.
    pub waits_for: Vec<Wait>,
}

/// A step that an execution waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// `approval`, `event`, `sleep` or `workflow`.
    #[schemars(schema_with = "schema::words::<StepKind>")]
    pub kind: StepKind,
    /// Name of the approval, event, sleep or workflow.
    pub name: String,
    /// End of the wait; null if it has none.
    pub until: Option<Time>,
}

/// An execution with its payloads and steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// The execution without its payloads.
    #[serde(flatten)]
    pub summary: ExecutionSummary,
    /// Its input.
    pub input: Value,
    /// Headers of the event that started it, without credentials.
    pub headers: Value,
    /// Its output; null before its end.
    pub output: Value,
    /// Its error; null if it did not fail.
    pub error: Option<ExecutionError>,
    /// Its steps, in the order in which they began.
    pub steps: Vec<Step>,
    /// Name of the process that holds its lease, or held it last.
    pub worker: Option<String>,
    /// True once its cancellation was requested.
    pub cancel_requested: bool,
}

/// The error of an execution or step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecutionError {
    /// Code, such as `UPSTREAM_ERROR`.
    pub code: Option<String>,
    /// One sentence.
    pub message: String,
    /// Frames of the script.
    pub stack: Option<String>,
    /// File of the definition or script.
    pub file: Option<String>,
    /// Line in the file, from 1.
    pub line: Option<u64>,
    /// Column in the line, from 1.
    pub column: Option<u64>,
}

/// A recorded step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Name, unique in the execution.
    pub name: String,
    /// Its place in the order in which steps began.
    pub order: i64,
    /// Kind.
    #[schemars(schema_with = "schema::words::<StepKind>")]
    pub kind: StepKind,
    /// Number of the execution's attempt that ran it.
    pub attempt: i64,
    /// Status.
    #[schemars(schema_with = "schema::words::<StepStatus>")]
    pub status: StepStatus,
    /// Its input; secrets are masked, long values truncated.
    pub input: Value,
    /// Its output.
    pub output: Value,
    /// Its error; null if it did not fail.
    pub error: Option<ExecutionError>,
    /// Time of its start.
    pub started_at: Option<Time>,
    /// Time of its end; null while it waits.
    pub finished_at: Option<Time>,
    /// End of the wait; null unless it waits until a time.
    pub waits_until: Option<Time>,
}

/// A log line of an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Time of the line.
    pub at: Option<Time>,
    /// Level.
    #[schemars(schema_with = "schema::words::<LogLevel>")]
    pub level: LogLevel,
    /// Text.
    pub message: String,
}

/// An execution that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// Id of the execution.
    pub execution: String,
    /// Its status when the response was sent.
    #[schemars(schema_with = "schema::words::<ExecutionStatus>")]
    pub status: ExecutionStatus,
    /// Id of the execution that it retries; null for a first execution.
    pub retry_of: Option<String>,
}

/// A request for cancellation that was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancelled {
    /// Id of the execution.
    pub execution: String,
    /// Its status before.
    #[schemars(schema_with = "schema::words::<ExecutionStatus>")]
    pub was: ExecutionStatus,
}

/// A signal or approval that was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivered {
    /// Id of the execution.
    pub execution: String,
    /// `event` or `approval`.
    pub kind: String,
    /// Name of the event or approval.
    pub name: String,
    /// True if the execution waits for it; false if it is kept until the execution does.
    pub waited_for: bool,
}

/// The decision about an approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// True to approve, false to reject.
    pub approved: bool,
    /// Further data, which the workflow receives.
    #[serde(flatten)]
    pub data: serde_json::Map<String, Value>,
}

impl ExecutionSummary {
    /// The summary of a stored execution. `steps` are the recorded steps that wait.
    pub fn new(row: queue::ExecutionSummary, steps: &[queue::Step]) -> ExecutionSummary {
        let is_finished = row.finished_at > 0 && row.started_at > 0;
        ExecutionSummary {
            id: row.id,
            workflow: row.workflow,
            version: counted(row.version),
            generation: counted(row.generation),
            tier: row.tier,
            status: row.status,
            tenant: present(&row.tenant),
            triggered_by: row.triggered_by,
            source: present(&row.source),
            event: present(&row.event),
            parent: present(&row.parent),
            attempt: row.attempt,
            priority: row.priority,
            created_at: Time::of(row.created_at),
            started_at: Time::of(row.started_at),
            finished_at: Time::of(row.finished_at),
            duration_ms: is_finished.then(|| (row.finished_at - row.started_at) as f64 / 1000.0),
            error_message: row.error_message,
            trace: present(&row.trace),
            waits_for: if row.status == ExecutionStatus::Waiting { waits(steps) } else { Vec::new() },
        }
    }
}

impl Execution {
    /// A stored execution with its steps.
    pub fn new(row: queue::Execution, steps: Vec<queue::Step>) -> Execution {
        Execution {
            summary: ExecutionSummary::new(row.summary(), &steps),
            input: row.input,
            headers: row.headers,
            output: row.output,
            error: ExecutionError::of(row.error),
            steps: steps.into_iter().map(Step::from).collect(),
            worker: present(&row.worker),
            cancel_requested: row.cancel_requested,
        }
    }
}

impl ExecutionError {
    /// The error that the store holds; `None` for null.
    fn of(value: Value) -> Option<ExecutionError> {
        match value {
            Value::Null => None,
            Value::String(message) => Some(ExecutionError { message, ..ExecutionError::default() }),
            value => {
                let text = value.to_string();
                let unknown = |_| ExecutionError { message: text, ..ExecutionError::default() };
                Some(serde_json::from_value(value).unwrap_or_else(unknown))
            }
        }
    }
}

impl From<queue::Step> for Step {
    fn from(step: queue::Step) -> Step {
        let waits = step.status == StepStatus::Waiting;
        let end = Time::of(step.finished_at);
        Step {
            name: step.name,
            order: step.order,
            kind: step.kind,
            attempt: step.attempt,
            status: step.status,
            input: step.input,
            output: step.output,
            error: ExecutionError::of(step.error),
            started_at: Time::of(step.started_at),
            finished_at: end.filter(|_| !waits),
            waits_until: end.filter(|_| waits),
        }
    }
}

impl From<queue::LogLine> for LogLine {
    fn from(line: queue::LogLine) -> LogLine {
        LogLine { at: Time::of(line.at), level: line.level, message: line.message }
    }
}

/// The steps that wait, by the name that a signal gives.
pub fn waits(steps: &[queue::Step]) -> Vec<Wait> {
    let waiting = steps.iter().filter(|step| step.status == StepStatus::Waiting);
    waiting
        .map(|step| {
            let prefix = format!("{} ", step.kind);
            let name = step.name.strip_prefix(&prefix).unwrap_or(&step.name).to_owned();
            Wait { kind: step.kind, name, until: Time::of(step.finished_at) }
        })
        .collect()
}
