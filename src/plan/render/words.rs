//! Foreign text made harmless: nothing in a definition commands a terminal, ends a fence, or calls somebody.

use serde_json::Value;

use crate::plan::{Action, Change, ChangeKind, DiffLine, SourceLocation, text_diff};

/// Characters of one value in a line.
const MAX_VALUE: usize = 200;

/// Characters of one line.
const MAX_LINE: usize = 400;

/// One line of what changes: `-`, `+`, ` ` or `…` and its text.
pub(super) type Line = (char, String);

/// Text on one line without what commands a terminal or reorders the text around it: control characters, and Unicode's
/// directional marks, overrides and isolates (Trojan Source, CVE-2021-42574).
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

/// The text, cut to a number of characters.
pub(super) fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// `path:line`.
pub(super) fn place(place: &SourceLocation) -> String {
    neutral(&format!("{}:{}", place.path, place.line))
}

/// What changes, line by line, at most `most` lines.
pub(super) fn lines(action: &Action, most: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut left_out = 0;
    for change in &action.changes {
        if lines.len() >= most {
            left_out += 1;
            continue;
        }
        if change.pointer.is_empty() {
            whole(change, &mut lines);
        } else {
            one(change, &mut lines);
        }
    }
    if lines.len() > most {
        let more = lines.len() - most;
        lines.truncate(most);
        lines.push(('…', format!("{more} more lines")));
    }
    if left_out > 0 {
        lines.push(('…', format!("{left_out} more changes")));
    }
    lines
}

/// A document that is new or gone: what its spec holds, without the envelope that its heading tells.
fn whole(change: &Change, lines: &mut Vec<Line>) {
    let (sign, value) = match change.kind {
        ChangeKind::Remove => ('-', &change.before),
        ChangeKind::Add | ChangeKind::Replace => ('+', &change.after),
    };
    for (key, value) in value.get("spec").and_then(Value::as_object).into_iter().flatten() {
        // Named parts by their names: a new connector is its actions, not their text.
        let text = match value.as_object() {
            Some(map) if !map.is_empty() => map.keys().cloned().collect::<Vec<_>>().join(", "),
            _ => shown(value),
        };
        lines.push((sign, line(&format!("{key}: {text}"))));
    }
}

fn one(change: &Change, lines: &mut Vec<Line>) {
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

/// A value in one line, as JSON; a secret by its fingerprint.
fn shown(value: &Value) -> String {
    match value.get("secret").and_then(Value::as_str) {
        Some(secret) if value.as_object().is_some_and(|map| map.len() == 1) => format!("(secret {secret})"),
        _ => short(&value.to_string(), MAX_VALUE),
    }
}

fn line(text: &str) -> String {
    short(&neutral(text), MAX_LINE)
}

/// What depends on a definition, in a sentence; nothing where nothing does.
pub(super) fn dependants(action: &Action, most: usize) -> Option<String> {
    let named: Vec<String> = action.dependants.iter().take(most).map(|id| format!("`{}`", neutral(id))).collect();
    let more = action.dependants_total.saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (action.dependants_total > 0).then(|| format!("needed by {}{more}", named.join(", ")))
}
