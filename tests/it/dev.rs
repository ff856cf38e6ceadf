//! `evenkeel dev`: what an author sees while editing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::support::{Dev, copy, request, write};

const CREATE: &str = "/v1/connectors/orbit-crm/actions/create-contact";

#[test]
fn an_action_answers_and_says_who_served() {
    let dev = Dev::start(&copy("examples/quickstart").keep(), &[]);
    let answer = dev.post(CREATE, &[], r#"{"email":"ada@example.com","tags":["vip"]}"#);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["email"], "ada@example.com");
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() > 4));
    assert!(answer.header("x-evenkeel-digest").is_some_and(|digest| digest.starts_with("sha256:")));
    assert_eq!(answer.header("x-evenkeel-generation"), None, "dev counts no generations");
    let source = answer.header("x-evenkeel-source").unwrap();
    assert!(source.starts_with("2-connector.yaml:"), "{source}");
    assert!(answer.header("x-evenkeel-mock").is_some());
    let timing = answer.header("server-timing").unwrap();
    assert!(
        timing.contains("transform;dur=") && timing.contains("external;dur=") && timing.contains("total;dur="),
        "{timing}"
    );
}

/// Path, body, headers; status and code of the answer.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], u16, &'static str);

#[test]
fn errors_have_one_form() {
    let dev = Dev::start(&copy("examples/quickstart").keep(), &[]);
    let cases: [Case; 6] = [
        (CREATE, "{}", &[], 400, "INVALID_INPUT"),
        (CREATE, "{", &[], 400, "BAD_REQUEST"),
        ("/v1/connectors/orbit-crm/actions/nothing", "{}", &[], 404, "UNKNOWN_ACTION"),
        ("/v1/connectors/nothing/actions/nothing", "{}", &[], 404, "UNKNOWN_CONNECTOR"),
        ("/v1/connectors/orbit-crm/actions/get-contact", "{}", &[], 400, "MISSING_PATH_PARAMETERS"),
        (
            "/v1/connectors/orbit-crm/actions/get-contact",
            "{}",
            &[("x-path-params", "id=..%2Fadmin")],
            400,
            "INVALID_PATH_PARAMETERS",
        ),
    ];
    for (path, body, headers, status, code) in cases {
        let mut headers = headers.to_vec();
        headers.push(("x-request-id", "mine-1"));
        let answer = dev.post(path, &headers, body);
        assert_eq!(answer.status, status, "{path} {answer:?}");
        let error = answer.json();
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!((&error["status"], error["title"].is_string()), (&status.into(), true), "{error}");
        assert_eq!(error["code"], code, "{error}");
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        // A malformed request has no stage; a call has one.
        assert_eq!(error["scope"].is_string(), code != "BAD_REQUEST", "{error}");
        assert_eq!(error["requestId"], "mine-1");
        assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    }
    assert_eq!(dev.get(CREATE).status, 405);
    assert_eq!(dev.post(CREATE, &[], &" ".repeat((8 << 20) + 1)).status, 413);
}

#[test]
fn an_edit_is_live_and_a_broken_one_keeps_the_last_good() {
    let folder = copy("examples/quickstart");
    let path = folder.path().join("2-connector.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    let mut dev = Dev::start(folder.path(), &[]);
    let ask = |dev: &Dev| dev.post(CREATE, &[], r#"{"email":"ada@example.com","tags":["vip"]}"#);
    let before = ask(&dev);

    // A typo in a field's name: found, named by its place, and the answer stays.
    let line = good.lines().position(|line| line.contains("baseUrl:")).unwrap() + 1;
    write(&path, &good.replacen("baseUrl:", "baseUlr:", 1));
    let said = dev.wait_for("the last good definitions keep serving");
    assert!(said.contains("error[EK0101]: unknown field `baseUlr`"), "{said}");
    assert!(said.contains(&format!("2-connector.yaml:{line}:3")), "{said}");
    assert!(said.contains("did you mean `baseUrl`?"), "{said}");
    let after = ask(&dev);
    assert_eq!((after.status, &after.body), (before.status, &before.body));
    let findings = dev.get("/v1/findings").json();
    assert_eq!(findings["current"], false);
    assert_eq!(findings["findings"][0]["code"], "EK0101");

    write(&path, &good);
    dev.wait_for("live: generation");
    assert_eq!(dev.get("/v1/findings").json()["current"], true);
}

#[test]
fn an_edit_changes_the_next_answer() {
    let folder = copy("examples/quickstart");
    let mut dev = Dev::start(folder.path(), &[]);
    let edit = |message: &str| {
        write(
            &folder.path().join("extra.yaml"),
            &format!(
                "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: extra }}\nspec:\n  displayName: Extra\n  baseUrl: https://extra.example\n  actions:\n    say:\n      http: {{ path: /say }}\n      response: {{ body: {{ said: {message} }} }}\n      tests: [{{ name: says, respond: {{ status: 200 }} }}]\n"
            ),
        );
    };
    for message in ["one", "two", "three"] {
        edit(message);
        dev.wait_for("live: generation");
        let answer = dev.post("/v1/connectors/extra/actions/say", &[], "");
        assert_eq!(answer.json(), json!({"said": message}));
    }
    std::fs::remove_file(folder.path().join("extra.yaml")).unwrap();
    dev.wait_for("live: generation");
    assert_eq!(dev.post("/v1/connectors/extra/actions/say", &[], "").status, 404);
}

#[test]
fn no_call_fails_while_edits_go_live() {
    let folder = copy("examples/quickstart");
    let mut dev = Dev::start(folder.path(), &[]);
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let client = {
        let (address, stop, served) = (dev.address.clone(), Arc::clone(&stop), Arc::clone(&served));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let answer = request(&address, "POST", CREATE, &[], r#"{"email":"ada@example.com"}"#);
                assert_eq!(answer.status, 201, "{answer:?}");
                served.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let path = folder.path().join("1-environment.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    for number in 0..10 {
        write(&path, &format!("{text}# edit {number}\n"));
        dev.wait_for("live: generation");
    }
    stop.store(true, Ordering::Relaxed);
    client.join().unwrap();
    assert!(served.load(Ordering::Relaxed) > 10);
}

#[test]
fn an_emptied_folder_keeps_the_last_generation() {
    let folder = copy("examples/quickstart");
    let mut dev = Dev::start(folder.path(), &[]);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    dev.wait_for("keep serving");
    // Files vanish one by one, and references with them; the last reload finds no definition.
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(2);
    let is_empty = |findings: serde_json::Value| {
        findings["findings"][0]["message"].as_str().is_some_and(|message| message.ends_with("holds no definitions"))
    };
    while !is_empty(dev.get("/v1/findings").json()) {
        assert!(std::time::Instant::now() < deadline, "timeout waiting for the last reload");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let served = dev.get("/v1/connectors").json();
    assert_eq!(served["items"].as_array().unwrap().len(), 1, "{served}");
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let dev = Dev::start(&copy("examples/quickstart").keep(), &[]);
    let body = r#"{"email":"ada@example.com"}"#;
    assert_eq!(dev.post(CREATE, &[("origin", "https://evil.example")], body).status, 400);
    assert_eq!(dev.post(CREATE, &[("host", "evil.example")], body).status, 400);
    let own = dev.address.clone();
    assert_eq!(dev.post(CREATE, &[("origin", &own)], body).status, 201);
}

#[test]
fn the_page_is_there_and_may_do_little() {
    let dev = Dev::start(&copy("examples/quickstart").keep(), &[]);
    let page = dev.get("/");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("/assets/app.js") && page.body.contains("/assets/style.css"));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'self'")));
    assert!(!page.body.contains("<script>") && !page.body.contains("style=\"") && !page.body.contains("onclick"));
    assert_eq!(dev.get("/assets/..%2f..%2fCargo.toml").status, 404);
    let listed = dev.get("/v1/connectors").json();
    let actions = &listed["items"][0]["actions"];
    assert_eq!(actions.as_array().unwrap().len(), 3);
    assert!(
        actions[0]["input"].is_object() && actions[0]["samples"].as_array().is_some_and(|samples| !samples.is_empty())
    );
}

#[test]
fn a_folder_that_cannot_run_says_why() {
    let folder = crate::support::folder(&[("a.yaml", "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenent\n")]);
    let said = crate::support::run(["dev".as_ref(), folder.path().as_os_str(), "--port".as_ref(), "0".as_ref()]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("EK0109") && said.err.contains("did you mean `Tenant`?"), "{}", said.err);
    let said = crate::support::run(["dev", "no/such/folder"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("no/such/folder"), "{}", said.err);
}

/// A connector whose answer is `message`.
fn saying(message: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: extra }}\nspec:\n  displayName: Extra\n  baseUrl: https://extra.example\n  actions:\n    say:\n      http: {{ path: /say }}\n      response: {{ body: {{ said: {message} }} }}\n      tests: [{{ name: says, respond: {{ status: 200 }} }}]\n"
    )
}

fn says(dev: &Dev) -> serde_json::Value {
    dev.post("/v1/connectors/extra/actions/say", &[], "").json()["said"].clone()
}

#[test]
fn a_file_that_is_replaced_is_followed() {
    let folder = crate::support::folder(&[("a.yaml", &saying("one"))]);
    let path = folder.path().join("a.yaml");
    let mut dev = Dev::start(&path, &[]);
    for message in ["two", "three", "four"] {
        // As editors save: another file, moved over the old one.
        let beside = folder.path().join(".a.yaml.swp");
        write(&beside, &saying(message));
        std::fs::rename(&beside, &path).unwrap();
        dev.wait_for("live: generation");
        assert_eq!(says(&dev), message);
    }
}

#[test]
fn a_folder_that_is_replaced_is_followed() {
    let parent = crate::support::folder(&[("defs/a.yaml", &saying("one")), ("next/a.yaml", &saying("two"))]);
    let (path, next) = (parent.path().join("defs"), parent.path().join("next"));
    let mut dev = Dev::start(&path, &[]);
    std::fs::rename(&path, parent.path().join("old")).unwrap();
    std::fs::rename(&next, &path).unwrap();
    dev.wait_for("live: generation");
    assert_eq!(says(&dev), "two");
    for message in ["three", "four"] {
        write(&path.join("a.yaml"), &saying(message));
        dev.wait_for("live: generation");
        assert_eq!(says(&dev), message);
    }
}

#[test]
fn a_link_that_comes_and_goes_is_seen_both_times() {
    let folder = crate::support::folder(&[("a.yaml", &saying("one"))]);
    let mut dev = Dev::start(folder.path(), &[]);
    let link = folder.path().join("b.yaml");
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    let said = dev.wait_for("keep serving");
    assert!(said.contains("EK0009") && !said.contains("root:"), "{said}");
    std::fs::remove_file(&link).unwrap();
    dev.wait_for("live: generation");
    assert_eq!(dev.get("/v1/findings").json()["current"], true);
}

#[test]
fn what_may_be_reached_follows_the_environment() {
    let environment = |hosts: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: e }}\nspec: {{ egress: {{ hosts: [{hosts}] }} }}\n"
        )
    };
    let local = saying("one").replace("https://extra.example", "http://127.0.0.1:9");
    let folder = crate::support::folder(&[("a.yaml", &local), ("e.yaml", &environment("127.0.0.1"))]);
    let mut dev = Dev::start(folder.path(), &["--allow-loopback"]);
    let code = |dev: &Dev| dev.post("/v1/connectors/extra/actions/say", &[], "").json()["code"].clone();
    assert_eq!(code(&dev), "UNREACHABLE");
    write(&folder.path().join("e.yaml"), &environment("other.example"));
    dev.wait_for("live: generation");
    assert_eq!(code(&dev), "REFUSED_ADDRESS");
}

#[test]
fn integers_that_cannot_be_kept_are_refused() {
    let dev = Dev::start(&copy("examples/quickstart").keep(), &[]);
    let answer = dev.post(CREATE, &[], r#"{"email":"ada@example.com","name":"100000000000000000000"}"#);
    assert_eq!(answer.status, 201, "{answer:?}");
    let answer = dev.post(CREATE, &[], r#"{"email":"ada@example.com","tags":[100000000000000000000]}"#);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("BAD_REQUEST")), "{answer:?}");
}

/// Definitions with a webhook whose secret is unset, a workflow that fails, and one whose code writes lines.
const LINES: &str = "\
apiVersion: evenkeel.dev/v1alpha1
kind: Environment
metadata: { name: draft }
spec: { secrets: { hook-key: { env: EVENKEEL_TEST_HOOK_KEY } } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: { name: crm }
spec:
  displayName: CRM
  baseUrl: https://crm.example
  actions:
    get:
      input: { type: object, required: [id], properties: { id: { type: integer } } }
      http: { path: /get }
      tests: [{ name: finds, input: { id: 1 }, respond: { status: 200, body: { id: 1 } } }]
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: writes }
spec: { tier: Instant, source: { file: writes.ts } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: { name: sign-ups }
spec: { webhook: { verify: { apiKey: { secretRef: hook-key } }, routes: [{ workflow: writes }] } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: { name: open-door }
spec: { webhook: { verify: { none: {} }, routes: [{ workflow: writes, when: { kind: known } }] } }
";

const WRITES: &str = "\
export default async function (ctx) {
  ctx.log.info(`hello ${ctx.input.name}\\u001b[31m`);
  if (ctx.input.fails) {
    throw new Error('it fails on purpose');
  }
  return 1;
}
";

/// A folder with these definitions, and `dev` that runs it with the secret's variable unset or set.
fn lines_project(key: Option<&str>) -> (tempfile::TempDir, Dev) {
    let folder = crate::support::folder(&[("defs/a.yaml", LINES), ("defs/writes.ts", WRITES)]);
    let mut command = crate::support::evenkeel();
    command.current_dir(folder.path()).args(["dev", "defs", "--port", "0"]).env_remove("EVENKEEL_TEST_HOOK_KEY");
    if let Some(key) = key {
        command.env("EVENKEEL_TEST_HOOK_KEY", key);
    }
    (folder, Dev::spawn(&mut command))
}

#[test]
fn each_call_webhook_execution_and_logged_line_is_a_line() {
    let (_folder, mut dev) = lines_project(Some("0123456789abcdef"));
    let start = dev.wait_for("edits go live");
    assert!(!start.contains("warning: "), "{start}");

    dev.post("/v1/connectors/crm/actions/get", &[], r#"{"id":1}"#);
    let said = dev.wait_for("answered by the test");
    assert!(said.contains("call      crm/get 200 in "), "{said}");
    dev.post("/v1/connectors/crm/actions/get", &[], "{}");
    let said = dev.wait_for("INVALID_INPUT");
    assert!(said.contains("crm/get refused with 400 in ") && said.contains("id"), "{said}");
    dev.post("/v1/connectors/crm/actions/gett", &[], "{}");
    let said = dev.wait_for("UNKNOWN_ACTION");
    assert!(said.contains("did you mean `get`?"), "{said}");
    dev.post("/v1/connectors/crm/actions/get", &[], "{");
    let said = dev.wait_for("BAD_REQUEST");
    assert!(said.contains("crm/get refused with 400"), "{said}");

    dev.post("/v1/workflows/writes/runs", &[], r#"{"name":"Ada"}"#);
    let said = dev.wait_for("writes completed in ");
    assert!(said.contains("log       writes info: hello Ada\\u{1b}[31m"), "{said}");
    dev.post("/v1/workflows/writes/runs", &[], r#"{"name":"Bob","fails":true}"#);
    let said = dev.wait_for("it fails on purpose");
    assert!(said.contains("execution writes failed after ") && said.contains("(defs/writes.ts:4:"), "{said}");
    dev.post("/v1/workflows/write/runs", &[], "{}");
    let said = dev.wait_for("workflow  write refused with 404");
    assert!(said.contains("NOT_FOUND") && said.contains("did you mean `writes`?"), "{said}");

    dev.post("/hooks/open-door", &[], r#"{"kind":"known","name":"Cy"}"#);
    let said = dev.wait_for("writes completed in ");
    assert!(said.contains("webhook   open-door: 1 execution started"), "{said}");
    dev.post("/hooks/open-door", &[], r#"{"kind":"other"}"#);
    dev.wait_for("webhook   open-door: no route matches, nothing started");
    dev.post("/hooks/sign-ups", &[("x-evenkeel-key", "wrong")], "{}");
    dev.wait_for("webhook   sign-ups refused: ");
}

#[test]
fn a_secret_without_a_value_is_reported_at_the_start_and_at_each_refusal() {
    let (folder, mut dev) = lines_project(None);
    let start = dev.wait_for("edits go live");
    let warning = "warning: secret `hook-key`: the environment variable EVENKEEL_TEST_HOOK_KEY is not set; webhook \
                   `sign-ups` refuses all calls";
    assert_eq!(start.matches(warning).count(), 1, "{start}");
    for _ in 0..3 {
        assert_eq!(dev.post("/hooks/sign-ups", &[("x-evenkeel-key", "a")], "{}").status, 503);
        dev.wait_for(
            "webhook   sign-ups refused: secret `hook-key`: the environment variable EVENKEEL_TEST_HOOK_KEY is not set",
        );
    }
    let listed = dev.get("/v1/triggers").json();
    let trigger = listed["items"].as_array().unwrap().iter().find(|each| each["name"] == "sign-ups").unwrap().clone();
    assert!(trigger["reason"].as_str().is_some_and(|reason| reason.contains("EVENKEEL_TEST_HOOK_KEY")), "{trigger}");
    // An edit that causes a problem reports that one, and none that is known.
    let more = "---\napiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: { name: over }\nspec: { schedule: { cron: \"0 3 * * *\", \
                endsAt: \"2001-01-01T00:00:00Z\", routes: [{ workflow: writes }] } }\n";
    write(&folder.path().join("defs/a.yaml"), &(LINES.to_owned() + more));
    let said = dev.wait_for("warning: trigger `over`: the schedule has no further time");
    assert!(!said.contains("hook-key"), "{said}");
}

#[test]
fn a_request_is_rendered_without_sending_it() {
    let dev = Dev::start(&copy("examples/quickstart").keep(), &[]);
    let answer = dev.post(&format!("{CREATE}/render"), &[], r#"{"email":"Ada@Example.com"}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    let request = answer.json();
    assert_eq!(request["method"], "POST");
    assert_eq!(request["url"], "https://eu.orbit.example/v2/contacts");
    assert_eq!(request["headers"]["x-api-key"], "[credential apiKey]", "{request}");
    assert_eq!(request["body"], json!({"email": "ada@example.com", "tags": [], "source": "evenkeel"}));
    let answer = dev.post(&format!("{CREATE}/render"), &[], "{}");
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("INVALID_INPUT")), "{answer:?}");
}
