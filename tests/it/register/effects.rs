//! The effects of fields on the tests of definitions: each line of `tests/register/effects.tsv` changes one field, and the
//! results of `evenkeel test` change. A field that the program does not read changes nothing, and fails here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel::text::{self, ReadLimits};
use serde_json::Value;

use crate::support::{root, run};

const FOLDER: &str = "tests/register";
/// The test below, as the register names it.
pub const TEST: &str = "effects::the_tests_of_definitions_see_each_field";

/// A change of one field.
struct Change {
    leaf: String,
    file: String,
    kind: String,
    name: String,
    pointer: String,
    /// The code of the finding, if the new value is a mistake.
    code: Option<String>,
    /// The new value; `None` removes the field.
    value: Option<Value>,
}

fn changes() -> Vec<Change> {
    let table = std::fs::read_to_string(root().join(FOLDER).join("effects.tsv")).unwrap();
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let change = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [leaf, file, definition, pointer, value] = cells[..] else { panic!("not five cells: {line}") };
        let (kind, name) = definition.split_once('/').unwrap();
        let (code, value) = match value.split_once(' ').filter(|(code, _)| code.starts_with("EK")) {
            Some((code, value)) => (Some(code.to_owned()), value),
            None => (None, value),
        };
        let value = (value != "-").then(|| serde_json::from_str(value).unwrap_or_else(|_| panic!("no JSON: {line}")));
        let [leaf, file, kind, name, pointer] = [leaf, file, kind, name, pointer].map(str::to_owned);
        Change { leaf, file, kind, name, pointer, code, value }
    };
    lines.map(change).collect()
}

/// The leaves with a change.
pub fn leaves() -> BTreeSet<String> {
    changes().into_iter().map(|change| change.leaf).collect()
}

fn documents(file: &str) -> Vec<Value> {
    let (source, _) =
        text::decode(file, &std::fs::read(root().join(FOLDER).join(file)).unwrap(), &ReadLimits::default());
    let (documents, findings) = text::parse(&source, &ReadLimits::default());
    assert!(findings.is_empty(), "{findings:?}");
    documents.iter().map(|document| document.root.to_json()).collect()
}

/// Writes a set of definitions into a folder.
fn folder_of(documents: &[Value]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for script in ["child.ts", "other.ts"] {
        std::fs::copy(root().join(FOLDER).join(script), folder.path().join(script)).unwrap();
    }
    for (at, document) in documents.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{at}.json")), document.to_string()).unwrap();
    }
    folder
}

/// The results of the tests of a set of definitions: each test with its differences.
fn results_of(documents: &[Value]) -> Result<Value, String> {
    let folder = folder_of(documents);
    let said = run(["test".as_ref(), folder.path().as_os_str(), "-o".as_ref(), "json".as_ref()]);
    let report: Value = serde_json::from_str(&said.out).map_err(|_| format!("{}{}", said.out, said.err))?;
    Ok(report["tests"].clone())
}

/// The codes of the findings of a set of definitions.
fn codes_of(documents: &[Value]) -> BTreeSet<String> {
    let folder = folder_of(documents);
    let said = run(["validate".as_ref(), folder.path().as_os_str(), "-o".as_ref(), "json".as_ref()]);
    let report: Value = serde_json::from_str(&said.out).unwrap_or_default();
    let findings = report["findings"].as_array().into_iter().flatten();
    findings.filter_map(|finding| finding["code"].as_str().map(str::to_owned)).collect()
}

/// The problem of a change; `None` if it has its effect.
fn problem(change: &Change, before: &(Vec<Value>, Value)) -> Option<String> {
    let mut documents = before.0.clone();
    if !apply(&mut documents, change) {
        return Some("its pointer leads nowhere, or its value is the old one".to_owned());
    }
    if let Some(code) = &change.code {
        let is_new = codes_of(&documents).contains(code) && !codes_of(&before.0).contains(code);
        return (!is_new).then(|| format!("its mistake is not reported as {code}"));
    }
    match results_of(&documents) {
        Ok(after) if after == before.1 => Some("its change has no effect".to_owned()),
        Ok(_) => None,
        Err(problem) => Some(format!("the changed definitions are not valid: {problem}")),
    }
}

/// True if the document changed.
fn apply(documents: &mut [Value], change: &Change) -> bool {
    let named =
        |document: &&mut Value| document["kind"] == *change.kind && document["metadata"]["name"] == *change.name;
    let Some(document) = documents.iter_mut().find(named) else { return false };
    let (parent, field) = change.pointer.rsplit_once('/').unwrap();
    match (document.pointer_mut(parent), &change.value) {
        (Some(Value::Object(map)), Some(value)) => map.insert(field.to_owned(), value.clone()).as_ref() != Some(value),
        (Some(Value::Object(map)), None) => map.remove(field).is_some(),
        (Some(Value::Array(items)), Some(value)) => {
            items[field.parse::<usize>().unwrap()] = value.clone();
            true
        }
        _ => false,
    }
}

#[test]
fn the_tests_of_definitions_see_each_field() {
    let changes = changes();
    let files: BTreeSet<&str> = changes.iter().map(|change| change.file.as_str()).collect();
    let before: BTreeMap<&str, (Vec<Value>, Value)> = files
        .into_iter()
        .map(|file| {
            let documents = documents(file);
            let results = results_of(&documents).unwrap_or_else(|problem| panic!("{file}: {problem}"));
            for test in results.as_array().unwrap() {
                assert_eq!(test["passed"], true, "{file}: {test:#}");
            }
            (file, (documents, results))
        })
        .collect();
    let (next, problems) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(change) = changes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let problem = problem(change, &before[change.file.as_str()]);
                    problems.lock().unwrap().extend(problem.map(|problem| format!("{}: {problem}", change.leaf)));
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
