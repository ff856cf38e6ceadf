//! Tests that definitions declare. They have no effect on an environment, so a plan lists their changes apart.

use serde_json::Value;

use super::change::Change;
use super::pattern;
use crate::definition::Kind;

/// Locations of tests.
const TESTS: [(Kind, &str); 2] = [(Kind::Connector, "spec/actions/*/tests"), (Kind::Workflow, "spec/tests")];

/// True if a change concerns tests only.
pub(super) fn is_of_tests(kind: Kind, change: &Change) -> bool {
    below(kind, &change.pointer).is_some_and(|pattern| pattern.is_empty())
}

/// Removes the tests from a changed value and returns each place with the names of its tests.
pub(super) fn take_tests(kind: Kind, pointer: &str, value: &mut Value) -> Vec<(String, Vec<String>)> {
    let Some(pattern) = below(kind, pointer).filter(|pattern| !pattern.is_empty()) else { return Vec::new() };
    let mut found = Vec::new();
    pattern::each(value, &pattern, &mut |keys, tests| {
        let name = |test: &Value| test.get("name").and_then(Value::as_str).map(str::to_owned);
        let names: Vec<String> = tests.as_array().into_iter().flatten().filter_map(name).collect();
        if !names.is_empty() {
            found.push((keys.join("."), names));
        }
    });
    pattern::remove(value, &pattern, |_| true);
    found
}

/// The pattern of tests below a location: empty within tests, `None` if there are none.
fn below(kind: Kind, pointer: &str) -> Option<String> {
    let (_, pattern) = TESTS.iter().find(|(owner, _)| *owner == kind)?;
    let mut rest = pattern.split('/');
    for part in pointer.split('/').skip(1) {
        match rest.next() {
            None => break,
            Some(expected) if expected == "*" || expected == part => {}
            Some(_) => return None,
        }
    }
    Some(rest.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::change::ChangeKind;

    #[test]
    fn changes_of_tests_are_recognised() {
        let is_of_tests = |kind, pointer: &str| {
            let (path, kind_of_change) = (String::new(), ChangeKind::Add);
            let (before, after) = (Value::Null, Value::Null);
            is_of_tests(kind, &Change { pointer: pointer.into(), path, kind: kind_of_change, before, after })
        };
        assert!(is_of_tests(Kind::Connector, "/spec/actions/a/tests"));
        assert!(is_of_tests(Kind::Connector, "/spec/actions/a/tests/0/expectRequest/path"));
        assert!(is_of_tests(Kind::Workflow, "/spec/tests/1"));
        for (kind, pointer) in [
            (Kind::Connector, "/spec/actions/a"),
            (Kind::Connector, "/spec/actions/tests/http"),
            (Kind::Connector, "/spec/tests"),
            (Kind::Workflow, "/spec/steps/0/tests"),
            (Kind::Workflow, ""),
            (Kind::Tenant, "/spec/tests"),
        ] {
            assert!(!is_of_tests(kind, pointer), "{pointer}");
        }
    }

    #[test]
    fn tests_are_taken_from_a_value_above_them() {
        let tests = json!([{"name": "full"}, {"name": "short"}]);
        let mut whole = json!({"spec": {"actions": {"a": {"http": 1, "tests": tests}, "b": {"http": 2}}}});
        let found = take_tests(Kind::Connector, "", &mut whole);
        assert_eq!(found, [("spec.actions.a.tests".to_owned(), vec!["full".to_owned(), "short".to_owned()])]);
        assert_eq!(whole, json!({"spec": {"actions": {"a": {"http": 1}, "b": {"http": 2}}}}));
        let mut action = json!({"http": 1, "tests": tests});
        assert_eq!(take_tests(Kind::Connector, "/spec/actions/a", &mut action)[0].0, "tests");
        assert_eq!(action, json!({"http": 1}));
        let mut other = json!({"tests": 1});
        assert!(take_tests(Kind::Connector, "/spec/events", &mut other).is_empty());
        assert_eq!(other, json!({"tests": 1}));
    }
}
