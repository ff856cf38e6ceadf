//! A folder, followed: every edit is examined, and goes live where nothing is wrong with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use notify::{Event as FileEvent, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::active::{Active, Pointer, Work};
use super::validate::{Validated, Validator};
use crate::catalog::{Input, Snapshot};
use crate::connector::Runtime;
use crate::net;
use crate::script::MAX_SCRIPT_BYTES;
use crate::source::directory::{self, Unreadable};
use crate::text::Digest;

/// Quiet time after which an edit counts as done: editors write in several steps.
const QUIET: Duration = Duration::from_millis(15);
/// Longest wait for quiet.
const PATIENCE: Duration = Duration::from_millis(250);
/// A look at the folder even without any event: networks and containers lose some.
const LOOK: Duration = Duration::from_secs(5);
/// The same where files cannot be watched at all.
const LOOK_UNWATCHED: Duration = Duration::from_millis(500);

/// What happened, for whoever shows it.
#[derive(Debug)]
pub enum Event {
    /// A generation went live.
    Activated {
        /// Its examination, with warnings.
        examined: Arc<Validated>,
        /// Its digest.
        generation: String,
        /// From the first file event to the swap.
        took: Duration,
    },
    /// An edit has errors; the last good generation keeps serving.
    Refused {
        /// What is wrong.
        examined: Arc<Validated>,
    },
    /// The folder cannot be read; the last good generation keeps serving.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// Files cannot be watched; the folder is looked at instead.
    Unwatched {
        /// Why.
        reason: String,
    },
}

/// What is followed, and how it is run.
#[derive(Clone, Debug)]
pub struct Source {
    /// A folder of definitions, or one file.
    pub path: PathBuf,
    /// The Environment; the first one where left out.
    pub environment: Option<String>,
    /// May connectors reach this machine?
    pub allow_loopback: bool,
}

impl Source {
    /// Reads, checks and compiles. With what was examined comes what may serve, unless there are errors, and a digest.
    ///
    /// # Errors
    /// Where the path cannot be read, or there is no such environment.
    pub fn load(&self, examiner: &mut Validator) -> anyhow::Result<(Arc<Validated>, Option<Active>, String)> {
        let (snapshot, unreadable) = directory::read(&self.path)?;
        let digest = digest(&snapshot, &unreadable);
        let input = Input { snapshot, ..Input::default() };
        let examined = Arc::new(examiner.validate(&input, &unreadable));
        let active = examined.is_valid().then(|| self.compile(&examined, &digest, None)).transpose()?;
        Ok((examined, active, digest))
    }

    /// What serves a generation. The client of the one before is kept where it may reach the same, with its connections.
    fn compile(&self, examined: &Arc<Validated>, digest: &str, before: Option<&Active>) -> anyhow::Result<Active> {
        let environment = self.environment.as_deref();
        let catalog = examined.catalog_of(environment);
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
        let (runtime, examined) = (Arc::new(runtime), Arc::clone(examined));
        Ok(Active { runtime, client, validated: examined, current: true, number: 0, revisions: BTreeMap::new(), work })
    }
}

/// Follows a source until `tell` returns `false`; runs on a thread of its own. `examiner` remembers what was loaded.
pub fn follow(
    source: &Source,
    pointer: &Pointer,
    mut examiner: Validator,
    mut seen: String,
    mut tell: impl FnMut(Event) -> bool,
) {
    let mut watch = Watch::start(&source.path);
    if let Err(error) = &watch.watcher
        && !tell(Event::Unwatched { reason: error.to_string() })
    {
        return;
    }
    loop {
        let started = watch.wait();
        // A folder that was replaced is another one, and the watch is still on the old.
        if watch.identity != identity(&source.path) {
            watch = Watch::start(&source.path);
        }
        if let Some(event) = examine(source, pointer, &mut examiner, &mut seen, started)
            && !tell(event)
        {
            return;
        }
    }
}

/// A watch on a folder, or on the folder around a file: editors replace files by others.
struct Watch {
    events: Receiver<()>,
    watcher: notify::Result<RecommendedWatcher>,
    identity: Option<u64>,
}

impl Watch {
    fn start(path: &Path) -> Watch {
        // One place is enough: an event says that something changed, and everything is looked at.
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

    /// Waits for an edit to be done, or for the time to look; gives when it began.
    fn wait(&self) -> Instant {
        let look = if self.watcher.is_ok() { LOOK } else { LOOK_UNWATCHED };
        match self.events.recv_timeout(look) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return Instant::now(),
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(look);
                return Instant::now();
            }
        }
        let started = Instant::now();
        while started.elapsed() < PATIENCE && self.events.recv_timeout(QUIET).is_ok() {}
        started
    }
}

/// Which folder it is, whatever its name; a file is found by its name anew each time.
fn identity(path: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_dir)?;
    #[cfg(unix)]
    return Some(std::os::unix::fs::MetadataExt::ino(&metadata));
    #[cfg(not(unix))]
    return Some(u64::from(metadata.is_dir()));
}

/// Reading a file is an event too, and ours would never end.
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

fn examine(
    source: &Source,
    pointer: &Pointer,
    examiner: &mut Validator,
    seen: &mut String,
    started: Instant,
) -> Option<Event> {
    let (snapshot, unreadable) = match directory::read(&source.path) {
        Ok(read) => read,
        Err(error) => {
            let reason = format!("{}: {error}", source.path.display());
            // Told once, not at every look.
            return (std::mem::replace(seen, reason.clone()) != reason).then_some(Event::Unreadable { reason });
        }
    };
    let generation = digest(&snapshot, &unreadable);
    if *seen == generation {
        return None;
    }
    seen.clone_from(&generation);
    let input = Input { snapshot, ..Input::default() };
    let examined = Arc::new(examiner.validate(&input, &unreadable));
    let before = pointer.load()?;
    // A folder that was emptied is more often a mistake than a wish: what serves keeps serving.
    let emptied = examined.catalog.entries.is_empty() && !before.runtime.connectors.is_empty();
    let keep = || {
        let (runtime, client) = (Arc::clone(&before.runtime), before.client.clone());
        let (examined, revisions, work) = (Arc::clone(&examined), BTreeMap::new(), before.work.clone());
        pointer.store(Active { runtime, client, validated: examined, current: false, number: 0, revisions, work });
    };
    if !examined.is_valid() || emptied {
        keep();
        return Some(Event::Refused { examined });
    }
    match source.compile(&examined, &generation, Some(&before)) {
        Ok(active) => {
            pointer.store(active);
            Some(Event::Activated { examined, generation, took: started.elapsed() })
        }
        Err(error) => {
            keep();
            Some(Event::Unreadable { reason: format!("{error:#}") })
        }
    }
}

/// What a snapshot holds, in 16 hexadecimal digits: equal for equal files, wherever they lie.
fn digest(snapshot: &Snapshot, unreadable: &[Unreadable]) -> String {
    let files = snapshot.files.iter().flat_map(|file| [file.path.as_bytes(), &*file.bytes]);
    // Files that are only named matter by being there.
    let names = snapshot.names.iter().map(String::as_bytes);
    let code = snapshot.code.iter().flat_map(|(path, bytes)| [path.as_bytes(), &**bytes]);
    let broken = unreadable.iter().flat_map(|broken| [broken.path.as_bytes(), broken.finding.code.id.as_bytes()]);
    Digest::of_parts(files.chain(names).chain(code).chain(broken)).short()
}
