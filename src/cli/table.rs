//! Text for terminals: tables and fields that fit the width, and excerpts of JSON.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Longest excerpt of a value, in characters.
const MAX_EXCERPT: usize = 100;
/// Least width of a column that is folded, in terminal columns.
const MIN_WIDTH: usize = 8;
/// Width of the labels of [`field`], with the indentation.
const LABEL: usize = 14;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    folds: bool,
}

/// A column whose cells are never folded, such as IDs to copy.
pub(super) const fn fixed(title: &'static str) -> Column {
    Column { title, folds: false }
}

/// A column whose cells are folded if the table is wider than the terminal.
pub(super) const fn text_column(title: &'static str) -> Column {
    Column { title, folds: true }
}

/// Formats rows below a header, at most as wide as the terminal if the fixed columns allow it. A column that has no text
/// in any row is omitted.
pub(super) fn layout<const N: usize>(columns: [Column; N], rows: &[[String; N]], width: Option<usize>) -> String {
    // A line break in a cell would look like another row.
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| std::array::from_fn(|at| row[at].replace(['\n', '\r', '\t'], " "))).collect();
    let shown: Vec<usize> =
        (0..N).filter(|at| rows.is_empty() || rows.iter().any(|row| !row[*at].is_empty())).collect();
    let mut widths: Vec<usize> = shown
        .iter()
        .map(|at| rows.iter().map(|row| row[*at].width()).chain([columns[*at].title.width()]).max().unwrap_or(0))
        .collect();
    if let Some(width) = width {
        let folds: Vec<bool> = shown.iter().map(|at| columns[*at].folds).collect();
        shrink(&mut widths, &folds, width.saturating_sub(2 * shown.len().saturating_sub(1)));
    }
    let header: Vec<&str> = shown.iter().map(|at| columns[*at].title).collect();
    let mut text = line(&header, &widths);
    for row in &rows {
        let cells: Vec<&str> = shown.iter().map(|at| row[*at].as_str()).collect();
        text += &line(&cells, &widths);
    }
    text
}

/// Makes the widest columns that fold narrower until all fit.
fn shrink(widths: &mut [usize], folds: &[bool], width: usize) {
    while widths.iter().sum::<usize>() > width {
        let candidates = widths.iter_mut().zip(folds).filter(|(width, folds)| **folds && **width > MIN_WIDTH);
        let Some((widest, _)) = candidates.max_by_key(|(width, _)| **width) else { return };
        *widest -= 1;
    }
}

/// Formats a row: as many lines as its highest cell has.
fn line(cells: &[&str], widths: &[usize]) -> String {
    let folded: Vec<Vec<String>> = cells.iter().zip(widths).map(|(cell, width)| fold(cell, *width)).collect();
    let height = folded.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for at in 0..height {
        let parts =
            folded.iter().zip(widths).map(|(lines, width)| pad(lines.get(at).map_or("", String::as_str), *width));
        text += parts.collect::<Vec<String>>().join("  ").trim_end();
        text += "\n";
    }
    text
}

/// Splits a text into lines of at most `width` terminal columns: at spaces, else after punctuation, else anywhere.
fn fold(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut rest = text.trim_end();
    while rest.width() > width {
        let mut used = 0;
        let end = rest.char_indices().find(|(_, character)| {
            used += character.width().unwrap_or(0);
            used > width
        });
        let end = end.map_or(rest.len(), |(at, character)| if at == 0 { character.len_utf8() } else { at });
        let head = &rest[..end];
        let split = match head.rfind(' ').filter(|at| *at > 0) {
            _ if rest[end..].starts_with(' ') => end,
            Some(space) => space,
            None => head.rfind(['/', '-', ':', ',', '.', '@']).map_or(end, |at| at + 1),
        };
        lines.push(rest[..split].trim_end().to_owned());
        rest = rest[split..].trim_start();
    }
    if lines.is_empty() || !rest.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

/// Appends spaces up to a width in terminal columns: wide characters take two, combining ones none.
fn pad(cell: &str, width: usize) -> String {
    format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width())))
}

/// Formats a labelled value, indented; it is folded below itself if it is wider than the terminal.
pub(super) fn field(label: &str, value: &str, width: Option<usize>) -> String {
    let lines = match width {
        Some(width) => fold(value, width.saturating_sub(LABEL).max(MIN_WIDTH)),
        None => vec![value.to_owned()],
    };
    let mut text = format!("  {label:<width$}", width = LABEL - 2);
    text += &lines.join(&format!("\n{}", " ".repeat(LABEL)));
    text + "\n"
}

/// A JSON string; empty for other values.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The first 100 characters, with `…` if there are more.
pub(super) fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(MAX_EXCERPT).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_wide_and_combining_characters() {
        let rows = ["工作流", "cafe\u{301}", "plain"].map(|name| [name.to_owned(), "x".to_owned()]);
        let table = layout([fixed("NAME"), text_column("STATUS")], &rows, None);
        let columns: Vec<usize> = table.lines().map(|line| line[..line.rfind(['S', 'x']).unwrap()].width()).collect();
        assert_eq!(columns[1..], [8, 8, 8], "{table}");
    }

    #[test]
    fn a_wide_table_is_folded_to_the_terminal() {
        let columns = [fixed("EXECUTION"), text_column("WORKFLOW"), text_column("TENANT"), text_column("REASON")];
        let row =
            |reason: &str| ["01kb8m2w9ya7c3d5e7f9g1h3j5", "send-the-monthly-statement", "", reason].map(str::to_owned);
        let rows = [row("a sentence of quite some words, and https://a.example/with/a/long/path"), row("short")];
        let folded = layout(columns, &rows, Some(80));
        assert!(folded.lines().all(|line| line.width() <= 80), "{folded}");
        assert!(!folded.contains("TENANT"), "no row has a tenant: {folded}");
        assert!(folded.contains("01kb8m2w9ya7c3d5e7f9g1h3j5  "), "IDs stay whole: {folded}");
        let joined: String = folded.split_whitespace().collect();
        for word in ["sentence", "words,", "statement"] {
            assert!(joined.contains(word), "{folded}");
        }
        let whole = layout(columns, &rows, None);
        assert_eq!(whole.lines().count(), 3, "a pipe gets one line for each row: {whole}");
        // Columns that may not fold keep the values even if nothing fits.
        assert!(layout(columns, &rows, Some(40)).contains("01kb8m2w9ya7c3d5e7f9g1h3j5"));
    }

    #[test]
    fn texts_fold_at_spaces_then_punctuation_then_anywhere() {
        assert_eq!(fold("one two three", 8), ["one two", "three"]);
        assert_eq!(fold("one two", 7), ["one two"]);
        assert_eq!(fold("orders-in-eu", 8), ["orders-", "in-eu"]);
        assert_eq!(fold("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(fold("工作流程", 4), ["工作", "流程"]);
        assert_eq!(fold("工", 1), ["工"], "a character is never split");
        assert_eq!(fold("", 4), [""]);
    }

    #[test]
    fn a_field_continues_below_its_value() {
        assert_eq!(field("reason", "one two three", Some(24)), "  reason      one two\n              three\n");
        assert_eq!(field("reason", "one two three", None), "  reason      one two three\n");
    }
}
