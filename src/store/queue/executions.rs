//! Executions, and what they did.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Micros;
use crate::text::Digest;

/// What became of an execution so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ExecutionStatus {
    /// Suspend for a worker.
    #[default]
    Queued,
    /// A worker has it.
    Running,
    /// Sleeps, or waits for an event or an answer.
    Waiting,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
}

impl ExecutionStatus {
    /// All of them.
    pub const ALL: [ExecutionStatus; 7] = [
        ExecutionStatus::Queued,
        ExecutionStatus::Running,
        ExecutionStatus::Waiting,
        ExecutionStatus::Completed,
        ExecutionStatus::Failed,
        ExecutionStatus::Cancelled,
        ExecutionStatus::TimedOut,
    ];

    /// Its word, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            ExecutionStatus::Queued => "Queued",
            ExecutionStatus::Running => "Running",
            ExecutionStatus::Waiting => "Waiting",
            ExecutionStatus::Completed => "Completed",
            ExecutionStatus::Failed => "Failed",
            ExecutionStatus::Cancelled => "Cancelled",
            ExecutionStatus::TimedOut => "TimedOut",
        }
    }

    /// The status of a word, in any case; `None` where it is none.
    pub fn from_word(word: &str) -> Option<ExecutionStatus> {
        ExecutionStatus::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(word))
    }

    /// Will nothing more become of it?
    pub fn is_final(self) -> bool {
        !matches!(self, ExecutionStatus::Queued | ExecutionStatus::Running | ExecutionStatus::Waiting)
    }
}

/// An execution that is to be.
#[derive(Clone, Debug, Default)]
pub struct NewExecution {
    /// Its id, unique for all time: see [`new_id`].
    pub id: String,
    /// The environment.
    pub environment: String,
    /// The workflow.
    pub workflow: String,
    /// The workflow's version.
    pub version: i64,
    /// The generation that was active.
    pub generation: u64,
    /// `Instant`, `Standard` or `Long`.
    pub tier: String,
    /// 1 goes before 4.
    pub priority: i64,
    /// The tenant; empty where none.
    pub tenant: String,
    /// What started it: `webhook`, `schedule`, `appEvent`, `manual`, `workflow`.
    pub triggered_by: String,
    /// The trigger, or whoever started it.
    pub source: String,
    /// The event; empty where none.
    pub event: String,
    /// The execution that started it; empty where none.
    pub parent: String,
    /// Executions of one lane run one after the other, in the order they were accepted; empty for none.
    pub lane: String,
    /// Executions of one gate run `gate_limit` at a time; empty for none.
    pub gate: String,
    /// See `gate`.
    pub gate_limit: i64,
    /// Events with the same key are collected in one execution until it starts; empty for none.
    pub batch: String,
    /// The input, as JSON.
    pub input: Value,
    /// Headers, as a JSON object.
    pub headers: Value,
    /// Not before this long from now.
    pub delay: Micros,
    /// The trace, as in the `traceparent` header (W3C Trace Context).
    pub trace: String,
    /// The answer that the parent waits for: the name of its step; empty where none.
    pub answers: String,
}

/// An execution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in `NewExecution`, where nothing is said")]
pub struct Execution {
    pub id: String,
    pub environment: String,
    pub workflow: String,
    pub version: i64,
    pub generation: i64,
    pub tier: String,
    pub priority: i64,
    pub tenant: String,
    pub status: ExecutionStatus,
    pub triggered_by: String,
    pub source: String,
    pub event: String,
    pub parent: String,
    #[serde(skip)]
    pub lane: String,
    #[serde(skip)]
    pub gate: String,
    /// Counts up from 1.
    pub attempt: i64,
    /// How often a worker was lost while it ran.
    pub lost: i64,
    pub input: Value,
    pub headers: Value,
    pub output: Value,
    /// Why it failed: `code`, `message`, perhaps `stack`, `file`, `line`, `column`; null where it did not.
    pub error: Value,
    pub created_at: Micros,
    /// When the first worker took it; 0 before.
    pub started_at: Micros,
    /// When it ended; 0 before.
    pub finished_at: Micros,
    /// When its attempt is over at the latest; 0 before it started.
    pub deadline_at: Micros,
    pub trace: String,
    pub answers: String,
    /// The worker that has it, or had it last.
    pub worker: String,
    /// Grows with each claim.
    #[serde(skip)]
    pub token: i64,
    /// Was it asked to end?
    pub cancelled: bool,
}

impl Execution {
    /// What a worker shows to write for it.
    pub fn claim(&self) -> Claim {
        Claim {
            run: self.id.clone(),
            environment: self.environment.clone(),
            token: self.token,
            lane: self.lane.clone(),
            gate: self.gate.clone(),
        }
    }
}

/// The right to write for an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in `Execution`")]
pub struct Claim {
    pub run: String,
    pub environment: String,
    pub token: i64,
    pub lane: String,
    pub gate: String,
}

/// An execution that a worker must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostLease {
    /// The execution.
    pub run: String,
    /// The token that the worker showed.
    pub token: i64,
    /// Did somebody ask for it? Else another has it by now, or it ended.
    pub cancelled: bool,
}

/// Something that an execution did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name, unique within the execution.
    pub name: String,
    /// The order in which steps began.
    pub order: i64,
    /// `action`, `step`, `sleep`, `wait`, `workflow`, `state`, `fetch`, …
    pub kind: String,
    /// The attempt of the execution that it belongs to.
    pub attempt: i64,
    /// `Completed`, `Failed` or `Waiting`.
    pub status: String,
    /// What went in; secrets are marked, long values cut.
    pub input: Value,
    /// What came out.
    pub output: Value,
    /// Why it failed; null where it did not.
    pub error: Value,
    /// When it began.
    pub started_at: Micros,
    /// When it ended; where it waits: until when.
    pub finished_at: Micros,
}

/// A line that an execution wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// When.
    pub at: Micros,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The text.
    pub message: String,
}

/// Which executions are asked for.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ExecutionFilter {
    pub workflow: Option<String>,
    pub status: Option<ExecutionStatus>,
    pub tenant: Option<String>,
    pub trigger: Option<String>,
    pub event: Option<String>,
    /// Not yet ended.
    pub open: bool,
    /// Accepted at or after.
    pub since: Option<Micros>,
    /// Accepted before: the last one of the page before.
    pub before: Option<(Micros, String)>,
    /// Text in id, input, output or error.
    pub text: Option<String>,
    /// At most; 0 for the default of 100.
    pub most: u32,
}

/// A version of a workflow: what it was when a generation went live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// The workflow.
    pub workflow: String,
    /// Counts up from 1 for each workflow.
    pub version: i64,
    /// What it is, by content.
    pub digest: Digest,
    /// The generation that brought it.
    pub generation: i64,
    /// When.
    pub at: Micros,
}

/// Counts for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Executions that could be taken now.
    pub ready: i64,
    /// The oldest of them, in microseconds since it was ready.
    pub oldest: Micros,
    /// Executions that wait or run.
    pub open: i64,
    /// Dead letters that wait for a replay.
    pub dead: i64,
}
