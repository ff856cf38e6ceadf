//! The YAML 1.2 reader. It drives the event parser, one document at a time.
//!
//! ```text
//! text ──granit-parser──► events ──builder──► Node     scalars by the core schema, aliases and merges expanded
//!                            │
//!                            └─ error ──syntax_error──► Finding, then continue at the next `---`
//! ```
//!
//! Aliases are expanded into the tree. An expanded value and everything in it keep the position of the definition, as
//! that is where an author edits it.

mod builder;
mod lines;
mod syntax_error;

use granit_parser::{ErrorKind, Event, Parser};

use self::builder::{Builder, CollectionKind};
use super::codes;
use super::finding::Finding;
use super::limits::ReadLimits;
use super::node::Document;
use super::span::SourceId;
use super::tree::{MAX_FINDINGS, finding, range, too_deep, too_many};

/// Reads every document of a file. A document with a syntax error is omitted, and reading continues at the next line
/// that starts with `---`. An exceeded limit ends the file.
pub(super) fn parse(text: &str, limits: &ReadLimits, findings: &mut Vec<Finding>) -> Vec<Document> {
    let mut file = File { text, limits, max_findings: findings.len() + MAX_FINDINGS, documents: Vec::new() };
    let mut builder = Builder::new(text, limits, findings);
    let mut start = Some(0);
    while let Some(from) = start {
        start = match file.read_from(from, &mut builder) {
            Ok(next) => next,
            Err(finding) => {
                builder.report(finding);
                None
            }
        };
    }
    file.documents
}

struct File<'a> {
    text: &'a str,
    limits: &'a ReadLimits,
    /// Number of findings at which reading stops.
    max_findings: usize,
    documents: Vec<Document>,
}

impl File<'_> {
    /// Reads from an offset to the end of the text or to the first syntax error. After an error, returns the offset at
    /// which reading continues.
    ///
    /// # Errors
    /// The finding for an exceeded limit; the rest of the file is not read.
    fn read_from(&mut self, base: usize, builder: &mut Builder<'_>) -> Result<Option<usize>, Finding> {
        let rest = self.text.get(base..).unwrap_or_default();
        let options = granit_parser::options! {
            emit_unresolved_aliases: true,
            emit_comments: false,
            flow_nesting_limit: self.limits.depth,
            block_nesting_limit: self.limits.depth,
        };
        builder.start_at(base);
        // Start of the search for the next document after an error: behind the `---` that started this one.
        let mut current = if rest.starts_with("---") { base + 3 } else { base };
        for event in Parser::new_from_str_with_options(rest, options) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let at = base + error.marker().byte_offset().unwrap_or_default().min(rest.len());
                    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
                        return Err(too_deep(self.limits, range(at, at)));
                    }
                    builder.report_syntax_error(error.kind(), at);
                    return Ok(next_document(self.text, current));
                }
            };
            let bytes = span.byte_range().unwrap_or_default();
            let (start, end) = (base + bytes.start, base + bytes.end);
            let tag =
                span.tag_span().and_then(|span| span.byte_range()).map(|tag| range(base + tag.start, base + tag.end));
            match event {
                Event::DocumentStart(explicit, version) => {
                    builder.check_directives(start, version.map(|version| (version.major, version.minor)));
                    if explicit {
                        current = end;
                    }
                    builder.start_document(current);
                }
                Event::DocumentEnd => {
                    current = end;
                    if let Some(root) = builder.finish_document(end) {
                        if self.documents.len() >= self.limits.documents {
                            let message = format!("more than {} documents in one file", self.limits.documents);
                            return Err(finding(&codes::LIMIT, root.span, message).help("split it into several files"));
                        }
                        self.documents.push(Document { source: SourceId::UNKNOWN, root });
                    }
                }
                Event::Scalar(value, style, anchor, kind) => {
                    builder.scalar(&value, style, anchor, kind.as_deref().zip(tag), start, end)?;
                }
                Event::SequenceStart(style, anchor, kind) => {
                    builder.open(CollectionKind::List, style, anchor, kind.as_deref().zip(tag), start, end)?;
                }
                Event::MappingStart(style, anchor, kind) => {
                    builder.open(CollectionKind::Map, style, anchor, kind.as_deref().zip(tag), start, end)?;
                }
                Event::SequenceEnd | Event::MappingEnd => builder.close(end)?,
                Event::Alias(anchor) => builder.alias(anchor, start, end)?,
                Event::UnresolvedAlias(name) => builder.unknown_alias(&name, start, end),
                _ => {}
            }
            if builder.finding_count() >= self.max_findings {
                return Err(too_many(range(start, end)));
            }
        }
        Ok(None)
    }
}

/// Offset of the next line that starts a document. A `---` at the start of a line always starts a document, even within
/// quotes and block scalars, so an earlier error does not affect the search.
fn next_document(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let rest = text.get(from..)?;
    rest.match_indices("---").map(|(at, _)| from + at).find(|&at| {
        let first = at == 0 || matches!(bytes.get(at - 1), Some(b'\n' | b'\r'));
        first && matches!(bytes.get(at + 3), None | Some(b' ' | b'\t' | b'\n' | b'\r'))
    })
}

#[cfg(test)]
mod tests;
