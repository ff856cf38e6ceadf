//! The README stays short: why, how to try it, one example, and links into the book. `documents` runs its commands.

use crate::support::root;

/// Maximum number of lines: what a reader sees before leaving.
const MAX_LINES: usize = 100;

fn text() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

#[test]
fn it_is_short() {
    let lines = text().lines().count();
    assert!(lines <= MAX_LINES, "{lines} lines, more than {MAX_LINES}: move details to a page of docs");
}

#[test]
fn its_first_commands_need_neither_an_account_nor_an_installation() {
    let text = text();
    let first = text.lines().find(|line| line.starts_with("$ "));
    assert_eq!(first, Some("$ cargo run --release -- dev examples/quickstart"));
    let second = text.lines().filter(|line| line.starts_with("$ ")).nth(1).unwrap_or_default();
    assert!(second.starts_with("$ curl http://127.0.0.1:7400/"), "{second}");
}

#[test]
fn it_leads_to_every_part_of_the_book() {
    let text = text();
    for part in [
        "docs/introduction.md",
        "docs/quickstart.md",
        "docs/concepts/",
        "docs/guides/",
        "docs/operations/",
        "docs/reference/",
    ] {
        assert!(text.contains(&format!("]({part}")), "the README has no link to {part}");
    }
}

#[test]
fn the_commands_of_tests_are_run_before_a_merge() {
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(ci.contains("tests/run"), "CI does not run the tests of the documents");
}
