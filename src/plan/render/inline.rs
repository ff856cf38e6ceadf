//! Text of others within Markdown and HTML: in code spans and fences, where neither HTML nor Markdown nor mentions are
//! interpreted, and which the text cannot end.

use std::fmt::Write as _;

use super::change_lines::{Line, printed};
use super::neutral::neutral;
use super::review::ShownPlace;

/// Maximum size of the lines of a fence, in bytes.
const MAX_FENCE: usize = 12_000;

/// Lines in a fence that is longer than any run of backquotes in them.
pub(super) fn fenced(lines: &[Line]) -> String {
    let mut body = String::new();
    for (at, line) in lines.iter().enumerate() {
        if body.len() + line.1.len() > MAX_FENCE {
            let _ = writeln!(body, "… {} more lines", lines.len() - at);
            break;
        }
        let _ = writeln!(body, "{}", printed(line));
    }
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}diff\n{body}{fence}\n\n")
}

/// Text in a code span, on one line.
pub(super) fn code(text: &str) -> String {
    let text = neutral(text).replace('`', "'");
    if text.trim().is_empty() { "` `".into() } else { format!("`{text}`") }
}

/// A place in a code span, with its address if that is known.
pub(super) fn place(place: &ShownPlace) -> String {
    match &place.link {
        Some(link) => format!("[{}]({link})", code(&place.text)),
        None => code(&place.text),
    }
}

/// A sentence of Evenkeel with names from definitions in backquotes.
pub(super) fn sentence(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in neutral(text).split('`').enumerate() {
        if at % 2 == 1 {
            out += &code(part);
        } else {
            out += &escaped(part);
        }
    }
    out
}

/// Text with Markdown and HTML escaped. A mention is broken by an invisible joiner.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '@' | '#' => {
                out.push(character);
                out.push('\u{2060}');
            }
            '\\' | '*' | '_' | '[' | ']' | '(' | ')' | '!' | '|' | '~' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}

/// Text within HTML.
pub(super) fn html(text: &str) -> String {
    neutral(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
