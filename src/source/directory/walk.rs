//! The walk through a folder: files with their stamps, and links inside of the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::links::{self, Links, MAX_LINKS};
use crate::catalog::{File, MAX_CODE_BYTES, Snapshot, is_foreign};
use crate::definition::ignore_rules::{IGNORE_FILE, IgnoreRules, MAX_IGNORE_BYTES};
use crate::script::{MAX_SCRIPT_BYTES, is_script};
use crate::source::checkout::is_submodule;
use crate::source::{UnreadableFile, ignore_file};
use crate::text::{Code, Format, ReadLimits, codes};

/// Maximum number of files of a folder, and maximum depth of folders in it.
const MAX_FILES: usize = 200_000;
const MAX_DEPTH: usize = 64;
/// Maximum size of all definitions together, in bytes.
const MAX_BYTES: usize = 1 << 30;
/// Minimum age of a file before an unchanged timestamp proves unchanged content: file systems may have a clock this coarse.
const MIN_STAMP_AGE: Duration = Duration::from_secs(3);

/// The content of files, each with the stamp that detects a change.
pub(super) type StampedFiles = BTreeMap<Arc<str>, (Stamp, Arc<[u8]>)>;

/// Attributes that change with the content of a file, unless it was written moments ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    pub(super) written: Option<SystemTime>,
    /// Device, inode, and time of the last status change in seconds and nanoseconds; zeros if the system has none.
    identity: (u64, u64, i64, i64),
}

/// A walk through a folder, with its results.
pub(super) struct Walk<'a> {
    exclude: &'a [String],
    rules: IgnoreRules,
    /// The files of the last fetch; `None` if nothing is kept between fetches.
    pub(super) before: Option<StampedFiles>,
    pub(super) stamped: StampedFiles,
    pub(super) deadline: Option<Instant>,
    late: bool,
    bytes: usize,
    code_bytes: usize,
    root: PathBuf,
    links: Links,
    pub(super) snapshot: Snapshot,
    pub(super) unreadable: Vec<UnreadableFile>,
}

impl<'a> Walk<'a> {
    /// A walk through a folder without what matches `exclude`.
    pub(super) fn new(path: &Path, exclude: &'a [String]) -> Walk<'a> {
        let (snapshot, unreadable) = (Snapshot::default(), Vec::new());
        let stamped = StampedFiles::new();
        let root = path.to_owned();
        let (before, deadline, late) = (None, None, false);
        let rules = IgnoreRules::default();
        let links = Links::default();
        Walk {
            snapshot,
            unreadable,
            root,
            bytes: 0,
            code_bytes: 0,
            before,
            stamped,
            deadline,
            late,
            exclude,
            rules,
            links,
        }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// The path itself cannot be read, or the deadline has passed.
    pub(super) fn all(&mut self, path: &Path) -> std::io::Result<()> {
        let walk = self;
        let metadata = fs::symlink_metadata(path)?;
        let is_link = metadata.is_symlink() && !fs::metadata(path)?.is_dir();
        if is_link || metadata.is_file() {
            if Format::of(&path.to_string_lossy()).is_none() {
                return Err(std::io::Error::other("it is neither `.yaml`, `.yml` nor `.json`"));
            }
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            walk.root = path.parent().unwrap_or(Path::new("")).to_owned();
            let file = if is_link { links::resolve(&walk.root, &name)? } else { path.to_owned() };
            // Neighbours are listed, so that the files that the definition refers to are found.
            walk.names_of_neighbours();
            walk.snapshot.alone = true;
            walk.snapshot.shown_under = walk.root.to_string_lossy().into_owned();
            walk.file(file, name);
        } else {
            fs::read_dir(path)?;
            walk.links.root = fs::canonicalize(path)?;
            let (rules, problems) = ignore_file::rules(ignore_file_in(path), walk.exclude);
            walk.rules = rules;
            walk.unreadable.extend(problems);
            walk.snapshot.shown_under = path.to_string_lossy().into_owned();
            walk.folder(path, "", 0);
            walk.follow_links();
        }
        walk.snapshot.files.sort_by(|a, b| a.path.cmp(&b.path));
        walk.unreadable.sort_by(|a, b| a.path.cmp(&b.path));
        if walk.late { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
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
                Ok(kind) if kind.is_symlink() => self.links.add(shown, entry.path(), depth),
                Ok(kind) if kind.is_dir() && depth >= MAX_DEPTH => {
                    self.unreadable.push(UnreadableFile::too_deep(shown, MAX_DEPTH));
                }
                Ok(kind) if kind.is_dir() && is_submodule(&entry.path(), &self.root) => {
                    self.unreadable.push(UnreadableFile::submodule(shown));
                }
                Ok(kind) if kind.is_dir() && self.links.follows && !self.links.is_first(&entry.path()) => {}
                Ok(kind) if kind.is_dir() => self.folder(&entry.path(), &shown, depth + 1),
                Ok(kind) if kind.is_file() && self.links.follows => self.linked_file(entry.path(), shown),
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
        let most = ReadLimits::default().file_bytes + 1;
        let bytes = read_file(path, most)?;
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

    /// Follows the links that were found, in the order of their paths.
    pub(super) fn follow_links(&mut self) {
        while let Some((shown, (path, depth))) = self.links.found.pop_first() {
            if self.late {
                return;
            }
            self.follow(&path, shown, depth);
        }
        if self.links.count > MAX_LINKS {
            let message = format!("the folder holds more than {MAX_LINKS} symbolic links; the rest is not followed");
            self.report(String::new(), &codes::LIMIT, message, "read a smaller folder");
        }
    }

    fn follow(&mut self, path: &Path, shown: String, depth: usize) {
        let written = fs::read_link(path).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default();
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(error) => {
                let reason = match error.kind() {
                    ErrorKind::NotFound => "which does not exist".to_owned(),
                    ErrorKind::PermissionDenied => "which cannot be read".to_owned(),
                    // The error of a circle has no stable kind.
                    _ => "which leads back to it or cannot be read".to_owned(),
                };
                return self.unreadable.extend(UnreadableFile::link(shown, &written, &reason));
            }
        };
        let Ok(inside) = target.strip_prefix(&self.links.root).map(Path::to_path_buf) else {
            return self.unreadable.extend(UnreadableFile::link(shown, &written, "which is outside of the folder"));
        };
        let Ok(metadata) = fs::metadata(&target) else { return };
        let is_read_there = self.is_walked(&inside);
        if metadata.is_dir() {
            if is_read_there || !self.links.is_first(&target) {
                return;
            }
            if depth >= MAX_DEPTH {
                return self.unreadable.push(UnreadableFile::too_deep(shown, MAX_DEPTH));
            }
            self.links.follows = true;
            self.folder(&target, &shown, depth + 1);
            self.links.follows = false;
            return;
        }
        if !metadata.is_file() {
            return;
        }
        if is_definition(&shown) && is_read_there && inside.to_str().is_some_and(is_definition) {
            self.names().insert(shown);
            return;
        }
        self.linked_file(target, shown);
    }

    /// Reads a file through a link, unless it holds definitions and was read before.
    pub(super) fn linked_file(&mut self, path: PathBuf, shown: String) {
        if is_definition(&shown) && !self.links.is_first(&path) {
            self.names().insert(shown);
        } else {
            self.file(path, shown);
        }
    }

    /// True if the walk comes to a path inside of the folder without a link.
    fn is_walked(&self, inside: &Path) -> bool {
        let mut path = String::new();
        let mut parts = inside.components().peekable();
        while let Some(part) = parts.next() {
            let Component::Normal(name) = part else { return false };
            let Some(name) = name.to_str() else { return false };
            if name.starts_with('.') || name == "node_modules" {
                return false;
            }
            path = join(&path, name);
            let is_folder = parts.peek().is_some() || self.links.root.join(inside).is_dir();
            if self.rules.ignores(&path, is_folder) {
                return false;
            }
        }
        true
    }

    fn names(&mut self) -> &mut BTreeSet<String> {
        Arc::make_mut(&mut self.snapshot.names)
    }

    fn names_of_neighbours(&mut self) {
        let root = if self.root.as_os_str().is_empty() { PathBuf::from(".") } else { self.root.clone() };
        let names = fs::read_dir(&root).into_iter().flatten().flatten().take(10_000);
        let is_file = |entry: &fs::DirEntry| match entry.file_type() {
            Ok(kind) if kind.is_symlink() => links::resolve(&root, &entry.file_name().to_string_lossy()).is_ok(),
            kind => kind.is_ok_and(|kind| kind.is_file()),
        };
        let names = names.filter(is_file);
        let names: Vec<String> = names.filter_map(|entry| entry.file_name().to_str().map(str::to_owned)).collect();
        for name in names.iter().filter(|name| is_script(name)) {
            if let Ok(path) = links::resolve(&root, name) {
                self.code(&path, name);
            }
        }
        self.names().extend(names);
    }
}

/// True for names of files that may hold definitions.
fn is_definition(path: &str) -> bool {
    Format::of(path).is_some() && !is_foreign(path)
}

/// The content of the file of patterns in a folder, or the reason that it cannot be read; `None` if it does not exist.
fn ignore_file_in(folder: &Path) -> Option<Result<Vec<u8>, String>> {
    let read = links::resolve(folder, IGNORE_FILE).and_then(|path| read_file(&path, MAX_IGNORE_BYTES + 1));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        read => Some(read.map_err(|error| format!("the file cannot be read: {error}"))),
    }
}

pub(super) fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    };
    #[cfg(not(unix))]
    let identity = (0, 0, 0, 0);
    Stamp { size: metadata.len(), written: metadata.modified().ok(), identity }
}

/// Reads at most `max_bytes` bytes of a regular file.
///
/// # Errors
/// It cannot be read, or is no regular file.
pub(super) fn read_file(path: &Path, max_bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(max_bytes as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
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
