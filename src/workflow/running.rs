//! The executions that a worker runs at the moment.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::engine::{CancelReason, CancelToken};
use crate::store::queue::LostLease;

/// Running executions by id, each with its fencing token.
#[derive(Debug, Default)]
pub(super) struct RunningExecutions(Mutex<HashMap<String, (i64, CancelToken)>>);

impl RunningExecutions {
    /// Adds an execution. If this process lost and claimed it again, its earlier run is cancelled.
    pub(super) fn insert(&self, id: &str, fencing_token: i64, cancel: CancelToken) {
        if let Some((_, earlier)) = self.lock().insert(id.to_owned(), (fencing_token, cancel)) {
            earlier.cancel(CancelReason::LeaseLost);
        }
    }

    /// Removes an execution, unless it was claimed again with another fencing token.
    pub(super) fn remove(&self, id: &str, fencing_token: i64) {
        let mut running = self.lock();
        if running.get(id).is_some_and(|(known, _)| *known == fencing_token) {
            running.remove(id);
        }
    }

    /// Number of running executions.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// The ids and fencing tokens of all running executions.
    pub(super) fn fencing_tokens(&self) -> Vec<(String, i64)> {
        self.lock().iter().map(|(id, (token, _))| (id.clone(), *token)).collect()
    }

    /// Cancels the executions whose lease was not renewed.
    pub(super) fn cancel_lost(&self, lost: &[LostLease]) {
        let running = self.lock();
        for lost in lost {
            // An execution that was claimed again in the meantime has another token.
            if let Some((token, cancel)) = running.get(&lost.execution)
                && *token == lost.token
            {
                cancel.cancel(if lost.cancel_requested { CancelReason::Cancelled } else { CancelReason::LeaseLost });
            }
        }
    }

    /// Cancels all executions for a shutdown. Returns their number.
    pub(super) fn cancel_all(&self) -> usize {
        let running = self.lock();
        running.values().for_each(|(_, cancel)| cancel.cancel(CancelReason::Shutdown));
        running.len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (i64, CancelToken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
