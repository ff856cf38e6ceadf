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
use serde_json::Value;

use super::{Micros, StoreError};
use crate::text::Digest;

mod executions;
mod triggers;

pub use executions::{
    Claim, Execution, ExecutionFilter, ExecutionStatus, LogLine, LostLease, NewExecution, QueueDepth, Step, Version,
};
pub use triggers::{DeadLetter, DedupKey, Event, PollState, Polled, ScheduleState, StoredRecord, Subscription};

/// When something is ready that waits for something else than the time.
pub const PARKED: Micros = i64::MAX;

/// Most bytes of an input, an output or a payload, as JSON.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

/// Executions that one batch window collects events for, at most.
pub const MAX_BATCHED: usize = 1000;

/// Something that comes in, with everything it starts.
#[derive(Clone, Debug, Default)]
pub struct EnqueueRequest {
    /// The event; `None` where somebody started an execution by hand.
    pub event: Option<Event>,
    /// What makes it the same as another.
    pub key: Option<DedupKey>,
    /// What it starts.
    pub runs: Vec<NewExecution>,
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
pub enum Disposition {
    /// It ended: its status, output and error.
    Ended(ExecutionStatus, Value, Value),
    /// It is tried again then, from its last finished step; why the last attempt failed.
    Retry(Micros, Value),
    /// It waits until then at the latest; its attempt is over at the second time.
    Suspend(Micros, Micros),
    /// It is given back as it was, because the worker ends.
    Requeue,
}

/// One write.
#[derive(Clone, Debug)]
pub enum Change {
    /// Something came in.
    Accept(Box<EnqueueRequest>),
    /// An execution did something and goes on.
    Progress {
        /// The right to say so.
        claim: Claim,
        /// What it did.
        steps: Vec<Step>,
        /// What it wrote.
        logs: Vec<LogLine>,
        /// What it starts.
        follow: Vec<NewExecution>,
    },
    /// An execution leaves its worker.
    Release {
        /// The right to say so.
        claim: Claim,
        /// How it goes on.
        outcome: Disposition,
        /// What it did.
        steps: Vec<Step>,
        /// What it wrote.
        logs: Vec<LogLine>,
        /// What it starts.
        follow: Vec<NewExecution>,
        /// What becomes of it where it failed for good.
        dead: Option<Box<DeadLetter>>,
        /// The worker takes the next one of its lane or gate in the same stroke, for so long.
        next: Option<(String, Micros)>,
    },
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum CommitResult {
    /// It is stored. The executions that were taken at once.
    Stored(Vec<Execution>),
    /// The event was there before: its id.
    Duplicate(String),
    /// Another has the execution, or fired the schedule.
    Fenced,
    /// It cannot be stored, and trying again is of no use: why.
    Refused(String),
}

/// The queue and the record of executions. As for the store: several tasks, and several processes where it says so.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Writes changes in one transaction, in their order; each has its own answer. A change that is refused leaves nothing
    /// behind, and the others are written.
    async fn commit(&self, changes: &[Change]) -> Result<Vec<CommitResult>, StoreError>;

    /// Takes executions that are ready, at most `most`: P1 before P2, each tenant in its turn, each tenant's oldest first.
    async fn claim(
        &self,
        environment: &str,
        worker: &str,
        most: u32,
        lease: Micros,
    ) -> Result<Vec<Execution>, StoreError>;

    /// Keeps what a worker has. Gives those that it must end.
    async fn renew(&self, worker: &str, runs: &[(String, i64)], lease: Micros) -> Result<Vec<LostLease>, StoreError>;

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
    async fn run(&self, environment: &str, id: &str) -> Result<Option<Execution>, StoreError>;

    /// Executions from the newest.
    async fn runs(&self, environment: &str, filter: &ExecutionFilter) -> Result<Vec<Execution>, StoreError>;

    /// Asks an execution to end. Gives what it was; `None` where there is none.
    async fn cancel(&self, environment: &str, id: &str) -> Result<Option<ExecutionStatus>, StoreError>;

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
    async fn polled(&self, polled: &Polled, found: Vec<EnqueueRequest>) -> Result<Vec<CommitResult>, StoreError>;

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
        for status in ExecutionStatus::ALL {
            assert_eq!(ExecutionStatus::from_word(&status.as_str().to_lowercase()), Some(status));
        }
        assert_eq!(ExecutionStatus::from_word("CommitResult"), None);
    }
}
