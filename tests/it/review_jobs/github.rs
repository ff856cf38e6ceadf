//! The composite action.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Checkout, Head, check_comment, documents, release};
use crate::support::write;

const HEAD: &str = "4f0c2d1a3b5e6f70819243546576879809a0b1c2";

/// A stand-in for `gh api` with the comments of one pull request in a file.
const GH: &str = r#"#!/bin/sh
set -eu
here=$(dirname "$0")
echo "$*" >>"$here/gh.log"
[ "$GH_TOKEN" = token-of-the-job ] && [ ! -e "$here/forbidden" ] || { echo "HTTP 403" >&2; exit 1; }
[ "$1" = api ] && shift
method=GET filter=. path= body=
while [ $# -gt 0 ]; do
  case $1 in
    --paginate | --silent) ;;
    --method) method=$2; shift ;;
    --jq) filter=$2; shift ;;
    -F) body=${2#body=@}; shift ;;
    *) path=$1 ;;
  esac
  shift
done
case "$method $path" in
  "GET repos/acme/definitions/issues/7/comments?per_page=100") jq -r "$filter" "$here/comments" ;;
  "POST repos/acme/definitions/issues/7/comments")
    jq --rawfile body "$body" '. + [{id: (100 + length), user: {login: "github-actions[bot]"}, body: $body}]' \
      "$here/comments" >"$here/new" ;;
  "PATCH repos/acme/definitions/issues/comments/"*)
    jq --rawfile body "$body" --argjson id "${path##*/}" 'map(if .id == $id then .body = $body else . end)' \
      "$here/comments" >"$here/new" ;;
  *) echo "unexpected: $method $path" >&2; exit 1 ;;
esac
[ ! -e "$here/new" ] || mv "$here/new" "$here/comments"
"#;

/// The outcome of a job.
struct Job {
    succeeded: bool,
    log: String,
}

/// Evaluates an expression of GitHub Actions: names, texts, `==`, `&&` and `||`.
fn evaluate(expression: &str, context: &BTreeMap<String, String>) -> String {
    let parts = |separator| expression.split(separator).map(|part| evaluate(part, context));
    if expression.contains(" || ") {
        return parts(" || ").find(|value| !value.is_empty()).unwrap_or_default();
    }
    if expression.contains(" && ") {
        let values: Vec<String> = parts(" && ").collect();
        return if values.iter().any(String::is_empty) { String::new() } else { values.last().unwrap().clone() };
    }
    if let Some((left, right)) = expression.split_once(" == ") {
        return if evaluate(left, context) == evaluate(right, context) { "true".into() } else { String::new() };
    }
    let name = expression.trim();
    match name.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        Some(text) => text.to_owned(),
        None => context.get(name).cloned().unwrap_or_default(),
    }
}

/// A text with its `${{ … }}` replaced.
fn interpolated(text: &str, context: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let (expression, after) = after.split_once("}}").unwrap();
        out += before;
        out += &evaluate(expression.trim(), context);
        rest = after;
    }
    out + rest
}

/// Runs the steps of the action for a pull request, or for a push.
fn run(checkout: &Checkout, inputs: &[(&str, &str)], is_pull_request: bool) -> Job {
    let action = documents("action.yml").remove(0);
    let mut context = BTreeMap::from(
        [
            ("github.token", "token-of-the-job"),
            ("github.repository", "acme/definitions"),
            ("github.server_url", "https://github.com"),
            ("github.action_repository", "evenkeel/evenkeel"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    if is_pull_request {
        context.insert("github.event.pull_request.number".into(), "7".into());
        context.insert("github.event.pull_request.base.sha".into(), checkout.base.clone());
    }
    for (name, input) in action["inputs"].as_object().unwrap() {
        assert!(input["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        let given = inputs.iter().find(|(given, _)| given == name).map(|(_, value)| (*value).to_owned());
        let value = given.unwrap_or_else(|| interpolated(input["default"].as_str().unwrap(), &context));
        context.insert(format!("inputs.{name}"), value);
    }
    let path = |name: &str| checkout.file(name).to_str().unwrap().to_owned();
    let mut job = Job { succeeded: true, log: String::new() };
    assert_eq!(action["runs"]["using"], "composite");
    for step in action["runs"]["steps"].as_array().unwrap() {
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{"), "an input would become code: {script}");
        assert_eq!(step["shell"], "bash");
        if step["if"].as_str().is_some_and(|condition| evaluate(condition, &context).is_empty()) {
            continue;
        }
        let mut variables = BTreeMap::from(
            [
                ("GITHUB_OUTPUT", path("output")),
                ("GITHUB_STEP_SUMMARY", path("summary")),
                ("GITHUB_PATH", path("path")),
                ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
                ("GITHUB_REPOSITORY", "acme/definitions".to_owned()),
                ("GITHUB_SHA", HEAD.to_owned()),
                ("RUNNER_TEMP", path("")),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            variables.insert(name.clone(), interpolated(value.as_str().unwrap(), &context));
        }
        let _ = std::fs::remove_file(checkout.file("output"));
        let said = checkout.shell(&["bash", "--noprofile", "--norc", "-eo", "pipefail"], script, &variables);
        job.log += &format!("# {}\n{}{}", step["name"].as_str().unwrap(), said.out, said.err);
        if said.code != 0 {
            job.succeeded = false;
            break;
        }
        for (name, value) in checkout.read("output").lines().filter_map(|line| line.split_once('=')) {
            context.insert(format!("steps.{}.outputs.{name}", step["id"].as_str().unwrap()), value.to_owned());
        }
    }
    job
}

fn comments(checkout: &Checkout) -> Vec<Value> {
    serde_json::from_str(&checkout.read("comments")).unwrap()
}

/// A checkout whose pull request has a comment of a person that looks like the action's.
fn checkout(head: Head) -> Checkout {
    let checkout = Checkout::with(head);
    checkout.program("gh", GH);
    let person =
        json!([{"id": 1, "user": {"login": "mallory"}, "body": "<!-- evenkeel:review:definitions: -->\nNo changes."}]);
    write(&checkout.file("comments"), &person.to_string());
    checkout
}

#[test]
#[cfg_attr(missing_jq, ignore = "jq is missing")]
fn the_action_keeps_one_comment_up_to_date() {
    let checkout = checkout(Head::Good);
    let inputs = [("folder", "definitions")];
    let job = run(&checkout, &inputs, true);
    assert!(job.succeeded, "{}", job.log);
    for head in [Head::Good, Head::Broken, Head::Code] {
        checkout.change(head);
        let job = run(&checkout, &inputs, true);
        assert_eq!(job.succeeded, head != Head::Broken, "{}", job.log);
        let comments = comments(&checkout);
        assert_eq!(comments.len(), 2, "{comments:#?}");
        assert!(
            comments[0]["body"].as_str().unwrap().ends_with("No changes."),
            "the comment of a person is not edited"
        );
        let body = comments[1]["body"].as_str().unwrap();
        check_comment(head, body);
        let place = format!("https://github.com/acme/definitions/blob/{HEAD}/definitions/");
        assert!(body.contains(&place), "{body}");
        let results = if head == Head::Broken { "**failed**" } else { "passed" };
        assert!(body.ends_with(&format!("validate: {results} · test: {results}\n")), "{body}");
        assert!(checkout.read("summary").ends_with(body), "the summary of the job shows it too");
        if head == Head::Broken {
            assert!(job.log.contains("::error file=definitions/tenant.yaml,line=4"), "{}", job.log);
        }
    }
    assert!(checkout.read("gh.log").lines().filter(|line| line.contains("--method POST")).count() == 1);
}

#[test]
#[cfg_attr(missing_jq, ignore = "jq is missing")]
fn the_action_reviews_without_a_comment_or_a_base() {
    let checkout = checkout(Head::Good);
    // The token of a fork may not comment.
    write(&checkout.file("forbidden"), "");
    let job = run(&checkout, &[("folder", "definitions")], true);
    assert!(job.succeeded && job.log.contains("::warning::the review could not be posted"), "{}", job.log);
    check_comment(Head::Good, &checkout.read("summary"));
    // Comments are off.
    let _ = std::fs::remove_file(checkout.file("gh.log"));
    let job = run(&checkout, &[("folder", "definitions"), ("comment", "false")], true);
    assert!(job.succeeded && checkout.read("gh.log").is_empty(), "{}", job.log);
    // A push has no base.
    let job = run(&checkout, &[("folder", "definitions")], false);
    assert!(job.succeeded && job.log.contains("no plan: there is no base"), "{}", job.log);
    // A base that is not in the clone and cannot be fetched.
    let job = run(&checkout, &[("folder", "definitions"), ("base", HEAD)], false);
    assert!(!job.succeeded, "{}", job.log);
    let summary = checkout.read("summary");
    let last = summary.rsplit("<!-- evenkeel:review:").next().unwrap();
    assert!(last.contains("### No plan: 1 error") && last.contains(HEAD), "{last}");
    // An environment, and a folder whose name is code in a shell.
    let job = run(&checkout, &[("folder", "definitions"), ("environment", "draft"), ("base", &checkout.base)], false);
    assert!(job.succeeded, "{}", job.log);
    assert!(checkout.read("summary").contains("<!-- evenkeel:review:definitions:draft -->"));
    let job = run(&checkout, &[("folder", "$(touch pwned) --><b>"), ("base", &checkout.base)], false);
    assert!(!job.succeeded && !checkout.folder.path().join("pwned").exists(), "{}", job.log);
    assert!(
        checkout.read("summary").contains("<!-- evenkeel:review:--touch-pwned------b-: -->"),
        "{}",
        checkout.read("summary")
    );
}

#[test]
fn a_failed_test_is_an_annotation_at_its_line() {
    let checkout = Checkout::with(Head::Good);
    checkout.program("gh", "#!/bin/sh\nexit 1\n");
    let connector = checkout.folder.path().join("definitions/2-connector.yaml");
    let text = std::fs::read_to_string(&connector).unwrap();
    let (before, after) = text.split_once("expectOutput: { id: 7,").unwrap();
    let line =
        before.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("- name:")).last().unwrap().0 + 1;
    write(&connector, &format!("{before}expectOutput: {{ id: 700,{after}"));
    let job = run(&checkout, &[("folder", "definitions")], true);
    assert!(!job.succeeded, "{}", job.log);
    let annotation = format!("::error file=definitions/2-connector.yaml,line={line},title=orbit-crm/");
    assert!(job.log.contains(&annotation), "{annotation}\n{}", job.log);
}

#[test]
fn the_action_installs_a_verified_release() {
    let action = documents("action.yml").remove(0);
    let script = action["runs"]["steps"][0]["run"].as_str().unwrap();
    let checkout = Checkout::with(Head::Good);
    std::fs::remove_file(checkout.file("evenkeel")).unwrap();
    let target = if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-musl" } else { "x86_64-unknown-linux-musl" };
    release(checkout.programs.path(), target);
    std::fs::create_dir(checkout.file("temporary")).unwrap();
    checkout.program(
        "curl",
        "#!/bin/sh\nfor last; do :; done\necho \"$last\" >>\"$HOME/curl.log\"\ncp \"$HOME/${last##*/}\" .\n",
    );
    let version = env!("CARGO_PKG_VERSION");
    let path = |name: &str| checkout.file(name).to_str().unwrap().to_owned();
    let variables = |releases: &str, action: &str| {
        [
            ("VERSION", version.to_owned()),
            ("RELEASES", releases.to_owned()),
            ("SERVER", "https://github.com".to_owned()),
            ("ACTION", action.to_owned()),
            ("RUNNER_TEMP", path("temporary")),
            ("GITHUB_PATH", path("path")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    };
    let shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail"];
    let said = checkout.shell(&shell, script, &variables("", "evenkeel/evenkeel"));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let name = format!("evenkeel-{version}-{target}");
    let url = format!("https://github.com/evenkeel/evenkeel/releases/download/v{version}/{name}.tar.gz");
    assert_eq!(checkout.read("curl.log").lines().next(), Some(url.as_str()));
    assert_eq!(checkout.read("path").trim(), path(&format!("temporary/{name}")));
    assert!(checkout.file(&format!("temporary/{name}/evenkeel")).is_file());
    // Without an address, and with an archive that is not the one of the sums.
    let said = checkout.shell(&shell, script, &variables("", ""));
    assert!(said.code != 0 && said.out.contains("set the input `releases`"), "{}{}", said.out, said.err);
    write(&checkout.file(&format!("{name}.tar.gz")), "tampered");
    std::fs::remove_file(checkout.file("path")).unwrap();
    let said = checkout.shell(&shell, script, &variables("https://git.example/releases", ""));
    assert!(said.code != 0 && checkout.read("path").is_empty(), "{}{}", said.out, said.err);
}
