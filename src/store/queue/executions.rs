//! Executions, and the record of their steps and logs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Micros;
use super::states::{ExecutionStatus, LogLevel, StepKind, StepStatus, TriggeredBy};
use crate::definition::workflow::Tier;
use crate::text::Digest;

/// An execution to be stored.
#[derive(Clone, Debug, Default)]
pub struct NewExecution {
    /// Globally unique id: see [`new_id`](super::new_id).
    pub id: String,
    /// The environment.
    pub environment: String,
    /// The workflow.
    pub workflow: String,
    /// The workflow's version.
    pub version: i64,
    /// Number of the generation that was active.
    pub generation: u64,
    /// The workflow's tier.
    pub tier: Tier,
    /// 1 (first) to 4 (last).
    pub priority: i64,
    /// The tenant; empty if none.
    pub tenant: String,
    /// Origin of the execution.
    pub triggered_by: TriggeredBy,
    /// Name of the trigger, or of the person or program that started it.
    pub source: String,
    /// Id of the event; empty if none.
    pub event: String,
    /// Id of the execution that started it; empty if none.
    pub parent: String,
    /// Executions with one ordering key run one after the other, in the order of their acceptance; empty if unordered.
    pub ordering_key: String,
    /// At most `concurrency_limit` executions of one concurrency group run at the same time; empty if unlimited.
    pub concurrency_group: String,
    /// The limit of `concurrency_group`.
    pub concurrency_limit: i64,
    /// Events with one batch key are collected in one execution until it starts; empty if not batched.
    pub batch_key: String,
    /// The input, as JSON.
    pub input: Value,
    /// The headers, as a JSON object.
    pub headers: Value,
    /// Time before it may start, in microseconds from its acceptance.
    pub delay: Micros,
    /// The trace, in the form of the `traceparent` header (W3C Trace Context).
    pub trace: String,
    /// Name of the signal that carries the result to the parent; empty if the parent does not wait for it.
    pub parent_signal: String,
}

/// An execution with its payloads. Fields without a description are those of [`NewExecution`].
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "described in `NewExecution`")]
pub struct Execution {
    pub id: String,
    pub environment: String,
    pub workflow: String,
    pub version: i64,
    pub generation: i64,
    pub tier: Tier,
    pub priority: i64,
    pub tenant: String,
    pub status: ExecutionStatus,
    pub triggered_by: TriggeredBy,
    pub source: String,
    pub event: String,
    pub parent: String,
    pub ordering_key: String,
    pub concurrency_group: String,
    /// Number of the attempt, from 1.
    pub attempt: i64,
    /// Number of times that its lease expired while a worker held it.
    pub lease_expirations: i64,
    pub input: Value,
    pub headers: Value,
    pub output: Value,
    /// Cause of the failure: `code`, `message`, optionally `stack`, `file`, `line`, `column`; null if it did not fail.
    pub error: Value,
    /// Time of its acceptance.
    pub created_at: Micros,
    /// Time of the first claim; 0 before.
    pub started_at: Micros,
    /// Time of its end; 0 before.
    pub finished_at: Micros,
    /// End of the time for its attempt; 0 before it started.
    pub deadline_at: Micros,
    pub trace: String,
    pub parent_signal: String,
    /// The worker that holds its lease, or held it last.
    pub worker: String,
    /// Fencing token; grows with each claim.
    pub token: i64,
    /// True once its cancellation was requested.
    pub cancel_requested: bool,
}

impl Execution {
    /// The proof that a worker shows with each write for this execution.
    pub fn claim(&self) -> Claim {
        Claim {
            execution: self.id.clone(),
            environment: self.environment.clone(),
            token: self.token,
            ordering_key: self.ordering_key.clone(),
            concurrency_group: self.concurrency_group.clone(),
        }
    }

    /// The part that lists show.
    pub fn summary(&self) -> ExecutionSummary {
        ExecutionSummary {
            id: self.id.clone(),
            workflow: self.workflow.clone(),
            version: self.version,
            generation: self.generation,
            tier: self.tier,
            priority: self.priority,
            tenant: self.tenant.clone(),
            status: self.status,
            triggered_by: self.triggered_by,
            source: self.source.clone(),
            event: self.event.clone(),
            parent: self.parent.clone(),
            attempt: self.attempt,
            error_message: self.error.get("message").and_then(Value::as_str).map(str::to_owned),
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            trace: self.trace.clone(),
        }
    }
}

/// The executions that an id, or the first characters of one, names.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecutionMatch {
    /// No execution.
    None,
    /// One execution.
    One(Box<Execution>),
    /// Several executions: at most [`MAX_CANDIDATES`] of their ids, in order.
    Several(Vec<String>),
}

/// Maximum number of ids that an ambiguous prefix lists.
pub const MAX_CANDIDATES: usize = 10;

/// An execution as lists show it, without its payloads (which may have 4 MiB each).
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "described in `NewExecution` and `Execution`")]
pub struct ExecutionSummary {
    pub id: String,
    pub workflow: String,
    pub version: i64,
    pub generation: i64,
    pub tier: Tier,
    pub priority: i64,
    pub tenant: String,
    pub status: ExecutionStatus,
    pub triggered_by: TriggeredBy,
    pub source: String,
    pub event: String,
    pub parent: String,
    pub attempt: i64,
    /// Message of the error; `None` if it did not fail.
    pub error_message: Option<String>,
    pub created_at: Micros,
    pub started_at: Micros,
    pub finished_at: Micros,
    pub trace: String,
}

/// Proof that a worker holds the lease of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Id of the execution.
    pub execution: String,
    /// The environment.
    pub environment: String,
    /// The fencing token of the claim.
    pub token: i64,
    /// The execution's ordering key; empty if none.
    pub ordering_key: String,
    /// The execution's concurrency group; empty if none.
    pub concurrency_group: String,
}

/// A lease that could not be renewed, or whose execution is to be cancelled: the worker must stop executing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostLease {
    /// Id of the execution.
    pub execution: String,
    /// The fencing token that the worker sent.
    pub token: i64,
    /// True if cancellation was requested; false if another worker claimed the execution, or it ended.
    pub cancel_requested: bool,
}

/// A recorded step of an execution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name, unique within the execution.
    pub name: String,
    /// Its place in the order in which steps began.
    pub order: i64,
    /// Its kind.
    pub kind: StepKind,
    /// The attempt of the execution that ran it.
    pub attempt: i64,
    /// Its status.
    pub status: StepStatus,
    /// Its input; secrets are masked, long values truncated.
    pub input: Value,
    /// Its output.
    pub output: Value,
    /// Its error; null if it did not fail.
    pub error: Value,
    /// Time of its start.
    pub started_at: Micros,
    /// Time of its end; while it waits, the end of the wait.
    pub finished_at: Micros,
}

/// A log line of an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Time.
    pub at: Micros,
    /// Level.
    pub level: LogLevel,
    /// Text.
    pub message: String,
}

/// Conditions on listed executions. All must hold.
#[derive(Clone, Debug, Default)]
pub struct ExecutionFilter {
    /// The workflow.
    pub workflow: Option<String>,
    /// The status.
    pub status: Option<ExecutionStatus>,
    /// The tenant.
    pub tenant: Option<String>,
    /// The trigger.
    pub trigger: Option<String>,
    /// Id of the event.
    pub event: Option<String>,
    /// Only executions that have not ended.
    pub open: bool,
    /// Accepted at or after this time.
    pub since: Option<Micros>,
    /// Accepted before this execution (its `created_at` and id): the last one of the previous page.
    pub before: Option<(Micros, String)>,
    /// Text in id, workflow, tenant, input, output or error, in any case.
    pub text: Option<String>,
    /// Maximum number of executions; 0 for the default of 100.
    pub limit: u32,
}

/// A version of a workflow: its content when a generation became active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// The workflow.
    pub workflow: String,
    /// Number of the version, from 1 for each workflow.
    pub version: i64,
    /// Digest of the content.
    pub digest: Digest,
    /// Number of the generation that introduced it.
    pub generation: i64,
    /// Time of its introduction.
    pub at: Micros,
}

/// Counts of the queue, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Executions that can be claimed now.
    pub ready: i64,
    /// Time since the oldest of them became ready, in microseconds.
    pub oldest: Micros,
    /// Executions that have not ended.
    pub open: i64,
    /// Dead letters that can be replayed.
    pub dead_letters: i64,
}
