//! The input of a catalog.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::definition::Id;
use crate::script::{MAX_SCRIPT_BYTES, is_script};

/// The files of a source, with definitions and settings from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The files of the source.
    pub snapshot: Snapshot,
    /// Definitions that do not come from the snapshot: kept from an earlier generation, overrides, or promoted. Overlays
    /// change only those of [`Overlaid::Promoted`].
    pub pinned: Vec<PinnedDefinition>,
    /// Definitions of the snapshot to exclude. Their files are read; findings about them are dropped.
    pub excluded: BTreeSet<Id>,
    /// The environment to load; `None` for all environments.
    pub environment: Option<EnvironmentSelection>,
    /// The definitions that the overlays of the environment change.
    pub overlaid: Overlaid,
}

impl From<&Snapshot> for Input {
    /// The definitions of a snapshot, for all environments.
    fn from(snapshot: &Snapshot) -> Input {
        Input { snapshot: snapshot.clone(), ..Input::default() }
    }
}

/// The definitions that the overlays of an environment change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Overlaid {
    /// Those of the snapshot.
    #[default]
    Declared,
    /// None: pinned definitions include their patches. The overlay folders need not exist.
    Merged,
    /// These pinned definitions, which are promoted from another environment. The snapshot provides the overlays and the
    /// Environments, and nothing else.
    Promoted(BTreeSet<Id>),
}

/// A definition whose documents are fixed.
#[derive(Clone, Debug)]
pub struct PinnedDefinition {
    /// The identity. A document of another identity is an error.
    pub id: Id,
    /// The definition's document.
    pub base: RawDocument,
    /// Patches over it, in order (RFC 7396).
    pub patches: Vec<RawDocument>,
}

/// A document, as its position in a file and the content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawDocument {
    /// The path of the file, as displayed.
    pub path: Arc<str>,
    /// The content of the file.
    pub bytes: Arc<[u8]>,
    /// The position of the document in the file, from 0.
    pub index: u32,
}

/// The documents that a definition was made from. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The definition's document.
    pub base: RawDocument,
    /// Patches over it, in order.
    pub patches: Vec<RawDocument>,
}

/// An environment, chosen by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentSelection {
    /// The name.
    pub name: String,
    /// The operator's own Environment document. It overrides one of the same name in the source.
    pub document: Option<RawDocument>,
}

/// The files of a source at one revision.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Prefix of displayed paths: the folder as the user named it; empty for a named source.
    pub shown_under: String,
    /// True if `shown_under` is the folder of the source in its repository. Running definitions report places from there.
    pub is_in_repository: bool,
    /// True for one file of a larger source: the targets of its references may be in other files.
    pub alone: bool,
    /// Files that may hold definitions (`.yaml`, `.yml`, `.json`), sorted by path.
    pub files: Vec<File>,
    /// Paths of all files, including those that definitions refer to, such as a workflow's code.
    pub names: Arc<BTreeSet<String>>,
    /// Code files (`.js`, `.mjs`, `.ts`) whose content the source provides. Other code is not checked.
    pub code: BTreeMap<Arc<str>, Arc<[u8]>>,
}

/// Start of the paths of definitions that were made through the API.
pub const API_FOLDER: &str = "by-hand/";

/// Maximum total size of the checked code files of a source, in bytes. Further code files are not checked.
pub const MAX_CODE_BYTES: usize = 64 << 20;

impl Snapshot {
    /// A snapshot of exactly these files.
    pub fn of<P: Into<Arc<str>>, B: Into<Arc<[u8]>>>(files: impl IntoIterator<Item = (P, B)>) -> Snapshot {
        let files = files.into_iter().map(|(path, bytes)| File { path: path.into(), bytes: bytes.into() });
        let mut files: Vec<File> = files.collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let names = Arc::new(files.iter().map(|file| file.path.to_string()).collect());
        Snapshot { files, names, ..Snapshot::default() }
    }

    /// Sets the folder of the source in its repository; empty for the root.
    pub fn set_repository_folder(&mut self, folder: &str) {
        folder.trim_matches('/').clone_into(&mut self.shown_under);
        self.is_in_repository = true;
    }

    /// Adds the code files among these files.
    pub fn with_code<'a>(&mut self, files: impl IntoIterator<Item = (&'a str, &'a Arc<[u8]>)>) {
        let code = files.into_iter().filter(|(path, bytes)| is_script(path) && bytes.len() <= MAX_SCRIPT_BYTES);
        self.code.extend(code.map(|(path, bytes)| (path.into(), Arc::clone(bytes))));
    }
}

/// A file of a snapshot.
#[derive(Clone, Debug)]
pub struct File {
    /// Path from the root of the source, separated by `/`.
    pub path: Arc<str>,
    /// The content. A source that knows that a file did not change provides the same `Arc` again.
    pub bytes: Arc<[u8]>,
}
