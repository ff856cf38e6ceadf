//! Explanations as text for terminals, wrapped to their width.

use unicode_width::UnicodeWidthStr as _;

use super::explanation::{Explanation, Row, TopicKind};
use crate::cli::output::Paint;

/// Widest text, in columns: longer lines are hard to read.
pub(super) const MAX_WIDTH: usize = 100;
/// Widest column of names.
const MAX_NAME: usize = 28;
/// Widest code that is not broken into lines.
const MAX_CODE: usize = 50;

/// Renders one explanation.
pub(super) fn render(explanation: &Explanation, width: usize) -> String {
    let paint = Paint::new();
    let heading = format!("{} ({})", paint.bold(&explanation.name), explanation.label);
    let mut blocks = vec![match explanation.summary.is_empty() {
        true => heading,
        false => format!("{heading}: {}", explanation.summary),
    }];
    if !explanation.facts.is_empty() {
        let rows: Vec<Row> = explanation.facts.iter().map(|(name, value)| Row::new(*name, value)).collect();
        blocks.push(table(&rows, width));
    }
    blocks.extend(explanation.text.iter().map(|text| wrap(text, width, 0)));
    for section in &explanation.sections {
        blocks.push(format!("{}:\n{}", paint.bold(&capitalized(section.title)), table(&section.rows, width)));
    }
    for example in &explanation.examples {
        let lines = example.text.trim_end().lines().map(|line| format!("  {line}").trim_end().to_owned());
        blocks.push(format!("{}:\n{}", paint.bold(&example.title), lines.collect::<Vec<_>>().join("\n")));
    }
    blocks.join("\n\n")
}

/// Renders the list of topics, by type.
pub(super) fn list(topics: &[Explanation], width: usize) -> String {
    let mut blocks = Vec::new();
    for (kind, title) in [
        (TopicKind::Code, "Codes of findings"),
        (TopicKind::Kind, "Kinds, whose fields are topics too, such as Connector.spec.actions.http"),
        (TopicKind::Variable, "Template variables"),
        (TopicKind::Function, "Template functions"),
        (TopicKind::Filter, "Template filters"),
        (TopicKind::Test, "Template tests"),
        (TopicKind::Location, "Locations of templates"),
        (TopicKind::Entity, "Canonical entities"),
        (TopicKind::Group, "Groups of topics"),
    ] {
        let rows: Vec<Row> = topics.iter().filter(|topic| topic.kind == kind).map(row).collect();
        blocks.push(format!("{}:\n{}", Paint::new().bold(title), table(&rows, width)));
    }
    blocks.join("\n\n")
}

fn row(topic: &Explanation) -> Row {
    let type_name = if topic.kind == TopicKind::Code { topic.label.clone() } else { String::new() };
    Row { name: topic.name.clone(), type_name, meaning: topic.summary.clone() }
}

/// Rows in columns, indented by two; the last column is wrapped.
fn table(rows: &[Row], width: usize) -> String {
    let widest = |column: fn(&Row) -> &String| rows.iter().map(|row| column(row).width()).max().unwrap_or(0);
    let names = widest(|row| &row.name).min(MAX_NAME);
    let types = widest(|row| &row.type_name);
    let indent = 2 + names + 2 + if types > 0 { types + 2 } else { 0 };
    let line = |row: &Row| {
        let mut start = format!("  {}  ", pad(&row.name, names));
        if types > 0 {
            start += &format!("{}  ", pad(&row.type_name, types));
        }
        let text = wrap(&row.meaning, width, indent);
        // A name that is too wide has a line of its own.
        match start.width() > indent {
            true => format!("{}\n{}{text}", start.trim_end(), " ".repeat(indent)),
            false => format!("{start}{text}").trim_end().to_owned(),
        }
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Wraps a text at spaces. All lines but the first are indented; the first is assumed to start at the indent.
fn wrap(text: &str, width: usize, indent: usize) -> String {
    let width = width.saturating_sub(indent).max(20);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in words(text) {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += &word;
    }
    lines.push(line);
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

/// The words of a text. Code such as `{ a: 1 }` is one word if it is short.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_code = false;
    for part in text.split_whitespace() {
        match words.last_mut() {
            Some(word) if is_code && word.width() + part.width() < MAX_CODE => *word = format!("{word} {part}"),
            _ => words.push(part.to_owned()),
        }
        is_code ^= !part.matches('`').count().is_multiple_of(2);
    }
    words
}

fn capitalized(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_with_a_hanging_indent() {
        assert_eq!(wrap("one two three four five six", 24, 4), "one two three four\n    five six");
        assert_eq!(wrap("", 80, 2), "");
        assert_eq!(wrap("a condition `{ gt: 100 }` of it", 24, 0), "a condition\n`{ gt: 100 }` of it");
        let long = "x".repeat(200);
        assert_eq!(wrap(&long, 80, 0), long);
    }

    #[test]
    fn a_wide_name_has_a_line_of_its_own() {
        let rows = [Row::new("a", "first"), Row::new("b".repeat(MAX_NAME + 1), "second")];
        let text = table(&rows, 80);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("  a{}  first", " ".repeat(MAX_NAME - 1)));
        assert_eq!(lines[1], format!("  {}", "b".repeat(MAX_NAME + 1)));
        assert_eq!(lines[2].trim(), "second");
    }
}
