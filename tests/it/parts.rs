//! The programs that tests need. `build.rs` finds them; a test whose program is missing is ignored with a reason.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::root;

/// The parts that `build.rs` did not find.
fn missing() -> Vec<&'static str> {
    let parts = [
        (cfg!(missing_postgres), "PostgreSQL"),
        (cfg!(missing_kubernetes), "kube-apiserver, kubectl and etcd"),
        (cfg!(missing_helm), "Helm"),
        (cfg!(missing_sshd), "sshd"),
        (cfg!(missing_gpg), "GnuPG"),
        (cfg!(missing_openssl), "openssl"),
        (cfg!(missing_jq), "jq"),
        (cfg!(missing_node), "Node"),
        (cfg!(missing_python), "Python"),
        (cfg!(missing_chromium), "Chromium"),
        (cfg!(missing_contract), "the tools of the contract tests"),
        (cfg!(missing_mount), "the right to mount a file system"),
    ];
    parts.into_iter().filter_map(|(is_missing, name)| is_missing.then_some(name)).collect()
}

#[test]
fn no_part_is_missing_in_ci() {
    let missing = missing();
    assert!(
        missing.is_empty() || std::env::var_os("CI").is_none(),
        "tests that need {missing:?} are ignored, and `CI` is set: `tests/run` installs and builds every part"
    );
}

/// True for an early return in the statements of a function itself: `let … else { return }`, `if … { return; }`.
fn is_first_level(line: &str) -> bool {
    let has_indent = |columns| line.len() - line.trim_start().len() == columns;
    (has_indent(4) && line.contains("else { return }")) || (has_indent(8) && line.trim() == "return;")
}

/// Tests of a file that return early without a failure, each with its line. Returns in loops and in functions inside a
/// test are meant.
fn silent_returns(text: &str) -> Vec<usize> {
    let mut is_test = false;
    let mut is_marked = false;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let is_attribute = line.starts_with("#[");
        is_marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let is_function = ["fn ", "async fn ", "pub fn ", "pub async fn "].iter().any(|start| line.starts_with(start));
        if is_function {
            is_test = std::mem::take(&mut is_marked);
        } else if !is_attribute && line.starts_with('}') {
            is_test = false;
        } else if is_test && is_first_level(line) {
            found.push(number + 1);
        }
    }
    found
}

#[test]
fn no_test_passes_without_its_program() {
    fn walk(folder: &Path, wrong: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, wrong);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let lines = silent_returns(&std::fs::read_to_string(&path).unwrap());
                wrong.extend(lines.into_iter().map(|line| format!("{}:{line}", path.display())));
            }
        }
    }
    let mut wrong = Vec::new();
    walk(&root().join("tests/it"), &mut wrong);
    assert!(
        wrong.is_empty(),
        "tests that return early instead of `#[cfg_attr(missing_…, ignore = \"…\")]`: {wrong:#?}"
    );
    for (text, lines) in [
        ("#[test]\nfn a() {\n    let Some(b) = c() else { return };\n}\n", &[3][..]),
        ("#[test]\n#[cfg_attr(x, ignore)]\nfn a() {\n    if b {\n        return;\n    }\n}\n", &[5]),
        ("fn a() {\n    let Some(b) = c() else { return };\n}\n#[test]\nfn b() {}\n", &[]),
    ] {
        assert_eq!(silent_returns(text), lines, "{text}");
    }
}

/// Runs `tests/progress` with an input; gives its output.
fn progress(arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let mut command = Command::new(root().join("tests/progress"));
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_summary_counts_tests_and_gives_the_reason_of_each_ignored_one() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    let results = results.to_str().unwrap();
    let output = "     Running unittests src/lib.rs (target/debug/deps/evenkeel-1)\n\nrunning 3 tests\ntest a::b ... ok\n\
                  test a::c - should panic ... ok\ntest a::d ... ignored, needs X\n\ntest result: ok. 2 passed; finished in \
                  1.50s\n\n     Running tests/it/main.rs (target/debug/deps/it-1)\n\nrunning 2 tests\ntest b ... FAILED\n\
                  test c ... ok\n\nfailures:\n\n---- b stdout ----\nboom\n\ntest result: FAILED. 1 passed; finished in 12s\n";
    let shown = progress(&[results], output);
    for line in ["   3/3 ignored a::d", "   1/2 FAILED b", "boom"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    let summary = progress(&["--summary", results], "");
    let words: Vec<Vec<&str>> = summary.lines().map(|line| line.split_whitespace().collect()).collect();
    for line in [
        &["unit", "(src/lib.rs)", "3", "2", "0", "1", "1.50s"][..],
        &["integration", "2", "1", "1", "0", "12s"],
        &["all", "5", "3", "1", "1"],
        &["1", "needs", "X"],
        &["failed:"],
        &["b"],
    ] {
        assert!(words.iter().any(|words| words == line), "{line:?}: {summary}");
    }
}
