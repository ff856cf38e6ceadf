//! Admission: the permits of concurrent executions, and the handover of accepted executions to the worker.
//!
//! An execution may be claimed in two ways. The dispatcher claims it in the transaction that accepts it, if there is a
//! permit and no backlog, and hands it over with its permit. Otherwise the worker claims it when its turn comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::store::queue::Execution;

/// An execution of this process with its permit.
pub(super) type ClaimedExecution = (Execution, OwnedSemaphorePermit);

/// The permits and the handover queue of a process.
pub(super) struct Admission {
    permits: Arc<Semaphore>,
    /// True if more executions are ready than permits are free. Accepted executions then wait for their turn, so that
    /// they do not overtake older ones. A stale value only delays or advances one execution, so ordering is relaxed.
    backlog: AtomicBool,
    /// Executions that were claimed as they were accepted and that the worker has not started yet.
    handed_over: Mutex<Vec<ClaimedExecution>>,
    /// Notified when `handed_over` grows.
    grown: Notify,
}

impl Admission {
    pub(super) fn new(concurrency: usize) -> Admission {
        Admission {
            permits: Arc::new(Semaphore::new(concurrency)),
            backlog: AtomicBool::new(false),
            handed_over: Mutex::default(),
            grown: Notify::new(),
        }
    }

    /// Permits for `count` accepted executions: all or none, since a part of them could overtake the others. `None` if
    /// older executions wait.
    pub(super) fn try_admit(&self, count: usize) -> Option<OwnedSemaphorePermit> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if count == 0 || self.has_backlog() {
            return None;
        }
        Arc::clone(&self.permits).try_acquire_many_owned(count).ok()
    }

    /// All free permits, at most `limit`; `None` if no permit is free.
    pub(super) fn take_free(&self, limit: usize) -> Option<(OwnedSemaphorePermit, u32)> {
        let free = self.permits.available_permits().min(limit) as u32;
        let permits = Arc::clone(&self.permits).try_acquire_many_owned(free).ok()?;
        (free > 0).then_some((permits, free))
    }

    /// Waits for one permit.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// True if more executions are ready than permits are free.
    pub(super) fn has_backlog(&self) -> bool {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Sets the backlog after a claim.
    pub(super) fn set_backlog(&self, backlog: bool) {
        self.backlog.store(backlog, Ordering::Relaxed);
    }

    /// Hands claimed executions over to the worker. `permits` holds one permit for each.
    pub(super) fn hand_over(&self, executions: &[Execution], mut permits: OwnedSemaphorePermit) {
        let mut queue = self.lock();
        for execution in executions {
            if let Some(permit) = permits.split(1) {
                queue.push((execution.clone(), permit));
            }
        }
        drop(queue);
        self.grown.notify_one();
    }

    /// Takes the executions that were handed over.
    pub(super) fn take_handed_over(&self) -> Vec<ClaimedExecution> {
        std::mem::take(&mut *self.lock())
    }

    /// The ids and fencing tokens of the executions that were handed over and not taken.
    pub(super) fn handed_over_tokens(&self) -> Vec<(String, i64)> {
        self.lock().iter().map(|(execution, _)| (execution.id.clone(), execution.token)).collect()
    }

    /// Waits until executions were handed over.
    pub(super) async fn handed_over(&self) {
        self.grown.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ClaimedExecution>> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
