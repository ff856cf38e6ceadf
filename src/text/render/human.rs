//! Text for a terminal, in the style of rustc.

use std::collections::HashMap;
use std::fmt::Write;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Element, Level, Origin, Renderer, Snippet};

use super::location::is_unsafe;
use super::report::Report;
use crate::text::codes;
use crate::text::credentials::{hide, is_known_credential, redacted};
use crate::text::finding::{Finding, Label};
use crate::text::severity::Severity;
use crate::text::source::Source;
use crate::text::span::SourceId;

/// Maximum number of characters shown of a line; of a longer line, the part around the mark is shown.
const MAX_LINE: usize = 400;

/// Number of characters shown before the mark in a long line.
const LEAD: usize = 60;

/// Maximum number of lines between two marks in one snippet; the renderer folds the lines without a mark.
const MAX_GAP: u32 = 40;

pub(super) fn render(report: &Report<'_>, color: bool, width: usize) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(width.clamp(40, MAX_LINE));
    let masked = masked(report);
    let mut out = String::new();
    for finding in report.findings {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level
            .primary_title(neutral(&finding.message))
            .id(finding.code.id)
            .elements(snippets(finding, report, &masked));
        if let Some(help) = &finding.help {
            group = group.element(Level::HELP.message(neutral(help)));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    summary(report, &mut out);
    out
}

fn summary(report: &Report<'_>, out: &mut String) {
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let counts: Vec<String> = [(report.errors(), "error"), (report.warnings(), "warning")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| count(number, noun))
        .collect();
    let definitions = count(report.definitions, "definition");
    let errors = report.findings.iter().find(|finding| finding.severity == Severity::Error);
    let _ = match errors.or(report.findings.first()) {
        Some(first) => {
            writeln!(
                out,
                "{} in {definitions}\nrun `evenkeel explain {}` for details",
                counts.join(", "),
                first.code.id
            )
        }
        None => writeln!(out, "{definitions}, no findings"),
    };
}

type Masked = HashMap<SourceId, Source>;

/// The files that contain credentials, with the credentials masked, as output ends up in logs. Offsets stay the same.
fn masked(report: &Report<'_>) -> Masked {
    let mut texts: HashMap<SourceId, Vec<u8>> = HashMap::new();
    for finding in report.findings {
        for file in finding.labels.iter().map(|label| label.span.source) {
            let Some(source) = report.sources.find(file) else { continue };
            if !texts.contains_key(&file) && is_known_credential(source.text()) {
                texts.insert(file, redacted(source.text()).into_bytes());
            }
        }
        let Some(span) = finding.span().filter(|_| finding.code == &codes::LITERAL_CREDENTIAL) else { continue };
        let Some(source) = report.sources.find(span.source) else { continue };
        let text = texts.entry(span.source).or_insert_with(|| source.text().as_bytes().to_vec());
        hide(text, span.start as usize..span.end as usize);
    }
    let source = |(id, text): (SourceId, Vec<u8>)| (id, Source::new("", String::from_utf8_lossy(&text).into_owned()));
    texts.into_iter().map(source).collect()
}

/// The snippets of a finding, file by file; the primary position first.
fn snippets(finding: &Finding, report: &Report<'_>, masked: &Masked) -> Vec<Element<'static>> {
    let mut files: Vec<(SourceId, Vec<(usize, &Label)>)> = Vec::new();
    for (number, label) in finding.labels.iter().enumerate() {
        match files.iter_mut().find(|(file, _)| *file == label.span.source) {
            Some((_, labels)) => labels.push((number, label)),
            None => files.push((label.span.source, vec![(number, label)])),
        }
    }
    let mut elements = Vec::new();
    for (file, labels) in files {
        let Some(source) = masked.get(&file).or_else(|| report.sources.find(file).map(|source| &**source)) else {
            continue;
        };
        let mut marks: Vec<Mark<'_>> =
            labels.into_iter().map(|(number, label)| Mark::new(source, number, label)).collect();
        marks.sort_by_key(|mark| (mark.line, mark.start));
        for piece in marks.chunk_by(|one, next| next.line - one.line <= MAX_GAP) {
            let path = neutral(&report.sources.display_path(file));
            let (snippet, cut) = snippet(source, piece);
            // The renderer counts columns in the snippet; if the start of a line is cut off, the column is given explicitly.
            match piece.iter().find(|mark| mark.primary).or(piece.first()).filter(|_| cut) {
                Some(mark) => {
                    elements.push(Origin::path(path).line(mark.line as usize).char_column(mark.column as usize).into());
                    elements.push(snippet.into());
                }
                None => elements.push(snippet.path(path).into()),
            }
        }
    }
    elements
}

/// A label within one line. Of a range of several lines, the first one is marked.
struct Mark<'a> {
    label: &'a Label,
    primary: bool,
    line: u32,
    column: u32,
    /// Byte offsets within the line.
    start: usize,
    end: usize,
}

impl<'a> Mark<'a> {
    fn new(source: &'a Source, number: usize, label: &'a Label) -> Mark<'a> {
        let at = source.position(label.span.start);
        let (offset, text) = source.line(at.line);
        let within = |at: u32| floor(text, (at as usize).saturating_sub(offset));
        let (start, end) = (within(label.span.start), within(label.span.end.max(label.span.start)));
        Mark { label, primary: number == 0, line: at.line, column: at.column, start, end }
    }
}

/// The lines of several marks and the lines between them. The flag is true if the start of a line is cut off.
fn snippet(source: &Source, marks: &[Mark<'_>]) -> (Snippet<'static, Annotation<'static>>, bool) {
    let first = marks.first().map_or(1, |mark| mark.line);
    let last = marks.last().map_or(first, |mark| mark.line);
    let mut text = String::new();
    let mut annotations = Vec::new();
    let mut cut = false;
    for number in first..=last {
        let on_line: Vec<&Mark<'_>> = marks.iter().filter(|mark| mark.line == number).collect();
        let (_, line) = source.line(number);
        let window = Window::around(line, on_line.first().map_or(0, |mark| mark.start));
        for mark in on_line {
            // A second mark in a long line may be outside of the window.
            let Some(range) = window.locate(mark.start, mark.end) else { continue };
            let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let label = (!mark.label.text.is_empty()).then(|| neutral(&mark.label.text));
            annotations.push(kind.span(text.len() + range.start..text.len() + range.end).label(label));
        }
        cut |= window.start > 0;
        text.push_str(&window.text);
        text.push('\n');
    }
    (Snippet::source(text).line_start(first as usize).annotations(annotations), cut)
}

/// The displayed part of a line, with unsafe characters replaced.
struct Window<'a> {
    line: &'a str,
    start: usize,
    end: usize,
    text: String,
}

impl<'a> Window<'a> {
    fn around(line: &'a str, mark: usize) -> Window<'a> {
        // Long lines are cut at a character boundary, without a walk over the whole line.
        let short = line.len() <= MAX_LINE;
        let start = if short { 0 } else { floor(line, mark.saturating_sub(LEAD)) };
        let rest = line.get(start..).unwrap_or_default();
        let end =
            start + if short { rest.len() } else { rest.char_indices().nth(MAX_LINE).map_or(rest.len(), |(at, _)| at) };
        let mut text = neutral(line.get(start..end).unwrap_or_default());
        if start > 0 {
            text.insert(0, '…');
        }
        if end < line.len() {
            text.push('…');
        }
        Window { line, start, end, text }
    }

    /// Converts a range of the line to a range of the window; `None` if it is outside.
    fn locate(&self, start: usize, end: usize) -> Option<std::ops::Range<usize>> {
        if start < self.start || start > self.end {
            return None;
        }
        let cut = if self.start > 0 { '…'.len_utf8() } else { 0 };
        let before = neutral(self.line.get(self.start..start)?).len();
        let within = neutral(self.line.get(start..end.min(self.end))?).len();
        Some(cut + before..cut + before + within)
    }
}

/// Replaces characters that could control the terminal.
fn neutral(text: &str) -> String {
    let replace = |character| match character {
        '\t' => '\t',
        '\n' => ' ',
        character if is_unsafe(character) => '\u{FFFD}',
        character => character,
    };
    text.chars().map(replace).collect()
}

fn floor(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset)
}
