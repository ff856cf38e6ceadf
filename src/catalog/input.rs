//! What a catalog is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::definition::Id;
use crate::script::{MAX_SCRIPT_BYTES, is_script};

/// What is examined: the files of a source, and what stands beside them.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The source's files.
    pub snapshot: Snapshot,
    /// Definitions from elsewhere, kept from an earlier generation or made by hand, beside those of the snapshot. They
    /// are as they are: overlays do not change them.
    pub pinned: Vec<PinnedDefinition>,
    /// Definitions of the snapshot that are left out. Their files are read; what is wrong with them does not count.
    pub excluded: BTreeSet<Id>,
    /// The environment that it is for; `None` for all that there are.
    pub environment: Option<EnvironmentSelection>,
}

/// One definition, made of one document and patches over it, in order.
#[derive(Clone, Debug)]
pub struct PinnedDefinition {
    /// Its identity, as it was.
    pub id: Id,
    /// The definition.
    pub base: RawDocument,
    /// Patches over it (RFC 7396).
    pub patches: Vec<RawDocument>,
}

/// A document of a file, with the whole content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawDocument {
    /// The file's path, as it is shown.
    pub path: Arc<str>,
    /// The file's content.
    pub bytes: Arc<[u8]>,
    /// Which of the file's documents, from 0.
    pub index: u32,
}

/// What a definition was made from. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The definition.
    pub base: RawDocument,
    /// What was merged over it, in order.
    pub patches: Vec<RawDocument>,
}

/// An environment that is chosen by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentSelection {
    /// Its name.
    pub name: String,
    /// The operator's own Environment document, which rules over one of the same name in the source.
    pub document: Option<RawDocument>,
}

/// What a source holds at one revision.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What paths are shown under: the folder as it was named; empty for a source of its own.
    pub shown_under: String,
    /// Is this one file of a folder, so that what it refers to may be in another?
    pub alone: bool,
    /// Files that may hold definitions (`.yaml`, `.yml`, `.json`), sorted by path.
    pub files: Vec<File>,
    /// Every file, for definitions that name one, such as a workflow's code.
    pub names: Arc<BTreeSet<String>>,
    /// Files that hold code (`.js`, `.mjs`, `.ts`), as far as a source gives their content: so that the code of workflows
    /// can be checked. What is not here is not checked.
    pub code: BTreeMap<Arc<str>, Arc<[u8]>>,
}

/// Most bytes of all code of a source together; what is beyond is not checked.
pub const MAX_CODE_BYTES: usize = 64 << 20;

impl Snapshot {
    /// A snapshot of these files and no others.
    pub fn of<P: Into<Arc<str>>, B: Into<Arc<[u8]>>>(files: impl IntoIterator<Item = (P, B)>) -> Snapshot {
        let files = files.into_iter().map(|(path, bytes)| File { path: path.into(), bytes: bytes.into() });
        let mut files: Vec<File> = files.collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let names = Arc::new(files.iter().map(|file| file.path.to_string()).collect());
        Snapshot { files, names, ..Snapshot::default() }
    }

    /// Takes the code among files that are at hand.
    pub fn with_code<'a>(&mut self, files: impl IntoIterator<Item = (&'a str, &'a Arc<[u8]>)>) {
        let code = files.into_iter().filter(|(path, bytes)| is_script(path) && bytes.len() <= MAX_SCRIPT_BYTES);
        self.code.extend(code.map(|(path, bytes)| (path.into(), Arc::clone(bytes))));
    }
}

/// A file of a snapshot.
#[derive(Clone, Debug)]
pub struct File {
    /// Path from the source's root, with `/` between its parts.
    pub path: Arc<str>,
    /// Its content; the same `Arc` as before where a source knows that it did not change.
    pub bytes: Arc<[u8]>,
}
