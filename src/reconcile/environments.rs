//! All environments of a process, started from the operator's documents, which are watched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use arc_swap::ArcSwap;

pub use super::handle::Handle;

use super::context::Context;
use super::document::{Documents, EnvironmentDocument, documents, documents_in};
use super::environment_task::spawn;
use crate::source::directory::Directory;
use crate::source::{Fetched, Source as _};

/// Time without a sign of life after which an environment counts as stuck, besides twice its interval. It exceeds the
/// longest fetch.
pub const STUCK: Duration = Duration::from_mins(10);
/// Period of reading the operator's documents.
const DOCUMENTS_EVERY: Duration = Duration::from_secs(5);

/// All environments of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Environments {
    /// Handles by key.
    pub all: Arc<ArcSwap<BTreeMap<String, Handle>>>,
    /// Resources that they share.
    pub context: Arc<Context>,
    /// True once all environments were started that exist.
    pub complete: Arc<AtomicBool>,
}

impl Environments {
    /// Starts the environments of the operator's documents, and watches these documents.
    ///
    /// # Errors
    /// The documents cannot be read, have errors or contain no Environment.
    pub fn start(path: &Path, context: Context) -> anyhow::Result<Environments> {
        let documents = documents(path)?;
        if documents.is_empty() {
            let shown = path.display();
            bail!(
                "{shown} holds no Environment; write one that names the source of its definitions, or run the definitions \
                 on this machine with `evenkeel dev {shown}`"
            );
        }
        let environments = Environments::empty(context);
        environments.complete.store(true, Ordering::Release);
        environments.update(documents);
        tokio::spawn(environments.clone().watch_documents(path.to_owned()));
        Ok(environments)
    }

    /// Starts no environment yet; [`Environments::update`] does.
    pub fn empty(context: Context) -> Environments {
        Environments { all: Arc::default(), context: Arc::new(context), complete: Arc::default() }
    }

    /// Stops an environment. What the store holds of it stays.
    pub fn remove(&self, key: &str) -> Option<Handle> {
        let mut all = BTreeMap::clone(&self.all.load());
        let handle = all.remove(key)?;
        self.all.store(Arc::new(all));
        handle.tasks.store(None);
        self.context.metrics.forget(key);
        Some(handle)
    }

    /// The environment of a key; without a key, the only environment if there is exactly one.
    pub fn find(&self, name: Option<&str>) -> Option<Handle> {
        let all = self.all.load();
        match name {
            Some(name) => all.get(name).cloned(),
            None => all.values().next().filter(|_| all.len() == 1).cloned(),
        }
    }

    /// Key of an environment whose loop is stuck.
    pub fn stuck(&self) -> Option<String> {
        let all = self.all.load();
        all.values().find(|handle| handle.heartbeat.age() > stuck_after(handle)).map(|handle| handle.name.clone())
    }

    /// Age of the oldest request or push notification that waits.
    pub fn oldest(&self) -> Duration {
        self.all.load().values().map(|handle| handle.heartbeat.oldest()).max().unwrap_or_default()
    }

    /// Starts environments for new documents and passes changed documents on. An environment whose document is missing
    /// keeps running.
    pub fn update(&self, documents: Vec<EnvironmentDocument>) {
        let mut all = BTreeMap::clone(&self.all.load());
        for document in documents {
            match all.get(&document.key) {
                Some(handle) if handle.document.load().document == document.document => {
                    handle.set_document_error(None);
                }
                Some(handle) => {
                    handle.set_document_error(None);
                    tracing::info!(environment = document.key, "the Environment document changed");
                    handle.document.store(Arc::new(document));
                    handle.reconcile_soon();
                }
                None => {
                    let handle = spawn(document, &self.context);
                    all.insert(handle.name.clone(), handle);
                }
            }
        }
        self.all.store(Arc::new(all));
    }

    /// Brings the running environments in line with the documents of a folder: starts new ones, passes changed documents
    /// on, and stops those whose document was removed. A document with errors is not taken up: the last good one stays in
    /// effect, and the status of its environment names the error. `missing`: environments without a document at the last
    /// call; an editor may remove a file before it writes it again, so they are stopped at the second call only. Returns a
    /// sentence about the documents that are not in effect, which is empty if there are none.
    fn follow(&self, documents: &Documents, missing: &mut BTreeSet<String>) -> String {
        self.update(documents.list.clone());
        let mut problems: Vec<String> = Vec::new();
        let mut gone = BTreeSet::new();
        for (key, handle) in self.all.load().iter() {
            if documents.list.iter().any(|document| document.key == *key) {
                continue;
            }
            let problem = documents.problem(&handle.document.load());
            match &problem {
                Some(problem) => problems.push(format!("{key}: {problem}")),
                None if missing.contains(key) => {
                    self.remove(key);
                    tracing::info!(
                        environment = key,
                        "the Environment document was removed; the environment is stopped"
                    );
                    continue;
                }
                None => drop(gone.insert(key.clone())),
            }
            handle.set_document_error(problem);
        }
        *missing = gone;
        for (name, error) in &documents.errors {
            if !self.all.load().contains_key(name) {
                problems.push(format!("{name}: {error}"));
            }
        }
        if problems.is_empty() {
            return String::new();
        }
        format!("{}; environments that run keep their last good document", problems.join("; "))
    }

    /// Reports an error of the folder of the documents in the status of each environment.
    fn unreadable(&self, error: &str) -> String {
        for handle in self.all.load().values() {
            handle.set_document_error(Some(error.to_owned()));
        }
        error.to_owned()
    }

    async fn watch_documents(self, path: PathBuf) {
        let source = Arc::new(Directory::new(path));
        let mut last_problem = String::new();
        let mut seen: Option<(Arc<Fetched>, Arc<Documents>)> = None;
        let mut missing = BTreeSet::new();
        let mut failed = false;
        loop {
            tokio::time::sleep(DOCUMENTS_EVERY).await;
            let (source, before) = (Arc::clone(&source), seen.clone());
            let read = tokio::task::spawn_blocking(move || {
                let fetched = source.fetch(Instant::now() + DOCUMENTS_EVERY)?;
                if let Some((known, documents)) = before.filter(|(known, _)| Arc::ptr_eq(known, &fetched)) {
                    return anyhow::Ok((known, documents, true));
                }
                let documents = documents_in(&fetched.snapshot, &fetched.unreadable)?;
                anyhow::Ok((fetched, Arc::new(documents), false))
            });
            let problem = match read.await {
                Ok(Ok((_, _, true))) if missing.is_empty() && !failed => last_problem.clone(),
                Ok(Ok((fetched, documents, _))) => {
                    let problem = self.follow(&documents, &mut missing);
                    seen = Some((fetched, documents));
                    failed = false;
                    problem
                }
                Ok(Err(error)) => {
                    failed = true;
                    self.unreadable(&format!("{error:#}"))
                }
                Err(error) => {
                    failed = true;
                    self.unreadable(&error.to_string())
                }
            };
            if problem != last_problem && !problem.is_empty() {
                tracing::warn!(error = problem, "reading the Environment documents failed");
            } else if problem.is_empty() && !last_problem.is_empty() {
                tracing::info!("the Environment documents can be read again");
            }
            last_problem = problem;
        }
    }
}

fn stuck_after(handle: &Handle) -> Duration {
    let interval = handle.document.load().spec.interval.map_or(Duration::from_mins(1), |interval| interval.0);
    stuck_limit() + interval.saturating_mul(2)
}

/// [`STUCK`], or the number of seconds in `EVENKEEL_STUCK_SECONDS`.
fn stuck_limit() -> Duration {
    static LIMIT: std::sync::OnceLock<Duration> = std::sync::OnceLock::new();
    *LIMIT.get_or_init(|| {
        let seconds = std::env::var("EVENKEEL_STUCK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
        seconds.map_or(STUCK, Duration::from_secs)
    })
}
