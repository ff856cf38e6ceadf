//! The catalog and its lookups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::code::CodeFile;
use super::entry::Entry;
use super::index::Index;
use super::input::API_FOLDER;
use crate::definition::connector::ConnectorSpec;
use crate::definition::environment::EnvironmentSpec;
use crate::definition::{Kind, Spec};
use crate::text::SourceMap;

/// All definitions of one source at one revision.
///
/// Code whose result is cached, such as a check, looks definitions up through a [`CatalogView`](super::CatalogView),
/// which records what the result depends on.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The files, for places.
    pub sources: SourceMap,
    /// The definitions in the order of their files.
    pub entries: Vec<Arc<Entry>>,
    /// Paths of all files of the source.
    pub files: Arc<BTreeSet<String>>,
    /// Code files whose content is known, by path.
    pub code: Arc<BTreeMap<Arc<str>, CodeFile>>,
    /// True if a part of the source could not be read, so that a missing definition may be in that part.
    pub incomplete: bool,
    /// Names of documents whose kind is unknown.
    pub nameless: BTreeSet<String>,
    /// True for one file of a larger source: the targets of its references may be in other files.
    pub alone: bool,
    /// The environment that the catalog is for; `None` for all environments.
    pub environment: Option<String>,
    pub(super) index: Index,
}

impl Catalog {
    /// The path of a file from the root of its repository; of a definition that was made through the API as it is.
    pub fn repository_path(&self, path: &str) -> String {
        if path.starts_with(API_FOLDER) { path.to_owned() } else { self.sources.repository_path(path) }
    }

    /// `path:line` of a place of a definition, see [`Catalog::repository_path`].
    pub fn shown_place(&self, (path, line): (&str, u32)) -> String {
        format!("{}:{line}", self.repository_path(path))
    }

    /// The definition of a kind and name.
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Entry> {
        self.index.find(&self.entries, kind, name).map(|entry| &**entry)
    }

    /// All definitions of a kind, in the order of their files.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.index.of_kind(&self.entries, kind).map(|entry| &**entry)
    }

    /// True if a document of this name has an unknown kind.
    pub fn is_nameless(&self, name: &str) -> bool {
        self.nameless.contains(name)
    }

    /// True if the source has this file, by its path from the root.
    pub fn has_file(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    /// The content of a code file, by its path from the root; `None` if it is unknown, although the file may exist.
    pub fn code_of(&self, path: &str) -> Option<&CodeFile> {
        self.code.get(path)
    }

    /// True if the source has a file in this folder.
    pub fn has_folder(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.files.range(prefix.clone()..).next().is_some_and(|file| file.starts_with(&prefix))
    }

    /// The typed connector of a name.
    pub fn connector(&self, name: &str) -> Option<(&Entry, &ConnectorSpec)> {
        typed_connector(self.find(Kind::Connector, name)?)
    }

    /// The typed environments, in the order of their files.
    pub fn environments(&self) -> impl Iterator<Item = (&Entry, &EnvironmentSpec)> {
        self.of_kind(Kind::Environment).filter_map(|entry| match entry.spec() {
            Some(Spec::Environment(spec)) => Some((entry, &**spec)),
            _ => None,
        })
    }
}

/// A connector with its spec, if it could be typed.
pub(super) fn typed_connector(entry: &Entry) -> Option<(&Entry, &ConnectorSpec)> {
    match entry.spec() {
        Some(Spec::Connector(spec)) => Some((entry, spec)),
        _ => None,
    }
}
