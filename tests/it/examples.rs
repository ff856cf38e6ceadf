//! The examples are valid, tested and formatted.

use crate::support::{copy, run};

const FOLDERS: [&str; 4] =
    ["examples/quickstart", "examples/connectors", "examples/environments", "examples/workflows"];

/// The connectors of real applications use fields that are accepted and not in effect yet, such as `oauth2`.
#[test]
fn examples_have_no_findings() {
    for folder in FOLDERS {
        let said = run(["validate", folder, "-o", "json"]);
        let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        let unexpected: Vec<&serde_json::Value> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| folder != "examples/connectors" || finding["code"] != "EK0115")
            .collect();
        assert!(said.code == 0 && unexpected.is_empty(), "{folder}: {unexpected:#?}");
    }
}

#[test]
fn every_action_has_a_test_and_all_pass() {
    for folder in FOLDERS {
        let said = run(["test", folder, "-o", "json"]);
        assert_eq!(said.code, 0, "{folder}: {}", said.out);
        let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(report["summary"]["failed"], 0);
        let validated = evenkeel::reconcile::validate::folder(&crate::support::root().join(folder)).unwrap();
        for entry in validated.catalog.of_kind(evenkeel::definition::Kind::Connector) {
            for action in entry.node("/spec/actions").unwrap().entries() {
                let tested = report["tests"].as_array().unwrap().iter();
                let tested =
                    tested.filter(|test| test["connector"] == entry.id.name && test["action"] == *action.key.name);
                assert!(tested.count() > 0, "{}/{} has no test", entry.id.name, action.key.name);
            }
        }
    }
}

#[test]
fn an_overlay_changes_what_live_runs() {
    let url = |environment: &str| {
        let action =
            ["render", "orbit-crm/list-contacts", "examples/environments", "--test", "lists", "-e", environment];
        let said = run(action);
        assert_eq!(said.code, 0, "{}", said.err);
        said.out.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(url("draft"), "GET https://sandbox.orbit.example/v2/contacts?limit=50");
    assert_eq!(url("live"), "GET https://eu.orbit.example/v2/contacts?limit=200");
}

#[test]
fn a_broken_template_fails_with_a_readable_diff() {
    let folder = copy("examples/quickstart");
    let path = folder.path().join("2-connector.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let broken = text.replacen("{{ input.email | lower }}", "{{ input.email | upper }}", 1);
    assert_ne!(text, broken, "the example has changed; break something else");
    std::fs::write(&path, broken).unwrap();
    let said = run(["test".as_ref(), folder.path().as_os_str()]);
    assert_eq!(said.code, 1, "{}", said.out);
    let failed: Vec<&str> = said.out.lines().skip_while(|line| !line.contains("FAIL")).take(12).collect();
    let failed = failed.join("\n");
    assert!(failed.contains("request body differs: - expected, + actual"), "{failed}");
    let line = |start: &str| failed.lines().map(str::trim).any(|line| line.starts_with(start));
    assert!(line("-   \"email\": \"ada@example.com\"") || line("- \"email\": \"ada@example.com\""), "{failed}");
    assert!(line("+   \"email\": \"ADA@EXAMPLE.COM\"") || line("+ \"email\": \"ADA@EXAMPLE.COM\""), "{failed}");
    let junit = run(["test".as_ref(), folder.path().as_os_str(), "-o".as_ref(), "junit".as_ref()]);
    assert_eq!(junit.code, 1);
    assert!(junit.out.contains("<failure message=\"request body differs\">"), "{}", junit.out);
}

#[test]
fn examples_are_formatted() {
    for folder in FOLDERS {
        let said = run(["fmt", "--check", folder]);
        assert_eq!(said.code, 0, "{folder}: {} {}", said.out, said.err);
    }
}

#[test]
fn init_writes_a_valid_quickstart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    let said = run(["init".as_ref(), path.as_os_str()]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(run(["validate".as_ref(), path.as_os_str(), "--strict".as_ref()]).code, 0);
    assert_eq!(run(["test".as_ref(), path.as_os_str()]).code, 0);
    let again = run(["init".as_ref(), path.as_os_str()]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("; nothing was written"), "{}", again.err);
}
