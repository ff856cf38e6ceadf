//! The formatter. It changes only insignificant text and verifies that by reading the result again.

use super::finding::Finding;
use super::limits::ReadLimits;
use super::node::{Document, Node, NodeKind, TextStyle};
use super::read::{decode, parse};
use super::severity::Severity;
use super::source::{Format, Source};

/// The order of a document's top-level fields.
const ENVELOPE: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Maximum number of times that a text is formatted until it no longer changes. One pass suffices as far as is known.
const MAX_PASSES: usize = 4;

/// Formats a file. The result is a fixed point: formatting it again returns it unchanged.
///
/// # Errors
/// If the file has errors, as no change is safe then.
pub fn format(path: &str, bytes: &[u8]) -> Result<String, String> {
    let limits = ReadLimits::default();
    let (source, mut findings) = decode(path, bytes, &limits);
    let (documents, found) = parse(&source, &limits);
    findings.extend(found);
    if let Some(finding) = findings.iter().find(|finding| finding.severity == Severity::Error) {
        return Err(describe(finding, &source));
    }
    let original = source.text().to_owned();
    let mut current = (source, documents);
    for _ in 0..MAX_PASSES {
        match pass(path, &current.0, &current.1, &limits) {
            Some(next) => current = next,
            None => return Ok(current.0.text().to_owned()),
        }
    }
    // A text that never settles is left as it is, which is a fixed point too.
    Ok(original)
}

/// One pass over a text: the preferred form with the same values. `None` if the text has it already.
fn pass(path: &str, source: &Source, documents: &[Document], limits: &ReadLimits) -> Option<(Source, Vec<Document>)> {
    let candidates = match source.format() {
        // Reordering may move an alias before its anchor; then only white space is changed.
        Format::Yaml => vec![yaml(source.text(), documents, true), yaml(source.text(), documents, false)],
        Format::Json => {
            vec![documents.first().map_or_else(String::new, |document| json(&document.root, source.text()))]
        }
    };
    let values = |documents: &[Document]| documents.iter().map(|document| document.root.to_json()).collect::<Vec<_>>();
    let before = values(documents);
    for text in candidates {
        if text == source.text() {
            return None;
        }
        let after = Source::new(path, text);
        let (read, found) = parse(&after, limits);
        let is_readable = !found.iter().any(|finding| finding.severity == Severity::Error);
        if is_readable && values(&read) == before {
            return Some((after, read));
        }
    }
    None
}

/// True if a file contains an Evenkeel document. Files of other tools are not formatted.
pub fn is_evenkeel_file(path: &str, bytes: &[u8]) -> bool {
    let limits = ReadLimits::default();
    let (source, _) = decode(path, bytes, &limits);
    let (documents, _) = parse(&source, &limits);
    let is_definition = |document: &Document| {
        let version = document.root.get("apiVersion").and_then(Node::as_str);
        version.is_some_and(|version| version.starts_with("evenkeel"))
    };
    // An unreadable file is recognised by its text.
    documents.iter().any(is_definition) || documents.is_empty() && source.text().contains("evenkeel.dev/")
}

fn describe(finding: &Finding, source: &Source) -> String {
    match finding.span() {
        Some(span) => format!("line {}: {}", source.position(span.start).line, finding.message),
        None => finding.message.clone(),
    }
}

/// A line, and a flag that is true if all of its characters may belong to a value.
type Line = (String, bool);

fn yaml(text: &str, documents: &[Document], reorder: bool) -> String {
    // Spans refer to the original line ends; line numbers are the same in both texts.
    let fixed = fixed_lines(text, documents);
    let text = text.replace("\r\n", "\n");
    let mut lines: Vec<Line> = Vec::new();
    let mut document: Vec<Line> = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        let keep = fixed.get(number).copied().unwrap_or(false);
        let line = if keep { line } else { line.trim_end_matches([' ', '\t', '\r']) };
        let separates = !keep && (line == "---" || line.starts_with("--- ") || line == "...");
        if separates {
            lines.extend(ordered(std::mem::take(&mut document), reorder));
            lines.push((line.to_owned(), false));
        } else {
            document.push((line.to_owned(), keep));
        }
    }
    lines.extend(ordered(document, reorder));
    without_repeated_blanks(&lines)
}

/// The text of lines, without blank lines at the start and the end, and after another one. Reordering moves blank lines, so
/// this comes after it.
fn without_repeated_blanks(lines: &[Line]) -> String {
    let blank = |(line, keep): &Line| line.is_empty() && !keep;
    let end = lines.iter().rposition(|line| !blank(line)).map_or(0, |last| last + 1);
    let mut out = String::new();
    let mut follows_blank = true;
    for line in lines.iter().take(end) {
        if !(blank(line) && follows_blank) {
            out += &line.0;
            out.push('\n');
        }
        follows_blank = blank(line);
    }
    out
}

/// Marks the lines within multi-line strings, in which every space may belong to the value.
fn fixed_lines(text: &str, documents: &[Document]) -> Vec<bool> {
    let mut fixed = vec![false; text.split('\n').count()];
    let source = Source::new("", text);
    let mut stack: Vec<&Node> = documents.iter().map(|document| &document.root).collect();
    while let Some(node) = stack.pop() {
        if let NodeKind::Text(value) = &node.kind {
            let (first, last) =
                (source.position(node.span.start).line as usize, source.position(node.span.end).line as usize);
            let block = matches!(value.style, TextStyle::Literal | TextStyle::Folded);
            if last > first || block {
                // From the line after the opening one; the header of a block has no significant spaces.
                let end = last.min(fixed.len());
                fixed[first.min(end)..end].fill(true);
                // With `|+` the trailing blank lines belong to the value.
                let header =
                    text.get(node.span.start as usize..).and_then(|rest| rest.lines().next()).unwrap_or_default();
                if block && header.contains('+') {
                    let blank = text.split('\n').skip(end).take_while(|line| line.trim().is_empty()).count();
                    let after = (end + blank).min(fixed.len());
                    fixed[end..after].fill(true);
                }
            }
        }
        stack.extend(node.items());
        stack.extend(node.entries().iter().map(|entry| &entry.value));
    }
    fixed
}

/// The lines of a document with the envelope's fields in order, each with the comments above it.
fn ordered(lines: Vec<Line>, reorder: bool) -> Vec<Line> {
    let field = |(line, keep): &Line| {
        let name = line.split(':').next()?;
        (!keep && !line.starts_with([' ', '#', '-', '{', '"', '\'']) && line.contains(':')).then(|| name.to_owned())
    };
    let names: Vec<String> = lines.iter().filter_map(field).collect();
    let place = |name: &str| ENVELOPE.iter().position(|known| *known == name);
    // Only a document whose top-level fields are all envelope fields is reordered.
    let is_envelope = names.len() >= 2 && names.iter().all(|name| place(name).is_some());
    if !reorder || !is_envelope || names.is_sorted_by_key(|name| place(name)) {
        return lines;
    }
    let mut blocks: Vec<(Option<String>, Vec<Line>)> = vec![(None, Vec::new())];
    let mut pending: Vec<Line> = Vec::new();
    for line in lines {
        if let Some(name) = field(&line) {
            let mut block = std::mem::take(&mut pending);
            block.push(line);
            blocks.push((Some(name), block));
        } else if !line.1 && (line.0.starts_with('#') || line.0.is_empty()) {
            pending.push(line);
        } else if let Some((_, block)) = blocks.last_mut() {
            block.append(&mut pending);
            block.push(line);
        }
    }
    // Comments above the first field belong to the whole document and stay on top.
    if let [(None, head), (Some(_), first), ..] = blocks.as_mut_slice() {
        // Up to the last blank line they belong to the document, after it to the field below.
        let comments = first.iter().take_while(|(line, _)| line.is_empty() || line.starts_with('#')).count();
        let blank = first.iter().take(comments).rposition(|(line, _)| line.is_empty());
        head.extend(first.drain(..blank.map_or(comments, |at| at + 1)));
    }
    blocks.sort_by_key(|(name, _)| name.as_deref().and_then(place));
    blocks.into_iter().flat_map(|(_, block)| block).chain(pending).collect()
}

/// Formats JSON with an indentation of two spaces; numbers keep their notation.
fn json(root: &Node, text: &str) -> String {
    let mut out = String::new();
    write(root, text, 0, &mut out);
    out.push('\n');
    out
}

fn write(node: &Node, text: &str, depth: usize, out: &mut String) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let indent = |depth: usize| "  ".repeat(depth);
    match &node.kind {
        NodeKind::List(items) if !items.is_empty() => {
            out.push_str("[\n");
            for (at, item) in items.iter().enumerate() {
                out.push_str(&indent(depth + 1));
                write(item, text, depth + 1, out);
                out.push_str(if at + 1 < items.len() { ",\n" } else { "\n" });
            }
            out.push_str(&indent(depth));
            out.push(']');
        }
        NodeKind::Map(entries) if !entries.is_empty() => {
            out.push_str("{\n");
            for (at, entry) in entries.iter().enumerate() {
                out.push_str(&indent(depth + 1));
                out.push_str(&quoted(&entry.key.name));
                out.push_str(": ");
                write(&entry.value, text, depth + 1, out);
                out.push_str(if at + 1 < entries.len() { ",\n" } else { "\n" });
            }
            out.push_str(&indent(depth));
            out.push('}');
        }
        NodeKind::Number(number) => {
            let written = text.get(node.span.start as usize..node.span.end as usize);
            out.push_str(&written.map_or_else(|| number.to_string(), str::to_owned));
        }
        NodeKind::Text(value) => out.push_str(&quoted(&value.value)),
        NodeKind::List(_) => out.push_str("[]"),
        NodeKind::Map(_) => out.push_str("{}"),
        NodeKind::Null => out.push_str("null"),
        NodeKind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
    }
}

#[cfg(test)]
mod tests;
