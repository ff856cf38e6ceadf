//! The changes of a definition as lines: effects, files, and tests apart.

use serde_json::Value;

use super::neutral::{line, short};
use crate::plan::change::{Change, ChangeKind};
use crate::plan::declared_tests::{is_of_tests, take_tests};
use crate::plan::file_diff::FileDiff;
use crate::plan::lines::{DiffLine, text_diff};
use crate::plan::model::Action;
use crate::text::to_yaml;

/// Maximum number of characters of a value in a line.
const MAX_VALUE: usize = 200;

/// Maximum number of characters of a map or list on one line; a longer one is a block of YAML.
const MAX_INLINE: usize = 80;

/// A line of changes: `-`, `+`, ` `, `@` or `…`, and its text.
pub(super) type Line = (char, String);

/// The line as it is printed.
pub(super) fn printed((sign, text): &Line) -> String {
    match sign {
        '@' => text.clone(),
        sign => format!("{sign} {text}").trim_end().to_owned(),
    }
}

/// The changes of a definition that have an effect, at most `max` lines. Changes of files are separate.
pub(super) fn effects(action: &Action, max: usize) -> Vec<Line> {
    let effects = action.changes.iter().filter(|change| !is_of_tests(action.id.kind, change));
    let is_file = |change: &&Change| {
        let is_shown = |path: &str| action.files.iter().any(|file| file.path == path);
        change.pointer == "/files" && !action.files.is_empty()
            || change.path.strip_prefix("files.").is_some_and(is_shown)
    };
    bounded(effects.filter(|change| !is_file(change)), max, |change, lines| {
        let change = without_tests(action, change);
        if change.pointer.is_empty() { whole(&change, lines) } else { field(&change, lines) }
    })
}

/// The changes of a definition's tests, at most `max` lines. New and removed tests of a new or removed definition are
/// listed by name.
pub(super) fn tests(action: &Action, max: usize) -> Vec<Line> {
    bounded(action.changes.iter(), max, |change, lines| {
        if is_of_tests(action.id.kind, change) {
            return field(change, lines);
        }
        for (sign, value) in [('-', &change.before), ('+', &change.after)] {
            for (place, names) in take_tests(action.id.kind, &change.pointer, &mut value.clone()) {
                let path = if change.path.is_empty() { place } else { format!("{}.{place}", change.path) };
                lines.push((sign, line(&format!("{path}: {}", names.join(", ")))));
            }
        }
    })
}

/// The diff of a file, at most `max` lines.
pub(super) fn file(diff: &FileDiff, max: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = diff.lines.iter().take(max).map(|text| unified(text)).collect();
    if let Some(note) = &diff.note {
        lines.push(('…', note.clone()));
    }
    match diff.omitted + diff.lines.len() - lines.len().min(diff.lines.len()) {
        0 => {}
        1 => lines.push(('…', "1 more line".to_owned())),
        more => lines.push(('…', format!("{more} more lines"))),
    }
    lines
}

fn unified(text: &str) -> Line {
    match (text.chars().next(), text.get(1..)) {
        (Some(sign @ ('+' | '-' | ' ')), Some(rest)) => (sign, line(rest)),
        _ => ('@', line(text)),
    }
}

/// The lines of changes: a change that starts after the maximum is only counted.
fn bounded<'a>(
    changes: impl Iterator<Item = &'a Change>,
    max: usize,
    mut add: impl FnMut(&'a Change, &mut Vec<Line>),
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut omitted = 0;
    for change in changes {
        if lines.len() >= max {
            omitted += 1;
            continue;
        }
        add(change, &mut lines);
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

fn without_tests(action: &Action, change: &Change) -> Change {
    let mut change = change.clone();
    take_tests(action.id.kind, &change.pointer, &mut change.before);
    take_tests(action.id.kind, &change.pointer, &mut change.after);
    change
}

/// An added or removed document: its spec without the envelope, which the heading names.
fn whole(change: &Change, lines: &mut Vec<Line>) {
    let (sign, value) = match change.kind {
        ChangeKind::Remove => ('-', &change.before),
        ChangeKind::Add | ChangeKind::Replace => ('+', &change.after),
    };
    let Some(spec) = value.get("spec") else { return };
    lines.extend(yaml(spec).into_iter().map(|text| (sign, line(&text))));
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
                block('-', path, before, lines);
            }
            if kind != ChangeKind::Remove {
                block('+', path, after, lines);
            }
        }
    }
}

/// A value after its path: on one line if it is short, else as a block of YAML.
fn block(sign: char, path: &str, value: &Value, lines: &mut Vec<Line>) {
    let is_long = match value {
        Value::String(text) => text.contains('\n'),
        Value::Array(_) | Value::Object(_) => !is_secret(value) && value.to_string().len() > MAX_INLINE,
        _ => false,
    };
    if !is_long {
        lines.push((sign, line(&format!("{path}: {}", shown(value)))));
        return;
    }
    lines.push((sign, line(&format!("{path}:"))));
    let below = match value {
        Value::String(text) => text.lines().map(str::to_owned).collect(),
        value => yaml(value),
    };
    lines.extend(below.into_iter().map(|text| (sign, line(&format!("  {text}")))));
}

/// A value as lines of YAML.
fn yaml(value: &Value) -> Vec<String> {
    let mut value = value.clone();
    name_secrets(&mut value);
    let text = to_yaml(&value).unwrap_or_else(|_| value.to_string());
    text.lines().map(str::to_owned).collect()
}

/// Replaces the stand-ins of secrets by their readable form.
fn name_secrets(value: &mut Value) {
    if is_secret(value) {
        *value = Value::String(shown(value));
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(name_secrets),
        Value::Object(map) => map.values_mut().for_each(name_secrets),
        _ => {}
    }
}

fn is_secret(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.len() == 1 && map.get("secret").is_some_and(Value::is_string))
}

/// A value as JSON on one line; a secret by its fingerprint.
fn shown(value: &Value) -> String {
    match value.get("secret").and_then(Value::as_str).filter(|_| is_secret(value)) {
        Some(secret) => format!("(secret {secret})"),
        None => short(&value.to_string(), MAX_VALUE),
    }
}
