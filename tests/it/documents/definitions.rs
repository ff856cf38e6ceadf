//! The definitions, code and JSON in the pages are valid.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::blocks::{Block, Page, pages, write_block};
use crate::support::{copy, folder, run, write};

/// Findings that a part of a definition may have: the rest of the definition, and other definitions, are missing.
const PARTIAL: [&str; 8] = ["EK0102", "EK0106", "EK0202", "EK0203", "EK0204", "EK0207", "EK0209", "EK0410"];
/// The family of findings about files and bytes: also files that are no definitions have none of them.
const SYNTAX: &str = "EK00";
/// The finding of a folder without definitions.
const EMPTY: &str = "EK0011";

/// The findings of a folder or file, each with its code, severity and message.
fn findings(path: &Path) -> Vec<(String, String, String)> {
    let said = run(["validate".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()]);
    let report: Value =
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err));
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings.map(|finding| (text(finding, "code"), text(finding, "severity"), text(finding, "message"))).collect()
}

/// The errors that a block of YAML or code has and may not have.
fn errors(block: &Block) -> Vec<String> {
    let name = if block.language == "ts" { "code.ts" } else { "block.yaml" };
    let text = match block.option("part") {
        Some(kind) => {
            let spec: String = block.text.lines().map(|line| format!("  {line}\n")).collect();
            format!("apiVersion: evenkeel.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: part }}\nspec:\n{spec}")
        }
        None => block.text.clone(),
    };
    let place = block.option("with").map_or_else(|| folder(&[]), copy);
    write(&place.path().join(name), &text);
    if block.language == "ts" {
        let workflow = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: code }\nspec: { source: { file: code.ts } }\n";
        write(&place.path().join("code.yaml"), workflow);
    }
    let findings = findings(place.path());
    if let Some(code) = block.option("invalid") {
        let codes: Vec<&str> = findings.iter().map(|(code, ..)| code.as_str()).collect();
        return if codes == [code] { Vec::new() } else { vec![format!("has {codes:?} instead of {code}")] };
    }
    let is_allowed = |code: &str| match (block.option("part"), block.option("other")) {
        (Some(_), _) => PARTIAL.contains(&code),
        (_, Some(_)) => code == EMPTY || !code.starts_with(SYNTAX),
        _ => false,
    };
    let wrong = findings.into_iter().filter(|(code, severity, _)| severity == "error" && !is_allowed(code));
    wrong.map(|(code, _, message)| format!("{code}: {message}")).collect()
}

/// The errors of the files that a page writes.
fn errors_of_files(page: &Page) -> Vec<String> {
    let place = folder(&[]);
    let mut folders = BTreeSet::new();
    for block in &page.blocks {
        write_block(block, place.path());
        if let (true, Some(path)) = (block.is_definition(), block.option("file")) {
            folders.insert(path.split_once('/').map_or(".", |(folder, _)| folder).to_owned());
        }
    }
    let all = folders.iter().flat_map(|folder| findings(&place.path().join(folder)));
    all.filter(|(_, severity, _)| severity == "error").map(|(code, _, message)| format!("{code}: {message}")).collect()
}

#[test]
fn every_definition_in_a_page_is_valid() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.option("file").is_none()) {
            if block.language == "yaml" {
                let is_part = block.option("part").is_some();
                let is_marked = is_part || block.option("other").is_some();
                if if block.is_definition() { is_part } else { !is_marked } {
                    wrong.push(format!(
                        "{}:{}: needs `apiVersion:`, `part=KIND` or `other=REASON`",
                        page.path, block.line
                    ));
                }
            }
            if block.language == "yaml" || block.language == "ts" {
                checked += 1;
                wrong.extend(errors(block).into_iter().map(|error| format!("{}:{}: {error}", page.path, block.line)));
            }
        }
        wrong.extend(errors_of_files(&page).into_iter().map(|error| format!("{}: {error}", page.path)));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(checked > 15, "only {checked} blocks were found");
}

#[test]
fn every_json_in_a_page_can_be_read() {
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "json") {
            let read = serde_json::from_str::<Value>(&block.text);
            assert!(read.is_ok(), "{}:{}: {}", page.path, block.line, read.unwrap_err());
        }
    }
}
