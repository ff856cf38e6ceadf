//! The worker: claims executions that are ready, and runs each until it ends, waits or is released.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};

use super::attempt;
use super::dispatcher::Dispatcher;
use super::engine::CancelToken;
use super::maintenance;
use super::release::Release;
use super::running::RunningExecutions;
use crate::store::queue::{Disposition, Execution, TenantLimits};
use crate::store::{Micros, StoreError};

/// Maximum interval between two claims, for executions that another process accepted or released.
const CLAIM_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of executions per claim.
const MAX_CLAIM: usize = 64;
/// Time for running executions to end during a shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Time for cancelled executions to be released during a shutdown.
const RELEASE_GRACE: Duration = Duration::from_millis(500);

/// A worker of a process.
#[derive(Debug)]
pub struct Worker {
    dispatcher: Arc<Dispatcher>,
    running: Arc<RunningExecutions>,
    /// True during a shutdown: no further executions are claimed.
    shutting_down: AtomicBool,
}

impl Worker {
    /// A worker without executions.
    pub fn new(dispatcher: Arc<Dispatcher>) -> Arc<Worker> {
        Arc::new(Worker { dispatcher, running: Arc::default(), shutting_down: AtomicBool::new(false) })
    }

    /// Runs until `shutdown` becomes true, and then releases its executions.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let renewals = maintenance::renew_leases(Arc::clone(&self.dispatcher), Arc::clone(&self.running));
        let renewals = tokio::spawn(renewals);
        let handovers = tokio::spawn(Arc::clone(&self).start_handed_over());
        let sweeps = tokio::spawn(maintenance::sweep(Arc::clone(&self.dispatcher)));
        let mut changes = self.dispatcher.store().changes();
        let mut failing = false;
        while !*shutdown.borrow() {
            match self.claim().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(error = error.to_string(), "claiming executions failed");
                    }
                }
            }
            let wait = self.until_next_ready().await;
            tokio::select! {
                () = self.dispatcher.claimable() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(wait) => {}
                _ = shutdown.changed() => {}
            }
        }
        sweeps.abort();
        handovers.abort();
        self.shut_down().await;
        renewals.abort();
    }

    /// Number of executions that this worker runs.
    pub fn running_count(&self) -> usize {
        self.running.count()
    }

    /// The time until the next execution is ready, at most [`CLAIM_INTERVAL`].
    async fn until_next_ready(&self) -> Duration {
        let mut next: Option<Micros> = None;
        for environment in self.dispatcher.environments().names() {
            if let Ok(ready) = self.dispatcher.store().next_ready_at(&environment).await {
                next = next.into_iter().chain(ready).min();
            }
        }
        let left = next.map_or(Micros::MAX, |next| next.saturating_sub(self.dispatcher.now()));
        // An execution that is ready and was not claimed waits for a permit, which signals when it is freed.
        let left = if left <= 0 { CLAIM_INTERVAL } else { Duration::from_micros(left.unsigned_abs()) };
        left.min(CLAIM_INTERVAL).max(Duration::from_millis(1))
    }

    /// Starts executions that were claimed as they were accepted.
    async fn start_handed_over(self: Arc<Self>) {
        loop {
            for (execution, permit) in self.dispatcher.admission.take_handed_over() {
                self.start(execution, permit);
            }
            self.dispatcher.admission.handed_over().await;
        }
    }

    /// Claims ready executions for all free permits.
    async fn claim(self: &Arc<Self>) -> Result<(), StoreError> {
        let (dispatcher, lease) = (&self.dispatcher, self.dispatcher.lease());
        let mut has_backlog = false;
        for environment in dispatcher.environments().names() {
            while let Some((mut permits, free)) = dispatcher.admission.take_free(MAX_CLAIM) {
                let worker = &dispatcher.settings().worker;
                let live = dispatcher.environments().live(&environment);
                let runtime = live.map(|live| live.runtime).filter(|runtime| runtime.has_concurrency_quota);
                let limit_of = |tenant: &str| runtime.as_ref()?.quotas_of(tenant).concurrent_executions;
                let limits = runtime.as_ref().map(|_| &limit_of as &TenantLimits<'_>);
                let claimed = dispatcher.store().claim_within(&environment, worker, free, lease, limits).await?;
                let is_full = claimed.len() >= free as usize;
                for execution in claimed {
                    if let Some(permit) = permits.split(1) {
                        self.start(execution, permit);
                    }
                }
                has_backlog |= is_full;
                if !is_full {
                    break;
                }
            }
        }
        dispatcher.admission.set_backlog(has_backlog);
        Ok(())
    }

    fn start(self: &Arc<Self>, execution: Execution, permit: OwnedSemaphorePermit) {
        let (cancel, id, fencing_token) = (CancelToken::default(), execution.id.clone(), execution.token);
        self.running.insert(&id, fencing_token, cancel.clone());
        let worker = Arc::clone(self);
        tokio::spawn(async move {
            // In a task of its own, so that a panic ends the attempt only.
            let attempt = tokio::spawn({
                let worker = Arc::clone(&worker);
                async move { attempt::execute(&worker.dispatcher, execution, cancel, permit, &worker.shutting_down).await }
            });
            let next = attempt.await.unwrap_or_else(|_| {
                tracing::error!(execution = id, "execution panicked; it is reassigned when its lease expires");
                Vec::new()
            });
            for execution in next {
                // The ended execution freed its permit.
                if let Some(permit) = worker.dispatcher.admission.permit().await {
                    worker.start(execution, permit);
                }
            }
            worker.running.remove(&id, fencing_token);
            worker.dispatcher.permit_freed();
        });
    }

    /// Lets running executions continue for a while, and then releases them.
    async fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Relaxed);
        let deadline = tokio::time::Instant::now() + SHUTDOWN_GRACE;
        while self.running_count() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Executions that were never started are released unchanged.
        for (execution, _) in self.dispatcher.admission.take_handed_over() {
            let release = Release::new(Disposition::Requeue);
            let _ = self.dispatcher.commit(release.into_change(&execution)).await;
        }
        if self.running.cancel_all() > 0 {
            // They release themselves; an execution that does not in time is reassigned when its lease expires.
            tokio::time::sleep(RELEASE_GRACE).await;
        }
    }
}
