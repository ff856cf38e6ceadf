//! Reads one file into documents and definitions. Pure and independent of other files, so that files are read in parallel
//! and cached until they change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;

use super::entry::Entry;
use super::error_recovery::{self, Recovery};
use super::input::{Origin, RawDocument};
use super::ownership::{self, Ownership};
use crate::definition::ignore_rules::IGNORE_FILE;
use crate::definition::schema_validator;
use crate::definition::{API_VERSION, Definition, Envelope, Id, Kind, Spec};
use crate::text::{self, Document, Finding, Node, Range, ReadLimits, Source, SourceId, codes};

/// A file with its definitions.
#[derive(Debug)]
pub(super) struct ParsedFile {
    pub(super) path: Arc<str>,
    pub(super) bytes: Arc<[u8]>,
    pub(super) id: SourceId,
    pub(super) source: Arc<Source>,
    /// The documents, in order.
    pub(super) documents: Vec<ParsedDocument>,
    /// Findings about its text.
    pub(super) findings: Vec<Finding>,
    /// Number of documents that belong to other tools, see [`ownership::foreign_documents`].
    pub(super) foreign: usize,
    /// True if its documents are patches, see [`ownership::is_patch`].
    pub(super) is_patch: bool,
}

/// A document of a file.
#[derive(Debug)]
pub(super) struct ParsedDocument {
    /// The definition; `None` if the document is not a definition or cannot be read as one.
    pub(super) entry: Option<Arc<Entry>>,
    /// The name of a document that should be a definition but cannot be read as one.
    pub(super) nameless: Option<String>,
    /// Schema findings.
    pub(super) findings: Vec<Finding>,
}

/// The content of a file.
pub(super) struct FileContent {
    pub(super) source: Arc<Source>,
    /// The documents, in order, each with its owner.
    pub(super) documents: Vec<(Document, Ownership)>,
    /// The findings about the text; none if the file belongs to another tool.
    pub(super) findings: Vec<Finding>,
    /// Number of documents that belong to other tools, see [`ownership::foreign_documents`].
    pub(super) foreign: usize,
}

/// Reads the text of a file into documents.
pub(super) fn content(path: &Arc<str>, bytes: &[u8], id: SourceId) -> FileContent {
    let limits = ReadLimits::default();
    let (source, mut findings) = text::decode(path, bytes, &limits);
    let source = Arc::new(source);
    let (mut documents, found) = text::parse(&source, &limits);
    findings.extend(found);
    for document in &mut documents {
        document.source = id;
    }
    let owners = ownership::of_documents(&documents);
    let text = ownership::searchable(&source, bytes);
    let foreign = ownership::count_foreign(&owners, &findings, &text);
    if ownership::is_foreign_text(&owners, &findings, &text) {
        findings.clear();
    }
    drop(text);
    let findings = findings.into_iter().map(|finding| finding.within(id)).collect();
    FileContent { source, documents: documents.into_iter().zip(owners).collect(), findings, foreign }
}

/// Reads a file's definitions.
pub(super) fn read(path: &Arc<str>, bytes: &Arc<[u8]>, id: SourceId) -> ParsedFile {
    let FileContent { source, documents, mut findings, foreign } = content(path, bytes, id);
    let is_read = foreign == 0 || source.text().trim().is_empty();
    if documents.is_empty() && findings.is_empty() && is_read {
        findings.push(
            Finding::new(&codes::EMPTY, Range::default().within(id), "this file holds no definition")
                .help("remove it, or write a document that starts with `apiVersion`"),
        );
    }
    // One allocation of the path for everything that is made of the file.
    let path = source.shared_path();
    let documents = documents.into_iter().zip(0..);
    let documents = documents.map(|(document, index)| parsed(document, index, &path, bytes, &source));
    let is_patch = ownership::is_patch(&path);
    ParsedFile {
        documents: documents.collect(),
        path,
        bytes: Arc::clone(bytes),
        id,
        source,
        findings,
        foreign,
        is_patch,
    }
}

fn parsed(
    (document, owner): (Document, Ownership),
    index: u32,
    path: &Arc<str>,
    bytes: &Arc<[u8]>,
    source: &Arc<Source>,
) -> ParsedDocument {
    let mut findings = Vec::new();
    let file = path.rsplit('/').next().unwrap_or(path);
    if ["connectors_registry.json", "extensions_registry.json", "widget_registry.json"].contains(&file) {
        let span = document.root.span.within(document.source);
        findings.push(
            Finding::new(&codes::REGISTRY_FILE, span, format!("`{file}` is not read by this version"))
                .help("write its connectors as documents of kind `Connector`"),
        );
        return ParsedDocument { entry: None, nameless: None, findings };
    }
    let name = document.root.pointer("/metadata/name").and_then(Node::as_str).map(str::to_owned);
    let base = RawDocument { path: Arc::clone(path), bytes: Arc::clone(bytes), index };
    let origin = Origin { base, patches: Vec::new() };
    let entry = entry(document, owner, source, origin, &mut findings).map(Arc::new);
    // References to it are not reported: its own error is.
    let nameless = name.filter(|_| entry.is_none() && !findings.is_empty());
    ParsedDocument { entry, nameless, findings }
}

/// The definition in a document; `None` if the document is not a definition, with a finding unless it belongs to another
/// tool.
///
/// Places of findings are in the document's own source, which is not a file for a composed document.
pub(super) fn entry(
    document: Document,
    owner: Ownership,
    source: &Arc<Source>,
    origin: Origin,
    findings: &mut Vec<Finding>,
) -> Option<Entry> {
    let kind = header(&document, owner, findings)?;
    let root = &document.root;
    let first = first_key(root);
    let before = findings.len();
    let facts = schema_validator::validate(&document, kind, findings);
    let name = root.get("metadata").and_then(|metadata| metadata.get("name"));
    let (name, name_span) = match name {
        Some(node) => (node.as_str().unwrap_or_default().to_owned(), node.span),
        None => (String::new(), first),
    };
    let partial = findings.len() > before;
    let (definition, recovery) = if partial {
        // The remaining parts are checked too.
        let recovered = error_recovery::recover(&document, kind, &findings[before..], |root| typed(root, kind));
        recovered.map_or_else(Default::default, |(definition, recovery)| (Some(definition), recovery))
    } else {
        match typed(&document.root, kind) {
            Ok(definition) => (Some(definition), Recovery::default()),
            // The schema allows a value that the type does not. A finding is better than a partial definition.
            Err((range, message)) => {
                findings.push(Finding::new(&codes::WRONG_TYPE, range.within(document.source), message));
                (None, Recovery::default())
            }
        }
    };
    let id = Id { kind, name };
    let source = Arc::clone(source);
    Some(Entry { id, source, origin, document, name_span, facts, definition, partial, recovery, stamp: stamp() })
}

/// A new stamp.
pub(super) fn stamp() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn first_key(root: &Node) -> Range {
    root.entries().first().map_or(root.span, |entry| entry.key.span)
}

/// The kind of a definition; `None` if the document is not a definition, with a finding unless it belongs to another
/// tool.
pub(super) fn header(document: &Document, owner: Ownership, findings: &mut Vec<Finding>) -> Option<Kind> {
    let root = &document.root;
    let at = |range: Range| range.within(document.source);
    let first = first_key(root);
    match owner {
        Ownership::Definition => return kind(root, first, document, findings),
        Ownership::Foreign => {}
        Ownership::NoVersion => {
            findings.push(
                Finding::new(&codes::NOT_A_DEFINITION, at(first), "this document has no `apiVersion`").help(format!(
                    "start it with `apiVersion: {API_VERSION}` and `kind`; if it belongs to another tool, list the file \
                     in `{IGNORE_FILE}`"
                )),
            );
        }
        Ownership::UnknownVersion => {
            let version = root.get("apiVersion").unwrap_or(root);
            let written = version.as_str().map_or_else(|| version.to_json().to_string(), str::to_owned);
            findings.push(
                Finding::new(&codes::API_VERSION, at(version.span), format!("unknown apiVersion `{written}`"))
                    .help(format!("this version of Evenkeel reads `{API_VERSION}`")),
            );
        }
    }
    None
}

fn kind(root: &Node, first: Range, document: &Document, findings: &mut Vec<Finding>) -> Option<Kind> {
    let Some(node) = root.get("kind") else {
        findings.push(
            Finding::new(&codes::MISSING_FIELD, first.within(document.source), "the document lacks `kind`")
                .help(format!("add one of {}", schema_validator::quoted_list(&Kind::ALL.map(Kind::as_str)))),
        );
        return None;
    };
    let written = node.as_str().unwrap_or_default();
    if let Ok(kind) = written.parse() {
        return Some(kind);
    }
    let names = Kind::ALL.map(Kind::as_str);
    let help = match schema_validator::nearest(written, names.into_iter()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the kinds are {}", schema_validator::quoted_list(&names)),
    };
    let span = node.span.within(document.source);
    findings.push(Finding::new(&codes::UNKNOWN_KIND, span, format!("unknown kind `{written}`")).help(help));
    None
}

fn typed(root: &Node, kind: Kind) -> Result<Definition, (Range, String)> {
    fn read<S: DeserializeOwned>(root: &Node, wrap: impl FnOnce(S) -> Spec) -> Result<Definition, (Range, String)> {
        let envelope = text::from_node::<Envelope<S>>(root)?;
        Ok(Definition { metadata: envelope.metadata, spec: wrap(envelope.spec) })
    }
    match kind {
        Kind::Connector => read(root, |spec| Spec::Connector(Arc::new(spec))),
        Kind::Widget => read(root, |spec| Spec::Widget(Box::new(spec))),
        Kind::Trigger => read(root, |spec| Spec::Trigger(Box::new(spec))),
        Kind::Workflow => read(root, |spec| Spec::Workflow(Box::new(spec))),
        Kind::Environment => read(root, |spec| Spec::Environment(Box::new(spec))),
        Kind::Tenant => read(root, |spec| Spec::Tenant(Arc::new(spec))),
        Kind::Connection => read(root, |spec| Spec::Connection(Arc::new(spec))),
        Kind::Entity => read(root, |spec| Spec::Entity(Box::new(spec))),
        Kind::Role => read(root, |spec| Spec::Role(Box::new(spec))),
        Kind::Alert => read(root, |spec| Spec::Alert(Box::new(spec))),
    }
}
