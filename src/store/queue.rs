//! Work that must not be lost: events, the executions that they start, what those did so far, and what triggers remember.
//!
//! ```text
//! event ──Accept──► execution: Queued ──claim (lease, token)──► Running ──Finish──► Completed | Failed | TimedOut | Cancelled
//!                                 ▲                              │    │
//!                                 └──────── Retry, Suspend ◄─────┘    └──► steps, logs, follow-ups: in the same transaction
//! ```
//!
//! `ready_at` says when an execution may be taken: now or later where it is queued or waits, the end of the lease where it
//! runs, nothing where it ended. So whoever looks for what is ready also finds what a dead worker left behind. Each claim
//! raises the token, and a write with an older one is [`StoreError::Fenced`].

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Micros, StoreError};
use crate::text::Digest;

/// When something is ready that waits for something else than the time.
pub const PARKED: Micros = i64::MAX;
/// Most bytes of an input, an output or a payload, as JSON.
pub const MOST_VALUE_BYTES: usize = 4 << 20;
/// Executions that one batch window collects events for, at most.
pub const MOST_BATCHED: usize = 1000;

/// What became of an execution so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum RunStatus {
    /// Waits for a worker.
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

impl RunStatus {
    /// All of them.
    pub const ALL: [RunStatus; 7] = [
        RunStatus::Queued,
        RunStatus::Running,
        RunStatus::Waiting,
        RunStatus::Completed,
        RunStatus::Failed,
        RunStatus::Cancelled,
        RunStatus::TimedOut,
    ];

    /// Its word, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Queued => "Queued",
            RunStatus::Running => "Running",
            RunStatus::Waiting => "Waiting",
            RunStatus::Completed => "Completed",
            RunStatus::Failed => "Failed",
            RunStatus::Cancelled => "Cancelled",
            RunStatus::TimedOut => "TimedOut",
        }
    }

    /// The status of a word, in any case; `None` where it is none.
    pub fn from_word(word: &str) -> Option<RunStatus> {
        RunStatus::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(word))
    }

    /// Will nothing more become of it?
    pub fn is_final(self) -> bool {
        !matches!(self, RunStatus::Queued | RunStatus::Running | RunStatus::Waiting)
    }
}

/// An execution that is to be.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
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
#[allow(missing_docs, reason = "as in `NewRun`, where nothing is said")]
pub struct Run {
    pub id: String,
    pub environment: String,
    pub workflow: String,
    pub version: i64,
    pub generation: i64,
    pub tier: String,
    pub priority: i64,
    pub tenant: String,
    pub status: RunStatus,
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

impl Run {
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
#[allow(missing_docs, reason = "as in `Run`")]
pub struct Claim {
    pub run: String,
    pub environment: String,
    pub token: i64,
    pub lane: String,
    pub gate: String,
}

/// An execution that a worker must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The execution.
    pub run: String,
    /// The token that the worker showed.
    pub token: i64,
    /// Did somebody ask for it? Else another has it by now, or it ended.
    pub cancelled: bool,
}

/// Something that came in and may start executions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its id.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// The trigger.
    pub trigger: String,
    /// `webhook`, `schedule`, `appEvent`.
    pub kind: String,
    /// When it was accepted, by the store's clock; set by the store.
    pub at: Micros,
    /// Headers without credentials.
    pub headers: Value,
    /// What it says.
    pub payload: Value,
    /// `Started`, `Unmatched` or `Dead`.
    pub outcome: String,
    /// The request that brought it; empty where none.
    pub request: String,
    /// Its trace.
    pub trace: String,
}

/// An event or execution that nobody could work on, kept for a replay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// The trigger; empty where none.
    pub trigger: String,
    /// The workflow; empty where no route matched.
    pub workflow: String,
    /// The event; empty where none.
    pub event: String,
    /// The execution that failed; empty where none was started.
    pub run: String,
    /// The tenant; empty where none.
    pub tenant: String,
    /// One word: `Failed`, `Unmatched`, `Unreadable`.
    pub reason: String,
    /// More about it. Never a secret.
    pub message: String,
    /// The input, or the event's payload.
    pub payload: Value,
    /// The headers.
    pub headers: Value,
    /// `Pending`, `Replayed` or `Expired`.
    pub status: String,
    /// How often it was replayed.
    pub replays: i64,
    /// When it was kept, by the store's clock; set by the store.
    pub at: Micros,
    /// How long it is kept.
    pub retention: Micros,
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

/// What happened to a schedule so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleState {
    /// Everything that was due until then was looked at.
    pub until: Micros,
    /// Times that started something.
    pub fired: i64,
    /// Times that were passed over.
    pub missed: i64,
    /// Times that started more than a minute after they were due.
    pub late: i64,
    /// The last time that started something; 0 for none.
    pub last: Micros,
    /// What it was, by content: another one is not due for what it would have done before it was there.
    pub shape: String,
}

/// A webhook that was asked for at an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// The trigger.
    pub trigger: String,
    /// The connection; empty where there is none.
    pub connection: String,
    /// `Subscribing`, `Subscribed`, `Unsubscribing`, `Failed`.
    pub status: String,
    /// The secret part of the address that the application calls.
    pub address: String,
    /// The application's id of it; empty where none is known.
    pub external: String,
    /// What was asked for, so that a change asks anew; empty where nothing was.
    pub digest: String,
    /// What is needed to take it back: connector and event, as `connector/event`.
    pub event: String,
    /// Why the last attempt failed.
    pub error: String,
    /// When that is to be tried again.
    pub retry_at: Micros,
}

/// Where a poller stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollState {
    /// The trigger.
    pub trigger: String,
    /// The connection; empty where there is none.
    pub connection: String,
    /// Where the next poll goes on.
    pub cursor: Value,
    /// When it is due.
    pub next_at: Micros,
    /// The interval now, in microseconds.
    pub interval: Micros,
    /// Failures in a row.
    pub failures: i64,
    /// Did one poll succeed?
    pub primed: bool,
    /// Were deletions held back for another look?
    pub held: bool,
    /// Why the last one failed; empty where it did not.
    pub error: String,
    /// What is polled, by content: another one begins anew.
    pub shape: String,
    /// Grows with each write: who writes with an older one is [`StoreError::Fenced`].
    pub version: i64,
}

/// A record as a poller remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in `trigger::snapshot`")]
pub struct StoredRecord {
    pub id: String,
    pub hash: String,
    pub fields: Value,
    pub seen: i64,
}

/// What a poll found, to be stored at once.
#[derive(Clone, Debug, Default)]
pub struct Polled {
    /// The environment.
    pub environment: String,
    /// Where it stands now; `version` as it was read.
    pub state: PollState,
    /// Records to remember.
    pub remember: Vec<StoredRecord>,
    /// Ids of records to forget.
    pub forget: Vec<String>,
}

/// A key that makes two events the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DedupKey {
    /// The key.
    pub key: String,
    /// How long it is remembered.
    pub window: Micros,
}

/// Something that comes in, with everything it starts.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    /// The event; `None` where somebody started an execution by hand.
    pub event: Option<Event>,
    /// What makes it the same as another.
    pub key: Option<DedupKey>,
    /// What it starts.
    pub runs: Vec<NewRun>,
    /// What nobody can work on.
    pub dead: Vec<DeadLetter>,
    /// The schedule that fires: its environment and trigger, its state as it was read, and as it will be.
    pub tick: Option<(String, String, ScheduleState, ScheduleState)>,
    /// The dead letter that it replays: its environment and id. Where that is not pending, nothing is stored.
    pub replays: Option<(String, String)>,
    /// The worker that takes the executions at once, and for how long.
    pub claimed_by: Option<(String, Micros)>,
}

/// How an execution goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It ended: its status, output and error.
    Ended(RunStatus, Value, Value),
    /// It is tried again then, from its last finished step; why the last attempt failed.
    Again(Micros, Value),
    /// It waits until then at the latest; its attempt is over at the second time.
    Waits(Micros, Micros),
    /// It is given back as it was, because the worker ends.
    GivenBack,
}

/// One write.
#[derive(Clone, Debug)]
pub enum Change {
    /// Something came in.
    Accept(Box<Intake>),
    /// An execution did something and goes on.
    Progress {
        /// The right to say so.
        claim: Claim,
        /// What it did.
        steps: Vec<Step>,
        /// What it wrote.
        logs: Vec<LogLine>,
        /// What it starts.
        follow: Vec<NewRun>,
    },
    /// An execution leaves its worker.
    Leave {
        /// The right to say so.
        claim: Claim,
        /// How it goes on.
        outcome: Outcome,
        /// What it did.
        steps: Vec<Step>,
        /// What it wrote.
        logs: Vec<LogLine>,
        /// What it starts.
        follow: Vec<NewRun>,
        /// What becomes of it where it failed for good.
        dead: Option<Box<DeadLetter>>,
        /// The worker takes the next one of its lane or gate in the same stroke, for so long.
        next: Option<(String, Micros)>,
    },
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// It is stored. The executions that were taken at once.
    Stored(Vec<Run>),
    /// The event was there before: its id.
    Duplicate(String),
    /// Another has the execution, or fired the schedule.
    Fenced,
    /// It cannot be stored, and trying again is of no use: why.
    Refused(String),
}

/// Which executions are asked for.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RunFilter {
    pub workflow: Option<String>,
    pub status: Option<RunStatus>,
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

/// The queue and the record of executions. As for the store: several tasks, and several processes where it says so.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Writes changes in one transaction, in their order; each has its own answer. A change that is refused leaves nothing
    /// behind, and the others are written.
    async fn commit(&self, changes: &[Change]) -> Result<Vec<Done>, StoreError>;

    /// Takes executions that are ready, at most `most`: P1 before P2, each tenant in its turn, each tenant's oldest first.
    async fn claim(&self, environment: &str, worker: &str, most: u32, lease: Micros) -> Result<Vec<Run>, StoreError>;

    /// Keeps what a worker has. Gives those that it must end.
    async fn renew(&self, worker: &str, runs: &[(String, i64)], lease: Micros) -> Result<Vec<Lost>, StoreError>;

    /// Lets executions go that wait for others and need not any more. Each is woken as the other ends; this is for those
    /// that two transactions left to each other. Gives how many there were.
    async fn unpark(&self, environment: &str) -> Result<u64, StoreError>;

    /// When the next execution is ready, that is neither parked nor running; `None` where none will be.
    async fn next_ready(&self, environment: &str) -> Result<Option<Micros>, StoreError>;

    /// What an execution did so far, in order.
    async fn steps(&self, run: &str) -> Result<Vec<Step>, StoreError>;

    /// What an execution wrote, the oldest first, at most 10,000 lines.
    async fn logs(&self, run: &str) -> Result<Vec<LogLine>, StoreError>;

    /// One execution; a unique beginning of its id of 8 letters or more is enough.
    async fn run(&self, environment: &str, id: &str) -> Result<Option<Run>, StoreError>;

    /// Executions from the newest.
    async fn runs(&self, environment: &str, filter: &RunFilter) -> Result<Vec<Run>, StoreError>;

    /// Asks an execution to end. Gives what it was; `None` where there is none.
    async fn cancel(&self, environment: &str, id: &str) -> Result<Option<RunStatus>, StoreError>;

    /// Tells an execution something that it waits for, or will. Gives whether there is such an execution, not yet ended.
    async fn signal(&self, environment: &str, id: &str, name: &str, payload: &Value) -> Result<bool, StoreError>;

    /// What an execution was told under a name; `None` where nothing yet.
    async fn signalled(&self, run: &str, name: &str) -> Result<Option<Value>, StoreError>;

    /// The version of a workflow with this content; made, with the next number, where there is none.
    async fn publish(
        &self,
        environment: &str,
        generation: u64,
        workflows: &[(String, Digest, String)],
    ) -> Result<Vec<Version>, StoreError>;

    /// The content of a version.
    async fn version(&self, environment: &str, workflow: &str, version: i64) -> Result<Option<String>, StoreError>;

    /// All versions, by workflow and number.
    async fn versions(&self, environment: &str) -> Result<Vec<Version>, StoreError>;

    /// Events from the newest.
    async fn events(&self, environment: &str, trigger: Option<&str>, most: u32) -> Result<Vec<Event>, StoreError>;

    /// One event.
    async fn event(&self, environment: &str, id: &str) -> Result<Option<Event>, StoreError>;

    /// Dead letters from the newest; those of a status, where one is given.
    async fn dead_letters(
        &self,
        environment: &str,
        status: Option<&str>,
        most: u32,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// One dead letter.
    async fn dead_letter(&self, environment: &str, id: &str) -> Result<Option<DeadLetter>, StoreError>;

    /// A value that workflows remember; `None` where none, or its time is over.
    async fn memory(&self, environment: &str, scope: &str, key: &str) -> Result<Option<Value>, StoreError>;

    /// Remembers a value, for a while where `ttl` is given; forgets it where the value is null.
    async fn remember(
        &self,
        environment: &str,
        scope: &str,
        key: &str,
        value: &Value,
        ttl: Option<Micros>,
    ) -> Result<(), StoreError>;

    /// What happened to a schedule; made, as looked at until now, where there is nothing.
    async fn schedule(&self, environment: &str, trigger: &str) -> Result<ScheduleState, StoreError>;

    /// All subscriptions of an environment.
    async fn subscriptions(&self, environment: &str) -> Result<Vec<Subscription>, StoreError>;

    /// Writes a subscription.
    async fn put_subscription(&self, environment: &str, subscription: &Subscription) -> Result<(), StoreError>;

    /// Forgets a subscription.
    async fn remove_subscription(&self, environment: &str, trigger: &str, connection: &str) -> Result<(), StoreError>;

    /// Where the pollers of an environment stand.
    async fn polls(&self, environment: &str) -> Result<Vec<PollState>, StoreError>;

    /// What a poller remembers.
    async fn records(
        &self,
        environment: &str,
        trigger: &str,
        connection: &str,
    ) -> Result<Vec<StoredRecord>, StoreError>;

    /// Stores what a poll found with what it starts, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] where the poller is further by now: nothing is written then.
    async fn polled(&self, polled: &Polled, found: Vec<Intake>) -> Result<Vec<Done>, StoreError>;

    /// Forgets a poller and what it remembers.
    async fn remove_poll(&self, environment: &str, trigger: &str, connection: &str) -> Result<(), StoreError>;

    /// Forgets executions that ended, events, keys, dead letters and values whose time is over; a part of them at a time.
    /// Gives how many rows went.
    async fn forget_work(&self, environment: &str, retention: Micros) -> Result<u64, StoreError>;

    /// Counts.
    async fn depth(&self, environment: &str) -> Result<QueueDepth, StoreError>;

    /// The store's time.
    async fn time(&self) -> Result<Micros, StoreError>;
}

/// A new id: the time and 80 random bits, as 26 letters and digits, so that later ones sort after earlier ones (ULID).
pub fn new_id() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let value = (since.as_millis() & ((1 << 48) - 1)) << 80 | (rand::random::<u128>() >> 48);
    (0..26).rev().map(|at| char::from(LETTERS[(value >> (at * 5)) as usize & 31])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_sort_by_time() {
        let early = new_id();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let later: Vec<String> = (0..1000).map(|_| new_id()).collect();
        assert!(later.iter().all(|id| *id > early && id.len() == 26));
        let distinct: std::collections::BTreeSet<&String> = later.iter().collect();
        assert_eq!(distinct.len(), 1000);
    }

    #[test]
    fn words_of_statuses_are_read_back() {
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::from_word(&status.as_str().to_lowercase()), Some(status));
        }
        assert_eq!(RunStatus::from_word("Done"), None);
    }
}
