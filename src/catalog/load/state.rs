//! The state of a loader, and of one call of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::source_ids::SourceIds;
use crate::catalog::attributed::AttributedFinding;
use crate::catalog::code::CodeFiles;
use crate::catalog::definitions::Catalog;
use crate::catalog::input::{File, Input, RawDocument};
use crate::catalog::overlays::{Patch, PatchFile};
use crate::catalog::ownership::foreign_documents;
use crate::catalog::read::{ParsedDocument, ParsedFile};
use crate::definition::Id;
use crate::text::{Finding, SourceId, SourceMap};

/// Loads one input after the other, and keeps what it read until it changes.
#[derive(Debug, Default)]
pub struct Loader {
    /// Files of the snapshot, by path.
    pub(super) files: Vec<Arc<ParsedFile>>,
    /// Files of pinned definitions and of the operator, by path.
    pub(super) pinned_files: HashMap<Arc<str>, Vec<Arc<ParsedFile>>>,
    /// Files that were read as patches, by their number.
    pub(super) patches: HashMap<SourceId, Arc<PatchFile>>,
    /// Composed definitions.
    pub(super) composed: Composed,
    pub(super) ids: SourceIds,
    /// Paths of all files of the last snapshot; the same allocation while they are equal, as a comparison is expensive.
    pub(super) names: Arc<BTreeSet<String>>,
    /// Code files.
    pub(super) code: Arc<CodeFiles>,
    /// Cache hits and misses of the last call.
    pub(super) read: CacheTally,
}

/// Composed definitions by environment and identity, with the stamps of the layers that they were composed of.
pub(super) type Composed = HashMap<(String, Id), (Vec<u64>, Arc<ParsedDocument>)>;

/// Cache hits and misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheTally {
    /// Results that were reused.
    pub hits: u64,
    /// Results that were computed.
    pub misses: u64,
}

/// A file of the snapshot with documents of other tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFile {
    /// Path from the root of the source.
    pub path: Arc<str>,
    /// The content.
    pub bytes: Arc<[u8]>,
    /// Number of these documents; 1 for a blank file.
    pub documents: usize,
    /// True if the file holds nothing else, and is not blank: it is passed over.
    pub is_passed_over: bool,
}

impl ForeignFile {
    /// True if it holds more documents of other tools than the file that a document was read from before.
    pub fn replaces(&self, before: &RawDocument) -> bool {
        before.bytes != self.bytes && {
            let before = File { path: Arc::clone(&before.path), bytes: Arc::clone(&before.bytes) };
            self.documents > foreign_documents(&before)
        }
    }
}

/// The content of an input.
#[derive(Debug)]
pub struct Loaded {
    /// The catalog for the chosen environment, or without overlays if none is chosen.
    pub main: LoadedCatalog,
    /// The catalogs of the environments that have overlays or a selector, by name; empty if one environment is chosen.
    pub environments: Vec<(String, LoadedCatalog)>,
    /// Files that were reused, and files that were read.
    pub read: CacheTally,
    /// Files with documents of other tools, by path.
    pub foreign: Vec<ForeignFile>,
}

/// A catalog and the findings about its documents.
#[derive(Debug, Default)]
pub struct LoadedCatalog {
    /// The catalog.
    pub catalog: Catalog,
    /// The findings, in the order of the files.
    pub findings: Vec<AttributedFinding>,
}

/// The state of one call.
pub(super) struct LoadCall<'a> {
    pub(super) input: &'a Input,
    pub(super) sources: SourceMap,
    pub(super) pinned: Vec<Pinned>,
    pub(super) operator_override: Option<OperatorOverride>,
    pub(super) composed: Composed,
    pub(super) patches: HashMap<SourceId, Arc<PatchFile>>,
}

/// A pinned definition.
pub(super) struct Pinned {
    pub(super) id: Id,
    pub(super) document: Arc<ParsedDocument>,
    /// Findings about the text of its file.
    pub(super) text: Vec<Finding>,
}

/// The operator's own Environment document.
pub(super) struct OperatorOverride {
    /// The document as a patch.
    pub(super) patch: Option<Patch>,
    pub(super) findings: Vec<Finding>,
    /// True if it is a document of the source.
    pub(super) in_source: bool,
}

impl LoadCall<'_> {
    /// The patch of the operator's document, unless it is a document of the source itself.
    pub(super) fn operator_patch(&self) -> Option<&Patch> {
        self.operator_override.as_ref().filter(|document| !document.in_source)?.patch.as_ref()
    }
}
