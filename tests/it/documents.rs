//! Documents: the commands, definitions and links of the README and the book, and the names of code in the documents of
//! contributors. A name that no longer exists fails.

mod blocks;
mod command_lines;
mod definitions;
mod follow;
mod links;
mod output;
mod runbooks;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::support::{golden, root};

/// Files below a folder with this extension.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, extension, files);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join(folder), extension, &mut files);
    files.sort();
    assert!(!files.is_empty(), "{folder} holds no .{extension} files");
    files
}

/// The documents of contributors, with their text.
fn documents() -> Vec<(PathBuf, String)> {
    let pages = ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root().join(name));
    let read = |path: PathBuf| (path.clone(), std::fs::read_to_string(path).unwrap());
    files("docs", "md").into_iter().chain(pages).map(read).collect()
}

/// The functions of a Rust file.
fn functions(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let function = Regex::new(r"\bfn (\w+)").unwrap();
    function.captures_iter(&text).map(|found| found[1].to_owned()).collect()
}

/// Tests that are named after a row of the fault table: by row and file.
fn row_tests() -> BTreeMap<u32, BTreeMap<String, BTreeSet<String>>> {
    let row = Regex::new(r"^row_(\d+)_").unwrap();
    let mut tests: BTreeMap<u32, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for path in files("src", "rs").into_iter().chain(files("tests/it", "rs")) {
        for name in functions(&path) {
            if let Some(found) = row.captures(&name) {
                let file = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                tests.entry(found[1].parse().unwrap()).or_default().entry(file).or_default().insert(name.clone());
            }
        }
    }
    tests
}

/// The fault table with the tests of each row as they are now. Files that a row names without a test are kept.
///
/// # Errors
/// A row is malformed, is missing for a test, or names a file that does not exist.
fn with_tests(text: &str, mut tests: BTreeMap<u32, BTreeMap<String, BTreeSet<String>>>) -> Result<String, String> {
    let name = Regex::new("`([^`]+)`").unwrap();
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let Some(number) = cells.first().and_then(|cell| cell.parse::<u32>().ok()) else {
            lines.push(line.to_owned());
            continue;
        };
        let [_, fault, guarantee, shown] = cells[..] else { return Err(format!("row {number} has not 4 cells")) };
        if fault.is_empty() || guarantee.is_empty() || !seen.insert(number) {
            return Err(format!("row {number} is incomplete, or there twice"));
        }
        let mut named = tests.remove(&number).unwrap_or_default();
        for part in shown.split("<br>") {
            let names: Vec<&str> = name.captures_iter(part).map(|found| found.get(1).unwrap().as_str()).collect();
            if let [file] = names[..] {
                if !root().join(file).is_file() {
                    return Err(format!("row {number} names {file}, which does not exist"));
                }
                named.entry(file.to_owned()).or_default();
            }
        }
        let shown = named.iter().map(|(file, tests)| {
            let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
            if tests.is_empty() { format!("`{file}`") } else { format!("`{file}`: {}", tests.join(", ")) }
        });
        let shown = if named.is_empty() { "none yet".to_owned() } else { shown.collect::<Vec<_>>().join("<br>") };
        lines.push(format!("| {number} | {fault} | {guarantee} | {shown} |"));
    }
    match tests.first_key_value() {
        Some((row, tests)) => Err(format!("docs/faults.md has no row {row}, which {tests:?} show")),
        None => Ok(lines.join("\n") + "\n"),
    }
}

#[test]
fn the_fault_table_and_the_tests_agree() {
    let text = std::fs::read_to_string(root().join("docs/faults.md")).unwrap();
    golden("docs/faults.md", &with_tests(&text, row_tests()).unwrap());
}

#[test]
fn every_file_that_a_document_names_exists() {
    let name = Regex::new(r"`((?:\.?\w[\w.-]*/)+[\w.-]+)`").unwrap();
    let mut wrong = Vec::new();
    for (document, text) in documents() {
        let here = document.strip_prefix(root()).unwrap().display();
        // A name is one of this repository if its first folder is.
        for found in name.captures_iter(&text).map(|found| found[1].to_owned()) {
            let first = found.split('/').next().unwrap();
            let is_ours =
                ["src", "tests", "docs", "charts", "examples", "benches", "schemas", ".github", ".ci"].contains(&first);
            if is_ours && !root().join(found.trim_end_matches('/')).exists() {
                wrong.push(format!("{here} names `{found}`, which does not exist"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_item_and_table_of_the_glossary_exists() {
    let text = std::fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let path = Regex::new("`([a-z_]+)((?:::[A-Za-z_]+)+)`").unwrap();
    let mut wrong = Vec::new();
    for found in path.captures_iter(&text) {
        let last = found[2].rsplit("::").next().unwrap();
        let definition = Regex::new(&format!(r"\b(mod|struct|enum|trait|fn|type|const) {last}\b")).unwrap();
        let module = &found[1];
        let mut sources = vec![root().join(format!("src/{module}.rs"))];
        if root().join("src").join(module).is_dir() {
            sources.extend(files(&format!("src/{module}"), "rs"));
        }
        if !sources.iter().any(|path| definition.is_match(&std::fs::read_to_string(path).unwrap_or_default())) {
            wrong.push(format!("`{module}{}` of docs/glossary.md does not exist", &found[2]));
        }
    }
    let mut schema = String::new();
    for path in files("src/store/migrations", "sql") {
        schema += &std::fs::read_to_string(path).unwrap();
    }
    let table = Regex::new(r"(?m)\| `([a-z_]+)`(?: columns)? \|$").unwrap();
    for found in table.captures_iter(&text).map(|found| found[1].to_owned()) {
        if !Regex::new(&format!(r"\b{found}\b")).unwrap().is_match(&schema) {
            wrong.push(format!("the database has no `{found}`, which docs/glossary.md names"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn versions_that_are_written_twice_agree() {
    let all = |path: &str, pattern: &str| -> Vec<String> {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        Regex::new(pattern).unwrap().captures_iter(&text).map(|found| found[1].to_owned()).collect()
    };
    let toolchain = all("rust-toolchain.toml", r#"channel = "([0-9.]+)""#);
    let [toolchain] = &toolchain[..] else { panic!("{toolchain:?}") };
    for (path, pattern) in [("Cargo.toml", r#"rust-version = "([0-9.]+)""#), ("Dockerfile", "FROM rust:([0-9.]+)-")] {
        let found = all(path, pattern);
        assert!(!found.is_empty() && found.iter().all(|found| toolchain.starts_with(found)), "{path}: {found:?}");
    }
    for (first, pattern, second, again) in [
        (".ci/run", r"deny=([0-9.]+)", ".github/workflows/ci.yml", r"cargo-deny@([0-9.]+)"),
        ("tests/envtest/build", r"helm=(v[0-9.]+)", ".github/workflows/release.yml", r"version: (v[0-9.]+)"),
        ("Cargo.toml", r#"(?m)^version = "([0-9.]+)""#, "charts/evenkeel/Chart.yaml", r"(?m)^version: ([0-9.]+)"),
        ("Cargo.toml", r#"(?m)^version = "([0-9.]+)""#, "CHANGELOG.md", r"(?m)^## ([0-9.]+)"),
    ] {
        let (first_found, second_found) = (all(first, pattern), all(second, again));
        assert!(!first_found.is_empty(), "{first} has no {pattern}");
        assert_eq!(first_found.first(), second_found.first(), "{first} and {second}");
    }
}

#[test]
fn a_fault_table_that_does_not_fit_the_tests_is_refused() {
    let tests = |row: u32| {
        let named = BTreeMap::from([("src/a.rs".to_owned(), BTreeSet::from([format!("row_{row:02}_b")]))]);
        BTreeMap::from([(row, named)])
    };
    // A test that is renamed or new takes its place; a file stays.
    let text = with_tests("| 1 | a | b | `src/a.rs`: `row_01_old`<br>`src/lib.rs` |", tests(1)).unwrap();
    assert_eq!(text, "| 1 | a | b | `src/a.rs`: `row_01_b`<br>`src/lib.rs` |\n");
    for (text, row) in [
        ("| 1 | a | b | none yet |", 2),
        ("| 1 | a | b |", 1),
        ("| 1 | a | b | `src/none.rs` |", 1),
        ("| 1 | a | b | none yet |\n| 1 | a | b | none yet |", 1),
    ] {
        assert!(with_tests(text, tests(row)).is_err(), "{text}");
    }
}
