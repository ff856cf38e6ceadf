//! Lookups in a catalog that record what they depend on.

use super::code::CodeFile;
use super::definitions::{Catalog, typed_connector};
use super::dependencies::{DependencyKey, Tracker};
use super::entry::Entry;
use crate::definition::Kind;
use crate::definition::connector::ConnectorSpec;

/// A catalog for one computation. Each lookup is recorded with the tracker of the view, if it has one.
///
/// A computation whose result is cached receives a tracked view and no [`Catalog`], so it cannot look anything up
/// unrecorded, on whichever thread it runs.
#[derive(Clone, Copy, Debug)]
pub struct CatalogView<'a> {
    catalog: &'a Catalog,
    tracker: Option<&'a Tracker>,
}

impl Catalog {
    /// A view whose lookups are recorded.
    pub fn tracked<'a>(&'a self, tracker: &'a Tracker) -> CatalogView<'a> {
        CatalogView { catalog: self, tracker: Some(tracker) }
    }

    /// A view that records nothing, for results that are not cached.
    pub fn untracked(&self) -> CatalogView<'_> {
        CatalogView { catalog: self, tracker: None }
    }
}

impl<'a> CatalogView<'a> {
    fn record(self, key: DependencyKey<'_>) {
        if let Some(tracker) = self.tracker {
            tracker.record(key);
        }
    }

    /// See [`Catalog::find`].
    pub fn find(self, kind: Kind, name: &str) -> Option<&'a Entry> {
        self.record(DependencyKey::Definition(kind, name));
        self.catalog.find(kind, name)
    }

    /// See [`Catalog::of_kind`].
    pub fn of_kind(self, kind: Kind) -> impl Iterator<Item = &'a Entry> {
        self.record(DependencyKey::Kind(kind));
        self.catalog.of_kind(kind)
    }

    /// See [`Catalog::is_nameless`].
    pub fn is_nameless(self, name: &str) -> bool {
        self.record(DependencyKey::Nameless(name));
        self.catalog.is_nameless(name)
    }

    /// See [`Catalog::has_file`].
    pub fn has_file(self, path: &str) -> bool {
        self.record(DependencyKey::File(path));
        self.catalog.has_file(path)
    }

    /// See [`Catalog::code_of`].
    pub fn code_of(self, path: &str) -> Option<&'a CodeFile> {
        self.record(DependencyKey::Code(path));
        self.catalog.code_of(path)
    }

    /// See [`Catalog::has_folder`].
    pub fn has_folder(self, path: &str) -> bool {
        self.record(DependencyKey::Folder(path));
        self.catalog.has_folder(path)
    }

    /// Paths of all files of the source.
    pub fn all_files(self) -> impl Iterator<Item = &'a String> {
        self.record(DependencyKey::Files);
        self.catalog.files.iter()
    }

    /// See [`Catalog::connector`].
    pub fn connector(self, name: &str) -> Option<(&'a Entry, &'a ConnectorSpec)> {
        typed_connector(self.find(Kind::Connector, name)?)
    }

    /// The environment that the catalog is for; `None` for all environments.
    pub fn environment(self) -> Option<&'a str> {
        self.record(DependencyKey::Environments);
        self.catalog.environment.as_deref()
    }

    /// True for one file of a larger source. Not recorded: results of a source and of one of its files are never
    /// exchanged.
    pub fn is_alone(self) -> bool {
        self.catalog.alone
    }
}
