//! Text for terminals: tables, times and excerpts of JSON.

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

/// Longest excerpt of a value, in characters.
const MAX_EXCERPT: usize = 100;

/// Formats rows below a header, padded to terminal columns.
pub(super) fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut widths = header.map(str::width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| pad(cell, width)).collect::<Vec<String>>();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(header.to_vec())).chain(body).collect()
}

/// Appends spaces up to a width in terminal columns: wide characters take two, combining ones none.
fn pad(cell: &str, width: usize) -> String {
    format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width())))
}

/// A JSON string; empty for other values.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Formats microseconds since 1970 as UTC, to the second; `-` for other values.
pub(super) fn time(value: &Value) -> String {
    let at = value.as_i64().and_then(|micros| jiff::Timestamp::from_second(micros.div_euclid(1_000_000)).ok());
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
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
        let table = table(["NAME", "STATUS"], rows.to_vec());
        let columns: Vec<usize> = table.lines().map(|line| line[..line.rfind(['S', 'x']).unwrap()].width()).collect();
        assert_eq!(columns[1..], [8, 8, 8], "{table}");
    }
}
