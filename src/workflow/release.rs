//! The change that ends a worker's claim of an execution.

use crate::store::Micros;
use crate::store::queue::{Change, DeadLetter, Disposition, Execution, LogLine, NewExecution, Step};

/// The release of an execution by its worker.
pub(super) struct Release {
    /// The next state of the execution.
    pub(super) disposition: Disposition,
    /// Steps that are not stored yet.
    pub(super) steps: Vec<Step>,
    /// Log lines that are not stored yet.
    pub(super) logs: Vec<LogLine>,
    /// Executions to start.
    pub(super) follow_ups: Vec<NewExecution>,
    /// The dead letter of a failed execution.
    pub(super) dead_letter: Option<DeadLetter>,
    /// The worker and lease duration for claiming the next execution of the ordering key or concurrency group in the
    /// same transaction.
    pub(super) claim_next: Option<(String, Micros)>,
}

impl Release {
    /// A release without results.
    pub(super) fn new(disposition: Disposition) -> Release {
        Release {
            disposition,
            steps: Vec::new(),
            logs: Vec::new(),
            follow_ups: Vec::new(),
            dead_letter: None,
            claim_next: None,
        }
    }

    /// The change to commit for an execution.
    pub(super) fn into_change(self, execution: &Execution) -> Change {
        Change::Release {
            claim: execution.claim(),
            disposition: self.disposition,
            steps: self.steps,
            logs: self.logs,
            follow_ups: self.follow_ups,
            dead_letter: self.dead_letter.map(Box::new),
            claim_next: self.claim_next,
        }
    }
}
