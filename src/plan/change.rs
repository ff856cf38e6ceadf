//! The differences between two documents: maps are compared by key, lists of named maps by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::marker::is_marker;
use crate::text::escaped;

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// JSON pointer (RFC 6901) in the document after; in the document before for a removal.
    pub pointer: String,
    /// The same location in readable form: `spec.forms.settings.fields[folder].label`; empty for the whole document.
    pub path: String,
    /// The kind of difference.
    pub kind: ChangeKind,
    /// The value before; `null` for an addition.
    pub before: Value,
    /// The value after; `null` for a removal.
    pub after: Value,
}

/// The kind of difference of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ChangeKind {
    Add,
    Remove,
    Replace,
}

impl ChangeKind {
    /// The kind of the reverse difference.
    #[must_use]
    pub fn inverse(self) -> ChangeKind {
        match self {
            ChangeKind::Add => ChangeKind::Remove,
            ChangeKind::Remove => ChangeKind::Add,
            ChangeKind::Replace => ChangeKind::Replace,
        }
    }
}

/// Keys that may identify the maps of a list, in order of preference.
const MERGE_KEYS: [&str; 7] = ["name", "id", "connector", "workflow", "value", "theme", "action"];

/// The differences between two documents, one of which may be absent.
pub(super) fn changes(before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let mut walk = Walk::default();
    match (before, after) {
        (Some(before), Some(after)) => walk.values(before, after),
        (None, Some(_)) => walk.push(ChangeKind::Add, before, after),
        (Some(_), None) => walk.push(ChangeKind::Remove, before, after),
        (None, None) => {}
    }
    walk.changes
}

/// The key that identifies the items of both lists.
pub(super) fn merge_key(before: &[Value], after: &[Value]) -> Option<&'static str> {
    let identifies = |items: &[Value], key: &str| {
        let mut seen = BTreeSet::new();
        items.iter().all(|item| identity(item, key).is_some_and(|identity| seen.insert(identity)))
    };
    let both = !before.is_empty() && !after.is_empty();
    MERGE_KEYS.into_iter().find(|key| both && identifies(before, key) && identifies(after, key))
}

/// The identity of an item of a list.
pub(super) fn identity(item: &Value, key: &str) -> Option<String> {
    match item.get(key)? {
        Value::String(text) => Some(text.clone()),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        _ => None,
    }
}

/// Recursion is bounded by the depth of definitions (`text::ReadLimits::depth`).
#[derive(Default)]
struct Walk {
    pointer: String,
    path: String,
    changes: Vec<Change>,
}

impl Walk {
    fn push(&mut self, kind: ChangeKind, before: Option<&Value>, after: Option<&Value>) {
        self.changes.push(Change {
            pointer: self.pointer.clone(),
            path: self.path.clone(),
            kind,
            before: before.cloned().unwrap_or_default(),
            after: after.cloned().unwrap_or_default(),
        });
    }

    /// Calls `then` one level deeper.
    fn below(&mut self, part: &str, shown: &str, then: impl FnOnce(&mut Walk)) {
        let (pointer, path) = (self.pointer.len(), self.path.len());
        let _ = write!(self.pointer, "/{}", escaped(part));
        self.path += shown;
        then(self);
        self.pointer.truncate(pointer);
        self.path.truncate(path);
    }

    /// Compares a value that may be absent on one side.
    fn either(&mut self, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (Some(before), Some(after)) => self.values(before, after),
            (None, Some(_)) => self.push(ChangeKind::Add, before, after),
            (Some(_), None) => self.push(ChangeKind::Remove, before, after),
            (None, None) => {}
        }
    }

    fn values(&mut self, before: &Value, after: &Value) {
        match (before, after) {
            (before, after) if before == after => {}
            (before, after) if is_marker(before) || is_marker(after) => {
                self.push(ChangeKind::Replace, Some(before), Some(after));
            }
            (Value::Object(before), Value::Object(after)) => self.maps(before, after),
            (Value::Array(before), Value::Array(after)) => self.lists(before, after),
            _ => self.push(ChangeKind::Replace, Some(before), Some(after)),
        }
    }

    fn maps(&mut self, before: &Map<String, Value>, after: &Map<String, Value>) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let shown = if self.path.is_empty() { key.clone() } else { format!(".{key}") };
            self.below(key, &shown, |walk| walk.either(before.get(key), after.get(key)));
        }
    }

    fn lists(&mut self, before: &[Value], after: &[Value]) {
        if let Some(key) = merge_key(before, after) {
            return self.named(before, after, key);
        }
        let nested = |items: &[Value]| items.iter().any(|item| item.is_object() || item.is_array());
        if !nested(before) || !nested(after) {
            return self.whole(before, after);
        }
        let start = before.iter().zip(after).take_while(|(one, other)| one == other).count();
        let (before_rest, after_rest) = (&before[start..], &after[start..]);
        let ends = before_rest.iter().rev().zip(after_rest.iter().rev());
        let end = ends.take_while(|(one, other)| one == other).count();
        let (removed, added) = (&before_rest[..before_rest.len() - end], &after_rest[..after_rest.len() - end]);
        for at in 0..removed.len().max(added.len()) {
            let index = (start + at).to_string();
            self.below(&index, &format!("[{index}]"), |walk| walk.either(removed.get(at), added.get(at)));
        }
    }

    fn whole(&mut self, before: &[Value], after: &[Value]) {
        let (before, after) = (Value::from(before), Value::from(after));
        self.push(ChangeKind::Replace, Some(&before), Some(&after));
    }

    fn named(&mut self, before: &[Value], after: &[Value], key: &str) {
        let by_name = |items: &[Value]| -> BTreeMap<String, usize> {
            items.iter().enumerate().filter_map(|(at, item)| Some((identity(item, key)?, at))).collect()
        };
        let (left, right) = (by_name(before), by_name(after));
        let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for name in names {
            let (one, other) = (left.get(name), right.get(name));
            let index = other.or(one).map_or_else(String::new, ToString::to_string);
            self.below(&index, &format!("[{name}]"), |walk| {
                walk.either(one.and_then(|&at| before.get(at)), other.and_then(|&at| after.get(at)));
            });
        }
        let order = |items: &[Value], other: &BTreeMap<String, usize>| -> Vec<Value> {
            let names = items.iter().filter_map(|item| identity(item, key));
            names.filter(|name| other.contains_key(name)).map(Value::from).collect()
        };
        let (one, other) = (order(before, &right), order(after, &left));
        if one != other {
            self.whole(&one, &other);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(before: &Value, after: &Value) -> Vec<String> {
        let kind = |kind| match kind {
            ChangeKind::Add => '+',
            ChangeKind::Remove => '-',
            ChangeKind::Replace => '~',
        };
        let changes = changes(Some(before), Some(after));
        changes.iter().map(|c| format!("{} {} {} {}→{}", kind(c.kind), c.pointer, c.path, c.before, c.after)).collect()
    }

    #[test]
    fn compares_maps_by_key() {
        let changes = described(&json!({"a": 1, "b/c": {"d": 2}}), &json!({"b/c": {"d": 3}, "e": null}));
        assert_eq!(changes, ["- /a a 1→null", "~ /b~1c/d b/c.d 2→3", "+ /e e null→null"]);
    }

    #[test]
    fn compares_lists_of_named_maps_by_name_and_order() {
        let before = json!({"l": [{"name": "a", "x": 1}, {"name": "b", "x": 2}, {"name": "c"}]});
        let after = json!({"l": [{"name": "b", "x": 3}, {"name": "a", "x": 1}, {"name": "d"}]});
        let expected = [
            "~ /l/0/x l[b].x 2→3",
            "- /l/2 l[c] {\"name\":\"c\"}→null",
            "+ /l/2 l[d] null→{\"name\":\"d\"}",
            "~ /l l [\"a\",\"b\"]→[\"b\",\"a\"]",
        ];
        assert_eq!(described(&before, &after), expected);
    }

    #[test]
    fn compares_other_lists_by_position() {
        let before = json!([{"x": 1}, {"x": 2}, {"x": 9}]);
        assert_eq!(
            described(&before, &json!([{"x": 1}, {"x": 3}, {"x": 4}, {"x": 9}])),
            ["~ /1/x [1].x 2→3", "+ /2 [2] null→{\"x\":4}"]
        );
        assert_eq!(described(&json!(["a"]), &json!(["a", "b"])), ["~   [\"a\"]→[\"a\",\"b\"]"]);
        assert_eq!(
            described(&json!([{"name": "a"}, {"name": "a"}]), &json!([{"name": "a"}])),
            ["- /1 [1] {\"name\":\"a\"}→null"]
        );
    }
}
