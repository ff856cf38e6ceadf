//! What differs between two documents: by key in maps, by name in lists of maps that have one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::mask::is_marker;
use crate::text::escaped;

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// Where it is in the document after, or before for what was removed (RFC 6901).
    pub pointer: String,
    /// The same place as people read it: `spec.forms.settings.fields[folder].label`; empty for the whole document.
    pub path: String,
    /// What happened.
    pub kind: ChangeKind,
    /// The value before; `null` for what was added.
    pub before: Value,
    /// The value after; `null` for what was removed.
    pub after: Value,
}

/// What happened to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ChangeKind {
    Add,
    Remove,
    Replace,
}

impl ChangeKind {
    /// What undoes it.
    #[must_use]
    pub fn inverse(self) -> ChangeKind {
        match self {
            ChangeKind::Add => ChangeKind::Remove,
            ChangeKind::Remove => ChangeKind::Add,
            ChangeKind::Replace => ChangeKind::Replace,
        }
    }
}

/// Keys that tell the maps of a list apart, the first one that does.
const MERGE_KEYS: [&str; 7] = ["name", "id", "connector", "workflow", "value", "theme", "action"];

/// What differs between two documents; one of them may not be there.
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

/// The key by which the items of both lists can be told apart.
pub(super) fn merge_key(before: &[Value], after: &[Value]) -> Option<&'static str> {
    let tells = |items: &[Value], key: &str| {
        let mut seen = BTreeSet::new();
        items.iter().all(|item| identity(item, key).is_some_and(|identity| seen.insert(identity)))
    };
    let some = !before.is_empty() && !after.is_empty();
    MERGE_KEYS.into_iter().find(|key| some && tells(before, key) && tells(after, key))
}

/// What a map of a list is called.
pub(super) fn identity(item: &Value, key: &str) -> Option<String> {
    match item.get(key)? {
        Value::String(text) => Some(text.clone()),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        _ => None,
    }
}

/// Depth is that of definitions (`text::ReadLimits::depth`), so recursion is bounded.
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

    /// Does something one step further down.
    fn below(&mut self, part: &str, shown: &str, then: impl FnOnce(&mut Walk)) {
        let (pointer, path) = (self.pointer.len(), self.path.len());
        let _ = write!(self.pointer, "/{}", escaped(part));
        self.path += shown;
        then(self);
        self.pointer.truncate(pointer);
        self.path.truncate(path);
    }

    /// A value that may be on one side only.
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
            (one, other) if one == other => {}
            (one, other) if is_marker(one) || is_marker(other) => {
                self.push(ChangeKind::Replace, Some(one), Some(other));
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
        let (gone, come) = (&before_rest[..before_rest.len() - end], &after_rest[..after_rest.len() - end]);
        for at in 0..gone.len().max(come.len()) {
            let index = (start + at).to_string();
            self.below(&index, &format!("[{index}]"), |walk| walk.either(gone.get(at), come.get(at)));
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

    fn told(before: &Value, after: &Value) -> Vec<String> {
        let kind = |kind| match kind {
            ChangeKind::Add => '+',
            ChangeKind::Remove => '-',
            ChangeKind::Replace => '~',
        };
        let changes = changes(Some(before), Some(after));
        changes.iter().map(|c| format!("{} {} {} {}→{}", kind(c.kind), c.pointer, c.path, c.before, c.after)).collect()
    }

    #[test]
    fn maps_are_compared_by_key() {
        let told = told(&json!({"a": 1, "b/c": {"d": 2}}), &json!({"b/c": {"d": 3}, "e": null}));
        assert_eq!(told, ["- /a a 1→null", "~ /b~1c/d b/c.d 2→3", "+ /e e null→null"]);
    }

    #[test]
    fn lists_of_maps_are_compared_by_name_and_their_order_counts() {
        let before = json!({"l": [{"name": "a", "x": 1}, {"name": "b", "x": 2}, {"name": "c"}]});
        let after = json!({"l": [{"name": "b", "x": 3}, {"name": "a", "x": 1}, {"name": "d"}]});
        let expected = [
            "~ /l/0/x l[b].x 2→3",
            "- /l/2 l[c] {\"name\":\"c\"}→null",
            "+ /l/2 l[d] null→{\"name\":\"d\"}",
            "~ /l l [\"a\",\"b\"]→[\"b\",\"a\"]",
        ];
        assert_eq!(told(&before, &after), expected);
    }

    #[test]
    fn other_lists_are_compared_by_place() {
        let before = json!([{"x": 1}, {"x": 2}, {"x": 9}]);
        assert_eq!(
            told(&before, &json!([{"x": 1}, {"x": 3}, {"x": 4}, {"x": 9}])),
            ["~ /1/x [1].x 2→3", "+ /2 [2] null→{\"x\":4}"]
        );
        assert_eq!(told(&json!(["a"]), &json!(["a", "b"])), ["~   [\"a\"]→[\"a\",\"b\"]"]);
        assert_eq!(
            told(&json!([{"name": "a"}, {"name": "a"}]), &json!([{"name": "a"}])),
            ["- /1 [1] {\"name\":\"a\"}→null"]
        );
    }
}
