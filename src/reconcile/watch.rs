//! A watched folder: every edit is validated, and activated if it has no errors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use notify::{Event as FileEvent, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::active::{Active, Pointer, Work};
use super::validate::{Validated, Validator};
use crate::catalog::{EnvironmentSelection, Input, Snapshot};
use crate::connector::Runtime;
use crate::net;
use crate::quota::Limiter;
use crate::script::MAX_SCRIPT_BYTES;
use crate::source::{UnreadableFile, directory};
use crate::text::Digest;

/// Quiet period after which an edit counts as complete, as editors write in several steps.
const QUIET: Duration = Duration::from_millis(15);
/// Longest wait for the quiet period.
const MAX_QUIET_WAIT: Duration = Duration::from_millis(250);
/// Period of reading the folder without any event, as network file systems and containers lose some.
const POLL: Duration = Duration::from_secs(5);
/// The same period if files cannot be watched.
const POLL_UNWATCHED: Duration = Duration::from_millis(500);

/// An event of a watched folder.
#[derive(Debug)]
pub enum Event {
    /// A generation was activated.
    Activated {
        /// The validation, with warnings.
        validated: Arc<Validated>,
        /// Digest of the generation.
        generation: String,
        /// Time from the first file event to the activation.
        took: Duration,
    },
    /// An edit has errors; the last good generation keeps serving.
    Refused {
        /// The validation, with errors.
        validated: Arc<Validated>,
    },
    /// The folder cannot be read; the last good generation keeps serving.
    Unreadable {
        /// The error.
        reason: String,
    },
    /// Files cannot be watched; the folder is read periodically instead.
    Unwatched {
        /// The error.
        reason: String,
    },
}

/// The watched folder, and how its definitions run.
#[derive(Clone, Debug)]
pub struct Source {
    /// A folder of definitions, or one file.
    pub path: PathBuf,
    /// Environment to run; the first one found if omitted.
    pub environment: Option<String>,
    /// True if connectors may reach this machine.
    pub allow_loopback: bool,
}

impl Source {
    /// Reads, validates and compiles the folder. Returns the validation, the generation to serve unless there are errors,
    /// and a digest.
    ///
    /// # Errors
    /// The path cannot be read, or the environment does not exist.
    pub fn load(&self, validator: &mut Validator) -> anyhow::Result<(Arc<Validated>, Option<Active>, String)> {
        let (snapshot, unreadable) = directory::read(&self.path)?;
        let digest = digest(&snapshot, &unreadable);
        let validated = Arc::new(validator.validate(&self.input(snapshot), &unreadable));
        if let Some(selection) = self.selection() {
            validated.expect_environment(&selection).map_err(anyhow::Error::msg)?;
        }
        let active = validated.is_valid().then(|| self.compile(&validated, &digest, None)).transpose()?;
        Ok((validated, active, digest))
    }

    /// The definitions of the chosen environment, or of all.
    fn input(&self, snapshot: Snapshot) -> Input {
        Input { snapshot, environment: self.selection(), ..Input::default() }
    }

    fn selection(&self) -> Option<EnvironmentSelection> {
        self.environment.clone().map(|name| EnvironmentSelection { name, document: None })
    }

    /// Compiles a generation. The client of the previous one is kept with its connections if it may reach the same.
    fn compile(&self, validated: &Arc<Validated>, digest: &str, before: Option<&Active>) -> anyhow::Result<Active> {
        let environment = self.environment.as_deref();
        let catalog = validated.catalog_of(environment);
        let earlier = before.map(|before| &*before.runtime);
        let runtime = Runtime::compile(catalog, environment, digest.to_owned(), earlier);
        let mut runtime = runtime.map_err(anyhow::Error::msg)?;
        runtime.vault = Arc::new(super::vault(&self.path, &runtime.secrets)?);
        let client = match before.filter(|before| before.runtime.egress == runtime.egress) {
            Some(before) => before.client.clone(),
            None => net::Client::new(super::policy(&runtime.egress, self.allow_loopback)?)?,
        };
        let folder = if self.path.is_file() { self.path.parent().unwrap_or(Path::new("")) } else { &*self.path };
        let read = |file: &str| directory::read_inside(folder, file, MAX_SCRIPT_BYTES + 1).ok();
        let work = Work::compile(catalog, &read, before.map(|before| &before.work)).map_err(anyhow::Error::msg)?;
        // A folder is served by one process.
        let limiter = before.map_or_else(Limiter::in_memory, |before| Arc::clone(&before.limiter));
        let (runtime, validated) = (Arc::new(runtime), Arc::clone(validated));
        Ok(Active { runtime, client, limiter, validated, current: true, number: 0, revisions: BTreeMap::new(), work })
    }
}

/// Watches a folder until `report` returns `false`; blocks its thread. `validator` has the caches of the first load, and
/// `seen` its digest.
pub fn watch_folder(
    source: &Source,
    pointer: &Pointer,
    mut validator: Validator,
    mut seen: String,
    mut report: impl FnMut(Event) -> bool,
) {
    let mut watch = Watch::start(&source.path);
    if let Err(error) = &watch.watcher
        && !report(Event::Unwatched { reason: error.to_string() })
    {
        return;
    }
    loop {
        let started = watch.wait();
        // A folder that was replaced is another inode, and the watch is still on the old one.
        if watch.identity != identity(&source.path) {
            watch = Watch::start(&source.path);
        }
        if let Some(event) = reload(source, pointer, &mut validator, &mut seen, started)
            && !report(event)
        {
            return;
        }
    }
}

/// A watch on a folder, or on the folder of a file, as editors replace files.
struct Watch {
    events: Receiver<()>,
    watcher: notify::Result<RecommendedWatcher>,
    identity: Option<u64>,
}

impl Watch {
    fn start(path: &Path) -> Watch {
        // A capacity of one suffices: an event means that something changed, and everything is read.
        let (sender, events) = sync_channel(1);
        let identity = identity(path);
        let watcher = notify::recommended_watcher(move |event: notify::Result<FileEvent>| {
            if matters(&event) {
                let _ = sender.try_send(());
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            match path.parent().filter(|_| path.is_file()) {
                Some(folder) if folder.as_os_str().is_empty() => {
                    watcher.watch(Path::new("."), RecursiveMode::NonRecursive)
                }
                Some(folder) => watcher.watch(folder, RecursiveMode::NonRecursive),
                None => watcher.watch(path, RecursiveMode::Recursive),
            }?;
            Ok(watcher)
        });
        Watch { events, watcher, identity }
    }

    /// Waits for a complete edit or for the polling period; returns the start of the edit.
    fn wait(&self) -> Instant {
        let period = if self.watcher.is_ok() { POLL } else { POLL_UNWATCHED };
        match self.events.recv_timeout(period) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return Instant::now(),
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(period);
                return Instant::now();
            }
        }
        let started = Instant::now();
        while started.elapsed() < MAX_QUIET_WAIT && self.events.recv_timeout(QUIET).is_ok() {}
        started
    }
}

/// Inode of a folder; `None` for a file, which is found by its name each time.
fn identity(path: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_dir)?;
    #[cfg(unix)]
    return Some(std::os::unix::fs::MetadataExt::ino(&metadata));
    #[cfg(not(unix))]
    return Some(u64::from(metadata.is_dir()));
}

/// False for events of reading files, which reloading would cause without end.
fn matters(event: &notify::Result<FileEvent>) -> bool {
    match event {
        Ok(event) => {
            !event.kind.is_access()
                || event.kind
                    == notify::EventKind::Access(notify::event::AccessKind::Close(notify::event::AccessMode::Write))
        }
        Err(_) => true,
    }
}

/// Reads the folder again, and activates it if it changed and has no errors.
fn reload(
    source: &Source,
    pointer: &Pointer,
    validator: &mut Validator,
    seen: &mut String,
    started: Instant,
) -> Option<Event> {
    let (snapshot, unreadable) = match directory::read(&source.path) {
        Ok(read) => read,
        Err(error) => {
            let reason = format!("{}: {error}", source.path.display());
            // Reported once, not every period.
            return (std::mem::replace(seen, reason.clone()) != reason).then_some(Event::Unreadable { reason });
        }
    };
    let generation = digest(&snapshot, &unreadable);
    if *seen == generation {
        return None;
    }
    seen.clone_from(&generation);
    let validated = Arc::new(validator.validate(&source.input(snapshot), &unreadable));
    let before = pointer.load()?;
    // An emptied folder is usually a mistake, so the last generation keeps serving.
    let emptied = validated.catalog.entries.is_empty() && !before.runtime.connectors.is_empty();
    let keep = || {
        let (runtime, client) = (Arc::clone(&before.runtime), before.client.clone());
        let limiter = Arc::clone(&before.limiter);
        let (validated, revisions, work) = (Arc::clone(&validated), BTreeMap::new(), before.work.clone());
        pointer.store(Active { runtime, client, limiter, validated, current: false, number: 0, revisions, work });
    };
    if !validated.is_valid() || emptied {
        keep();
        return Some(Event::Refused { validated });
    }
    match source.compile(&validated, &generation, Some(&before)) {
        Ok(active) => {
            pointer.store(active);
            Some(Event::Activated { validated, generation, took: started.elapsed() })
        }
        Err(error) => {
            keep();
            Some(Event::Unreadable { reason: format!("{error:#}") })
        }
    }
}

/// Digest of a snapshot in 16 hexadecimal digits: equal for equal files, in whichever folder they are.
fn digest(snapshot: &Snapshot, unreadable: &[UnreadableFile]) -> String {
    let files = snapshot.files.iter().flat_map(|file| [file.path.as_bytes(), &*file.bytes]);
    // Of files that are only named, the existence counts.
    let names = snapshot.names.iter().map(String::as_bytes);
    let code = snapshot.code.iter().flat_map(|(path, bytes)| [path.as_bytes(), &**bytes]);
    let broken = unreadable.iter().flat_map(|broken| [broken.path.as_bytes(), broken.finding.code.id.as_bytes()]);
    Digest::of_parts(files.chain(names).chain(code).chain(broken)).to_string()
}
