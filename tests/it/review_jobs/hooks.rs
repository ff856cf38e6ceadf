//! The hooks of pre-commit.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use super::{Checkout, Head, documents};
use crate::support::{Said, write};

/// The hook of a name, as pre-commit would run it with these arguments.
fn run(checkout: &Checkout, id: &str, args: &str) -> Said {
    let hooks = documents(".pre-commit-hooks.yaml").remove(0);
    let hook = hooks.as_array().unwrap().iter().find(|hook| hook["id"] == id).unwrap();
    assert_eq!((&hook["language"], &hook["pass_filenames"]), (&"system".into(), &Value::Bool(false)));
    let script = format!("{} {args}", hook["entry"].as_str().unwrap());
    checkout.shell(&["sh", "-e"], &script, &BTreeMap::new())
}

#[test]
fn hooks_run_for_the_files_of_definitions() {
    let hooks = documents(".pre-commit-hooks.yaml").remove(0);
    let hooks = hooks.as_array().unwrap();
    assert_eq!(hooks.len(), 2);
    for hook in hooks {
        for field in ["id", "name", "description", "entry"] {
            assert!(hook[field].as_str().is_some_and(|text| !text.is_empty()), "{hook:#}");
        }
        let files = Regex::new(hook["files"].as_str().unwrap()).unwrap();
        assert!(files.is_match("definitions/a.yaml") && files.is_match("a.yml") && files.is_match("a.json"));
        assert_eq!(files.is_match("w/welcome.ts"), hook["id"] == "evenkeel-validate");
        assert!(!files.is_match("README.md"));
    }
}

#[test]
fn hooks_refuse_errors_and_format_files() {
    let checkout = Checkout::with(Head::Good);
    let said = run(&checkout, "evenkeel-validate", "definitions");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    checkout.change(Head::Broken);
    let said = run(&checkout, "evenkeel-validate", "definitions");
    assert!(said.code == 1 && said.out.contains("did you mean `plan`?"), "{}{}", said.out, said.err);
    checkout.change(Head::Good);
    let file = checkout.folder.path().join("definitions/tenant.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    write(&file, &format!("{text}\n\n\n"));
    // pre-commit fails a hook that changes a file.
    let said = run(&checkout, "evenkeel-fmt", "definitions");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let said = run(&checkout, "evenkeel-fmt", "");
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
}
