//! Repositories on this disk, one for each address and its credentials, shared by all environments that follow it.
//!
//! ```text
//! folder/lock                 held while the process lives: nobody else writes here
//! folder/<address>/<number>   a bare repository; the highest number is current
//! ```
//!
//! A repository is thrown away and begun anew where it is broken, and where it has gathered many packs: that is
//! simpler than to repair or repack it, and never wrong. The one before is kept until then, for those who still read.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use git2::{Config, Repository};

use super::fail;
use super::select::{Head, Selector};
use crate::source::{FetchError, FetchReason};
use crate::text::Digest;

/// All repositories of a process.
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
    /// Opens the folder that repositories are kept in, and makes it where it is missing.
    ///
    /// # Errors
    /// `Unreadable` where it cannot be written, or another process uses it.
    pub fn open(folder: &Path) -> Result<Arc<GitRepositories>, FetchError> {
        let unusable = |error: std::io::Error| {
            fail(FetchReason::Unreadable, format!("the folder for Git repositories cannot be used: {error}"))
        };
        make_folder(folder).map_err(unusable)?;
        let mut options = fs::OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).open(folder.join("lock")).map_err(unusable)?;
        // A process that is just ending may have to be waited for.
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

    /// Removes repositories that no source uses any more. Call it after environments changed.
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

    /// The repository of an address, as seen with some credentials. `key` names both.
    pub(super) fn shared(&self, key: Digest) -> Arc<Shared> {
        let mut known = lock(&self.known);
        let new = || Arc::new(Shared::open(self.folder.join(key.hex())));
        Arc::clone(known.entry(key).or_insert_with(new))
    }
}

/// One repository, and whose turn it is to fetch.
#[derive(Debug)]
pub(super) struct Shared {
    folder: PathBuf,
    current: Mutex<u64>,
    gate: Mutex<Gate>,
    finished: Condvar,
    rounds: AtomicU64,
}

/// Who asks, and what was answered last. Rounds are counted when they start.
#[derive(Debug, Default)]
struct Gate {
    started: u64,
    running: bool,
    asking: Vec<Selector>,
    answered: u64,
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
            gate: Mutex::default(),
            finished: Condvar::new(),
            rounds: AtomicU64::new(0),
        }
    }

    /// How often the server was visited.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// The current repository, made where there is none, and its number.
    ///
    /// # Errors
    /// `Unreadable` where it can neither be opened nor made.
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

    /// The number of the current repository.
    pub(super) fn number(&self) -> u64 {
        *lock(&self.current)
    }

    /// The repository before the current one, for revisions that were read from it.
    pub(super) fn previous(&self) -> Option<Repository> {
        let number = lock(&self.current).checked_sub(1)?;
        self.open_number(number).ok()
    }

    /// Begins anew, unless someone did since `number` was opened. What is `broken` is removed at once.
    pub(super) fn renew(&self, number: u64, broken: bool) {
        let mut current = lock(&self.current);
        if *current == number {
            self.renew_locked(&mut current, broken);
        }
    }

    /// Has it gathered more packs than it may?
    pub(super) fn is_scattered(&self, number: u64, most: usize) -> bool {
        let packs = fs::read_dir(self.path(number).join("objects/pack")).into_iter().flatten().flatten();
        packs.filter(|entry| entry.path().extension().is_some_and(|end| end == "pack")).take(most + 1).count() > most
    }

    fn renew_locked(&self, current: &mut u64, broken: bool) {
        let before = *current;
        let remove = |number: u64| {
            let _ = fs::remove_dir_all(self.path(number));
        };
        if broken {
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
        // An empty configuration: no address rewriting, proxy or helper of this machine reaches a fetch.
        repository.set_config(&Config::new()?)?;
        Ok(repository)
    }

    /// Answers with a visit to the server that started after this call, together with all who ask at the same time:
    /// one of them makes it with `visit`, which is given what all of them want.
    ///
    /// # Errors
    /// Those of the visit, and `TimedOut` where none ended before the deadline.
    pub(super) fn ask(
        &self,
        want: &Selector,
        deadline: Instant,
        visit: impl Fn(&[Selector]) -> Result<Vec<Head>, FetchError>,
    ) -> Result<Arc<Vec<Head>>, FetchError> {
        let timed_out = || fail(FetchReason::TimedOut, "another fetch of the same repository took longer than it may");
        let mut gate = lock(&self.gate);
        gate.asking.push(want.clone());
        let mut needed = gate.started + 1;
        loop {
            if gate.answered >= needed
                && let Some(answer) = &gate.answer
            {
                // Another's deadline may have passed before ours.
                let in_vain = matches!(answer, Err(error) if error.reason == FetchReason::TimedOut);
                if !in_vain || Instant::now() >= deadline {
                    return answer.clone();
                }
                gate.asking.push(want.clone());
                needed = gate.started + 1;
            }
            if !gate.running {
                gate.running = true;
                gate.started += 1;
                let mut wants = std::mem::take(&mut gate.asking);
                wants.dedup();
                drop(gate);
                let turn = Turn { shared: self };
                self.rounds.fetch_add(1, Ordering::Relaxed);
                let answer = visit(&wants).map(Arc::new);
                return turn.end(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(timed_out());
            }
            gate = self.finished.wait_timeout(gate, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The turn of one caller; given up even where the visit panics.
struct Turn<'a> {
    shared: &'a Shared,
}

impl Turn<'_> {
    fn end(self, answer: Result<Arc<Vec<Head>>, FetchError>) -> Result<Arc<Vec<Head>>, FetchError> {
        let mut gate = lock(&self.shared.gate);
        gate.answered = gate.started;
        gate.answer = Some(answer.clone());
        drop(gate);
        answer
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.shared.gate).running = false;
        self.shared.finished.notify_all();
    }
}

/// Removes what a killed process left: locks and unfinished packs. Only we write here, so nobody holds them.
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

/// Makes a folder that only its owner can read: a private repository is nobody else's to see.
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
