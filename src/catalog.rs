//! All definitions of one source at one revision, read, typed and findable.
//!
//! ```text
//! Input ──read──► documents ──overlays, selector──► Catalog { entries, sources } + findings
//!        (kept while a file stays)                     │ references::resolve
//!                                                      ▼
//!                                           graph of who needs whom
//! ```
//!
//! A definition with mistakes is in the catalog too, untyped, so that what refers to it is not reported as well.

mod assets;
mod code;
pub mod dependencies;
mod error_recovery;
pub mod graph;
mod index;
mod input;
mod load;
mod merge;
mod overlays;
mod read;
pub mod references;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::dependencies::{DependencyKey, ask};
use self::index::Index;

use crate::definition::connector::ConnectorSpec;
use crate::definition::environment::EnvironmentSpec;
use crate::definition::schema_validator::Facts;
use crate::definition::{Definition, Id, Kind, Spec};
use crate::text::{Document, Node, Range, Source, SourceMap, Span, unescaped};

pub use assets::{assets, assets_of};
pub use code::CodeFile;
pub use input::{EnvironmentSelection, File, Input, MAX_CODE_BYTES, Origin, PinnedDefinition, RawDocument, Snapshot};
pub use load::{AttributedFinding, CacheTally, Loaded, LoadedCatalog, Loader, load};
pub use read::is_foreign;

/// All definitions of one source at one revision.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The files, for places.
    pub sources: SourceMap,
    /// The definitions in the order of their files.
    pub entries: Vec<Arc<Entry>>,
    /// Every file of the source.
    pub files: Arc<BTreeSet<String>>,
    /// Files of code whose content is known, by path.
    pub code: Arc<BTreeMap<Arc<str>, CodeFile>>,
    /// Could something not be read, so that nobody can say what is not there?
    pub incomplete: bool,
    /// Names of documents whose kind is not known.
    pub nameless: BTreeSet<String>,
    /// Is this one file of a source, so that what it refers to may be in another?
    pub alone: bool,
    /// The environment that it is for; `None` for all that there are.
    pub environment: Option<String>,
    index: Index,
}

/// A definition with where it was written and what it says.
#[derive(Debug)]
pub struct Entry {
    /// Its identity.
    pub id: Id,
    /// The file it stands in, or the parts of files that it is composed of.
    pub source: Arc<Source>,
    /// What it was made from.
    pub origin: Origin,
    /// Its document; places in it are places in `source`, see [`Entry::span`].
    pub document: Document,
    /// Where its name stands.
    pub name_span: Range,
    /// References, templates and marked values.
    pub facts: Facts,
    /// The typed definition, without the parts that have mistakes in their shape; `None` where nothing can be left out.
    pub definition: Option<Definition>,
    /// Were parts left out? Then it tells less than its document, and is never run.
    pub partial: bool,
    /// A number that no other has: equal exactly for the same entry.
    stamp: u64,
}

impl Entry {
    /// Where a range of its document was really written.
    pub fn span(&self, range: Range) -> Span {
        self.source.written(self.document.source, range)
    }

    /// The text that its document was read from.
    pub fn text(&self) -> &str {
        self.source.text()
    }

    /// The file and the line of its name.
    pub fn place(&self) -> (&str, u32) {
        self.source.line_of(self.name_span.start)
    }

    /// The file and the line of the key at a pointer.
    pub fn place_of(&self, pointer: &str) -> (&str, u32) {
        self.source.line_of(self.key_range(pointer).start)
    }

    /// A number that no other entry of this process has: equal exactly for the same entry.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The value at a JSON pointer of the document.
    pub fn node(&self, pointer: &str) -> Option<&Node> {
        self.document.root.pointer(pointer)
    }

    /// Where the key at a pointer stands; its value's place for an item of a list, the document's where there is nothing.
    pub fn key_span(&self, pointer: &str) -> Span {
        self.span(self.key_range(pointer))
    }

    fn key_range(&self, pointer: &str) -> Range {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        let key = unescaped(key);
        let entry = self.node(parent).and_then(|parent| parent.entry(&key));
        let range = entry.map(|entry| entry.key.span).or_else(|| self.node(pointer).map(|node| node.span));
        range.unwrap_or(self.name_span)
    }

    /// Where the value at a pointer stands; the name's place where there is none.
    pub fn value_span(&self, pointer: &str) -> Span {
        self.span(self.node(pointer).map_or(self.name_span, |node| node.span))
    }

    /// What it declares, where it has no mistakes.
    pub fn spec(&self) -> Option<&Spec> {
        self.definition.as_ref().map(|definition| &definition.spec)
    }
}

impl Catalog {
    /// The definition of an identity.
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Entry> {
        self.shared(kind, name).map(|entry| &**entry)
    }

    /// The same, to keep it.
    pub fn shared(&self, kind: Kind, name: &str) -> Option<&Arc<Entry>> {
        ask(DependencyKey::Definition(kind, name));
        self.index.find(&self.entries, kind, name)
    }

    /// All definitions of a kind, in the order of their files.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        ask(DependencyKey::Kind(kind));
        self.index.of_kind(&self.entries, kind).map(|entry| &**entry)
    }

    /// Is there a document of this name whose kind is not known?
    pub fn is_nameless(&self, name: &str) -> bool {
        ask(DependencyKey::Nameless(name));
        self.nameless.contains(name)
    }

    /// Is there this file, by its path from the root?
    pub fn has_file(&self, path: &str) -> bool {
        ask(DependencyKey::File(path));
        self.files.contains(path)
    }

    /// The content of a file of code, by its path from the root; `None` where it is not known, which does not mean that
    /// there is no such file.
    pub fn code_of(&self, path: &str) -> Option<&CodeFile> {
        ask(DependencyKey::Code(path));
        self.code.get(path)
    }

    /// Is there a file in this folder?
    pub fn has_folder(&self, path: &str) -> bool {
        ask(DependencyKey::Folder(path));
        let prefix = format!("{path}/");
        self.files.range(prefix.clone()..).next().is_some_and(|file| file.starts_with(&prefix))
    }

    /// Every file, where it matters which ones there are.
    pub fn all_files(&self) -> impl Iterator<Item = &String> {
        ask(DependencyKey::Files);
        self.files.iter()
    }

    /// The typed connector of a name.
    pub fn connector(&self, name: &str) -> Option<(&Entry, &ConnectorSpec)> {
        let entry = self.find(Kind::Connector, name)?;
        match entry.spec() {
            Some(Spec::Connector(spec)) => Some((entry, spec)),
            _ => None,
        }
    }

    /// The typed environments, in the order of their files.
    pub fn environments(&self) -> impl Iterator<Item = (&Entry, &EnvironmentSpec)> {
        self.of_kind(Kind::Environment).filter_map(|entry| match entry.spec() {
            Some(Spec::Environment(spec)) => Some((entry, &**spec)),
            _ => None,
        })
    }
}
