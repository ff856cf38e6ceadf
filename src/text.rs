//! Text in, positions kept: reading YAML and JSON into [`Node`]s that know where they stand, and [`Finding`]s
//! with their renderers.
//!
//! ```text
//! bytes ──encoding──► Source ──yaml | json──► Document { Node … } + Vec<Finding>
//!                                                  │ de
//!                                                  ▼
//!                                            typed Rust values
//! ```
//!
//! The YAML and JSON crates are named only here, so they can be exchanged without touching another room.

pub mod codes;
mod credentials;
mod de;
mod digest;
mod encoding;
mod finding;
pub mod format;
mod json;
mod node;
pub mod render;
mod scalar;
mod share;
mod source;
mod tree;
mod write;
mod yaml;

pub use codes::Code;
pub use credentials::is_known_credential;
pub use de::from_node;
pub use digest::{Digest, equal_in_constant_time, hmac_sha256, sha512};
pub use finding::{Finding, Label, Severity, Subject, sort};
pub use node::{Document, Entry, Key, Kind, Node, Range, Text, TextStyle, escaped, pointer_at, unescaped};
pub use source::{Format, Part, Position, Source, SourceId, SourceMap, Span};
pub use write::to_yaml;

/// Limits of one definition file. A file beyond them is refused with a finding; nothing is truncated.
///
/// The numbers leave room for the largest definitions seen (a connector with several hundred actions is about
/// 400 KiB) and stay under what etcd takes for one object (1.5 MiB).
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Bytes of one file.
    pub file_bytes: usize,
    /// Values (scalars, lists and maps, aliases expanded) in one file.
    pub nodes: usize,
    /// Nested lists and maps.
    pub depth: usize,
    /// Documents in one file.
    pub documents: usize,
    /// Bytes of all strings in one file, aliases expanded.
    pub string_bytes: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        ReadLimits { file_bytes: 4 << 20, nodes: 250_000, depth: 64, documents: 10_000, string_bytes: 16 << 20 }
    }
}

/// Decodes `bytes` and reads every document in them; what is wrong is added to `findings`.
///
/// Never fails and never stops at the first mistake it can step over: a document with a duplicate key, an unknown
/// tag or a leading-zero number is still returned so that later stages can report their own findings.
/// A document that cannot be read at all (bad indentation, a limit passed) is left out, and its finding says so.
pub fn read(
    sources: &mut SourceMap,
    path: &str,
    bytes: &[u8],
    limits: &ReadLimits,
    findings: &mut Vec<Finding>,
) -> Vec<Document> {
    let (source, found) = decode(path, bytes, limits);
    let id = sources.add(source);
    findings.extend(found.into_iter().map(|finding| finding.within(id)));
    let (documents, found) = parse(sources.get(id), limits);
    findings.extend(found.into_iter().map(|finding| finding.within(id)));
    documents
        .into_iter()
        .map(|mut document| {
            document.source = id;
            document
        })
        .collect()
}

/// First half of [`read`]: bytes to text. Findings carry [`SourceId::UNKNOWN`].
pub fn decode(path: &str, bytes: &[u8], limits: &ReadLimits) -> (Source, Vec<Finding>) {
    let mut findings = Vec::new();
    let text = encoding::decode(bytes, limits, &mut findings);
    (Source::new(path, text), findings)
}

/// Second half of [`read`]: text to documents. Pure, so files can be read on several threads and added to one
/// [`SourceMap`] afterwards; findings and documents carry [`SourceId::UNKNOWN`].
pub fn parse(source: &Source, limits: &ReadLimits) -> (Vec<Document>, Vec<Finding>) {
    let mut findings = Vec::new();
    if let Err(finding) = encoding::fits(source.text().len(), limits) {
        return (Vec::new(), vec![finding]);
    }
    let mut documents = match source.format() {
        Format::Json => json::parse(source.text(), limits, &mut findings),
        Format::Yaml => yaml::parse(source.text(), limits, &mut findings),
    };
    share::share(&mut documents);
    (documents, findings)
}

/// Reads a file of one document into a type, for settings that are no definitions.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn typed<T: serde::de::DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, String> {
    let limits = ReadLimits::default();
    let (source, mut findings) = decode(path, bytes, &limits);
    let (documents, found) = parse(&source, &limits);
    findings.extend(found);
    let at = |range: Range, message: &str| {
        let Position { line, column } = source.position(range.start);
        format!("{path}:{line}:{column}: {message}")
    };
    let error = findings.iter().find(|finding| finding.severity == Severity::Error);
    if let Some(finding) = error {
        let range = finding.span().map_or_else(Range::default, |span| Range { start: span.start, end: span.end });
        return Err(at(range, &finding.message));
    }
    match &documents[..] {
        [document] => from_node(&document.root).map_err(|(range, message)| at(range, &message)),
        [] => Err(format!("{path} holds nothing")),
        _ => Err(format!("{path} holds {} documents; write one", documents.len())),
    }
}
