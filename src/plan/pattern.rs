//! Patterns of locations in a document, such as `spec/actions/*/input`; `*` is every key of a map or item of a list.

use serde_json::Value;

/// Calls `found` with every value that matches a pattern and the keys that lead to it, in the order of the document.
pub(super) fn each<'a>(root: &'a Value, pattern: &str, found: &mut dyn FnMut(&[&str], &'a Value)) {
    fn walk<'a>(value: &'a Value, rest: &[&str], keys: &mut Vec<&'a str>, found: &mut dyn FnMut(&[&str], &'a Value)) {
        let Some((first, rest)) = rest.split_first() else { return found(keys, value) };
        match value {
            Value::Object(map) if *first == "*" => {
                for (key, value) in map {
                    keys.push(key);
                    walk(value, rest, keys, found);
                    keys.pop();
                }
            }
            Value::Object(map) => {
                if let Some((key, value)) = map.get_key_value(*first) {
                    keys.push(key);
                    walk(value, rest, keys, found);
                    keys.pop();
                }
            }
            Value::Array(items) if *first == "*" => {
                for item in items {
                    keys.push("*");
                    walk(item, rest, keys, found);
                    keys.pop();
                }
            }
            _ => {}
        }
    }
    let parts: Vec<&str> = pattern.split('/').collect();
    walk(root, &parts, &mut Vec::new(), found);
}

/// Calls `found` with every value that matches a pattern, for modification.
pub(super) fn each_mut(root: &mut Value, pattern: &str, found: &mut dyn FnMut(&mut Value)) {
    let Some((first, rest)) = pattern.split_once('/').or(Some((pattern, ""))).filter(|(first, _)| !first.is_empty())
    else {
        return found(root);
    };
    match root {
        Value::Object(map) if first == "*" => map.values_mut().for_each(|value| each_mut(value, rest, found)),
        Value::Array(items) if first == "*" => items.iter_mut().for_each(|value| each_mut(value, rest, found)),
        Value::Object(map) => {
            if let Some(value) = map.get_mut(first) {
                each_mut(value, rest, found);
            }
        }
        _ => {}
    }
}

/// Removes the values that match a pattern and for which `drop` is true. The last part of the pattern is a key.
pub(super) fn remove(root: &mut Value, pattern: &str, drop: impl Fn(&Value) -> bool) {
    let (parent, key) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    each_mut(root, parent, &mut |value| {
        if let Value::Object(map) = value
            && map.get(key).is_some_and(&drop)
        {
            map.shift_remove(key);
        }
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_and_removes_values_by_pattern() {
        let mut value = json!({"a": {"x": {"k": 1}, "y": {"k": 2}}, "l": [{"k": 3}, {"o": 4}]});
        let mut seen = Vec::new();
        each(&value, "a/*/k", &mut |keys, value| seen.push((keys.join("."), value.clone())));
        assert_eq!(seen, [("a.x.k".to_owned(), json!(1)), ("a.y.k".to_owned(), json!(2))]);
        remove(&mut value, "a/*/k", |value| value == 2);
        remove(&mut value, "l/*/k", |_| true);
        remove(&mut value, "no/such", |_| true);
        assert_eq!(value, json!({"a": {"x": {"k": 1}, "y": {}}, "l": [{}, {"o": 4}]}));
    }
}
