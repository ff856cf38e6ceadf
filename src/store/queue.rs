//! The durable queue: events, the executions that they start, the record of those, and the state of triggers.
//!
//! ```text
//! event ──Accept──► execution: Queued ──claim (lease, token)──► Running ──Release──► Completed | Failed | TimedOut | Cancelled
//!                                 ▲                              │    │
//!                                 └─── Retry, Suspend, Requeue ◄─┘    └──► steps, logs, follow-ups: in the same transaction
//! ```
//!
//! Each claim raises the execution's fencing token; a write with an older token is refused ([`CommitResult::Fenced`]).

use async_trait::async_trait;
use serde_json::Value;

use super::{Micros, StoreError};
use crate::text::Digest;

mod executions;
mod states;
mod triggers;

pub use executions::{
    Claim, Execution, ExecutionFilter, ExecutionMatch, ExecutionSummary, LogLine, LostLease, MAX_CANDIDATES,
    NewExecution, QueueDepth, Step, Version,
};
pub use states::{
    DeadLetterReason, DeadLetterStatus, EventOutcome, ExecutionStatus, LogLevel, SignalKind, StepKind, StepStatus,
    SubscriptionStatus, TriggeredBy,
};
pub use triggers::{
    DeadLetter, DeadLetterSummary, DedupKey, Event, EventSummary, PollCommit, PollState, RowRange, ScheduleState,
    StoredRecord, Subscription,
};

/// The maximum number of running executions of a tenant; `None` if it has no limit.
pub type TenantLimits<'a> = dyn Fn(&str) -> Option<u32> + Send + Sync + 'a;

/// The time of [`Disposition::Suspend`] that only a signal ends.
pub const NEVER: Micros = Micros::MAX;

/// Maximum size of an input, an output or a payload, in bytes of JSON.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

/// Maximum number of events that one batch collects.
pub const MAX_BATCHED: usize = 1000;

/// An event to be stored, with everything that it starts.
#[derive(Clone, Debug, Default)]
pub struct EnqueueRequest {
    /// The event; `None` for executions that are started through the API.
    pub event: Option<Event>,
    /// The event's deduplication key.
    pub dedup_key: Option<DedupKey>,
    /// The executions that it starts.
    pub executions: Vec<NewExecution>,
    /// Dead letters for what could not be started.
    pub dead_letters: Vec<DeadLetter>,
    /// The schedule that fires: environment, trigger, its state as it was read, and its next state. If the stored state
    /// differs from the one that was read, nothing is stored.
    pub tick: Option<(String, String, ScheduleState, ScheduleState)>,
    /// The dead letter to replay: environment and id. If it is not pending, nothing is stored.
    pub replays: Option<(String, String)>,
    /// The worker that claims the executions at once, and the duration of its lease.
    pub claimed_by: Option<(String, Micros)>,
}

/// The next state of an execution that leaves its worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Disposition {
    /// Ended: status, output, error.
    Ended(ExecutionStatus, Value, Value),
    /// Retried at a time, from its last recorded step; with the error of the last attempt.
    Retry(Micros, Value),
    /// Suspended until a signal, or at the latest until the first time; its attempt ends at the second time.
    Suspend(Micros, Micros),
    /// Held until a time, as it was: its tenant may not run now. The end of its attempt moves by the same time. With the
    /// reason, as an error.
    Hold(Micros, Value),
    /// Queued as it was, because the worker shuts down.
    Requeue,
}

/// One write to the queue.
#[derive(Clone, Debug)]
pub enum Change {
    /// Stores an event and what it starts.
    Accept(Box<EnqueueRequest>),
    /// Records progress of an execution that continues.
    Progress {
        /// Proof of the lease.
        claim: Claim,
        /// Steps to record.
        steps: Vec<Step>,
        /// Log lines to append.
        logs: Vec<LogLine>,
        /// Executions to start.
        follow_ups: Vec<NewExecution>,
    },
    /// Releases an execution from its worker.
    Release {
        /// Proof of the lease.
        claim: Claim,
        /// Its next state.
        disposition: Disposition,
        /// Steps to record.
        steps: Vec<Step>,
        /// Log lines to append.
        logs: Vec<LogLine>,
        /// Executions to start.
        follow_ups: Vec<NewExecution>,
        /// The dead letter of an execution that failed for good.
        dead_letter: Option<Box<DeadLetter>>,
        /// Claims the next execution of the same ordering key or concurrency group in the same transaction: worker and
        /// duration of the lease.
        claim_next: Option<(String, Micros)>,
    },
}

/// The result of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum CommitResult {
    /// Stored; with the executions that were claimed in the same transaction.
    Stored(Vec<Execution>),
    /// The event was stored before: its id.
    Duplicate(String),
    /// Another worker holds the lease, or the schedule or dead letter was processed before.
    Fenced,
    /// It cannot be stored, and a retry would fail as well: the reason.
    Refused(String),
}

/// The queue and the record of executions. Like the store, it may be used by several tasks, and by several processes
/// if the implementation supports that.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Writes changes in one transaction, in their order; each has its own result. A change that is refused has no
    /// effect, and the others are written.
    async fn commit(&self, changes: &[Change]) -> Result<Vec<CommitResult>, StoreError>;

    /// Claims at most `limit` executions that are ready: priority 1 before 2, tenants in turn, each tenant's oldest
    /// first.
    async fn claim(
        &self,
        environment: &str,
        worker: &str,
        limit: u32,
        lease: Micros,
    ) -> Result<Vec<Execution>, StoreError> {
        self.claim_within(environment, worker, limit, lease, None).await
    }

    /// Claims like [`claim`](Self::claim), and leaves executions of tenants that would then have more running executions
    /// than their limit. With limits, claims of all processes take turns.
    async fn claim_within(
        &self,
        environment: &str,
        worker: &str,
        limit: u32,
        lease: Micros,
        limits: Option<&TenantLimits<'_>>,
    ) -> Result<Vec<Execution>, StoreError>;

    /// Renews the leases of a worker's executions (id and token). Returns those that the worker must stop executing.
    async fn renew(
        &self,
        worker: &str,
        executions: &[(String, i64)],
        lease: Micros,
    ) -> Result<Vec<LostLease>, StoreError>;

    /// Unblocks executions whose ordering key or concurrency group is free. Each is unblocked when the one before it
    /// ends; this repairs those that two concurrent transactions missed. Returns their number.
    async fn unblock(&self, environment: &str) -> Result<u64, StoreError>;

    /// Time at which the next execution can be claimed, expired leases included; `None` if no execution waits
    /// for a time.
    async fn next_ready_at(&self, environment: &str) -> Result<Option<Micros>, StoreError>;

    /// Recorded steps of an execution, in order.
    async fn steps(&self, execution: &str) -> Result<Vec<Step>, StoreError>;

    /// Steps of at most 10,000 executions that wait, without input, output and error, each with the execution's id.
    async fn waiting_steps(&self, executions: &[String]) -> Result<Vec<(String, Step)>, StoreError>;

    /// Log lines of an execution, the oldest first, at most 10,000.
    async fn logs(&self, execution: &str) -> Result<Vec<LogLine>, StoreError>;

    /// The executions that an id, or a prefix of at least 8 characters, names.
    async fn find_execution(&self, environment: &str, id: &str) -> Result<ExecutionMatch, StoreError>;

    /// One execution, by its id or an unambiguous prefix of at least 8 characters.
    async fn execution(&self, environment: &str, id: &str) -> Result<Option<Execution>, StoreError> {
        Ok(match self.find_execution(environment, id).await? {
            ExecutionMatch::One(execution) => Some(*execution),
            ExecutionMatch::None | ExecutionMatch::Several(_) => None,
        })
    }

    /// Executions from the newest, without their payloads.
    async fn executions(
        &self,
        environment: &str,
        filter: &ExecutionFilter,
    ) -> Result<Vec<ExecutionSummary>, StoreError>;

    /// Requests the cancellation of an execution. Returns its status before; `None` if it does not exist.
    async fn cancel(&self, environment: &str, id: &str) -> Result<Option<ExecutionStatus>, StoreError>;

    /// Sends a signal to an execution, which may wait for it now or later. Returns false if the execution does not exist
    /// or has ended.
    async fn signal(
        &self,
        environment: &str,
        id: &str,
        kind: SignalKind,
        name: &str,
        payload: &Value,
    ) -> Result<bool, StoreError>;

    /// The payload of a received signal, by the name of the step that waits for it; `None` if it was not received.
    async fn received_signal(&self, execution: &str, step_name: &str) -> Result<Option<Value>, StoreError>;

    /// The versions of workflows (name, digest, content). Content that is new gets the next number.
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

    /// Events from the newest, without headers and payload, optionally of one trigger.
    async fn events(
        &self,
        environment: &str,
        trigger: Option<&str>,
        range: &RowRange,
    ) -> Result<Vec<EventSummary>, StoreError>;

    /// One event.
    async fn event(&self, environment: &str, id: &str) -> Result<Option<Event>, StoreError>;

    /// Dead letters from the newest, without headers and payload, optionally of one status.
    async fn dead_letters(
        &self,
        environment: &str,
        status: Option<DeadLetterStatus>,
        range: &RowRange,
    ) -> Result<Vec<DeadLetterSummary>, StoreError>;

    /// One dead letter.
    async fn dead_letter(&self, environment: &str, id: &str) -> Result<Option<DeadLetter>, StoreError>;

    /// A value of workflow state; `None` if it is not set or has expired.
    async fn workflow_state(&self, environment: &str, scope: &str, key: &str) -> Result<Option<Value>, StoreError>;

    /// Sets a value of workflow state, which expires after `ttl` if that is given. A null value deletes it.
    async fn put_workflow_state(
        &self,
        environment: &str,
        scope: &str,
        key: &str,
        value: &Value,
        ttl: Option<Micros>,
    ) -> Result<(), StoreError> {
        self.put_workflow_state_within(environment, scope, key, value, ttl, None).await.map(|_| ())
    }

    /// Sets a value of workflow state, unless keys and values of its scope would then have more bytes than the limit.
    /// Returns false if it was not set.
    async fn put_workflow_state_within(
        &self,
        environment: &str,
        scope: &str,
        key: &str,
        value: &Value,
        ttl: Option<Micros>,
        max_bytes: Option<u64>,
    ) -> Result<bool, StoreError>;

    /// The state of a schedule. A new one is created with all times until now processed.
    async fn schedule(&self, environment: &str, trigger: &str) -> Result<ScheduleState, StoreError>;

    /// All subscriptions of an environment.
    async fn subscriptions(&self, environment: &str) -> Result<Vec<Subscription>, StoreError>;

    /// Stores a subscription.
    async fn put_subscription(&self, environment: &str, subscription: &Subscription) -> Result<(), StoreError>;

    /// Deletes a subscription.
    async fn remove_subscription(&self, environment: &str, trigger: &str, connection: &str) -> Result<(), StoreError>;

    /// The state of all pollers of an environment.
    async fn polls(&self, environment: &str) -> Result<Vec<PollState>, StoreError>;

    /// The records of a poller.
    async fn records(
        &self,
        environment: &str,
        trigger: &str,
        connection: &str,
    ) -> Result<Vec<StoredRecord>, StoreError>;

    /// Stores the result of a poll and what it starts, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the poller's version has changed; nothing is written then.
    async fn commit_poll(
        &self,
        poll: &PollCommit,
        requests: Vec<EnqueueRequest>,
    ) -> Result<Vec<CommitResult>, StoreError>;

    /// Deletes a poller and its records.
    async fn remove_poll(&self, environment: &str, trigger: &str, connection: &str) -> Result<(), StoreError>;

    /// Deletes one batch of expired rows: executions that ended longer ago than `retention`, events, keys, dead
    /// letters and workflow state. Returns the number of rows, without those that are deleted with their execution (steps,
    /// logs, signals, payloads); 0 once nothing is left.
    async fn delete_expired(&self, environment: &str, retention: Micros) -> Result<u64, StoreError>;

    /// Counts of the queue.
    async fn depth(&self, environment: &str) -> Result<QueueDepth, StoreError>;

    /// The store's time.
    async fn time(&self) -> Result<Micros, StoreError>;
}

/// A new id: a ULID (48 bits of time, 80 random bits) in 26 lower-case characters. Later ids sort after earlier ones.
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
}
