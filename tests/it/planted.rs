//! A repository of planted mistakes: one run reports all of them with position, code and help, in a stable order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{golden, run};

fn findings() -> Value {
    let output = run(["validate", "tests/planted", "-o", "json"]);
    assert_eq!(output.code, 1, "{}", output.err);
    serde_json::from_str(&output.out).unwrap()
}

#[test]
fn reports_all_mistakes_in_a_stable_order() {
    golden("tests/planted.golden.json", &format!("{:#}\n", findings()));
    for _ in 0..3 {
        assert_eq!(findings(), findings());
    }
}

#[test]
fn the_text_report_matches_the_golden_file() {
    golden("tests/planted.golden.txt", &run(["validate", "tests/planted"]).out);
}

#[test]
fn each_finding_has_a_position_a_code_and_help() {
    let report = findings();
    let findings = report["findings"].as_array().unwrap();
    for finding in findings {
        assert!(finding["line"].as_u64().is_some_and(|line| line > 0), "{finding}");
        assert!(finding["column"].as_u64().is_some_and(|column| column > 0), "{finding}");
        assert!(finding["file"].as_str().is_some_and(|file| !file.is_empty()), "{finding}");
        assert!(finding["help"].as_str().is_some_and(|help| help.len() > 3), "{finding}");
        let code = finding["code"].as_str().unwrap();
        assert!(evenkeel::text::codes::find(code).is_some(), "{code}");
    }
    let kinds: BTreeSet<&str> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
    assert!(kinds.len() >= 80, "only {} codes", kinds.len());
    let errors = findings.iter().filter(|finding| finding["severity"] == "error").count();
    assert_eq!(report["summary"]["errors"], errors);
    assert_eq!(report["summary"]["warnings"], findings.len() - errors);
}

/// Every mistake listed in `EXPECTED.md` is reported within 3 lines. The list was written without knowledge of the output.
#[test]
fn finds_every_expected_mistake() {
    let table = std::fs::read_to_string(crate::support::root().join("tests/planted/EXPECTED.md")).unwrap();
    let report = findings();
    let mut found: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
    for finding in report["findings"].as_array().unwrap() {
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        let file = text("file").strip_prefix("tests/planted/").unwrap().to_owned();
        found.entry((file, text("code"))).or_default().push(finding["line"].as_u64().unwrap());
    }
    let mut expected = 0;
    let mut missing = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| ") && line.contains(" | EK")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (place, code) = (cells[0], cells[1]);
        let (file, number) = place.rsplit_once(':').unwrap();
        let number: u64 = number.parse().unwrap();
        expected += 1;
        let lines = found.entry((file.to_owned(), code.to_owned())).or_default();
        let nearest = lines.iter().enumerate().min_by_key(|(_, found)| found.abs_diff(number));
        match nearest.filter(|(_, found)| found.abs_diff(number) <= 3).map(|(at, _)| at) {
            Some(at) => {
                lines.remove(at);
            }
            None => missing.push(line),
        }
    }
    assert!(expected >= 300, "the table was not read");
    assert!(missing.is_empty(), "expected and not found:\n{}", missing.join("\n"));
}
