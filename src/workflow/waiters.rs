//! The registry of tasks that wait for executions to end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::store::queue::Execution;

type Waiter = oneshot::Sender<Arc<Execution>>;

/// The waiters by execution id.
#[derive(Default)]
pub(super) struct Waiters(Mutex<HashMap<String, Vec<Waiter>>>);

impl Waiters {
    /// Registers a waiter.
    pub(super) fn register(&self, execution: &str) -> oneshot::Receiver<Arc<Execution>> {
        let (sender, receiver) = oneshot::channel();
        self.lock().entry(execution.to_owned()).or_default().push(sender);
        receiver
    }

    /// Removes all waiters of an execution.
    pub(super) fn remove(&self, execution: &str) {
        self.lock().remove(execution);
    }

    /// Sends an ended execution to its waiters.
    pub(super) fn complete(&self, execution: Execution) {
        let waiters = self.lock().remove(&execution.id);
        let execution = Arc::new(execution);
        for waiter in waiters.into_iter().flatten() {
            let _ = waiter.send(Arc::clone(&execution));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Waiter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the waiters of an execution when it is dropped.
pub(super) struct WaiterGuard<'a> {
    /// The registry.
    pub(super) waiters: &'a Waiters,
    /// The execution's id.
    pub(super) execution: &'a str,
}

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.waiters.remove(self.execution);
    }
}
