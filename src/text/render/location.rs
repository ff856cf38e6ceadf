//! Positions and words shared by the formats.

use crate::text::finding::Finding;
use crate::text::severity::Severity;
use crate::text::source::SourceMap;
use crate::text::span::Span;

/// The position of a finding in a file.
pub(super) struct Location {
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    pub end_column: u32,
}

impl Location {
    pub fn of(span: Span, sources: &SourceMap) -> Option<Location> {
        let source = sources.find(span.source)?;
        let (start, end) = (source.position(span.start), source.position(span.end.max(span.start)));
        Some(Location {
            file: sources.display_path(span.source),
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        })
    }

    /// The primary position of a finding.
    pub fn first(finding: &Finding, sources: &SourceMap) -> Option<Location> {
        finding.span().and_then(|span| Location::of(span, sources))
    }
}

/// The name of a severity in machine-readable formats.
pub(super) fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// True for characters that control a terminal or reorder the surrounding text: control characters and Unicode's
/// directional marks, overrides and isolates.
pub(super) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}
