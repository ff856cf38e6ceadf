//! Local folders as sources.
//!
//! Symbolic links are never followed: the target may lie outside the folder, and is not part of a commit. Files and folders
//! whose name starts with a dot, `node_modules`, and paths that `.evenkeelignore` or `exclude` name are ignored. In a
//! checkout, submodules are passed over with a warning: a commit does not hold their files either.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::checkout::is_submodule;
use super::fetch::{FetchError, FetchReason, Fetched, MAX_ASSET_BYTES, Revision, Source};
use super::ignore_file;
use super::unreadable::UnreadableFile;
use crate::catalog::{File, MAX_CODE_BYTES, Snapshot, is_foreign};
use crate::definition::ignore_rules::{IGNORE_FILE, IgnoreRules, MAX_IGNORE_BYTES};
use crate::script::{MAX_SCRIPT_BYTES, is_script};
use crate::text::{Code, Digest, Format, ReadLimits, codes};

/// Maximum number of files of a folder, and maximum depth of folders in it.
const MAX_FILES: usize = 200_000;
const MAX_DEPTH: usize = 64;
/// Maximum size of all definitions together, in bytes.
const MAX_BYTES: usize = 1 << 30;
/// Minimum age of a file before an unchanged timestamp proves unchanged content: file systems may have a clock this coarse.
const MIN_STAMP_AGE: Duration = Duration::from_secs(3);

/// Reads a folder, or a single file as the only one of its folder.
///
/// # Errors
/// The error of the operating system if the path itself cannot be read.
pub fn read(path: &Path) -> std::io::Result<(Snapshot, Vec<UnreadableFile>)> {
    let mut walk = Walk::new(path, &[]);
    walk.all(path)?;
    Ok((walk.snapshot, walk.unreadable))
}

/// Reads at most `max_bytes` bytes of a regular file, given by its path relative to a folder.
///
/// # Errors
/// The cause if the file cannot be read, or its path leads through a symbolic link or out of the folder.
pub fn read_inside(folder: &Path, file: &str, max_bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut path = folder.to_owned();
    for part in file.split('/') {
        if matches!(part, "" | "." | "..") || part.contains(['\\', '\0']) {
            return Err(std::io::Error::other("it leads out of the folder"));
        }
        path.push(part);
        if fs::symlink_metadata(&path)?.is_symlink() {
            return Err(std::io::Error::other("a symbolic link is not followed"));
        }
    }
    let mut bytes = Vec::new();
    open(&path)?.take(max_bytes as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A folder as a source that is fetched repeatedly.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    exclude: Vec<String>,
    last: Mutex<LastRead>,
}

/// The result of the last fetch.
#[derive(Debug, Default)]
struct LastRead {
    files: StampedFiles,
    fetched: Option<Arc<Fetched>>,
}

/// The content of files, each with the stamp that detects a change.
type StampedFiles = BTreeMap<Arc<str>, (Stamp, Arc<[u8]>)>;

/// Attributes that change with the content of a file, unless it was written moments ago.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    written: Option<SystemTime>,
    /// Device, inode, and time of the last status change in seconds and nanoseconds; zeros if the system has none.
    identity: (u64, u64, i64, i64),
}

impl Directory {
    /// Creates a source of the definitions in a folder, or of one file.
    pub fn new(path: impl Into<PathBuf>) -> Directory {
        Directory::excluding(path, Vec::new())
    }

    /// Creates a source of the definitions in a folder without the paths that match `exclude`, see
    /// [`IgnoreRules`](crate::definition::ignore_rules::IgnoreRules).
    pub fn excluding(path: impl Into<PathBuf>, exclude: Vec<String>) -> Directory {
        Directory { path: path.into(), exclude, last: Mutex::default() }
    }
}

impl Source for Directory {
    fn fetch(&self, deadline: Instant) -> Result<Arc<Fetched>, FetchError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut walk = Walk::new(&self.path, &self.exclude);
        walk.deadline = Some(deadline);
        walk.before = Some(std::mem::take(&mut last.files));
        let walked = walk.all(&self.path);
        last.files = if walked.is_ok() { walk.stamped } else { walk.before.unwrap_or_default() };
        walked.map_err(|error| self.failed(&error))?;
        if let Some(fetched) = &last.fetched
            && same(&fetched.snapshot, &walk.snapshot)
            && fetched.unreadable.len() == walk.unreadable.len()
            && fetched.unreadable.iter().zip(&walk.unreadable).all(|(a, b)| a.path == b.path && a.finding == b.finding)
        {
            return Ok(Arc::clone(fetched));
        }
        let (snapshot, unreadable) = (walk.snapshot, walk.unreadable);
        let name = digest(&snapshot, &unreadable).to_string();
        let (commit, author, subject) = (String::new(), String::new(), String::new());
        let revision = Revision { name, commit, committed: 0, author, subject };
        let fetched = Arc::new(Fetched { revision, snapshot, unreadable, rewritten: false });
        last.fetched = Some(Arc::clone(&fetched));
        Ok(fetched)
    }

    fn read(&self, fetched: &Fetched, path: &str) -> Result<Vec<u8>, FetchError> {
        let fail = |reason, message| Err(FetchError { reason, message });
        let missing = || format!("the folder has no regular file `{path}`");
        // The walk found only names inside the folder, and followed no link.
        if !fetched.snapshot.names.contains(path) {
            return fail(FetchReason::PathNotFound, missing());
        }
        let folder = if self.path.is_file() { self.path.parent().unwrap_or(Path::new("")) } else { &self.path };
        let mut place = folder.to_owned();
        for part in path.split('/') {
            place.push(part);
            if fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_symlink()) {
                return fail(FetchReason::PathNotFound, missing());
            }
        }
        let mut bytes = Vec::new();
        let read = open(&place).and_then(|file| file.take(MAX_ASSET_BYTES as u64 + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) if bytes.len() > MAX_ASSET_BYTES => {
                let message = format!("`{path}` has more than the {MAX_ASSET_BYTES} bytes that are read");
                fail(FetchReason::TooLarge, message)
            }
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => fail(FetchReason::PathNotFound, missing()),
            Err(error) => fail(FetchReason::Unreadable, format!("`{path}` cannot be read: {error}")),
        }
    }
}

impl Directory {
    fn failed(&self, error: &std::io::Error) -> FetchError {
        let path = self.path.display();
        let (reason, message) = match error.kind() {
            std::io::ErrorKind::NotFound => (FetchReason::PathNotFound, format!("there is no folder `{path}`")),
            std::io::ErrorKind::TimedOut => {
                (FetchReason::TimedOut, format!("reading the folder `{path}` did not end before the deadline"))
            }
            _ => (FetchReason::Unreadable, format!("the folder `{path}` cannot be read: {error}")),
        };
        FetchError { reason, message }
    }
}

/// True if both snapshots hold the same files with the same bytes.
fn same(before: &Snapshot, now: &Snapshot) -> bool {
    let file = |(a, b): (&File, &File)| a.path == b.path && (Arc::ptr_eq(&a.bytes, &b.bytes) || a.bytes == b.bytes);
    before.alone == now.alone
        && before.files.len() == now.files.len()
        && before.files.iter().zip(&now.files).all(file)
        && before.names == now.names
        && before.code == now.code
}

/// The digest of a folder's content, independent of its location.
fn digest(snapshot: &Snapshot, unreadable: &[UnreadableFile]) -> Digest {
    let files = snapshot.files.iter().flat_map(|file| [file.path.as_bytes(), &*file.bytes]);
    // Of files that are neither definitions nor code, only the name counts.
    let names = snapshot.names.iter().map(String::as_bytes);
    let code = snapshot.code.iter().flat_map(|(path, bytes)| [path.as_bytes(), &**bytes]);
    let broken = unreadable.iter().flat_map(|broken| [broken.path.as_bytes(), broken.finding.code.id.as_bytes()]);
    Digest::of_parts(files.chain(names).chain(code).chain(broken))
}

impl<'a> Walk<'a> {
    fn new(path: &Path, exclude: &'a [String]) -> Walk<'a> {
        let (snapshot, unreadable) = (Snapshot::default(), Vec::new());
        let stamped = StampedFiles::new();
        let root = path.to_owned();
        let (before, deadline, late) = (None, None, false);
        let rules = IgnoreRules::default();
        Walk { snapshot, unreadable, root, bytes: 0, code_bytes: 0, before, stamped, deadline, late, exclude, rules }
    }

    fn all(&mut self, path: &Path) -> std::io::Result<()> {
        let walk = self;
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_symlink() && !fs::metadata(path)?.is_dir() {
            return Err(std::io::Error::other("it is a symbolic link to a file; name the file itself"));
        }
        if metadata.is_file() {
            if Format::of(&path.to_string_lossy()).is_none() {
                return Err(std::io::Error::other("it is neither `.yaml`, `.yml` nor `.json`"));
            }
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            walk.root = path.parent().unwrap_or(Path::new("")).to_owned();
            // Neighbours are listed, so that the files that the definition refers to are found.
            walk.names_of_neighbours();
            walk.snapshot.alone = true;
            walk.snapshot.shown_under = walk.root.to_string_lossy().into_owned();
            walk.file(path.to_owned(), name);
        } else {
            fs::read_dir(path)?;
            let (rules, problems) = ignore_file::rules(ignore_file_in(path), walk.exclude);
            walk.rules = rules;
            walk.unreadable.extend(problems);
            walk.snapshot.shown_under = path.to_string_lossy().into_owned();
            walk.folder(path, "", 0);
        }
        walk.snapshot.files.sort_by(|a, b| a.path.cmp(&b.path));
        walk.unreadable.sort_by(|a, b| a.path.cmp(&b.path));
        if walk.late { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

struct Walk<'a> {
    exclude: &'a [String],
    rules: IgnoreRules,
    /// The files of the last fetch; `None` if nothing is kept between fetches.
    before: Option<StampedFiles>,
    stamped: StampedFiles,
    deadline: Option<Instant>,
    late: bool,
    bytes: usize,
    code_bytes: usize,
    root: PathBuf,
    snapshot: Snapshot,
    unreadable: Vec<UnreadableFile>,
}

impl Walk<'_> {
    fn report(&mut self, path: String, code: &'static Code, message: String, help: &str) {
        self.unreadable.push(UnreadableFile::new(path, code, message, help));
    }

    fn folder(&mut self, path: &Path, shown: &str, depth: usize) {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                let message = format!("the folder cannot be read: {error}");
                return self.report(shown.to_owned(), &codes::UNREADABLE, message, "check its permissions");
            }
        };
        for entry in entries {
            let Ok(entry) = entry else { continue };
            self.late |= self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if self.late {
                return;
            }
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                let name = entry.file_name().to_string_lossy().into_owned();
                self.report(join(shown, &name), &codes::UNREADABLE, "the name is not UTF-8".into(), "rename it");
                continue;
            };
            if name.starts_with('.') || name == "node_modules" {
                continue;
            }
            let shown = join(shown, &name);
            if self.rules.ignores(&shown, entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() => self.unreadable.extend(UnreadableFile::link(shown)),
                Ok(kind) if kind.is_dir() && depth >= MAX_DEPTH => {
                    self.unreadable.push(UnreadableFile::too_deep(shown, MAX_DEPTH));
                }
                Ok(kind) if kind.is_dir() && is_submodule(&entry.path(), &self.root) => {
                    self.unreadable.push(UnreadableFile::submodule(shown));
                }
                Ok(kind) if kind.is_dir() => self.folder(&entry.path(), &shown, depth + 1),
                Ok(kind) if kind.is_file() => self.file(entry.path(), shown),
                // Sockets, pipes and devices hold no definitions, and a read may never end.
                Ok(_) => {}
                Err(error) => self.report(shown, &codes::UNREADABLE, error.to_string(), "check its permissions"),
            }
        }
    }

    fn file(&mut self, path: PathBuf, shown: String) {
        if self.snapshot.names.len() >= MAX_FILES {
            if self.snapshot.names.len() == MAX_FILES
                && !self.unreadable.iter().any(|known| known.finding.code == &codes::LIMIT)
            {
                let message = format!("the folder holds more than {MAX_FILES} files; the rest is not read");
                self.report(shown, &codes::LIMIT, message, "read a smaller folder");
            }
            return;
        }
        self.names().insert(shown.clone());
        if Format::of(&shown).is_none() || is_foreign(&shown) {
            if is_script(&shown) {
                self.code(&path, &shown);
            }
            return;
        }
        let (stamp, bytes) = match self.bytes_of(&path, &shown) {
            Ok(read) => read,
            Err(error) => {
                let message = format!("the file cannot be read: {error}");
                return self.report(shown, &codes::UNREADABLE, message, "check its permissions");
            }
        };
        self.bytes += bytes.len();
        if self.bytes > MAX_BYTES {
            let most = MAX_BYTES >> 20;
            let message = format!("the folder's definitions are larger than {most} MiB; the rest is not read");
            return self.report(shown, &codes::LIMIT, message, "read a smaller folder");
        }
        let known = self.before.as_ref().and_then(|before| before.get_key_value(shown.as_str()));
        let path: Arc<str> = known.map_or_else(|| shown.into(), |(path, _)| Arc::clone(path));
        if let Some(stamp) = stamp {
            self.stamped.insert(Arc::clone(&path), (stamp, Arc::clone(&bytes)));
        }
        self.snapshot.files.push(File { path, bytes });
    }

    /// Reads code, so that it can be checked. Code that is too large or unreadable is omitted; its user reports the error.
    fn code(&mut self, path: &Path, shown: &str) {
        let fits = |metadata: fs::Metadata| metadata.len() <= MAX_SCRIPT_BYTES as u64;
        if !fs::symlink_metadata(path).is_ok_and(fits) {
            return;
        }
        let Ok((stamp, bytes)) = self.bytes_of(path, shown) else { return };
        if bytes.len() > MAX_SCRIPT_BYTES || self.code_bytes + bytes.len() > MAX_CODE_BYTES {
            return;
        }
        self.code_bytes += bytes.len();
        let path: Arc<str> = shown.into();
        if let Some(stamp) = stamp {
            self.stamped.insert(Arc::clone(&path), (stamp, Arc::clone(&bytes)));
        }
        self.snapshot.code.insert(path, bytes);
    }

    /// The bytes of a file; those of the last fetch if it is unchanged. The stamp is set if the next fetch may reuse them.
    fn bytes_of(&self, path: &Path, shown: &str) -> std::io::Result<(Option<Stamp>, Arc<[u8]>)> {
        let known = self.before.as_ref().and_then(|before| before.get(shown));
        let now = SystemTime::now();
        let stamp = self.before.as_ref().and_then(|_| fs::symlink_metadata(path).ok()).map(|found| stamp_of(&found));
        if let (Some((before, bytes)), Some(stamp)) = (known, &stamp)
            && before == stamp
        {
            return Ok((Some(stamp.clone()), Arc::clone(bytes)));
        }
        // One byte more than the limit distinguishes a file that is too long from one that just fits.
        let most = ReadLimits::default().file_bytes as u64 + 1;
        let mut bytes = Vec::new();
        open(path)?.take(most).read_to_end(&mut bytes)?;
        let bytes = match known {
            Some((_, before)) if **before == *bytes => Arc::clone(before),
            _ => bytes.into(),
        };
        // A file that was written just now may be written again within the same clock tick without a change of its stamp,
        // so the stamp is not kept.
        let settled = |stamp: &Stamp| {
            let changed =
                SystemTime::UNIX_EPOCH + Duration::from_secs(stamp.identity.2.try_into().unwrap_or(u64::MAX / 4));
            let old = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age >= MIN_STAMP_AGE);
            stamp.written.is_some_and(old) && old(changed)
        };
        let stamp = match stamp {
            Some(stamp) if settled(&stamp) => Some(stamp),
            Some(stamp) => Some(Stamp { size: u64::MAX, ..stamp }),
            None => None,
        };
        Ok((stamp, bytes))
    }

    fn names(&mut self) -> &mut BTreeSet<String> {
        Arc::make_mut(&mut self.snapshot.names)
    }

    fn names_of_neighbours(&mut self) {
        let root = if self.root.as_os_str().is_empty() { PathBuf::from(".") } else { self.root.clone() };
        let names = fs::read_dir(&root).into_iter().flatten().flatten().take(10_000);
        let names = names.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let names: Vec<String> = names.filter_map(|entry| entry.file_name().to_str().map(str::to_owned)).collect();
        for name in names.iter().filter(|name| is_script(name)) {
            let path = root.join(name);
            self.code(&path, name);
        }
        self.names().extend(names);
    }
}

/// The content of the file of patterns in a folder, or the reason that it cannot be read; `None` if it does not exist.
fn ignore_file_in(folder: &Path) -> Option<Result<Vec<u8>, String>> {
    match read_inside(folder, IGNORE_FILE, MAX_IGNORE_BYTES + 1) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        read => Some(read.map_err(|error| format!("the file cannot be read: {error}"))),
    }
}

fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    };
    #[cfg(not(unix))]
    let identity = (0, 0, 0, 0);
    Stamp { size: metadata.len(), written: metadata.modified().ok(), identity }
}

/// Opens a file that was a regular one a moment ago: a link in its place is refused, and a pipe does not block.
#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("it is not a regular file")) }
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<fs::File> {
    fs::File::open(path)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests;
