//! Local copies of repositories, one for each address and its credentials, shared by all environments that follow it.
//!
//! ```text
//! folder/lock                 held while the process lives: no other process writes here
//! folder/<address>/<number>   a bare repository; the highest number is current
//! ```
//!
//! A copy that is damaged or has many packs is replaced by a new one: that is simpler than to repair or repack it, and
//! never wrong. The previous copy is kept until the next replacement, for readers that still use it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use git2::{Config, Repository};

use super::error::fail;
use super::select::{Head, Selector};
use crate::source::{FetchError, FetchReason};
use crate::text::Digest;

/// The local copies of a process.
pub struct GitRepositories {
    folder: PathBuf,
    known: Mutex<HashMap<Digest, Arc<Shared>>>,
    _lock: fs::File,
}

impl std::fmt::Debug for GitRepositories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitRepositories").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl GitRepositories {
    /// Opens the folder of the copies, and creates it if it is missing.
    ///
    /// # Errors
    /// `Unreadable` if the folder cannot be written, or another process uses it.
    pub fn open(folder: &Path) -> Result<Arc<GitRepositories>, FetchError> {
        let unusable = |error: std::io::Error| {
            fail(FetchReason::Unreadable, format!("the folder for Git repositories cannot be used: {error}"))
        };
        make_folder(folder).map_err(unusable)?;
        let mut options = fs::OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).open(folder.join("lock")).map_err(unusable)?;
        // A process that is about to end may still hold the lock.
        let taken = (0..40).any(|at| {
            std::thread::sleep(std::time::Duration::from_millis(if at == 0 { 0 } else { 50 }));
            lock.try_lock().is_ok()
        });
        if !taken {
            let message = "the folder for Git repositories is used by another process; give each its own state folder";
            return Err(fail(FetchReason::Unreadable, message));
        }
        Ok(Arc::new(GitRepositories { folder: folder.to_owned(), known: Mutex::default(), _lock: lock }))
    }

    /// Removes copies that no source uses any more. Call it after a change of the environments.
    pub fn forget_unused(&self) {
        let mut known = lock(&self.known);
        known.retain(|_, shared| Arc::strong_count(shared) > 1);
        let used: Vec<String> = known.keys().map(Digest::hex).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            if ours && !used.contains(&name) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// The copy for an address and credentials, which `key` identifies.
    pub(super) fn shared(&self, key: Digest) -> Arc<Shared> {
        let mut known = lock(&self.known);
        let new = || Arc::new(Shared::open(self.folder.join(key.hex())));
        Arc::clone(known.entry(key).or_insert_with(new))
    }
}

/// One local copy, with the coordination of fetches.
#[derive(Debug)]
pub(super) struct Shared {
    folder: PathBuf,
    current: Mutex<u64>,
    visits: Mutex<Visits>,
    finished: Condvar,
    visit_count: AtomicU64,
}

/// Coordination of visits to the server: waiting callers share the visit that starts next. Visits are numbered from 1.
#[derive(Debug, Default)]
struct Visits {
    started: u64,
    running: bool,
    waiting: Vec<Selector>,
    finished_number: u64,
    answer: Option<Result<Arc<Vec<Head>>, FetchError>>,
}

impl Shared {
    fn open(folder: PathBuf) -> Shared {
        let numbers = fs::read_dir(&folder).into_iter().flatten().flatten();
        let numbers: Vec<u64> = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        let current = numbers.iter().copied().max().unwrap_or(1);
        for number in numbers.into_iter().filter(|number| *number != current) {
            let _ = fs::remove_dir_all(folder.join(number.to_string()));
        }
        tidy(&folder.join(current.to_string()));
        Shared {
            folder,
            current: Mutex::new(current),
            visits: Mutex::default(),
            finished: Condvar::new(),
            visit_count: AtomicU64::new(0),
        }
    }

    /// Number of visits to the server.
    pub(super) fn visit_count(&self) -> u64 {
        self.visit_count.load(Ordering::Relaxed)
    }

    /// The current copy, created if it is missing, and its number.
    ///
    /// # Errors
    /// `Unreadable` if it can be neither opened nor created.
    pub(super) fn repository(&self) -> Result<(Repository, u64), FetchError> {
        let mut current = lock(&self.current);
        if self.path(*current).exists() {
            if let Ok(repository) = self.open_number(*current) {
                return Ok((repository, *current));
            }
            self.renew_locked(&mut current, true);
        }
        let number = *current;
        let opened = make_folder(&self.path(number)).map_err(|error| error.to_string()).and_then(|()| {
            Repository::init_bare(self.path(number)).map_err(|error| error.message().to_owned())?;
            self.open_number(number).map_err(|error| error.message().to_owned())
        });
        let opened = opened.map_err(|why| {
            fail(FetchReason::Unreadable, format!("no Git repository can be made in the state folder: {why}"))
        });
        opened.map(|repository| (repository, number))
    }

    /// The number of the current copy.
    pub(super) fn number(&self) -> u64 {
        *lock(&self.current)
    }

    /// The previous copy, for revisions that were read from it.
    pub(super) fn previous(&self) -> Option<Repository> {
        let number = lock(&self.current).checked_sub(1)?;
        self.open_number(number).ok()
    }

    /// Replaces the copy, unless another caller did so since `number` was opened. A `damaged` copy is removed at once.
    pub(super) fn renew(&self, number: u64, damaged: bool) {
        let mut current = lock(&self.current);
        if *current == number {
            self.renew_locked(&mut current, damaged);
        }
    }

    /// True if the copy has more than `max_packs` packs.
    pub(super) fn is_scattered(&self, number: u64, max_packs: usize) -> bool {
        let packs = fs::read_dir(self.path(number).join("objects/pack")).into_iter().flatten().flatten();
        packs.filter(|entry| entry.path().extension().is_some_and(|end| end == "pack")).take(max_packs + 1).count()
            > max_packs
    }

    fn renew_locked(&self, current: &mut u64, damaged: bool) {
        let before = *current;
        let remove = |number: u64| {
            let _ = fs::remove_dir_all(self.path(number));
        };
        if damaged {
            remove(before);
        }
        if let Some(older) = before.checked_sub(1) {
            remove(older);
        }
        *current = before + 1;
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(number.to_string())
    }

    fn open_number(&self, number: u64) -> Result<Repository, git2::Error> {
        let repository = Repository::open_bare(self.path(number))?;
        // An empty configuration: address rewriting, proxies and helpers of this machine do not affect a fetch.
        repository.set_config(&Config::new()?)?;
        Ok(repository)
    }

    /// Returns the result of a visit to the server that starts after this call. Callers that wait at the same time share
    /// one visit: one of them runs `visit` with the selections of all of them.
    ///
    /// # Errors
    /// Those of the visit, and `TimedOut` if no visit ended before the deadline.
    pub(super) fn visit(
        &self,
        want: &Selector,
        deadline: Instant,
        run: impl Fn(&[Selector]) -> Result<Vec<Head>, FetchError>,
    ) -> Result<Arc<Vec<Head>>, FetchError> {
        let timed_out = || fail(FetchReason::TimedOut, "another fetch of the same repository did not end in time");
        let mut visits = lock(&self.visits);
        visits.waiting.push(want.clone());
        let mut needed = visits.started + 1;
        loop {
            if visits.finished_number >= needed
                && let Some(answer) = &visits.answer
            {
                // The deadline of the visiting caller may have been earlier than this one.
                let is_timeout = matches!(answer, Err(error) if error.reason == FetchReason::TimedOut);
                if !is_timeout || Instant::now() >= deadline {
                    return answer.clone();
                }
                visits.waiting.push(want.clone());
                needed = visits.started + 1;
            }
            if !visits.running {
                visits.running = true;
                visits.started += 1;
                let mut wants = std::mem::take(&mut visits.waiting);
                wants.dedup();
                drop(visits);
                let guard = VisitGuard { shared: self };
                self.visit_count.fetch_add(1, Ordering::Relaxed);
                let answer = run(&wants).map(Arc::new);
                return guard.end(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(timed_out());
            }
            visits = self.finished.wait_timeout(visits, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The visit of one caller. Dropping it lets the next visit start, also after a panic.
struct VisitGuard<'a> {
    shared: &'a Shared,
}

impl VisitGuard<'_> {
    fn end(self, answer: Result<Arc<Vec<Head>>, FetchError>) -> Result<Arc<Vec<Head>>, FetchError> {
        let mut visits = lock(&self.shared.visits);
        visits.finished_number = visits.started;
        visits.answer = Some(answer.clone());
        drop(visits);
        answer
    }
}

impl Drop for VisitGuard<'_> {
    fn drop(&mut self) {
        lock(&self.shared.visits).running = false;
        self.shared.finished.notify_all();
    }
}

/// Removes locks and unfinished packs of a process that was killed. Only this process writes here, so none is in use.
fn tidy(repository: &Path) {
    let mut folders = vec![(repository.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let end = path.extension().and_then(|end| end.to_str()).unwrap_or("");
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let unfinished = folder.ends_with("objects/pack") && !["pack", "idx"].contains(&end)
                || end == "pack" && !path.with_extension("idx").exists();
            if is_folder && depth < 8 {
                folders.push((path, depth + 1));
            } else if !is_folder && (end == "lock" || unfinished) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Creates a folder that only its owner can read, because repositories may be private.
fn make_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
