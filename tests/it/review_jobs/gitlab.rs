//! The template for GitLab CI.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Checkout, Head, check_comment, documents, release};
use crate::support::{Said, write};

/// A stand-in for `curl` with the notes of one merge request in a file; the token's owner is user 7.
const CURL: &str = r#"#!/bin/sh
set -eu
here=$(dirname "$0")
echo "$*" >>"$here/curl.log"
method=GET body= url= output=
while [ $# -gt 0 ]; do
  case $1 in
    --fail | --silent | --show-error) ;;
    --config) [ "$2" = - ] && config=$(cat); shift ;;
    --max-time) shift ;;
    --output) output=$2; shift ;;
    --request) method=$2; shift ;;
    --data-urlencode) body=${2#body@}; shift ;;
    *) url=$1 ;;
  esac
  shift
done
[ "$config" = 'header = "PRIVATE-TOKEN: token-of-the-project"' ] || { echo "HTTP 401" >&2; exit 22; }
notes=https://gitlab.example/api/v4/projects/3/merge_requests/7/notes
case "$method $url" in
  "GET https://gitlab.example/api/v4/user") echo '{"id": 7, "username": "bot"}' ;;
  "GET $notes?sort=asc&per_page=100&page="*)
    jq --argjson page "${url##*page=}" '.[($page - 1) * 100:$page * 100]' "$here/notes" ;;
  "POST $notes")
    jq --rawfile body "$body" '. + [{id: (1000 + length), author: {id: 7}, body: $body}]' "$here/notes" >"$here/new" ;;
  "PUT $notes/"*)
    jq --rawfile body "$body" --argjson id "${url##*/}" 'map(if .id == $id then .body = $body else . end)' \
      "$here/notes" >"$here/new" ;;
  *) echo "unexpected: $method $url" >&2; exit 22 ;;
esac
[ ! -e "$here/new" ] || mv "$here/new" "$here/notes"
"#;

/// The template with the inputs of an including project.
fn template(inputs: &[(&str, &str)]) -> Value {
    let [spec, jobs] = <[Value; 2]>::try_from(documents("ci/gitlab.yml")).unwrap();
    let mut text = jobs.to_string();
    for (name, input) in spec["spec"]["inputs"].as_object().unwrap() {
        assert!(input["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        let given = inputs.iter().find(|(given, _)| given == name).map(|(_, value)| *value);
        let value = given.unwrap_or_else(|| input["default"].as_str().unwrap());
        let quoted = Value::from(value).to_string();
        text = text.replace(&format!("$[[ inputs.{name} ]]"), &quoted[1..quoted.len() - 1]);
    }
    assert!(!text.contains("$[["), "an input is unknown: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Runs a job of the template.
fn run(checkout: &Checkout, shell: &[&str], inputs: &[(&str, &str)], name: &str, more: &[(&str, &str)]) -> Said {
    let template = template(inputs);
    let (job, base) = (&template[name], &template[".evenkeel"]);
    assert_eq!(job["extends"], ".evenkeel");
    let mut variables = BTreeMap::from(
        [
            ("CI_PROJECT_URL", "https://gitlab.example/acme/definitions"),
            ("CI_COMMIT_SHA", "4f0c2d1a3b5e6f70819243546576879809a0b1c2"),
            ("CI_API_V4_URL", "https://gitlab.example/api/v4"),
            ("CI_PROJECT_ID", "3"),
            ("CI_MERGE_REQUEST_IID", "7"),
            ("CI_MERGE_REQUEST_DIFF_BASE_SHA", checkout.base.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    for given in [&base["variables"], &job["variables"]].into_iter().filter_map(Value::as_object) {
        variables.extend(given.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())));
    }
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let lines = [&base["before_script"], &job["script"]].into_iter().flat_map(|lines| lines.as_array().unwrap());
    let script: Vec<&str> = lines.map(|line| line.as_str().unwrap()).collect();
    checkout.shell(shell, &script.join("\n"), &variables)
}

const TOKEN: [(&str, &str); 1] = [("EVENKEEL_GITLAB_TOKEN", "token-of-the-project")];
const FOLDER: [(&str, &str); 1] = [("folder", "definitions")];

#[test]
#[cfg_attr(missing_jq, ignore = "jq is missing")]
fn the_template_keeps_one_note_up_to_date() {
    for shell in [&["sh", "-e"][..], &["bash", "-eo", "pipefail"]] {
        let checkout = Checkout::with(Head::Good);
        checkout.program("curl", CURL);
        // A page of notes, one of which looks like the template's.
        let note = |id: i32| json!({"id": id, "author": {"id": 5}, "body": "<!-- evenkeel:review:definitions: -->\nNo changes."});
        write(&checkout.file("notes"), &(0..120).map(note).collect::<Value>().to_string());
        for head in [Head::Good, Head::Good, Head::Broken, Head::Code] {
            checkout.change(head);
            let said = run(&checkout, shell, &FOLDER, "evenkeel-plan", &TOKEN);
            assert_eq!(said.code, i32::from(head == Head::Broken), "{}{}", said.out, said.err);
            let notes: Vec<Value> = serde_json::from_str(&checkout.read("notes")).unwrap();
            assert_eq!(notes.len(), 121, "{}{}", said.out, said.err);
            assert!(notes[..120].iter().all(|note| note["body"].as_str().unwrap().ends_with("No changes.")));
            let body = notes[120]["body"].as_str().unwrap();
            check_comment(head, body);
            assert!(body.contains("(https://gitlab.example/acme/definitions/-/blob/4f0c2d1a3b"), "{body}");
            assert!(said.out.contains(body.trim_end()), "the log shows it too: {}", said.out);
        }
        assert!(!checkout.read("curl.log").contains("token-of-the-project"), "arguments are readable by others");
    }
}

#[test]
#[cfg_attr(missing_jq, ignore = "jq is missing")]
fn the_template_plans_without_a_token_and_with_a_wrong_one() {
    let checkout = Checkout::with(Head::Code);
    checkout.program("curl", CURL);
    write(&checkout.file("notes"), "[]");
    let said = run(&checkout, &["sh", "-e"], &FOLDER, "evenkeel-plan", &[]);
    assert!(said.code == 0 && said.out.contains("EVENKEEL_GITLAB_TOKEN is not set"), "{}{}", said.out, said.err);
    assert!(said.out.contains("Counted across"), "{}", said.out);
    let said = run(&checkout, &["sh", "-e"], &FOLDER, "evenkeel-plan", &[("EVENKEEL_GITLAB_TOKEN", "wrong")]);
    assert!(said.code == 0 && said.out.contains("could not be posted"), "{}{}", said.out, said.err);
    assert_eq!(checkout.read("notes"), "[]");
    let inputs = [FOLDER[0], ("environment", "draft")];
    let said = run(&checkout, &["sh", "-e"], &inputs, "evenkeel-plan", &TOKEN);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(checkout.read("notes").contains("<!-- evenkeel:review:definitions:draft -->"));
}

#[test]
#[cfg_attr(missing_jq, ignore = "jq is missing")]
fn the_template_writes_reports_that_gitlab_reads() {
    let checkout = Checkout::with(Head::Broken);
    let said = run(&checkout, &["sh", "-e"], &FOLDER, "evenkeel-validate", &[]);
    assert!(said.code == 1 && said.out.contains("definitions/tenant.yaml:4:30"), "{}{}", said.out, said.err);
    let report = std::fs::read_to_string(checkout.folder.path().join("gl-code-quality-report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report[0]["location"], json!({"path": "definitions/tenant.yaml", "lines": {"begin": 4}}));
    let said = run(&checkout, &["sh", "-e"], &FOLDER, "evenkeel-test", &[]);
    assert!(said.code == 1 && !checkout.folder.path().join("evenkeel-test.xml").exists(), "{}{}", said.out, said.err);
    checkout.change(Head::Good);
    for job in ["evenkeel-validate", "evenkeel-test"] {
        let said = run(&checkout, &["sh", "-e"], &FOLDER, job, &[]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    }
    let report = std::fs::read_to_string(checkout.folder.path().join("evenkeel-test.xml")).unwrap();
    assert!(report.starts_with("<?xml") && report.contains("failures=\"0\""), "{report}");
}

#[test]
#[cfg_attr(missing_jq, ignore = "jq is missing")]
fn the_template_installs_a_verified_release() {
    let checkout = Checkout::with(Head::Good);
    std::fs::remove_file(checkout.file("evenkeel")).unwrap();
    let target = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    release(checkout.programs.path(), &format!("{target}-unknown-linux-musl"));
    checkout.program(
        "curl",
        "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" != --output ] || output=$2; shift; done\ncp \"$HOME/${1##*/}\" \"$output\"\n",
    );
    let inputs = [FOLDER[0], ("releases", "https://git.example/evenkeel/releases")];
    let said = run(&checkout, &["sh", "-e"], &inputs, "evenkeel-validate", &[]);
    assert!(said.code == 0 && said.out.contains("evenkeel of the release"), "{}{}", said.out, said.err);
    let said = run(&checkout, &["sh", "-e"], &FOLDER, "evenkeel-validate", &[]);
    assert!(said.code == 1 && said.out.contains("set the input `releases`"), "{}{}", said.out, said.err);
    write(
        &checkout.file(&format!("evenkeel-{}-{target}-unknown-linux-musl.tar.gz", env!("CARGO_PKG_VERSION"))),
        "tampered",
    );
    let said = run(&checkout, &["sh", "-e"], &inputs, "evenkeel-validate", &[]);
    assert!(said.code != 0 && !said.out.contains("evenkeel of the release"), "{}{}", said.out, said.err);
}
