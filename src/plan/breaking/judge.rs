//! Applies a rule to the fields that it names.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::quote::quoted;
use super::rules::{Rule, Test};
use super::schema;
use crate::plan::change::identity;
use crate::plan::pattern;

/// Adds the reasons why a change is breaking according to a rule.
///
/// A pattern with `*` matches members that exist before and after. Members that are added or removed as a whole are
/// handled by the rule for the map that holds them.
pub(super) fn apply(rule: &Rule, before: &Value, after: &Value, because: &mut Vec<String>) {
    // The last key is looked up on both sides, to find a value that exists on one side only.
    let (parent, key) = match rule.pattern.rsplit_once('/') {
        Some((parent, key)) if key != "*" => (parent, Some(key)),
        _ => (rule.pattern, None),
    };
    let mut places: Vec<(Vec<String>, &Value)> = Vec::new();
    pattern::each(before, parent, &mut |keys, value| {
        places.push((keys.iter().map(|&key| key.to_owned()).collect(), value));
    });
    let stars: Vec<bool> = parent.split('/').map(|part| part == "*").collect();
    for (keys, value) in places {
        let new = keys.iter().try_fold(after, |value, key| value.get(key));
        // The map around a value may be added or removed with it: `egress`, `auth`. Named maps have a rule of their own.
        let named = stars.contains(&true);
        let Some(new) = new.or(Some(&Value::Null).filter(|_| !named && key.is_some())) else { continue };
        let (old, new) = match key {
            Some(key) => (value.get(key), new.get(key)),
            None => (Some(value), Some(new)),
        };
        let names: Vec<&str> =
            keys.iter().zip(&stars).filter(|(_, star)| **star).map(|(key, _)| key.as_str()).collect();
        test(rule, &names, old, new, because);
    }
    if let Some(key) = key
        && !stars.contains(&true)
        && at(before, parent).is_none()
    {
        let new = at(after, parent).and_then(|parent| parent.get(key));
        test(rule, &[], None, new, because);
    }
}

fn at<'a>(root: &'a Value, place: &str) -> Option<&'a Value> {
    place.split('/').try_fold(root, |value, key| value.get(key))
}

fn test(rule: &Rule, names: &[&str], before: Option<&Value>, after: Option<&Value>, because: &mut Vec<String>) {
    if before == after {
        return;
    }
    // `the input of action `list``, `field of entity `contact``.
    let whole = match names.first() {
        Some(_) => format!("{} {}", rule.what, names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(" / ")),
        None => rule.what.to_owned(),
    };
    // `action `list``, `field `email` of entity `contact``.
    let part = |name: &str| match (rule.what.split_once(" of "), names.first()) {
        (Some((what, of)), Some(_)) => {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            format!("{what} {} of {of} {}", quoted(name), names.join(" / "))
        }
        _ => format!("{} {}", rule.what, quoted(name)),
    };
    let mut say = |text: String| because.push(text);
    match rule.test {
        Test::Keys => {
            let (before, after) = (keys(before), keys(after));
            before.difference(&after).for_each(|name| say(format!("{} is gone", part(name))));
        }
        Test::Items => {
            let (before, after) = (items(before), items(after));
            before.difference(&after).for_each(|name| say(format!("{} is gone", part(name))));
        }
        Test::NewItems => {
            let (before, after) = (items(before), items(after));
            after.difference(&before).for_each(|name| say(format!("{} is new", part(name))));
        }
        Test::Named(key) => {
            let (before, after) = (named(before, key), named(after, key));
            let after: BTreeSet<&String> = after.iter().map(|(name, _)| name).collect();
            let gone = before.iter().filter(|(name, _)| !after.contains(name));
            gone.for_each(|(name, _)| say(format!("{} is gone", part(name))));
        }
        Test::Changed => say(format!("{whole} changes")),
        Test::ChangedFrom => {
            if before.is_some() {
                say(format!("{whole} changes"));
            }
        }
        Test::New => {
            if before.is_none() {
                say(format!("{whole} is new"));
            }
        }
        Test::NoLonger => {
            if before == Some(&Value::Bool(true)) {
                say(format!("{whole} is no longer true"));
            }
        }
        Test::Order(order) => order_test(order, &whole, before, after, &mut say),
        Test::Variant(variants) => {
            let (old, new) = (variant(before, variants), variant(after, variants));
            if old != new {
                let word = |variant: Option<&str>| variant.map_or_else(|| "nothing".to_owned(), quoted);
                say(format!("{whole} was {} and becomes {}", word(old), word(new)));
            }
        }
        Test::Required => {
            let required = |name: &str, map: Option<&Value>| map?.get(name)?.get("required")?.as_bool();
            for name in keys(after).into_iter().filter(|name| required(name, after) == Some(true)) {
                if required(&name, before) != Some(true) {
                    say(format!("{} must be filled in", part(&name)));
                }
            }
        }
        Test::RequiredNamed => {
            let must =
                |value: &Value| value.get("required") == Some(&Value::Bool(true)) && value.get("default").is_none();
            let known = named(before, "name");
            for (name, _) in named(after, "name").into_iter().filter(|(_, value)| must(value)) {
                if !known.iter().any(|(known, value)| *known == name && must(value)) {
                    say(format!("{} must be filled in", part(&name)));
                }
            }
        }
        Test::NoDefault => {
            let open = |name: &str, map: Option<&Value>| {
                map.and_then(|map| map.get(name)).is_some_and(|value| value.get("default").is_none())
            };
            for name in keys(after).into_iter().filter(|name| open(name, after) && !open(name, before)) {
                say(format!("{} must be given", part(&name)));
            }
        }
        Test::Allowed => {
            let (old, new) = (items(before), items(after));
            match (old.is_empty(), new.is_empty()) {
                (_, true) => {}
                (true, false) => say(format!("no longer every {whole}, only those that are listed")),
                (false, false) => old.difference(&new).for_each(|name| say(format!("{} is gone", part(name)))),
            }
        }
        Test::Input => schema::stricter(before, after, &whole, because),
        Test::Output => schema::looser(before, after, &whole, because),
    }
}

fn order_test(order: &[&str], whole: &str, before: Option<&Value>, after: Option<&Value>, say: &mut dyn FnMut(String)) {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (Some(old), Some(new)) = (before.map(word), after.map(word)) else { return };
    let place = |word: &str| order.iter().position(|known| *known == word);
    if place(&old) < place(&new) {
        say(format!("{whole} becomes {}", quoted(&new)));
    }
}

fn keys(value: Option<&Value>) -> BTreeSet<String> {
    value.and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect()
}

fn items(value: Option<&Value>) -> BTreeSet<String> {
    let items = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
}

fn named<'a>(value: Option<&'a Value>, key: &str) -> Vec<(String, &'a Value)> {
    let items = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(|item| Some((identity(item, key)?, item))).collect()
}

fn variant<'a>(value: Option<&Value>, variants: &[&'a str]) -> Option<&'a str> {
    variants.iter().copied().find(|variant| value.is_some_and(|value| value.get(variant).is_some()))
}
