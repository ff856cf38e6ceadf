//! Where work comes in and goes out: one writer for everything that this process stores of it, so that what comes at the
//! same moment is stored in one transaction and flushed to the disk once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::clock::Clock;
use super::engine::{Limits, ScriptEngine};
use super::program::{Program, Programs};
use super::runtime_context::{EnvironmentProvider, LiveEnvironment};
use crate::definition::workflow::{Priority, Tier};
use crate::store::queue::{Change, CommitResult, EnqueueRequest, Execution, NewExecution, new_id};
use crate::store::{Micros, Store, StoreError};
use crate::text::Digest;

/// Changes that wait to be written; whoever has more waits too.
const MAX_WAITING: usize = 4096;
/// Changes of one transaction.
const MAX_TOGETHER: usize = 512;
/// How long a write is tried again that the store could not do right now: shorter than the lease of an execution.
const PATIENCE: Duration = Duration::from_secs(12);
/// Versions of workflows that are kept compiled beside those that are live.
const MAX_PROGRAMS: usize = 256;

/// How a process works on executions.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the process, told apart from all others.
    pub worker: String,
    /// Executions at the same time.
    pub concurrency: usize,
    /// How long an execution is this process's unless it says that it still is.
    pub lease: Duration,
    /// What a script may use.
    pub limits: Limits,
    /// Longest attempt in real time, whatever workflows say; as they say where left out.
    pub longest: Option<Duration>,
    /// How long executions, events and logs are kept after they ended.
    pub retention: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            worker: new_id(),
            concurrency: 64,
            lease: Duration::from_secs(20),
            limits: Limits::default(),
            longest: None,
            retention: Duration::from_hours(30 * 24),
        }
    }
}

type Waiting = (Change, oneshot::Sender<Result<CommitResult, StoreError>>);

/// Where work comes in and goes out.
pub struct Dispatcher {
    store: Arc<dyn Store>,
    ground: Arc<dyn EnvironmentProvider>,
    engine: Arc<dyn ScriptEngine>,
    settings: Settings,
    clock: Clock,
    changes: mpsc::Sender<Waiting>,
    /// Room for executions.
    pub(super) slots: Arc<Semaphore>,
    pub(super) woken: Notify,
    /// Something was taken as it was accepted.
    pub(super) handed: Notify,
    /// Is more ready than there is room for?
    pub(super) backlog: AtomicBool,
    news: Notify,
    /// Executions that were taken as they were accepted, on their way to the worker.
    pub(super) taken: Mutex<Vec<(Execution, tokio::sync::OwnedSemaphorePermit)>>,
    /// Who waits for an execution to end.
    waiters: Mutex<HashMap<String, Vec<oneshot::Sender<Arc<Execution>>>>>,
    versions: Mutex<HashMap<(String, String, Digest), i64>>,
    programs: Mutex<HashMap<(String, String, i64), Arc<Program>>>,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("worker", &self.settings.worker).finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// Opens a desk; its writer runs until the desk is gone.
    pub fn open(
        store: Arc<dyn Store>,
        ground: Arc<dyn EnvironmentProvider>,
        engine: Arc<dyn ScriptEngine>,
        clock: Clock,
        settings: Settings,
    ) -> Arc<Dispatcher> {
        let (changes, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(write(Arc::clone(&store), waiting));
        Arc::new(Dispatcher {
            store,
            ground,
            engine,
            clock,
            changes,
            slots: Arc::new(Semaphore::new(settings.concurrency)),
            settings,
            woken: Notify::new(),
            handed: Notify::new(),
            backlog: AtomicBool::new(false),
            news: Notify::new(),
            taken: Mutex::default(),
            waiters: Mutex::default(),
            versions: Mutex::default(),
            programs: Mutex::default(),
        })
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The environments.
    pub fn ground(&self) -> &dyn EnvironmentProvider {
        &*self.ground
    }

    /// The script engine.
    pub(super) fn engine(&self) -> &dyn ScriptEngine {
        &*self.engine
    }

    /// How this process works.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn limits(&self) -> Limits {
        self.settings.limits
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Microseconds since 1970, by the store's clock.
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// Lets workers look for work.
    pub fn wake(&self) {
        self.woken.notify_one();
        self.news.notify_waiters();
    }

    /// Suspend for something to happen, at most for a while.
    pub(super) async fn news(&self, most: Duration) {
        let _ = tokio::time::timeout(most, self.news.notified()).await;
    }

    /// Stores a change, with whatever else is to be stored at the moment. It is durable when this returns.
    ///
    /// # Errors
    /// Where the store cannot be written after some tries.
    pub async fn commit(&self, change: Change) -> Result<CommitResult, StoreError> {
        let closed = || StoreError::Unavailable("the process ends".to_owned());
        let (answer, answered) = oneshot::channel();
        self.changes.send((change, answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Takes something in; executions that it starts are worked on at once where there is room.
    ///
    /// # Errors
    /// Where it cannot be stored: then nothing was.
    pub async fn accept(self: &Arc<Self>, intake: EnqueueRequest) -> Result<CommitResult, StoreError> {
        // Whoever asks may go away while it is stored; what is stored is worked on all the same.
        let desk = Arc::clone(self);
        let accepting = tokio::spawn(async move { desk.take_in(intake).await });
        accepting.await.map_err(|_| StoreError::Unavailable("the process ends".to_owned()))?
    }

    async fn take_in(&self, mut intake: EnqueueRequest) -> Result<CommitResult, StoreError> {
        // Those that wait longer go first.
        let is_behind = self.backlog.load(Ordering::Relaxed);
        // One permit for each execution, or none: a part of them could overtake the others.
        let permits = u32::try_from(intake.executions.len()).unwrap_or(u32::MAX);
        let permit = match permits {
            0 => None,
            _ if is_behind => None,
            permits => Arc::clone(&self.slots).try_acquire_many_owned(permits).ok(),
        };
        if permit.is_some() {
            let lease = Micros::try_from(self.settings.lease.as_micros()).unwrap_or(Micros::MAX);
            intake.claimed_by = Some((self.settings.worker.clone(), lease));
        }
        let done = self.commit(Change::Accept(Box::new(intake))).await?;
        if let (CommitResult::Stored(runs), Some(mut permit)) = (&done, permit) {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            for run in runs {
                if let Some(permit) = permit.split(1) {
                    taken.push((run.clone(), permit));
                }
            }
            drop(taken);
            self.handed.notify_one();
        }
        self.wake();
        Ok(done)
    }

    /// Somebody who waits for an execution to end. To be asked for before the execution is accepted.
    pub fn watch(&self, run: &str) -> oneshot::Receiver<Arc<Execution>> {
        let (tell, told) = oneshot::channel();
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.entry(run.to_owned()).or_default().push(tell);
        told
    }

    /// Nobody waits any more.
    pub fn unwatch(&self, run: &str) {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner).remove(run);
    }

    /// Tells those who wait that an execution ended.
    pub(super) fn ended(&self, run: Execution) {
        let waiting = self.waiters.lock().unwrap_or_else(PoisonError::into_inner).remove(&run.id);
        let run = Arc::new(run);
        for tell in waiting.into_iter().flatten() {
            let _ = tell.send(Arc::clone(&run));
        }
        self.news.notify_waiters();
    }

    /// Suspend for an execution that was [watched](Self::watch), wherever it runs; `None` where it takes longer.
    pub async fn wait(
        &self,
        environment: &str,
        run: &str,
        mut told: oneshot::Receiver<Arc<Execution>>,
        most: Duration,
    ) -> Option<Arc<Execution>> {
        let deadline = tokio::time::Instant::now() + most;
        let _watch = WaiterGuard(self, run);
        loop {
            let look = Duration::from_millis(250).min(deadline.saturating_duration_since(tokio::time::Instant::now()));
            match tokio::time::timeout(look, &mut told).await {
                Ok(Ok(run)) => return Some(run),
                // Another process may have it.
                _ => match self.store.execution(environment, run).await {
                    Ok(Some(run)) if run.status.is_final() => return Some(Arc::new(run)),
                    _ if tokio::time::Instant::now() >= deadline => return None,
                    _ => {}
                },
            }
        }
    }

    /// The version of a program: its number, made where it is new.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn version(&self, environment: &str, generation: u64, program: &Program) -> Result<i64, StoreError> {
        let key = (environment.to_owned(), program.name.clone(), program.digest);
        if let Some(known) = self.versions.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(*known);
        }
        let one = [(program.name.clone(), program.digest, program.content())];
        let made = self.store.publish(environment, generation, &one).await?;
        let version = made.first().map_or(0, |made| made.version);
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(key, version);
        Ok(version)
    }

    /// Makes versions of all programs of a generation that have none: what activation does.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn publish(&self, environment: &str, generation: u64, programs: &Programs) -> Result<usize, StoreError> {
        let new: Vec<&Arc<Program>> = {
            let known = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
            let key = |program: &Program| (environment.to_owned(), program.name.clone(), program.digest);
            programs.values().filter(|program| !known.contains_key(&key(program))).collect()
        };
        for some in new.chunks(200) {
            let contents: Vec<_> =
                some.iter().map(|program| (program.name.clone(), program.digest, program.content())).collect();
            let made = self.store.publish(environment, generation, &contents).await?;
            let mut known = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(
                made.into_iter().map(|made| ((environment.to_owned(), made.workflow, made.digest), made.version)),
            );
        }
        Ok(new.len())
    }

    /// The program of an execution: the live one where that is its version, else as it was stored.
    ///
    /// # Errors
    /// Where it is not to be had; why.
    pub(super) async fn program(&self, live: &LiveEnvironment, run: &Execution) -> Result<Arc<Program>, String> {
        if let Some(program) = live.programs.get(&run.workflow) {
            let version =
                self.version(&run.environment, live.number, program).await.map_err(|error| error.to_string())?;
            if version == run.version {
                return Ok(Arc::clone(program));
            }
        }
        let key = (run.environment.clone(), run.workflow.clone(), run.version);
        if let Some(known) = self.programs.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let content = self.store.version(&run.environment, &run.workflow, run.version).await;
        let content = content.map_err(|error| error.to_string())?;
        let content = content.ok_or_else(|| format!("version {} of {} is gone", run.version, run.workflow))?;
        let program = Arc::new(Program::from_content(&content)?);
        let mut known = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_PROGRAMS {
            known.clear();
        }
        known.insert(key, Arc::clone(&program));
        Ok(program)
    }

    /// An execution of a live program, with what its definition says; the caller fills in the rest.
    ///
    /// # Errors
    /// Where the store cannot be asked for the version.
    pub async fn new_run(
        &self,
        environment: &str,
        live: &LiveEnvironment,
        program: &Program,
    ) -> Result<NewExecution, StoreError> {
        let spec = &program.spec;
        let gate = spec.concurrency.as_ref();
        Ok(NewExecution {
            id: new_id(),
            environment: environment.to_owned(),
            workflow: program.name.clone(),
            version: self.version(environment, live.number, program).await?,
            generation: live.number,
            tier: spec.tier,
            // Somebody waits for an Instant one, and not behind what nobody waits for.
            priority: if spec.tier == Tier::Instant { 1 } else { priority(spec.priority) },
            concurrency_group: gate.map_or_else(String::new, |_| program.name.clone()),
            concurrency_limit: gate.map_or(0, |gate| i64::from(gate.limit)),
            headers: serde_json::json!({}),
            ..NewExecution::default()
        })
    }
}

/// Nobody waits any more, however the waiting ends.
struct WaiterGuard<'a>(&'a Dispatcher, &'a str);

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.0.unwatch(self.1);
    }
}

/// The number of a priority.
pub fn priority(priority: Priority) -> i64 {
    match priority {
        Priority::P1 => 1,
        Priority::P2 => 2,
        Priority::P3 => 3,
        Priority::P4 => 4,
    }
}

/// Writes what waits, until nobody is left who could.
async fn write(store: Arc<dyn Store>, mut waiting: mpsc::Receiver<Waiting>) {
    let mut some = Vec::with_capacity(MAX_TOGETHER);
    while waiting.recv_many(&mut some, MAX_TOGETHER).await > 0 {
        let (changes, answers): (Vec<Change>, Vec<_>) = some.drain(..).unzip();
        let written = try_to_write(&*store, &changes).await;
        match written {
            Ok(done) => {
                for (answer, done) in answers.into_iter().zip(done) {
                    let _ = answer.send(Ok(done));
                }
            }
            Err(error) => {
                tracing::error!(changes = changes.len(), "work cannot be stored: {error}");
                for answer in answers {
                    let _ = answer.send(Err(StoreError::Unavailable(error.to_string())));
                }
            }
        }
    }
}

async fn try_to_write(store: &dyn Store, changes: &[Change]) -> Result<Vec<CommitResult>, StoreError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut wait = Duration::from_millis(20);
    loop {
        match store.commit(changes).await {
            Err(StoreError::Unavailable(_)) if tokio::time::Instant::now() < deadline => tokio::time::sleep(wait).await,
            other => return other,
        }
        wait = (wait * 2).min(Duration::from_secs(1));
    }
}
