//! Each use of a field or kind that is accepted and not in effect yet is warned of.

use serde_json::Value;

use crate::support::{folder, run};
use crate::work::{DefinitionsFolder, ENVIRONMENT, live};

const CONNECTOR: &str = "\
apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: { name: c }
spec:
  displayName: C
  baseUrl: https://c.example
  activation: true
  auth: { methods: { o: { oauth2: { authorizationUrl: \"https://c.example/a\", tokenUrl: \"https://c.example/t\" } } } }
  actions:
    a:
      operation: List
      http: { path: /a }
      pagination: { records: \"{{ output }}\", link: {} }
      tests: [{ name: t }]
    b:
      function: { inline: \"export default () => 1\" }
      tests: [{ name: t, expectError: { code: NOT_RUNNABLE } }]
---
";

fn planned_uses(findings: &Value) -> Vec<(u64, String)> {
    let findings = findings.as_array().unwrap_or_else(|| panic!("{findings}")).iter();
    let planned = findings.filter(|finding| finding["code"] == "EK0115" && finding["severity"] == "warning");
    let mut uses: Vec<(u64, String)> = planned
        .map(|finding| {
            assert!(finding["help"].as_str().is_some_and(|help| !help.is_empty()), "{finding}");
            let message = finding["message"].as_str().unwrap();
            (finding["line"].as_u64().unwrap(), message.split(' ').next().unwrap().to_owned())
        })
        .collect();
    uses.sort();
    uses
}

/// One warning for each use: not for the fields within it, and not for a default.
fn expected() -> Vec<(u64, String)> {
    [(8, "`oauth2`"), (13, "`pagination`"), (16, "`function`")].map(|(line, name)| (line, name.to_owned())).to_vec()
}

#[test]
fn validate_plan_and_status_warn_of_each_use() {
    let definitions = folder(&[("a.yaml", CONNECTOR)]);
    let validate = |more: &[&str]| {
        let path = definitions.path().to_str().unwrap();
        run([&["validate", path, "-o", "json"], more].concat())
    };
    let said = validate(&[]);
    assert_eq!(said.code, 0, "a warning does not fail: {}", said.out);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(planned_uses(&report["findings"]), expected(), "{report:#}");
    assert_eq!(validate(&["--strict"]).code, 1);

    let empty = folder(&[(
        "a.yaml",
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: t }\nspec: { displayName: T }\n",
    )]);
    let [from, to] = [&empty, &definitions].map(|folder| folder.path().to_str().unwrap());
    let said = run(["plan", from, to, "-o", "markdown"]);
    assert_eq!(said.out.matches("EK0115").count(), 3, "{}{}", said.out, said.err);

    let live_folder = DefinitionsFolder::new(&[("a.yaml", &(CONNECTOR.to_owned() + ENVIRONMENT))]);
    let server = live_folder.serve(&[]);
    live(&server);
    let status = server.get("/v1/environments/live").json();
    assert_eq!(planned_uses(&status["findings"]), expected(), "{status:#}");
}
