//! One file to its documents and definitions. Pure, and file by file, so that files are read side by side and kept while
//! they stay as they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;

use super::{Entry, Origin, RawDocument, error_recovery};
use crate::definition::schema_validator;
use crate::definition::{API_GROUP, API_VERSION, Definition, Envelope, Id, Kind, Spec};
use crate::text::{self, Document, Finding, Node, Range, ReadLimits, Source, SourceId, codes};

/// A file that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) path: Arc<str>,
    pub(super) bytes: Arc<[u8]>,
    pub(super) id: SourceId,
    pub(super) source: Arc<Source>,
    /// Its documents, in order.
    pub(super) documents: Vec<Part>,
    /// What is wrong with its text.
    pub(super) findings: Vec<Finding>,
}

/// A document of a file, as far as it is a definition.
#[derive(Debug)]
pub(super) struct Part {
    /// The definition.
    pub(super) entry: Option<Arc<Entry>>,
    /// The name of what should be one.
    pub(super) nameless: Option<String>,
    /// What is wrong with its shape.
    pub(super) findings: Vec<Finding>,
}

/// Files that other tools keep beside definitions, and never hold any.
pub fn is_foreign(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(name, "package.json" | "package-lock.json" | "pnpm-lock.yaml" | "deno.json" | "jsconfig.json")
        || name.starts_with("tsconfig") && name.ends_with(".json")
        || path.split('/').any(|part| part == "node_modules")
}

/// The text of a file, its documents, and what is wrong with its text.
pub(super) fn text(path: &Arc<str>, bytes: &[u8], id: SourceId) -> (Arc<Source>, Vec<Document>, Vec<Finding>) {
    let limits = ReadLimits::default();
    let (source, mut findings) = text::decode(path, bytes, &limits);
    let source = Arc::new(source);
    let (mut documents, found) = text::parse(&source, &limits);
    findings.extend(found);
    for document in &mut documents {
        document.source = id;
    }
    (source, documents, findings.into_iter().map(|finding| finding.within(id)).collect())
}

/// Reads a file's definitions.
pub(super) fn read(path: &Arc<str>, bytes: &Arc<[u8]>, id: SourceId) -> Read {
    let (source, documents, mut findings) = text(path, bytes, id);
    if documents.is_empty() && findings.is_empty() {
        findings.push(
            Finding::new(&codes::EMPTY, Range::default().within(id), "this file holds no definition")
                .help("remove it, or write a document that starts with `apiVersion`"),
        );
    }
    // The file's own path, so that it is there once for all that is made of it.
    let path = source.shared_path();
    let parts = documents.into_iter().zip(0..).map(|(document, index)| part(document, index, &path, bytes, &source));
    Read { documents: parts.collect(), path, bytes: Arc::clone(bytes), id, source, findings }
}

fn part(document: Document, index: u32, path: &Arc<str>, bytes: &Arc<[u8]>, source: &Arc<Source>) -> Part {
    let mut findings = Vec::new();
    let file = path.rsplit('/').next().unwrap_or(path);
    if ["connectors_registry.json", "extensions_registry.json", "widget_registry.json"].contains(&file) {
        let span = document.root.span.within(document.source);
        findings.push(
            Finding::new(&codes::REGISTRY_FILE, span, format!("`{file}` is not read by this version"))
                .help("write its connectors as documents of kind `Connector`"),
        );
        return Part { entry: None, nameless: None, findings };
    }
    let name = document.root.pointer("/metadata/name").and_then(Node::as_str).map(str::to_owned);
    let base = RawDocument { path: Arc::clone(path), bytes: Arc::clone(bytes), index };
    let entry = entry(document, source, Origin { base, patches: Vec::new() }, &mut findings).map(Arc::new);
    // It may be what others refer to; its own mistake is reported.
    let nameless = name.filter(|_| entry.is_none() && !findings.is_empty());
    Part { entry, nameless, findings }
}

/// The definition in a document; `None` where it is none, with a finding unless it belongs to another tool.
///
/// Findings have their place in the document's own source, which for a composed one is not yet a file.
pub(super) fn entry(
    document: Document,
    source: &Arc<Source>,
    origin: Origin,
    findings: &mut Vec<Finding>,
) -> Option<Entry> {
    let kind = header(&document, findings)?;
    let root = &document.root;
    let first = first_key(root);
    let before = findings.len();
    let facts = schema_validator::check(&document, kind, findings);
    let name = root.get("metadata").and_then(|metadata| metadata.get("name"));
    let (name, name_span) = match name {
        Some(node) => (node.as_str().unwrap_or_default().to_owned(), node.span),
        None => (String::new(), first),
    };
    let partial = findings.len() > before;
    let definition = if partial {
        // What the salvaged parts say is worth checking; that they cannot be typed is no news.
        let salvaged = error_recovery::salvage(&document, kind, &findings[before..]);
        salvaged.and_then(|salvaged| typed(&salvaged, kind, &mut Vec::new()))
    } else {
        typed(&document, kind, findings)
    };
    let id = Id { kind, name };
    let source = Arc::clone(source);
    Some(Entry { id, source, origin, document, name_span, facts, definition, partial, stamp: stamp() })
}

/// A number that was never given out before.
pub(super) fn stamp() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn first_key(root: &Node) -> Range {
    root.entries().first().map_or(root.span, |entry| entry.key.span)
}

/// The kind of a document that is ours; `None` where it is none, with a finding unless it belongs to another tool.
pub(super) fn header(document: &Document, findings: &mut Vec<Finding>) -> Option<Kind> {
    let root = &document.root;
    let at = |range: Range| range.within(document.source);
    let first = first_key(root);
    let Some(version) = root.get("apiVersion") else {
        // Secrets that SOPS encrypted lie beside the environments that name them.
        if root.pointer("/sops/mac").is_some() {
            return None;
        }
        findings.push(
            Finding::new(&codes::NOT_A_DEFINITION, at(first), "this document has no `apiVersion`")
                .help(format!("start it with `apiVersion: {API_VERSION}` and `kind`, or move it to another folder")),
        );
        return None;
    };
    let written = version.as_str().unwrap_or_default();
    if written != API_VERSION {
        let (group, _) = written.split_once('/').unwrap_or(("", written));
        let near = written.contains("evenkeel") || !group.is_empty() && strsim::levenshtein(group, API_GROUP) <= 3;
        let ours = root.get("kind").and_then(Node::as_str).is_some_and(|kind| kind.parse::<Kind>().is_ok());
        // Manifests of other tools, such as a `kustomization.yaml`, may lie between definitions.
        if version.as_str().is_some() && !near && !(group.is_empty() && ours) {
            return None;
        }
        let written = version.as_str().map_or_else(|| version.to_json().to_string(), str::to_owned);
        findings.push(
            Finding::new(&codes::API_VERSION, at(version.span), format!("unknown apiVersion `{written}`"))
                .help(format!("this version of Evenkeel reads `{API_VERSION}`")),
        );
        return None;
    }
    kind(root, first, document, findings)
}

fn kind(root: &Node, first: Range, document: &Document, findings: &mut Vec<Finding>) -> Option<Kind> {
    let Some(node) = root.get("kind") else {
        findings.push(
            Finding::new(&codes::MISSING_FIELD, first.within(document.source), "the document lacks `kind`")
                .help(format!("add one of {}", schema_validator::listed(&Kind::ALL.map(Kind::as_str)))),
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
        None => format!("the kinds are {}", schema_validator::listed(&names)),
    };
    let span = node.span.within(document.source);
    findings.push(Finding::new(&codes::UNKNOWN_KIND, span, format!("unknown kind `{written}`")).help(help));
    None
}

fn typed(document: &Document, kind: Kind, findings: &mut Vec<Finding>) -> Option<Definition> {
    fn of<S: DeserializeOwned>(
        document: &Document,
        findings: &mut Vec<Finding>,
        wrap: impl FnOnce(S) -> Spec,
    ) -> Option<Definition> {
        match text::from_node::<Envelope<S>>(&document.root) {
            Ok(envelope) => Some(Definition { metadata: envelope.metadata, spec: wrap(envelope.spec) }),
            // The shape allowed what the type refuses. Better a plain finding than a definition that is half read.
            Err((range, message)) => {
                findings.push(Finding::new(&codes::WRONG_TYPE, range.within(document.source), message));
                None
            }
        }
    }
    match kind {
        Kind::Connector => of(document, findings, |spec| Spec::Connector(Arc::new(spec))),
        Kind::Widget => of(document, findings, |spec| Spec::Widget(Box::new(spec))),
        Kind::Trigger => of(document, findings, |spec| Spec::Trigger(Box::new(spec))),
        Kind::Workflow => of(document, findings, |spec| Spec::Workflow(Box::new(spec))),
        Kind::Environment => of(document, findings, |spec| Spec::Environment(Box::new(spec))),
        Kind::Tenant => of(document, findings, |spec| Spec::Tenant(Arc::new(spec))),
        Kind::Connection => of(document, findings, |spec| Spec::Connection(Arc::new(spec))),
        Kind::Entity => of(document, findings, |spec| Spec::Entity(Box::new(spec))),
        Kind::Role => of(document, findings, |spec| Spec::Role(Box::new(spec))),
        Kind::Alert => of(document, findings, |spec| Spec::Alert(Box::new(spec))),
    }
}
