//! A snapshot to a catalog: files are read side by side, and joined in the order of their paths.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;
use serde::de::DeserializeOwned;

use super::{Catalog, Entry, File, Snapshot, salvage};
use crate::definition::shape;
use crate::definition::{API_GROUP, API_VERSION, Definition, Envelope, Id, Kind, Spec};
use crate::text::{self, Document, Finding, Node, Range, ReadLimits, Severity, Source, codes};

/// Reads every definition of a snapshot. Pure: the same snapshot gives the same catalog and findings.
pub fn load(snapshot: &Snapshot) -> (Catalog, Vec<Finding>) {
    let limits = ReadLimits::default();
    let files: Vec<&File> = snapshot.files.iter().filter(|file| !is_foreign(&file.path)).collect();
    let read: Vec<Read> = files.par_iter().map(|file| read(file, &limits)).collect();
    let mut catalog = Catalog { files: Arc::clone(&snapshot.names), alone: snapshot.alone, ..Catalog::default() };
    catalog.sources = catalog.sources.shown_under(&snapshot.shown_under);
    let mut findings = Vec::new();
    for Read { source, entries, nameless, findings: found } in read {
        let id = catalog.sources.add(Arc::clone(&source));
        findings.extend(found.into_iter().map(|finding| finding.within(id)));
        catalog.nameless.extend(nameless);
        for mut entry in entries {
            entry.document.source = id;
            catalog.entries.push(entry);
        }
    }
    catalog.incomplete = findings.iter().any(|finding| finding.severity == Severity::Error);
    leave_out_overlays(&mut catalog, &mut findings);
    index(&mut catalog, &mut findings);
    (catalog, findings)
}

/// Files that other tools keep beside definitions, and never hold any.
pub fn is_foreign(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(name, "package.json" | "package-lock.json" | "pnpm-lock.yaml" | "deno.json" | "jsconfig.json")
        || name.starts_with("tsconfig") && name.ends_with(".json")
        || path.split('/').any(|part| part == "node_modules")
}

struct Read {
    source: Arc<Source>,
    nameless: Vec<String>,
    entries: Vec<Entry>,
    findings: Vec<Finding>,
}

fn read(file: &File, limits: &ReadLimits) -> Read {
    let (source, mut findings) = text::decode(&file.path, &file.bytes, limits);
    let source = Arc::new(source);
    let (documents, found) = text::parse(&source, limits);
    findings.extend(found);
    if documents.is_empty() && findings.is_empty() {
        let start = Range::default().within(text::SourceId::UNKNOWN);
        findings.push(
            Finding::new(&codes::EMPTY, start, "this file holds no definition")
                .help("remove it, or write a document that starts with `apiVersion`"),
        );
    }
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    let mut entries = Vec::new();
    let mut nameless = Vec::new();
    for document in documents {
        if ["connectors_registry.json", "extensions_registry.json", "widget_registry.json"].contains(&name) {
            let span = document.root.span.within(document.source);
            findings.push(
                Finding::new(&codes::REGISTRY_FILE, span, format!("`{name}` is not read by this version"))
                    .help("write its connectors as documents of kind `Connector`"),
            );
            continue;
        }
        let name = document.root.pointer("/metadata/name").and_then(Node::as_str).map(str::to_owned);
        let before = findings.len();
        match entry(document, &source, &mut findings) {
            Some(entry) => entries.push(entry),
            // It may be what others refer to; its own mistake is reported.
            None if findings.len() > before => nameless.extend(name),
            None => {}
        }
    }
    Read { source, nameless, entries, findings }
}

/// The definition in a document; `None` where it is none, with a finding unless it belongs to another tool.
fn entry(document: Document, source: &Arc<Source>, findings: &mut Vec<Finding>) -> Option<Entry> {
    let root = &document.root;
    let at = |range: Range| range.within(document.source);
    let first = root.entries().first().map_or(root.span, |entry| entry.key.span);
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
    let kind = kind(root, first, &document, findings)?;
    let before = findings.len();
    let facts = shape::check(&document, kind, findings);
    let name = root.get("metadata").and_then(|metadata| metadata.get("name"));
    let (name, name_span) = match name {
        Some(node) => (node.as_str().unwrap_or_default().to_owned(), node.span),
        None => (String::new(), first),
    };
    let partial = findings.len() > before;
    let definition = if partial {
        // What the salvaged parts say is worth checking; that they cannot be typed is no news.
        let salvaged = salvage::salvage(&document, kind, &findings[before..]);
        salvaged.and_then(|salvaged| typed(&salvaged, kind, &mut Vec::new()))
    } else {
        typed(&document, kind, findings)
    };
    Some(Entry { id: Id { kind, name }, source: Arc::clone(source), document, name_span, facts, definition, partial })
}

fn kind(root: &Node, first: Range, document: &Document, findings: &mut Vec<Finding>) -> Option<Kind> {
    let Some(node) = root.get("kind") else {
        findings.push(
            Finding::new(&codes::MISSING_FIELD, first.within(document.source), "the document lacks `kind`")
                .help(format!("add one of {}", shape::listed(&Kind::ALL.map(Kind::as_str)))),
        );
        return None;
    };
    let written = node.as_str().unwrap_or_default();
    if let Ok(kind) = written.parse() {
        return Some(kind);
    }
    let names = Kind::ALL.map(Kind::as_str);
    let help = match shape::nearest(written, names.into_iter()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the kinds are {}", shape::listed(&names)),
    };
    let span = node.span.within(document.source);
    findings.push(Finding::new(&codes::UNKNOWN_KIND, span, format!("unknown kind `{written}`")).help(help));
    None
}

fn typed(document: &Document, kind: Kind, findings: &mut Vec<Finding>) -> Option<Definition> {
    fn of<S: DeserializeOwned>(
        document: &Document,
        findings: &mut Vec<Finding>,
        wrap: impl FnOnce(Box<S>) -> Spec,
    ) -> Option<Definition> {
        match text::from_node::<Envelope<S>>(&document.root) {
            Ok(envelope) => Some(Definition { metadata: envelope.metadata, spec: wrap(Box::new(envelope.spec)) }),
            // The shape allowed what the type refuses. Better a plain finding than a definition that is half read.
            Err((range, message)) => {
                findings.push(Finding::new(&codes::WRONG_TYPE, range.within(document.source), message));
                None
            }
        }
    }
    match kind {
        Kind::Connector => of(document, findings, Spec::Connector),
        Kind::Widget => of(document, findings, Spec::Widget),
        Kind::Trigger => of(document, findings, Spec::Trigger),
        Kind::Workflow => of(document, findings, Spec::Workflow),
        Kind::Environment => of(document, findings, Spec::Environment),
        Kind::Tenant => of(document, findings, Spec::Tenant),
        Kind::Connection => of(document, findings, Spec::Connection),
        Kind::Entity => of(document, findings, Spec::Entity),
        Kind::Role => of(document, findings, Spec::Role),
        Kind::Alert => of(document, findings, Spec::Alert),
    }
}

/// Documents in an overlay folder are patches of others, not definitions of their own.
fn leave_out_overlays(catalog: &mut Catalog, findings: &mut Vec<Finding>) {
    let mut folders = BTreeSet::new();
    for (entry, spec) in catalog.environments() {
        let path = catalog.sources.get(entry.document.source).path();
        folders.extend(spec.overlays.iter().filter_map(|overlay| super::references::resolve_path(path, overlay)));
    }
    if folders.is_empty() {
        return;
    }
    let sources = catalog.sources.clone();
    let inside = |source| {
        let path = sources.find(source).map_or("", |source| source.path());
        folders.iter().any(|folder| path.strip_prefix(&**folder).is_some_and(|rest| rest.starts_with('/')))
    };
    catalog.entries.retain(|entry| !inside(entry.document.source));
    // A patch lacks most fields, so only what is wrong with its text counts.
    findings.retain(|finding| {
        finding.code.id < codes::UNKNOWN_FIELD.id || !finding.span().is_some_and(|span| inside(span.source))
    });
}

fn index(catalog: &mut Catalog, findings: &mut Vec<Finding>) {
    for (at, entry) in catalog.entries.iter().enumerate() {
        if entry.id.name.is_empty() {
            continue;
        }
        match catalog.index.entry(entry.id.clone()) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(at);
            }
            std::collections::hash_map::Entry::Occupied(first) => {
                let first = &catalog.entries[*first.get()];
                let place = catalog.sources.place(first.span(first.name_span));
                findings.push(
                    Finding::new(
                        &codes::DUPLICATE_DEFINITION,
                        entry.span(entry.name_span),
                        format!("{} `{}` is defined twice; the other is at {place}", entry.id.kind, entry.id.name),
                    )
                    .label("again here")
                    .also(first.span(first.name_span), "first here")
                    .help("rename or remove one of them"),
                );
            }
        }
    }
}
