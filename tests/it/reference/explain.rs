//! `evenkeel explain`: what it prints for each type of topic, and that texts refer to topics that exist.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use crate::support::{golden, root, run};

/// One topic of each type, and mistakes.
const TOPICS: [&[&str]; 27] = [
    &["EK0306"],
    &["ek0604"],
    &["Alert"],
    &["alert.spec"],
    &["Connector.spec.actions.http.body"],
    &["Connector.spec.actions.create-contact.http.method"],
    &["Trigger.spec.webhook.routes[0].when"],
    &["Workflow.spec.tier"],
    &["Environment.spec.sync.prune"],
    &["lower"],
    &["selectattr"],
    &["now"],
    &["get_secret"],
    &["defined"],
    &["response"],
    &["response.json"],
    &["request"],
    &["header"],
    &["tests"],
    &["Contact"],
    &["maxAttempts"],
    &["tenant.display_name"],
    &["Connector.spec.actions.sql"],
    &["Connector.spec.actons"],
    &["Connector.spec.displayName.text"],
    &["response.jsn"],
    &["lowr"],
];

#[test]
fn topics_of_each_type_are_explained() {
    let mut text = String::new();
    for arguments in TOPICS {
        let said = run(std::iter::once("explain").chain(arguments.iter().copied()));
        text += &format!("$ evenkeel explain {}\n{}{}", arguments.join(" "), said.out, said.err);
        text += &if said.code == 0 { "\n".to_owned() } else { format!("exit code {}\n\n", said.code) };
    }
    golden("tests/explain.golden.txt", &text);
}

#[test]
fn the_list_has_topics_of_all_types_and_each_is_explained() {
    let said = run(["explain", "-o", "json"]);
    let list: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    let types: BTreeSet<&str> = list.iter().map(|topic| topic["topic"].as_str().unwrap()).collect();
    for wanted in ["code", "kind", "filter", "function", "test", "variable", "location", "canonical entity", "group"] {
        assert!(types.contains(wanted), "{types:?}");
    }
    assert!(list.len() > 250, "{}", list.len());
    assert!(list.iter().all(|topic| !topic["summary"].as_str().unwrap().is_empty()));
    // Codes are explained one by one in `cli::every_code_is_explained_and_used`.
    let names: BTreeSet<&str> =
        list.iter().filter(|topic| topic["topic"] != "code").map(|topic| topic["name"].as_str().unwrap()).collect();
    for name in names {
        let said = run(["explain", name, "-o", "json"]);
        let found: Vec<Value> =
            serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{name}: {error}: {}", said.err));
        // `tenant` is a kind and a variable of templates.
        let same = |found: &Value| found["name"].as_str().is_some_and(|found| found.eq_ignore_ascii_case(name));
        assert!(!found.is_empty() && found.iter().all(same), "{name}: {found:?}");
    }
}

#[test]
fn a_field_as_json_has_its_type_default_and_example() {
    let said = run(["explain", "Connector.spec.actions.http.method", "-o", "json"]);
    let found: Value = serde_json::from_str(&said.out).unwrap();
    let field = &found[0];
    assert_eq!(field["topic"], "field");
    assert_eq!(field["path"], "spec.actions.*.http.method");
    assert_eq!(
        (&field["type"], &field["required"], &field["default"]),
        (&"string".into(), &"no".into(), &"GET".into())
    );
    assert_eq!(field["words"][1]["name"], "POST");
    assert_eq!(field["examples"][0]["text"], "method: POST");
    let both: Value = serde_json::from_str(&run(["explain", "lower", "-o", "json"]).out).unwrap();
    assert_eq!((&both[0]["topic"], &both[1]["topic"]), (&"filter".into(), &"test".into()));
}

#[test]
fn every_explanation_that_a_text_refers_to_exists() {
    fn walk(folder: &std::path::Path, found: &mut BTreeSet<String>) {
        let reference = Regex::new(r"`evenkeel explain ([A-Za-z][\w.]*)`").unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                found.extend(reference.captures_iter(&text).map(|found| found[1].to_owned()));
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&root().join("src"), &mut found);
    walk(&root().join("docs"), &mut found);
    // Placeholders are in upper case, and codes are explained elsewhere.
    found.retain(|topic| topic.chars().any(char::is_lowercase) && !topic.starts_with("EK"));
    assert!(found.contains("templates") && found.len() > 10, "{found:?}");
    for topic in found {
        assert_eq!(run(["explain", &topic]).code, 0, "there is no topic {topic}");
    }
}

#[test]
fn an_unknown_name_in_a_template_leads_to_the_list_of_names() {
    let folder = crate::support::folder(&[(
        "connector.yaml",
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: orbit }\nspec:\n  displayName: Orbit\n  \
         baseUrl: https://api.orbit.example\n  actions:\n    ping:\n      http: { path: /ping, query: { a: \"{{ input.a | xyzzyq }}\" } }\n",
    )]);
    let said = run(["validate".as_ref(), folder.path().as_os_str()]);
    assert!(said.out.contains("EK0303") && said.out.contains("see `evenkeel explain templates`"), "{}", said.out);
}
