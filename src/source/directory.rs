//! A folder of this machine.
//!
//! Links are never followed: what they point to may lie outside the folder, and is not part of what was committed.
//! Files and folders whose name starts with a dot, and `node_modules`, are passed over.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{File, Snapshot};
use crate::text::{Code, Finding, Format, ReadLimits, SourceId, Span, codes};

/// Most files of a folder, and deepest folder in it.
const MOST_FILES: usize = 200_000;
const DEEPEST: usize = 64;
/// Most bytes of all definitions together.
const MOST_BYTES: usize = 1 << 30;

/// Something that could not be read, with the path as shown to people.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Path from the folder.
    pub path: String,
    /// What is wrong with it.
    pub finding: Finding,
}

/// Reads a folder, or a single file as if it were alone in its folder.
///
/// # Errors
/// Where the path itself cannot be read.
pub fn read(path: &Path) -> std::io::Result<(Snapshot, Vec<Unreadable>)> {
    let mut walk = Walk { snapshot: Snapshot::default(), unreadable: Vec::new(), root: path.to_owned(), bytes: 0 };
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
        // Neighbours count as there, so that the files that the definition names are found.
        walk.names_of_neighbours();
        walk.snapshot.alone = true;
        walk.snapshot.shown_under = walk.root.to_string_lossy().into_owned();
        walk.file(path.to_owned(), name);
    } else {
        fs::read_dir(path)?;
        walk.snapshot.shown_under = path.to_string_lossy().into_owned();
        walk.folder(path, "", 0);
    }
    walk.snapshot.files.sort_by(|a, b| a.path.cmp(&b.path));
    walk.unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((walk.snapshot, walk.unreadable))
}

/// A plain file of a folder, by its path from it; cut at `most` bytes.
///
/// # Errors
/// Where there is none, or the way to it leads through a link or out of the folder.
pub fn read_inside(folder: &Path, file: &str, most: usize) -> std::io::Result<Vec<u8>> {
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
    open(&path)?.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

struct Walk {
    bytes: usize,
    root: PathBuf,
    snapshot: Snapshot,
    unreadable: Vec<Unreadable>,
}

impl Walk {
    fn report(&mut self, path: String, code: &'static Code, message: String, help: &str) {
        let nowhere = Span { source: SourceId::UNKNOWN, start: 0, end: 0 };
        self.unreadable.push(Unreadable { path, finding: Finding::new(code, nowhere, message).help(help) });
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
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                let name = entry.file_name().to_string_lossy().into_owned();
                self.report(join(shown, &name), &codes::UNREADABLE, "the name is not UTF-8".into(), "rename it");
                continue;
            };
            if name.starts_with('.') || name == "node_modules" {
                continue;
            }
            let shown = join(shown, &name);
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() => self.link(shown),
                Ok(kind) if kind.is_dir() && depth >= DEEPEST => {
                    let message = format!("folders are nested more than {DEEPEST} deep");
                    self.report(shown, &codes::LIMIT, message, "move its definitions up");
                }
                Ok(kind) if kind.is_dir() => self.folder(&entry.path(), &shown, depth + 1),
                Ok(kind) if kind.is_file() => self.file(entry.path(), shown),
                // Sockets, pipes and devices hold no definitions, and reading one may never end.
                Ok(_) => {}
                Err(error) => self.report(shown, &codes::UNREADABLE, error.to_string(), "check its permissions"),
            }
        }
    }

    fn link(&mut self, shown: String) {
        // A link to a folder may hold definitions as well as one that looks like a definition.
        if Format::of(&shown).is_some() || !shown.rsplit('/').next().unwrap_or("").contains('.') {
            self.report(
                shown,
                &codes::SYMLINK,
                "a symbolic link is not followed".into(),
                "copy what it points to, or remove it",
            );
        }
    }

    fn file(&mut self, path: PathBuf, shown: String) {
        if self.snapshot.names.len() >= MOST_FILES {
            if self.snapshot.names.len() == MOST_FILES
                && !self.unreadable.iter().any(|known| known.finding.code == &codes::LIMIT)
            {
                let message = format!("the folder holds more than {MOST_FILES} files; the rest is not read");
                self.report(shown, &codes::LIMIT, message, "read a smaller folder");
            }
            return;
        }
        self.names().insert(shown.clone());
        if Format::of(&shown).is_none() {
            return;
        }
        // One byte more than the limit, so that a file that is too long is told from one that just fits.
        let most = ReadLimits::default().file_bytes as u64 + 1;
        let mut bytes = Vec::new();
        match open(&path).and_then(|file| file.take(most).read_to_end(&mut bytes)) {
            Ok(_) => {
                self.bytes += bytes.len();
                if self.bytes > MOST_BYTES {
                    let message = format!(
                        "the folder's definitions are larger than {} MiB; the rest is not read",
                        MOST_BYTES >> 20
                    );
                    return self.report(shown, &codes::LIMIT, message, "read a smaller folder");
                }
                self.snapshot.files.push(File { path: shown.into(), bytes: bytes.into() });
            }
            Err(error) => {
                self.report(
                    shown,
                    &codes::UNREADABLE,
                    format!("the file cannot be read: {error}"),
                    "check its permissions",
                );
            }
        }
    }

    fn names(&mut self) -> &mut BTreeSet<String> {
        Arc::make_mut(&mut self.snapshot.names)
    }

    fn names_of_neighbours(&mut self) {
        let root = if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root };
        let names = fs::read_dir(root).into_iter().flatten().flatten().take(10_000);
        let names = names.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        self.names().extend(names.filter_map(|entry| entry.file_name().to_str().map(str::to_owned)));
    }
}

/// Opens a file that was a plain one a moment ago: a link that took its place is refused, a pipe does not stop us.
#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("it is no plain file")) }
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<fs::File> {
    fs::File::open(path)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
