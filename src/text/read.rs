//! Reading files: bytes to text to documents.

use super::de::from_node;
use super::finding::Finding;
use super::limits::ReadLimits;
use super::node::Document;
use super::severity::Severity;
use super::source::{Format, Source, SourceMap};
#[cfg(doc)]
use super::span::SourceId;
use super::span::{Position, Range};
use super::{encoding, json, share, yaml};

/// Decodes a file and reads all of its documents. Problems are added to `findings`.
///
/// Never fails and continues after an error if possible: a document with a duplicate key, an unknown tag or a number
/// with a leading zero is still returned, so that later stages can report their own findings. A document that cannot be
/// read at all (wrong indentation, an exceeded limit) is omitted and reported.
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

/// Decodes bytes to text, the first half of [`read`]. Findings carry [`SourceId::UNKNOWN`].
pub fn decode(path: &str, bytes: &[u8], limits: &ReadLimits) -> (Source, Vec<Finding>) {
    let mut findings = Vec::new();
    let text = encoding::decode(bytes, limits, &mut findings);
    (Source::new(path, text), findings)
}

/// Parses text to documents, the second half of [`read`]. Findings and documents carry [`SourceId::UNKNOWN`], so that
/// files can be parsed on several threads and added to one [`SourceMap`] afterwards.
pub fn parse(source: &Source, limits: &ReadLimits) -> (Vec<Document>, Vec<Finding>) {
    let mut findings = Vec::new();
    if let Err(finding) = encoding::check_size(source.text().len(), limits) {
        return (Vec::new(), vec![finding]);
    }
    let mut documents = match source.format() {
        Format::Json => json::parse(source.text(), limits, &mut findings),
        Format::Yaml => yaml::parse(source.text(), limits, &mut findings),
    };
    share::share_strings(&mut documents);
    (documents, findings)
}

/// Reads a file with a single document into a type, for configuration files.
///
/// # Errors
/// The first error, with its position.
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
        [] => Err(format!("{path} is empty")),
        _ => Err(format!("{path} contains {} documents; expected one", documents.len())),
    }
}
