//! All definitions of one source at one revision, read, typed and findable.
//!
//! ```text
//! Snapshot (paths and bytes) ──► load ──► Catalog { entries, sources } + findings
//!                                            │ references::resolve
//!                                            ▼
//!                                 graph of who needs whom
//! ```
//!
//! A definition with mistakes is in the catalog too, untyped, so that what refers to it is not reported as well.

pub mod graph;
mod load;
pub mod references;
mod salvage;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::definition::connector::ConnectorSpec;
use crate::definition::environment::EnvironmentSpec;
use crate::definition::shape::Facts;
use crate::definition::{Definition, Id, Kind, Spec};
use crate::text::{Document, Node, Range, Source, SourceMap, Span, unescaped};

pub use load::{is_foreign, load};

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
}

impl Snapshot {
    /// A snapshot of these files and no others.
    pub fn of<P: Into<Arc<str>>, B: Into<Arc<[u8]>>>(files: impl IntoIterator<Item = (P, B)>) -> Snapshot {
        let files = files.into_iter().map(|(path, bytes)| File { path: path.into(), bytes: bytes.into() });
        let mut files: Vec<File> = files.collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let names = Arc::new(files.iter().map(|file| file.path.to_string()).collect());
        Snapshot { files, names, ..Snapshot::default() }
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

/// All definitions of one source at one revision.
#[derive(Debug, Default)]
pub struct Catalog {
    /// The files, for places.
    pub sources: SourceMap,
    /// The definitions in the order of their files.
    pub entries: Vec<Entry>,
    /// Every file of the source.
    pub files: Arc<BTreeSet<String>>,
    /// Could something not be read, so that nobody can say what is not there?
    pub incomplete: bool,
    /// Names of documents whose kind is not known.
    pub nameless: BTreeSet<String>,
    /// Is this one file of a source, so that what it refers to may be in another?
    pub alone: bool,
    index: HashMap<Id, usize>,
}

/// A definition with where it was written and what it says.
#[derive(Debug)]
pub struct Entry {
    /// Its identity.
    pub id: Id,
    /// The file it stands in.
    pub source: Arc<Source>,
    /// Its document.
    pub document: Document,
    /// Where its name stands.
    pub name_span: Range,
    /// References, templates and marked values.
    pub facts: Facts,
    /// The typed definition, without the parts that have mistakes in their shape; `None` where nothing can be left out.
    pub definition: Option<Definition>,
    /// Were parts left out? Then it tells less than its document, and is never run.
    pub partial: bool,
}

impl Entry {
    /// A range of this definition's file.
    pub fn span(&self, range: Range) -> Span {
        range.within(self.document.source)
    }

    /// The text of its file.
    pub fn text(&self) -> &str {
        self.source.text()
    }

    /// The value at a JSON pointer of the document.
    pub fn node(&self, pointer: &str) -> Option<&Node> {
        self.document.root.pointer(pointer)
    }

    /// Where the key at a pointer stands; its value's place for an item of a list, the document's where there is nothing.
    pub fn key_span(&self, pointer: &str) -> Span {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        let key = unescaped(key);
        let entry = self.node(parent).and_then(|parent| parent.entry(&key));
        let range = entry.map(|entry| entry.key.span).or_else(|| self.node(pointer).map(|node| node.span));
        self.span(range.unwrap_or(self.name_span))
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
        self.index.get(&Id { kind, name: name.to_owned() }).map(|&index| &self.entries[index])
    }

    /// All definitions of a kind, in the order of their files.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.id.kind == kind)
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
