//! The register of fields: each leaf of each kind's schema has a test that shows its effect, or is marked as accepted and
//! not in effect yet.
//!
//! `tests/register.tsv` has a line for each leaf: its name, and `lib` or `it` with the path of a test, or `planned` with
//! the code of the finding. A type that several fields use is registered once, by its own name.

mod api;
mod connections;
mod effects;
mod leaves;
mod limits;
mod mistakes;
mod running;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use evenkeel::text::codes;

use crate::support::root;
use leaves::leaves;

const TABLE: &str = "tests/register.tsv";

/// The entries: leaf, and its test or `planned` with a code.
fn entries() -> Vec<(String, String)> {
    let table = std::fs::read_to_string(root().join(TABLE)).unwrap();
    let lines = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let entry = |line: &str| {
        let (leaf, shown_by) = line.split_once('\t').unwrap_or_else(|| panic!("a line without a tab: {line}"));
        (leaf.to_owned(), shown_by.trim().to_owned())
    };
    lines.map(entry).collect()
}

/// The file that holds a module: the longest part of its path that is a file.
fn file_of(folder: &str, module: &[&str]) -> Option<PathBuf> {
    let path = |length: usize| root().join(folder).join(module[..length].join("/") + ".rs");
    (1..=module.len()).rev().map(path).find(|path| path.is_file())
}

/// True if the sources hold a test of this name, such as `it calls::bodies_match_their_declaration`.
fn is_test(name: &str, sources: &mut BTreeMap<PathBuf, String>) -> bool {
    let Some((suite, path)) = name.split_once(' ') else { return false };
    let folder = match suite {
        "lib" => "src",
        "it" => "tests/it",
        _ => return false,
    };
    let parts: Vec<&str> = path.split("::").collect();
    let Some((function, module)) = parts.split_last() else { return false };
    let Some(file) = file_of(folder, module) else { return false };
    let source = sources.entry(file).or_insert_with_key(|file| std::fs::read_to_string(file).unwrap());
    let is_declared = |at: usize| {
        let before = &source[..at];
        let attributes = &before[before.rfind("\n\n").unwrap_or(0)..];
        attributes.contains("#[test]") || attributes.contains("#[tokio::test")
    };
    source.match_indices(&format!("fn {function}(")).any(|(at, _)| is_declared(at))
}

#[test]
fn every_leaf_of_every_kind_has_a_test_or_is_planned() {
    let leaves = leaves();
    let entries = entries();
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    let mut sources = BTreeMap::new();
    for (leaf, shown_by) in &entries {
        if !known.insert(leaf) {
            problems.push(format!("{leaf}: two entries"));
        }
        let Some(is_planned) = leaves.get(leaf) else {
            problems.push(format!("{leaf}: no kind has this leaf"));
            continue;
        };
        match shown_by.strip_prefix("planned ") {
            Some(code) => {
                if codes::find(code).is_none() {
                    problems.push(format!("{leaf}: there is no code {code}"));
                }
                if !is_planned {
                    problems.push(format!("{leaf}: planned, and its schema has no mark"));
                }
            }
            None if *is_planned => {
                problems.push(format!("{leaf}: its schema has the mark, and it is not planned here"));
            }
            None if !is_test(shown_by, &mut sources) => problems.push(format!("{leaf}: there is no test `{shown_by}`")),
            None => {}
        }
    }
    let changed = effects::leaves();
    let by_tests = |(leaf, shown_by): &(String, String)| shown_by.ends_with(effects::TEST).then(|| leaf.clone());
    let registered: BTreeSet<String> = entries.iter().filter_map(by_tests).collect();
    for leaf in changed.symmetric_difference(&registered) {
        problems.push(format!("{leaf}: in one of {TABLE} and tests/register/effects.tsv only"));
    }
    let missing = leaves.keys().filter(|leaf| !known.contains(leaf));
    problems.extend(missing.map(|leaf| format!("{leaf}: no entry")));
    assert!(
        problems.is_empty(),
        "{TABLE}: give each leaf the test that shows its effect, or mark it with `x-evenkeel-planned`\n{}",
        problems.join("\n")
    );
    assert!(leaves.len() > 500, "{}", leaves.len());
}

/// The rules of the walk on a small schema.
#[test]
fn a_new_field_and_a_new_mark_are_leaves() {
    let defs = serde_json::json!({
        "Spec": {"properties": {
            "text": {"type": "string"},
            "one": {"$ref": "#/$defs/Shared"},
            "two": {"anyOf": [{"$ref": "#/$defs/Shared"}, {"type": "null"}]},
            "list": {"type": "array", "items": {"$ref": "#/$defs/Spec"}},
            "later": {"x-evenkeel-planned": {"instead": "a", "remedy": "b"}, "$ref": "#/$defs/Later"},
        }},
        "Shared": {"properties": {"inner": {"type": "integer"}}},
        "Later": {"properties": {"x": {}, "now": {"x-evenkeel-planned": false}, "shared": {"$ref": "#/$defs/Shared"}}},
    });
    let found = leaves::of_types(&defs, &["Spec"]);
    let found: Vec<(&str, bool)> = found.iter().map(|(leaf, planned)| (leaf.as_str(), *planned)).collect();
    let expected = [
        ("Later.now", false),
        ("Later.shared", true),
        ("Later.x", true),
        ("Shared.inner", false),
        ("Spec.one", false),
        ("Spec.text", false),
        ("Spec.two", false),
    ];
    assert_eq!(found, expected);
}
