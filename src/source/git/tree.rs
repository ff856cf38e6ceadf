//! From a commit to files, without a checkout: trees are walked and blobs read from the object database.
//!
//! Unchanged parts cost nothing: a folder with the same id as before is reused as a whole, and a file with the same id
//! keeps its bytes. Attributes and filters are not interpreted; links are followed inside the folder, and a submodule is
//! passed over with a warning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use git2::{ObjectType, Odb, Oid, Repository, Tree};

use super::error::{broken, fail, invalid, is_hidden};
use super::links::{self, LINK};
use super::options::Budgets;
use crate::catalog::{File, MAX_CODE_BYTES, Snapshot, is_foreign};
use crate::definition::ignore_rules::{IGNORE_FILE, IgnoreRules, MAX_IGNORE_BYTES};
use crate::script::{MAX_SCRIPT_BYTES, is_script};
use crate::source::{FetchError, FetchReason, UnreadableFile};
use crate::text::{Format, ReadLimits, codes};

/// The mode of a submodule (gitformat-index(5)).
const SUBMODULE: i32 = 0o160000;
/// Maximum length of a path in bytes, as on Linux.
const MAX_PATH_BYTES: usize = 4096;

/// A folder of a revision.
#[derive(Debug)]
pub(super) struct Folder {
    id: Oid,
    children: BTreeMap<Box<str>, Child>,
    unreadable: Vec<UnreadableFile>,
    /// Links by their paths, each with its target as written.
    links: Vec<(String, String)>,
    totals: Totals,
}

#[derive(Clone, Debug)]
enum Child {
    Folder(Arc<Folder>),
    /// A file; `bytes` is set if it may hold definitions or code.
    File {
        id: Oid,
        path: Arc<str>,
        bytes: Option<Arc<[u8]>>,
    },
}

/// A path, and bytes if the file may hold definitions or code.
type Listed<'a> = (&'a Arc<str>, Option<&'a Arc<[u8]>>);

/// As [`Listed`], under the path of a link.
type Followed = (Arc<str>, Option<Arc<[u8]>>);

/// Totals of a folder with everything below it.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    files: usize,
    bytes: usize,
    /// Bytes of code. They count against no budget: code above its limit is not kept.
    code: usize,
}

/// A traversal of trees within its budgets.
pub(super) struct Walk<'a> {
    pub(super) repository: &'a Repository,
    pub(super) odb: &'a Odb<'a>,
    pub(super) budgets: &'a Budgets,
    pub(super) deadline: Instant,
    /// Paths that are not read. The folders of an earlier read can be reused only if it had the same rules.
    pub(super) rules: &'a IgnoreRules,
}

/// Finds a folder in a tree.
///
/// # Errors
/// `PathNotFound` if a part of the path is missing or is not a folder.
pub(super) fn subtree<'r>(repository: &'r Repository, root: Tree<'r>, path: &str) -> Result<Tree<'r>, FetchError> {
    let mut tree = root;
    for part in parts(path)? {
        let entry = tree.get_name_bytes(part.as_bytes()).map(|entry| (entry.id(), entry.filemode(), entry.kind()));
        let wrong = |what: &str| Err(fail(FetchReason::PathNotFound, format!("`{path}`: `{part}` {what}")));
        match entry {
            None => {
                let message = format!("the revision has no folder `{path}`");
                return Err(fail(FetchReason::PathNotFound, message));
            }
            Some((_, LINK, _)) => return wrong("is a symbolic link, which is not followed"),
            Some((_, SUBMODULE, _)) => return wrong("is a submodule, which is not read"),
            Some((id, _, Some(ObjectType::Tree))) => tree = repository.find_tree(id).map_err(|error| broken(&error))?,
            Some(_) => return wrong("is a file, not a folder"),
        }
    }
    Ok(tree)
}

/// Reads a regular file of a tree.
///
/// # Errors
/// `PathNotFound` if there is no such regular file, `TooLarge` if it has more than `max_bytes` bytes.
pub(super) fn blob(
    repository: &Repository,
    root: Tree<'_>,
    path: &str,
    max_bytes: usize,
) -> Result<Vec<u8>, FetchError> {
    let missing = || fail(FetchReason::PathNotFound, format!("the revision has no regular file `{path}`"));
    if parts(path)?.next().is_none() {
        return Err(missing());
    }
    let resolved = links::resolve(path, |path| links::target_in(repository, &root, path)).map_err(|_| missing())?;
    let (folder, name) = resolved.rsplit_once('/').unwrap_or(("", &resolved));
    let tree = subtree(repository, root, folder)?;
    let entry = tree.get_name_bytes(name.as_bytes()).ok_or_else(missing)?;
    if entry.kind() != Some(ObjectType::Blob) || entry.filemode() == LINK {
        return Err(missing());
    }
    let odb = repository.odb().map_err(|error| broken(&error))?;
    let (size, _) = odb.read_header(entry.id()).map_err(|error| broken(&error))?;
    if size > max_bytes {
        let message = format!("`{path}` has {size} bytes, at most {max_bytes} are read");
        return Err(fail(FetchReason::TooLarge, message));
    }
    Ok(odb.read(entry.id()).map_err(|error| broken(&error))?.data().to_vec())
}

/// The content of the file of ignored paths in a folder, or the reason that it cannot be read; `None` if it does not exist.
///
/// # Errors
/// `Corrupt` if the object is missing or damaged.
pub(super) fn ignore_file(
    repository: &Repository,
    folder: &Tree<'_>,
) -> Result<Option<Result<Vec<u8>, String>>, FetchError> {
    let Some(entry) = folder.get_name(IGNORE_FILE) else { return Ok(None) };
    if entry.kind() != Some(ObjectType::Blob) || entry.filemode() == LINK {
        return Ok(Some(Err("it is not a regular file".to_owned())));
    }
    let odb = repository.odb().map_err(|error| broken(&error))?;
    let (size, _) = odb.read_header(entry.id()).map_err(|error| broken(&error))?;
    // A file over the limit is refused by its size, without its content.
    if size > MAX_IGNORE_BYTES {
        return Ok(Some(Ok(vec![b'#'; MAX_IGNORE_BYTES + 1])));
    }
    Ok(Some(Ok(odb.read(entry.id()).map_err(|error| broken(&error))?.data().to_vec())))
}

/// The parts of a path inside the repository.
fn parts(path: &str) -> Result<impl Iterator<Item = &str>, FetchError> {
    let parts = move || path.split('/').filter(|part| !part.is_empty() && *part != ".");
    if path.starts_with('/') || path.len() > MAX_PATH_BYTES || parts().any(|part| part == "..") {
        return Err(invalid("a path inside the repository is relative, and has no `..`"));
    }
    Ok(parts())
}

impl Walk<'_> {
    /// Reads a tree. `before` is the result of the previous read of the same path.
    ///
    /// # Errors
    /// `TooLarge`, `TimedOut`, or `Corrupt` if an object is missing or damaged.
    pub(super) fn root(&self, tree: &Tree<'_>, before: Option<&Arc<Folder>>) -> Result<Arc<Folder>, FetchError> {
        self.folder(tree, before, "", 0, &mut Totals::default())
    }

    fn folder(
        &self,
        tree: &Tree<'_>,
        before: Option<&Arc<Folder>>,
        shown: &str,
        depth: usize,
        sums: &mut Totals,
    ) -> Result<Arc<Folder>, FetchError> {
        if let Some(same) = before.filter(|before| before.id == tree.id()) {
            self.count(sums, same.totals)?;
            return Ok(Arc::clone(same));
        }
        let start = *sums;
        let mut folder = Folder {
            id: tree.id(),
            children: BTreeMap::new(),
            unreadable: Vec::new(),
            links: Vec::new(),
            totals: Totals::default(),
        };
        for entry in tree {
            let name = entry.name_bytes();
            // Every name counts, so that a million rejected names do not become a million findings.
            self.count(sums, Totals { files: 1, ..Totals::default() })?;
            if name.starts_with(b".") && name != b".." && name != b"." || name == b"node_modules" {
                continue;
            }
            let (name, path) = match acceptable(shown, name) {
                Ok(accepted) => accepted,
                Err(unreadable) => {
                    folder.unreadable.push(unreadable);
                    continue;
                }
            };
            if self.rules.ignores(&path, entry.kind() == Some(ObjectType::Tree)) {
                continue;
            }
            let known = before.and_then(|before| before.children.get(name));
            let child = match (entry.filemode(), entry.kind()) {
                (SUBMODULE, _) => {
                    folder.unreadable.push(UnreadableFile::submodule(path));
                    None
                }
                (LINK, _) => {
                    folder.links.push((path, links::target(self.repository, entry.id())));
                    None
                }
                (_, Some(ObjectType::Tree)) if depth >= self.budgets.depth => {
                    folder.unreadable.push(UnreadableFile::too_deep(path, self.budgets.depth));
                    None
                }
                (_, Some(ObjectType::Tree)) => {
                    let tree = self.repository.find_tree(entry.id()).map_err(|error| broken(&error))?;
                    let before = match known {
                        Some(Child::Folder(before)) => Some(before),
                        _ => None,
                    };
                    Some(Child::Folder(self.folder(&tree, before, &path, depth + 1, sums)?))
                }
                (_, Some(ObjectType::Blob)) => self.file(entry.id(), path, known, sums, &mut folder.unreadable)?,
                _ => None,
            };
            if let Some(child) = child
                && folder.children.insert(name.into(), child).is_some()
            {
                let message = "two entries of the folder have the same name".to_owned();
                let help = "repair the repository; see `git fsck`";
                folder.unreadable.push(UnreadableFile::new(join(shown, name), &codes::UNREADABLE, message, help));
            }
        }
        folder.totals =
            Totals { files: sums.files - start.files, bytes: sums.bytes - start.bytes, code: sums.code - start.code };
        Ok(Arc::new(folder))
    }

    fn file(
        &self,
        id: Oid,
        path: String,
        known: Option<&Child>,
        sums: &mut Totals,
        unreadable: &mut Vec<UnreadableFile>,
    ) -> Result<Option<Child>, FetchError> {
        let known = match known {
            Some(Child::File { id, path, bytes }) => Some((*id, path, bytes)),
            _ => None,
        };
        if let Some((before, path, bytes)) = known
            && before == id
        {
            let size = bytes.as_ref().map_or(0, |bytes| bytes.len());
            self.count(sums, Totals::of(path, size))?;
            return Ok(Some(Child::File { id, path: Arc::clone(path), bytes: bytes.clone() }));
        }
        let path: Arc<str> = known.map_or_else(|| path.into(), |(_, path, _)| Arc::clone(path));
        if Format::of(&path).is_none() && !is_script(&path) || is_foreign(&path) {
            return Ok(Some(Child::File { id, path, bytes: None }));
        }
        // The header states the size before the content is inflated.
        let (size, _) = self.odb.read_header(id).map_err(|error| broken(&error))?;
        if is_script(&path) && (size > MAX_SCRIPT_BYTES || sums.code.saturating_add(size) > MAX_CODE_BYTES) {
            return Ok(Some(Child::File { id, path, bytes: None }));
        }
        let most = ReadLimits::default().file_bytes;
        if size > most {
            let message = format!("the file has {size} bytes, at most {most} are read");
            let help = "split it into several files; the order of files does not matter";
            unreadable.push(UnreadableFile::new(path.to_string(), &codes::LIMIT, message, help));
            return Ok(Some(Child::File { id, path, bytes: None }));
        }
        self.count(sums, Totals::of(&path, size))?;
        let object = self.odb.read(id).map_err(|error| broken(&error))?;
        Ok(Some(Child::File { id, path, bytes: Some(object.data().into()) }))
    }

    fn count(&self, sums: &mut Totals, more: Totals) -> Result<(), FetchError> {
        sums.files = sums.files.saturating_add(more.files);
        sums.bytes = sums.bytes.saturating_add(more.bytes);
        sums.code = sums.code.saturating_add(more.code);
        if sums.files > self.budgets.files {
            let message = format!("the revision has more than {} files; read a smaller `path`", self.budgets.files);
            return Err(fail(FetchReason::TooLarge, message));
        }
        if sums.bytes > self.budgets.definition_bytes {
            let most = self.budgets.definition_bytes >> 20;
            let message = format!("the definitions are larger than {most} MiB; read a smaller `path`");
            return Err(fail(FetchReason::TooLarge, message));
        }
        if sums.files.is_multiple_of(256) && Instant::now() >= self.deadline {
            return Err(fail(FetchReason::TimedOut, "reading the revision did not end before the deadline"));
        }
        Ok(())
    }
}

impl Totals {
    /// The totals of one file's content.
    fn of(path: &str, size: usize) -> Totals {
        match is_script(path) {
            true => Totals { code: size, ..Totals::default() },
            false => Totals { bytes: size, ..Totals::default() },
        }
    }
}

impl Folder {
    /// All files below the folder, sorted by path, and the unreadable ones. Reuses the set of names of `before` if it is
    /// unchanged.
    pub(super) fn flatten(&self, before: Option<&Snapshot>) -> (Snapshot, Vec<UnreadableFile>) {
        let mut all: Vec<Listed<'_>> = Vec::with_capacity(self.totals.files);
        let mut unreadable = Vec::new();
        let mut links = BTreeMap::new();
        self.collect(&mut all, &mut unreadable, &mut links);
        all.sort_by(|a, b| a.0.cmp(b.0));
        let followed = follow(&links, &all, &mut unreadable);
        if !followed.is_empty() {
            all.extend(followed.iter().map(|(path, bytes)| (path, bytes.as_ref())));
            all.sort_by(|a, b| a.0.cmp(b.0));
        }
        unreadable.sort_by(|a: &UnreadableFile, b| a.path.cmp(&b.path));
        let same = before.map(|before| &before.names).filter(|names| {
            names.len() == all.len() && names.iter().zip(&all).all(|(name, (path, _))| name.as_str() == &***path)
        });
        let names = same.map_or_else(|| Arc::new(all.iter().map(|(path, _)| path.to_string()).collect()), Arc::clone);
        let mut snapshot = Snapshot { names, ..Snapshot::default() };
        for (path, bytes) in all.into_iter().filter_map(|(path, bytes)| Some((path, bytes?))) {
            if is_script(path) {
                snapshot.code.insert(Arc::clone(path), Arc::clone(bytes));
            } else {
                snapshot.files.push(File { path: Arc::clone(path), bytes: Arc::clone(bytes) });
            }
        }
        (snapshot, unreadable)
    }

    fn collect<'a>(
        &'a self,
        all: &mut Vec<Listed<'a>>,
        unreadable: &mut Vec<UnreadableFile>,
        links: &mut BTreeMap<&'a str, &'a str>,
    ) {
        unreadable.extend(self.unreadable.iter().cloned());
        links.extend(self.links.iter().map(|(path, target)| (path.as_str(), target.as_str())));
        for child in self.children.values() {
            match child {
                Child::Folder(folder) => folder.collect(all, unreadable, links),
                Child::File { path, bytes, .. } => all.push((path, bytes.as_ref())),
            }
        }
    }
}

/// The files that links lead to, under the paths of the links. A file that is read at its own path is not read again as a
/// definition, so that no definition is read twice. `all` is sorted.
fn follow(links: &BTreeMap<&str, &str>, all: &[Listed<'_>], unreadable: &mut Vec<UnreadableFile>) -> Vec<Followed> {
    let mut followed = Vec::new();
    for (path, target) in links {
        let resolved = links::resolve(path, |path| links.get(path).map(|target| (*target).to_owned()));
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(reason) => {
                unreadable.extend(UnreadableFile::link((*path).to_owned(), target, reason));
                continue;
            }
        };
        let at = all.partition_point(|(known, _)| ***known < *resolved);
        let folder = format!("{resolved}/");
        let in_folder = all.partition_point(|(known, _)| ***known < *folder);
        match all.get(at) {
            Some((known, bytes)) if ***known == *resolved => {
                let is_definition = Format::of(path).is_some() && !is_foreign(path);
                if is_definition && bytes.is_none() {
                    let reason = "which has no name of a definition";
                    unreadable.extend(UnreadableFile::link((*path).to_owned(), target, reason));
                    continue;
                }
                let bytes = bytes.filter(|_| is_script(path)).cloned();
                followed.push((Arc::from(*path), bytes));
            }
            // A folder is read at its own path.
            _ if resolved.is_empty() || all.get(in_folder).is_some_and(|(known, _)| known.starts_with(&folder)) => {}
            _ => {
                let reason = "which does not exist or is not read";
                unreadable.extend(UnreadableFile::link((*path).to_owned(), target, reason));
            }
        }
    }
    followed
}

/// Checks that a name is printable and does not leave the folder; returns the name and its path.
fn acceptable<'n>(shown: &str, name: &'n [u8]) -> Result<(&'n str, String), UnreadableFile> {
    let refuse = |what: &str| {
        let name: String = String::from_utf8_lossy(name).chars().take(MAX_PATH_BYTES).flat_map(escaped).collect();
        Err(UnreadableFile::new(join(shown, &name), &codes::UNREADABLE, what.to_owned(), "rename it"))
    };
    let Ok(text) = std::str::from_utf8(name) else { return refuse("the name is not UTF-8") };
    if text.is_empty() || text == ".." || text == "." || text.contains(['/', '\\']) {
        return refuse("the name is not valid for a file");
    }
    if text.chars().any(is_hidden) {
        return refuse("the name holds control or invisible characters");
    }
    let path = join(shown, text);
    if path.len() > MAX_PATH_BYTES {
        return refuse("the path is too long");
    }
    Ok((text, path))
}

fn escaped(c: char) -> Vec<char> {
    if is_hidden(c) { c.escape_unicode().collect() } else { vec![c] }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
