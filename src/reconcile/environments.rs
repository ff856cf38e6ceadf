//! All environments of a process: each has a task of its own that looks, listens and answers; what falls is started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::active::Pointer;
use super::commands::{Command, CommandError, Request};
use super::context::Context;
use super::document::EnvironmentDocument;
use super::engine::Reconciler;
use super::heartbeat::Heartbeat;
use super::reason::{Reason, ReconcileError};
use super::status::Status;
use super::validate::Validator;
use super::view::EnvironmentView;
use crate::catalog::{Input, RawDocument, Snapshot};
use crate::definition::Spec;
use crate::source::directory::{self, Directory, Unreadable};
use crate::source::{Fetched, Source as _};
use crate::store::Generation;

/// Requests that wait for one environment; more are told to come back.
const MAX_WAITING: usize = 64;
/// Time after which an environment counts as stuck: longer than the longest fetch with its way back.
pub const STUCK: Duration = Duration::from_mins(10);
/// Environments of one process.
const MOST: usize = 1000;
/// Quiet time between hints and a look: pushes come in bursts.
const QUIET: Duration = Duration::from_millis(20);
/// How long whoever asked for something waits to see what came of it; the look goes on.
const PATIENCE: Duration = Duration::from_secs(10);
/// Wait before what fell is started again.
const RESTART: Duration = Duration::from_secs(2);
/// Time between signs of life to other processes, which count for 30 seconds.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Time between looks at the operator's documents.
const DOCUMENTS_EVERY: Duration = Duration::from_secs(5);

/// One environment, for those who ask it.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Its name.
    pub name: String,
    /// What serves.
    pub pointer: Pointer,
    /// What it says of itself.
    pub status: watch::Receiver<Arc<Status>>,
    /// A sign of life.
    pub heartbeat: Arc<Heartbeat>,
    /// What is active and was looked at, for those who ask where something comes from.
    pub view: Arc<ArcSwap<EnvironmentView>>,
    /// The operator's document.
    pub document: Arc<ArcSwap<EnvironmentDocument>>,
    /// Counts finished looks, for those who act on what came of them.
    pub passes: watch::Receiver<u64>,
    commands: mpsc::Sender<Command>,
    hint: Arc<Notify>,
    serving: Arc<ArcSwapOption<Generation>>,
    tasks: Arc<ArcSwapOption<Tasks>>,
}

/// What an environment does by itself; it ends when this is dropped.
type Tasks = std::sync::Mutex<JoinSet<()>>;

impl Handle {
    /// Something may have changed: look soon.
    pub fn reconcile_soon(&self) {
        self.heartbeat.queued();
        self.hint.notify_one();
    }

    /// Asks for something and waits for the answer.
    ///
    /// # Errors
    /// Where it is not done, with why.
    pub async fn send(&self, request: Request, actor: &str) -> Result<Value, CommandError> {
        let (answer, answered) = oneshot::channel();
        self.heartbeat.queued();
        let busy = || CommandError::new(503, "Busy", "the environment has too much to do; try again");
        self.commands.try_send(Command { request, actor: actor.to_owned(), answer }).map_err(|_| busy())?;
        answered.await.map_err(|_| CommandError::new(500, "Failed", "it failed unexpectedly; the log says why"))?
    }
}

/// All environments of this process.
#[derive(Clone, Debug)]
pub struct Environments {
    /// By name.
    pub all: Arc<ArcSwap<BTreeMap<String, Handle>>>,
    /// What they share.
    pub context: Arc<Context>,
    /// Are all of them there that there are?
    pub complete: Arc<AtomicBool>,
}

impl Environments {
    /// Starts the environments of the operator's documents, and follows these documents.
    ///
    /// # Errors
    /// Where they cannot be read or hold no Environment.
    pub fn start(path: &Path, context: Context) -> anyhow::Result<Environments> {
        let given = documents(path)?;
        if given.is_empty() {
            bail!("{} holds no Environment; write one that says where its definitions come from", path.display());
        }
        let environments = Environments::empty(context);
        environments.complete.store(true, Ordering::Release);
        environments.update(given);
        let (following, path) = (environments.clone(), path.to_owned());
        tokio::spawn(async move { following.follow(path).await });
        Ok(environments)
    }

    /// None yet: whoever has their documents gives them by [`Environments::update`].
    pub fn empty(context: Context) -> Environments {
        Environments { all: Arc::default(), context: Arc::new(context), complete: Arc::default() }
    }

    /// Ends an environment: it is followed and served no more. What is stored of it stays.
    pub fn remove(&self, key: &str) -> Option<Handle> {
        let mut all = BTreeMap::clone(&self.all.load());
        let handle = all.remove(key)?;
        self.all.store(Arc::new(all));
        handle.tasks.store(None);
        self.context.metrics.forget(key);
        Some(handle)
    }

    /// The environment of a name; the only one where none is given and there is one.
    pub fn find(&self, name: Option<&str>) -> Option<Handle> {
        let all = self.all.load();
        match name {
            Some(name) => all.get(name).cloned(),
            None => all.values().next().filter(|_| all.len() == 1).cloned(),
        }
    }

    /// Does every environment go on?
    pub fn stuck(&self) -> Option<String> {
        let all = self.all.load();
        all.values().find(|handle| handle.heartbeat.age() > stuck_after(handle)).map(|handle| handle.name.clone())
    }

    /// Time that the oldest request or hint of all waits.
    pub fn oldest(&self) -> Duration {
        self.all.load().values().map(|handle| handle.heartbeat.oldest()).max().unwrap_or_default()
    }

    /// Takes up documents that are new or changed. Others stay as they are.
    pub fn update(&self, given: Vec<EnvironmentDocument>) {
        let mut all = BTreeMap::clone(&self.all.load());
        for given in given {
            match all.get(&given.key) {
                Some(handle) if handle.document.load().document.bytes == given.document.bytes => {}
                Some(handle) => {
                    tracing::info!(environment = given.key, "its Environment document changed");
                    handle.document.store(Arc::new(given));
                    handle.reconcile_soon();
                }
                None => {
                    let handle = spawn(given, &self.context);
                    all.insert(handle.name.clone(), handle);
                }
            }
        }
        // One whose document is gone keeps serving what it serves, and is followed no more than its sources are.
        self.all.store(Arc::new(all));
    }

    async fn follow(self, path: PathBuf) {
        let source = Arc::new(Directory::new(path));
        let mut told = String::new();
        let mut seen: Option<Arc<Fetched>> = None;
        loop {
            tokio::time::sleep(DOCUMENTS_EVERY).await;
            let (source, before) = (Arc::clone(&source), seen.clone());
            let read = tokio::task::spawn_blocking(move || {
                let fetched = source.fetch(Instant::now() + DOCUMENTS_EVERY)?;
                let unchanged = before.is_some_and(|before| Arc::ptr_eq(&before, &fetched));
                let given = if unchanged { None } else { Some(given_in(&fetched.snapshot, &fetched.unreadable)?) };
                anyhow::Ok((fetched, given))
            });
            let problem = match read.await {
                Ok(Ok((fetched, given))) => {
                    seen = Some(fetched);
                    if let Some(given) = given {
                        self.update(given);
                        String::new()
                    } else {
                        told.clone()
                    }
                }
                Ok(Err(error)) => format!("{error:#}"),
                Err(error) => error.to_string(),
            };
            if problem != told && !problem.is_empty() {
                tracing::warn!("the Environment documents are not taken up: {problem}");
            }
            told = problem;
        }
    }
}

fn stuck_after(handle: &Handle) -> Duration {
    let interval = handle.document.load().spec.interval.map_or(Duration::from_mins(1), |interval| interval.0);
    stuck_limit() + interval.saturating_mul(2)
}

/// [`STUCK`], or fewer seconds by `EVENKEEL_STUCK_SECONDS`, for tests and impatient operators.
fn stuck_limit() -> Duration {
    static LIMIT: std::sync::OnceLock<Duration> = std::sync::OnceLock::new();
    *LIMIT.get_or_init(|| {
        let seconds = std::env::var("EVENKEEL_STUCK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
        seconds.map_or(STUCK, Duration::from_secs)
    })
}

/// The Environment documents of a folder or file, without errors.
///
/// # Errors
/// Where they cannot be read, or one of them has errors.
pub fn documents(path: &Path) -> anyhow::Result<Vec<EnvironmentDocument>> {
    let (snapshot, unreadable) = directory::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    given_in(&snapshot, &unreadable)
}

fn given_in(snapshot: &Snapshot, unreadable: &[Unreadable]) -> anyhow::Result<Vec<EnvironmentDocument>> {
    let input = Input { snapshot: snapshot.clone(), ..Input::default() };
    let examined = Validator::new().validate(&input, unreadable);
    let mut given = Vec::new();
    for entry in &examined.catalog.entries {
        if let Some(Spec::Environment(spec)) = entry.spec() {
            // The definitions beside it are the source's concern; a broken Environment is ours.
            if entry.partial {
                let place = entry.place();
                bail!(
                    "Environment `{}` at {}:{} has errors; `evenkeel validate` shows them",
                    entry.id.name,
                    place.0,
                    place.1
                );
            }
            let document: RawDocument = entry.origin.base.clone();
            if let Some(other) = given.iter().find(|other: &&EnvironmentDocument| other.name == entry.id.name) {
                let (name, one, two) = (&entry.id.name, &other.document.path, &document.path);
                bail!("Environment `{name}` is written twice, in {one} and {two}; remove one of them");
            }
            let name = entry.id.name.clone();
            given.push(EnvironmentDocument { key: name.clone(), name, document, spec: (**spec).clone() });
        }
    }
    if given.len() > MOST {
        bail!("there are more than {MOST} Environments");
    }
    Ok(given)
}

fn spawn(given: EnvironmentDocument, context: &Arc<Context>) -> Handle {
    let (commands, requests) = mpsc::channel(MAX_WAITING);
    let (publish, status) = watch::channel(Arc::new(Status::default()));
    let (looked, looks) = watch::channel(0_u64);
    let handle = Handle {
        name: given.key.clone(),
        pointer: Pointer::empty(),
        status,
        heartbeat: Arc::default(),
        view: Arc::default(),
        document: Arc::new(ArcSwap::from_pointee(given)),
        passes: looks,
        commands,
        hint: Arc::new(Notify::new()),
        serving: Arc::default(),
        tasks: Arc::default(),
    };
    let mut tasks = JoinSet::new();
    if context.shared {
        tasks.spawn(heartbeat(handle.clone(), Arc::clone(context)));
    }
    let (supervised, context) = (handle.clone(), Arc::clone(context));
    tasks.spawn(async move {
        let requests = Arc::new(tokio::sync::Mutex::new(requests));
        let mut falls = 0_u32;
        loop {
            let publish = Publish { status: publish.clone(), looked: looked.clone() };
            // Of a set, so that it ends with this task.
            let mut running = JoinSet::new();
            running.spawn(run(supervised.clone(), Arc::clone(&context), publish.clone(), Arc::clone(&requests)));
            match running.join_next().await {
                None | Some(Ok(())) => return,
                Some(Err(error)) => {
                    // What serves keeps serving; only the looking is started again.
                    tracing::error!(environment = supervised.name, "reconciling failed unexpectedly: {error}");
                    context.metrics.reconciled(&supervised.name, "panic", Duration::ZERO);
                    publish.status.send_modify(|status| {
                        let message = "reconciling failed unexpectedly; the log says why, and it is tried again";
                        let refused = ReconcileError::stalled(Reason::Panicked, message);
                        Reconciler::refuse(Arc::make_mut(status), &refused, super::clock::now());
                    });
                    tokio::time::sleep(RESTART.saturating_mul(1 << falls.min(7))).await;
                    falls += 1;
                }
            }
        }
    });
    handle.tasks.store(Some(Arc::new(std::sync::Mutex::new(tasks))));
    handle
}

/// Where an environment says what came of its looks.
#[derive(Clone)]
struct Publish {
    status: watch::Sender<Arc<Status>>,
    looked: watch::Sender<u64>,
}

/// Tells the others that this process lives, and what it serves.
async fn heartbeat(handle: Handle, context: Arc<Context>) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        if let Some(generation) = handle.serving.load_full()
            && let Err(error) = context.store.report_replica(&context.replica, &handle.name, &generation).await
        {
            tracing::debug!(environment = handle.name, "no heartbeat: {error}");
        }
    }
}

async fn run(
    handle: Handle,
    context: Arc<Context>,
    publish: Publish,
    requests: Arc<tokio::sync::Mutex<mpsc::Receiver<Command>>>,
) {
    let mut requests = requests.lock().await;
    let mut changes = context.store.changes();
    let given = EnvironmentDocument::clone(&handle.document.load());
    let mut engine =
        Reconciler::new(context, given, handle.pointer.clone(), publish.status, Arc::clone(&handle.heartbeat));
    engine.serving = Arc::clone(&handle.serving);
    engine.view = Arc::clone(&handle.view);
    let mut next = tokio::time::Instant::now();
    loop {
        let woken = tokio::select! {
            () = tokio::time::sleep_until(next) => Woken::Look,
            () = handle.hint.notified() => Woken::Hinted,
            changed = changes.changed() => match changed {
                Ok(()) => Woken::News,
                Err(_) => return,
            },
            command = requests.recv() => match command {
                Some(command) => Woken::Requester(Box::new(command)),
                None => return,
            },
        };
        handle.heartbeat.taken();
        handle.heartbeat.tick();
        engine.take_up(&handle.document.load());
        match woken {
            Woken::Look => next = tokio::time::Instant::now() + engine.look().await,
            Woken::Hinted => {
                tokio::time::sleep(QUIET).await;
                next = tokio::time::Instant::now() + engine.look().await;
                engine.pass_on().await;
            }
            Woken::News => {
                if let Some(wait) = engine.news().await {
                    next = tokio::time::Instant::now() + wait;
                }
            }
            Woken::Requester(command) => {
                let Command { request, actor, answer } = *command;
                let reconcile = matches!(request, Request::Reconcile);
                let looks = !matches!(request, Request::Plan | Request::Preview { .. });
                let answered = engine.answer(request, &actor).await;
                if looks && answered.is_ok() {
                    next = tokio::time::Instant::now() + look_and_answer(&mut engine, answer, answered).await;
                    if reconcile {
                        engine.pass_on().await;
                    }
                } else {
                    let _ = answer.send(answered);
                }
            }
        }
        handle.view.store(Arc::new(engine.shown()));
        publish.looked.send_modify(|looks| *looks += 1);
    }
}

/// Looks before the answer, so that whoever asked sees what came of it; but not for ever.
async fn look_and_answer(
    engine: &mut Reconciler,
    answer: oneshot::Sender<Result<Value, CommandError>>,
    answered: Result<Value, CommandError>,
) -> Duration {
    let mut look = std::pin::pin!(engine.look());
    let looked = tokio::time::timeout(PATIENCE, &mut look).await;
    let _ = answer.send(answered);
    match looked {
        Ok(wait) => wait,
        Err(_) => look.await,
    }
}

enum Woken {
    Look,
    Hinted,
    News,
    Requester(Box<Command>),
}

impl Reconciler {
    fn take_up(&mut self, given: &Arc<EnvironmentDocument>) {
        if self.given.document.bytes != given.document.bytes {
            self.given = EnvironmentDocument::clone(given);
            self.sources = None;
        }
    }

    /// What those who ask are shown beside the status.
    pub(super) fn shown(&self) -> EnvironmentView {
        EnvironmentView {
            manifest: self.manifest().cloned(),
            validated: self.looked.clone(),
            shown_under: self.shown_under(),
            document: Some(self.given.document.clone()),
        }
    }
}
