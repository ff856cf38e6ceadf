//! Neutralizes text from definitions, so that it cannot control a terminal, end a fence or mention a user.

use serde_json::Value;

use crate::plan::change::{Change, ChangeKind};
use crate::plan::lines::{DiffLine, text_diff};
use crate::plan::model::Action;
use crate::plan::object::SourceLocation;

/// Maximum number of characters of a value in a line.
const MAX_VALUE: usize = 200;

/// Maximum number of characters of a line.
const MAX_LINE: usize = 400;

/// A line of changes: `-`, `+`, ` ` or `…`, and its text.
pub(super) type Line = (char, String);

/// Text on one line without characters that control a terminal or reorder the text around them: control characters, and
/// Unicode's directional marks, overrides and isolates (Trojan Source, CVE-2021-42574).
pub(super) fn neutral(text: &str) -> String {
    let replace = |character: char| match character {
        '\n' | '\t' => ' ',
        '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' => {
            '\u{FFFD}'
        }
        character if character.is_control() => '\u{FFFD}',
        character => character,
    };
    text.chars().map(replace).collect()
}

/// The text, cut to a maximum number of characters.
pub(super) fn short(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// `path:line`.
pub(super) fn place(place: &SourceLocation) -> String {
    neutral(&format!("{}:{}", place.path, place.line))
}

/// The changes of an action, at most `max` lines.
pub(super) fn lines(action: &Action, max: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut omitted = 0;
    for change in &action.changes {
        if lines.len() >= max {
            omitted += 1;
            continue;
        }
        if change.pointer.is_empty() {
            whole(change, &mut lines);
        } else {
            field(change, &mut lines);
        }
    }
    if lines.len() > max {
        let more = lines.len() - max;
        lines.truncate(max);
        lines.push(('…', format!("{more} more lines")));
    }
    if omitted > 0 {
        lines.push(('…', format!("{omitted} more changes")));
    }
    lines
}

/// An added or removed document: its spec without the envelope, which the heading names.
fn whole(change: &Change, lines: &mut Vec<Line>) {
    let (sign, value) = match change.kind {
        ChangeKind::Remove => ('-', &change.before),
        ChangeKind::Add | ChangeKind::Replace => ('+', &change.after),
    };
    for (key, value) in value.get("spec").and_then(Value::as_object).into_iter().flatten() {
        // Named parts are listed by name: the actions of a new connector, not their content.
        let text = match value.as_object() {
            Some(map) if !map.is_empty() => map.keys().cloned().collect::<Vec<_>>().join(", "),
            _ => shown(value),
        };
        lines.push((sign, line(&format!("{key}: {text}"))));
    }
}

fn field(change: &Change, lines: &mut Vec<Line>) {
    let path = &change.path;
    match (&change.before, &change.after, change.kind) {
        (Value::String(before), Value::String(after), ChangeKind::Replace)
            if before.contains('\n') || after.contains('\n') =>
        {
            lines.push((' ', line(&format!("{path}:"))));
            for changed in text_diff(before, after) {
                lines.push(match changed {
                    DiffLine::Same(text) => (' ', line(&format!("  {text}"))),
                    DiffLine::Removed(text) => ('-', line(&format!("  {text}"))),
                    DiffLine::Added(text) => ('+', line(&format!("  {text}"))),
                    DiffLine::Gap => (' ', "  …".into()),
                    DiffLine::TooLong(before, after) => ('…', format!("{before} lines become {after}")),
                });
            }
        }
        (before, after, kind) => {
            if kind != ChangeKind::Add {
                lines.push(('-', line(&format!("{path}: {}", shown(before)))));
            }
            if kind != ChangeKind::Remove {
                lines.push(('+', line(&format!("{path}: {}", shown(after)))));
            }
        }
    }
}

/// A value as JSON on one line; a secret by its fingerprint.
fn shown(value: &Value) -> String {
    match value.get("secret").and_then(Value::as_str) {
        Some(secret) if value.as_object().is_some_and(|map| map.len() == 1) => format!("(secret {secret})"),
        _ => short(&value.to_string(), MAX_VALUE),
    }
}

fn line(text: &str) -> String {
    short(&neutral(text), MAX_LINE)
}

/// The dependants of a definition in one phrase; `None` if it has none.
pub(super) fn dependants(action: &Action, max: usize) -> Option<String> {
    let named: Vec<String> = action.dependants.iter().take(max).map(|id| format!("`{}`", neutral(id))).collect();
    let more = action.dependants_total.saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (action.dependants_total > 0).then(|| format!("needed by {}{more}", named.join(", ")))
}
