//! The dispatcher: accepts events and executions, stores the changes of a process, and reports ended executions.
//!
//! It is a facade over parts with one concern each: [`CommitQueue`] (group commit), [`Admission`] (permits and handover),
//! [`Waiters`] (tasks that wait for an end) and [`ProgramCache`] (versions of workflows).
//!
//! Tasks signal each other in three ways:
//!
//! | signal | sent when | received by |
//! |---|---|---|
//! | handover (in [`Admission`]) | an accepted execution was claimed at once | the worker, which starts it |
//! | `claimable` | an execution was accepted, signalled, unblocked, or ended and freed a permit | the worker, which claims |
//! | `changed` | any execution was accepted, signalled or ended | executions of this process that wait for one |

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::admission::Admission;
use super::clock::{Clock, micros_of};
use super::commit_queue::CommitQueue;
use super::engine::{ScriptEngine, ScriptLimits};
use super::execution_quota::{AcceptError, CountedExecutions, ExecutionQuota, OverQuota};
use super::program::{Program, Programs};
use super::program_cache::ProgramCache;
use super::runtime_context::{EnvironmentProvider, LiveEnvironment};
use super::settings::WorkerSettings;
use super::waiters::{WaiterGuard, Waiters};
use crate::definition::workflow::{Priority, Tier};
use crate::quota::Limiter;
use crate::store::queue::{Change, CommitResult, EnqueueRequest, Execution, NewExecution, new_id};
use crate::store::{Micros, Store, StoreError};

/// Interval at which a waiter reads an execution that may run in another process.
const REMOTE_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Accepts and commits the work of a process.
pub struct Dispatcher {
    store: Arc<dyn Store>,
    environments: Arc<dyn EnvironmentProvider>,
    engine: Arc<dyn ScriptEngine>,
    settings: WorkerSettings,
    clock: Clock,
    commits: CommitQueue,
    pub(super) admission: Admission,
    quota: ExecutionQuota,
    waiters: Waiters,
    programs: ProgramCache,
    /// Notified when the worker should claim. Keeps one notification while the worker is busy.
    claimable: Notify,
    /// Notified when an execution of this process may continue or has ended. Keeps no notification.
    changed: Notify,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("worker", &self.settings.worker).finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// Creates a dispatcher and starts its writer, which ends when the dispatcher is dropped.
    pub fn open(
        store: Arc<dyn Store>,
        environments: Arc<dyn EnvironmentProvider>,
        engine: Arc<dyn ScriptEngine>,
        clock: Clock,
        settings: WorkerSettings,
    ) -> Arc<Dispatcher> {
        Arc::new(Dispatcher {
            commits: CommitQueue::start(Arc::clone(&store)),
            programs: ProgramCache::new(Arc::clone(&store)),
            quota: ExecutionQuota::new(Limiter::of_store(Arc::clone(&store), None)),
            store,
            environments,
            engine,
            clock,
            admission: Admission::new(settings.concurrency),
            settings,
            waiters: Waiters::default(),
            claimable: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The live environments.
    pub fn environments(&self) -> &dyn EnvironmentProvider {
        &*self.environments
    }

    /// The script engine.
    pub(super) fn engine(&self) -> &dyn ScriptEngine {
        &*self.engine
    }

    /// The settings of the workers.
    pub fn settings(&self) -> &WorkerSettings {
        &self.settings
    }

    pub(super) fn limits(&self) -> ScriptLimits {
        self.settings.limits
    }

    /// The lease duration in microseconds.
    pub(super) fn lease(&self) -> Micros {
        micros_of(self.settings.lease)
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The time of the store's clock in microseconds since 1970.
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// Signals that executions may be claimable or may continue.
    pub fn wake(&self) {
        self.claimable.notify_one();
        self.changed.notify_waiters();
    }

    /// Signals that a permit was freed.
    pub(super) fn permit_freed(&self) {
        self.claimable.notify_one();
    }

    /// Waits until executions may be claimable.
    pub(super) async fn claimable(&self) {
        self.claimable.notified().await;
    }

    /// Waits for a change of an execution, at most for `limit`.
    pub(super) async fn wait_for_change(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.changed.notified()).await;
    }

    /// Commits a change, together with all others that are queued. The change is durable when this returns.
    ///
    /// # Errors
    /// The store stayed unavailable.
    pub async fn commit(&self, change: Change) -> Result<CommitResult, StoreError> {
        self.commits.commit(change).await
    }

    /// Accepts an event and its executions. If permits are free, the executions start at once. Executions are counted
    /// against the quotas of their tenants, except those of a schedule, which
    /// [`retain_within_quota`](Self::retain_within_quota) has counted.
    ///
    /// # Errors
    /// Nothing was stored: the store is unavailable, or an execution is over the quota of its tenant and cannot be delayed.
    pub async fn accept(self: &Arc<Self>, request: EnqueueRequest) -> Result<CommitResult, AcceptError> {
        // In a task of its own: the caller may go away, and stored executions must start anyway.
        let dispatcher = Arc::clone(self);
        let accepting = tokio::spawn(async move { dispatcher.accept_in_task(request).await });
        accepting.await.map_err(|_| StoreError::Unavailable("the process is shutting down".to_owned()))?
    }

    async fn accept_in_task(&self, mut request: EnqueueRequest) -> Result<CommitResult, AcceptError> {
        let counted = match request.tick {
            Some(_) => CountedExecutions::default(),
            None => self.count_executions(&mut request).await?,
        };
        // A claim decides about those of a tenant with a limit.
        let is_limited = request.executions.iter().any(|new| self.has_concurrency_quota(&new.environment));
        let permits = (!is_limited).then(|| self.admission.try_admit(request.executions.len())).flatten();
        if permits.is_some() {
            request.claimed_by = Some((self.settings.worker.clone(), self.lease()));
        }
        let result = self.commit(Change::Accept(Box::new(request))).await;
        if !matches!(result, Ok(CommitResult::Stored(_))) {
            self.uncount_executions(counted);
        }
        let result = result?;
        if let (CommitResult::Stored(executions), Some(permits)) = (&result, permits) {
            self.admission.hand_over(executions, permits);
        }
        self.wake();
        Ok(result)
    }

    /// Counts the executions of a request against the quotas of their tenants. Over quota, executions of an event are
    /// delayed to a later day if no caller waits for them.
    ///
    /// # Errors
    /// An execution is over quota and cannot be delayed, or the store is unavailable.
    pub async fn count_executions(&self, request: &mut EnqueueRequest) -> Result<CountedExecutions, AcceptError> {
        self.quota.count(&*self.environments, request).await
    }

    /// Counts executions against the quotas of their tenants, and removes those over quota. Returns the refusal of the
    /// last one removed.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn retain_within_quota(
        &self,
        executions: &mut Vec<NewExecution>,
        counted: &mut CountedExecutions,
    ) -> Result<Option<OverQuota>, StoreError> {
        self.quota.retain(&*self.environments, executions, counted).await
    }

    /// The refusal of one more execution of a tenant now; `None` if its quota allows one.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn over_quota(&self, environment: &str, tenant: &str) -> Result<Option<OverQuota>, StoreError> {
        self.quota.refusal(&*self.environments, environment, tenant).await
    }

    /// Returns the units of executions that were counted and not stored.
    pub fn uncount_executions(&self, counted: CountedExecutions) {
        self.quota.release(counted);
    }

    /// True if a quota limits the concurrent executions of a tenant.
    pub(super) fn has_concurrency_quota(&self, environment: &str) -> bool {
        self.environments.live(environment).is_some_and(|live| live.runtime.has_concurrency_quota)
    }

    /// Registers a waiter for the end of an execution. Must be called before the execution is accepted.
    pub fn register_waiter(&self, execution: &str) -> oneshot::Receiver<Arc<Execution>> {
        self.waiters.register(execution)
    }

    /// Removes the waiters of an execution.
    pub fn remove_waiters(&self, execution: &str) {
        self.waiters.remove(execution);
    }

    /// Reports an ended execution to its waiters.
    pub(super) fn report_end(&self, execution: Execution) {
        self.waiters.complete(execution);
        self.changed.notify_waiters();
    }

    /// Waits for the end of an execution with a [registered](Self::register_waiter) waiter, in any process. Returns
    /// `None` after `limit`.
    pub async fn wait_for_end(
        &self,
        environment: &str,
        execution: &str,
        mut end: oneshot::Receiver<Arc<Execution>>,
        limit: Duration,
    ) -> Option<Arc<Execution>> {
        let deadline = tokio::time::Instant::now() + limit;
        let _guard = WaiterGuard { waiters: &self.waiters, execution };
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            match tokio::time::timeout(REMOTE_POLL_INTERVAL.min(left), &mut end).await {
                Ok(Ok(ended)) => return Some(ended),
                // Another process may run the execution.
                _ => match self.store.execution(environment, execution).await {
                    Ok(Some(stored)) if stored.status.is_final() => return Some(Arc::new(stored)),
                    _ if tokio::time::Instant::now() >= deadline => return None,
                    _ => {}
                },
            }
        }
    }

    /// The version number of a program. A new program gets the next number.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn version(&self, environment: &str, generation: u64, program: &Program) -> Result<i64, StoreError> {
        self.programs.version(environment, generation, program).await
    }

    /// Publishes the versions of all new programs of a generation, as part of its activation. Returns their number.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn publish(&self, environment: &str, generation: u64, programs: &Programs) -> Result<usize, StoreError> {
        self.programs.publish(environment, generation, programs).await
    }

    /// The program of an execution.
    ///
    /// # Errors
    /// The cause if its version is not available.
    pub(super) async fn program(&self, live: &LiveEnvironment, execution: &Execution) -> Result<Arc<Program>, String> {
        self.programs.program(live, execution).await
    }

    /// A new execution of a live program with the values of its definition. The caller sets the remaining fields.
    ///
    /// # Errors
    /// The store cannot assign the version.
    pub async fn new_execution(
        &self,
        environment: &str,
        live: &LiveEnvironment,
        program: &Program,
    ) -> Result<NewExecution, StoreError> {
        let spec = &program.spec;
        let concurrency = spec.concurrency.as_ref();
        Ok(NewExecution {
            id: new_id(),
            environment: environment.to_owned(),
            workflow: program.name.clone(),
            version: self.version(environment, live.generation, program).await?,
            generation: live.generation,
            tier: spec.tier,
            // A caller waits for Instant executions, so they precede those without a waiting caller.
            priority: if spec.tier == Tier::Instant { 1 } else { priority_number(spec.priority) },
            concurrency_group: concurrency.map_or_else(String::new, |_| program.name.clone()),
            concurrency_limit: concurrency.map_or(0, |concurrency| i64::from(concurrency.limit)),
            headers: serde_json::json!({}),
            ..NewExecution::default()
        })
    }
}

/// The number of a priority: lower numbers are claimed first.
pub fn priority_number(priority: Priority) -> i64 {
    match priority {
        Priority::P1 => 1,
        Priority::P2 => 2,
        Priority::P3 => 3,
        Priority::P4 => 4,
    }
}
