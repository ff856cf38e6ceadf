//! A folder, followed: every edit is examined, and goes live where nothing is wrong with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::{Event as FileEvent, RecursiveMode, Watcher as _};
use sha2::{Digest as _, Sha256};

use super::active::{Active, Pointer};
use super::examine::{self, Examined};
use crate::catalog::Snapshot;
use crate::connector::Runtime;
use crate::source::directory;

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
        examined: Arc<Examined>,
        /// Its digest.
        generation: String,
        /// From the first file event to the swap.
        took: Duration,
    },
    /// An edit has errors; the last good generation keeps serving.
    Refused {
        /// What is wrong.
        examined: Arc<Examined>,
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

/// Reads, checks and compiles a folder.
///
/// # Errors
/// Where the folder cannot be read, or there is no such environment.
pub fn load(path: &Path, environment: Option<&str>) -> anyhow::Result<(Arc<Examined>, Option<Arc<Runtime>>, String)> {
    let (snapshot, unreadable) = directory::read(path)?;
    let digest = digest(&snapshot);
    let examined = examine::with(&snapshot, unreadable);
    if !examined.is_good() {
        return Ok((Arc::new(examined), None, digest));
    }
    let runtime = Runtime::compile(&examined.catalog, environment, digest.clone()).map_err(anyhow::Error::msg)?;
    Ok((Arc::new(examined), Some(Arc::new(runtime)), digest))
}

/// Follows a folder until the process ends or `tell` returns `false`; runs on a thread of its own.
pub fn follow(
    path: PathBuf,
    environment: Option<String>,
    pointer: &Pointer,
    mut seen: String,
    mut tell: impl FnMut(Event) -> bool,
) {
    let (sender, events) = channel();
    let watcher = notify::recommended_watcher(move |event: notify::Result<FileEvent>| {
        let _ = sender.send(event);
    });
    let watched = watcher.and_then(|mut watcher| watcher.watch(&path, RecursiveMode::Recursive).map(|()| watcher));
    let look = match &watched {
        Ok(_) => LOOK,
        Err(error) => {
            if !tell(Event::Unwatched { reason: error.to_string() }) {
                return;
            }
            LOOK_UNWATCHED
        }
    };
    loop {
        let started = match wait(&events, look) {
            Some(started) => started,
            // The watcher is gone: looking is all that is left.
            None if watched.is_err() => {
                std::thread::sleep(look);
                Instant::now()
            }
            None => return,
        };
        let Some(event) = examine(&path, environment.as_deref(), pointer, &mut seen, started) else { continue };
        if !tell(event) {
            return;
        }
    }
}

/// Waits for an edit to be done, or for the time to look; `None` where no event can come any more.
fn wait(events: &Receiver<notify::Result<FileEvent>>, look: Duration) -> Option<Instant> {
    loop {
        match events.recv_timeout(look) {
            Ok(event) if matters(&event) => break,
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return Some(Instant::now()),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        match events.recv_timeout(QUIET) {
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Some(started)
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
    path: &Path,
    environment: Option<&str>,
    pointer: &Pointer,
    seen: &mut String,
    started: Instant,
) -> Option<Event> {
    let (snapshot, unreadable) = match directory::read(path) {
        Ok(read) => read,
        Err(error) => {
            let reason = format!("{}: {error}", path.display());
            // Told once, not at every look.
            return (std::mem::replace(seen, reason.clone()) != reason).then_some(Event::Unreadable { reason });
        }
    };
    let generation = digest(&snapshot);
    if *seen == generation {
        return None;
    }
    seen.clone_from(&generation);
    let examined = Arc::new(examine::with(&snapshot, unreadable));
    let before = pointer.load();
    // A folder that was emptied is more often a mistake than a wish: what serves keeps serving.
    let emptied = examined.catalog.entries.is_empty() && !before.runtime.connectors.is_empty();
    let compiled = match examined.is_good() && !emptied {
        true => Runtime::compile(&examined.catalog, environment, generation.clone()),
        false => Err(String::new()),
    };
    match compiled {
        Ok(runtime) => {
            pointer.store(Active { runtime: Arc::new(runtime), examined: Arc::clone(&examined), current: true });
            Some(Event::Activated { examined, generation, took: started.elapsed() })
        }
        Err(reason) => {
            pointer.store(Active {
                runtime: Arc::clone(&before.runtime),
                examined: Arc::clone(&examined),
                current: false,
            });
            if reason.is_empty() { Some(Event::Refused { examined }) } else { Some(Event::Unreadable { reason }) }
        }
    }
}

/// What a snapshot holds, in 16 hexadecimal digits: equal for equal files, wherever they lie.
fn digest(snapshot: &Snapshot) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for file in &snapshot.files {
        part(file.path.as_bytes());
        part(&file.bytes);
    }
    // Files that are only named matter by being there.
    for name in &snapshot.names {
        part(name.as_bytes());
    }
    let digest = hash.finalize();
    format!("sha256:{}", digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>())
}
