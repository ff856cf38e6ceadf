//! No secret in any output: unique values are planted wherever a secret can be, and searched for in everything that a
//! process wrote or answered.

use base64::Engine as _;
use serde_json::Value;

use super::{following, is_ready, saying, serve};
use crate::git_server::{GitHttp, Repository, basic};
use crate::support::{evenkeel, request, write};

/// Values that exist nowhere else.
const PLANTED: [(&str, &str); 6] = [
    ("GIT_PASSWORD", "planted-git-password-7f3a"),
    ("HOOK_SECRET", "planted-hook-secret-91bc"),
    ("API_KEY", "planted-api-key-55d0"),
    ("NOTIFY_SECRET", "planted-notify-secret-0e42"),
    ("SLACK_URL", "http://127.0.0.1:9/planted-slack-path-c6e1"),
    ("STATUS_TOKEN", "planted-status-token-aa17"),
];
const TOKEN: &str = "planted-admin-token-d801";

/// A secret as it is, and as it would look encoded.
fn forms(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let escaped: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
    let backwards: String = secret.chars().rev().collect();
    // The first characters of base64 do not depend on the bytes that follow.
    let cut = base64.trim_end_matches('=').len() / 4 * 4;
    vec![secret.to_owned(), hex, escaped, base64[..cut.saturating_sub(4)].to_owned(), backwards, secret.to_uppercase()]
}

fn search(what: &str, text: &[u8]) {
    for secret in PLANTED.iter().map(|(_, value)| *value).chain([TOKEN]) {
        for form in forms(secret) {
            let found = text.windows(form.len()).any(|part| part == form.as_bytes());
            assert!(!found, "`{form}` is in {what}:\n{:.2000}", String::from_utf8_lossy(text));
        }
    }
}

#[test]
fn row_70_planted_secrets_are_in_no_output() {
    let using = saying("a", "first").replace(
        "  actions:",
        "  auth: { methods: { key: { apiKey: { name: X-Key, value: { secretRef: api-key } } } } }\n  actions:",
    );
    let repository = Repository::with(&[("a.yaml", &using)]);
    let git = GitHttp::start(repository.root());
    git.require(Some(&basic("ada", PLANTED[0].1)));
    let folder = tempfile::tempdir().unwrap();
    let secrets: String = ["GIT_PASSWORD", "HOOK_SECRET", "API_KEY", "NOTIFY_SECRET", "SLACK_URL", "STATUS_TOKEN"]
        .map(|name| format!("    {}: {{ env: {name} }}\n", name.to_ascii_lowercase().replace('_', "-")))
        .concat();
    let more = format!(
        "  secrets:\n{secrets}  notifications:\n    - {{ name: hook, webhook: {{ url: \"http://127.0.0.1:9/notify\", secret: {{ \
         secretRef: notify-secret }} }} }}\n    - {{ name: slack, slack: {{ url: {{ secretRef: slack-url }} }} }}\n"
    );
    let source = "branch: main, auth: { basic: { username: ada, password: { secretRef: git-password } } }, webhook: { \
                  provider: GitHub, secret: { secretRef: hook-secret } }, commitStatus: { provider: Gitea, repository: a/b, \
                  apiUrl: \"http://127.0.0.1:9/api\", token: { secretRef: status-token } }";
    write(&folder.path().join("live.yaml"), &following(&git.url(), &more).replace("branch: main", source));
    write(
        &folder.path().join("tokens"),
        &format!(
            "alice:{TOKEN} rights=read,call,operate
"
        ),
    );
    let tokens = folder.path().join("tokens");
    let mut server = serve(folder.path(), &["--tokens", tokens.to_str().unwrap(), "--log", "json"], |command| {
        command.envs(PLANTED).env("EVENKEEL_LOG", "trace");
    });
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str())];
    let ask = |server: &crate::support::Dev, method: &str, path: &str, body: &str| {
        let answer = request(&server.address, method, path, &headers, body);
        let shown = format!("{method} {path}: {answer:?}");
        search(&shown[..shown.len().min(60)], shown.as_bytes());
        answer
    };
    let status = |server: &crate::support::Dev| ask(server, "GET", "/v1/environments/live", "").json();
    let until = |server: &crate::support::Dev, done: &dyn Fn(&Value) -> bool| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(2);
        while !done(&status(server)) {
            assert!(std::time::Instant::now() < deadline, "{:#}", status(server));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    until(&server, &is_ready);
    // Everything that shows something: good commits and broken ones, failures, plans, history, calls.
    ask(&server, "POST", "/v1/connectors/a/actions/say", "{}");
    let literal = saying("b", "x").replace(
        "      http: { path: /say }",
        &format!("      http: {{ path: /say, headers: {{ Authorization: \"Bearer {}\" }} }}", "AKIA0123456789ABCDEF"),
    );
    repository.commit(&[("b.yaml", &literal)], "literal");
    ask(&server, "POST", "/v1/environments/live/reconcile", "");
    std::fs::remove_file(repository.work().join("b.yaml")).unwrap();
    repository.commit(&[("a.yaml", &using.replace("displayName: a", "displayName: changed"))], "changed");
    ask(&server, "POST", "/v1/environments/live/reconcile", "");
    git.require(Some("Basic unknown"));
    ask(&server, "POST", "/v1/environments/live/reconcile", "");
    git.require(Some(&basic("ada", PLANTED[0].1)));
    ask(&server, "POST", "/v1/environments/live/reconcile", "");
    for path in [
        "",
        "/findings",
        "/history",
        "/diff?from=1&to=2",
        "/plan",
        "/definitions",
        "/definitions/Connector/a",
        "/audit",
    ] {
        assert_eq!(ask(&server, "GET", &format!("/v1/environments/live{path}"), "").status, 200, "{path}");
    }
    ask(&server, "POST", "/v1/environments/live/webhook", "{}");
    ask(&server, "GET", "/metrics", "");
    ask(&server, "PUT", "/v1/environments/live/definitions/Connector/a?override=1h", &using);
    ask(&server, "POST", "/v1/environments/live/rollback", "{\"to\":1}");
    for args in [
        &["status"][..],
        &["history", "-e", "live"],
        &["diff", "-e", "live"],
        &["plan", "--server", &server.address, "-e", "live"],
    ] {
        let said = evenkeel()
            .args(args)
            .env("EVENKEEL_SERVER", &server.address)
            .env("EVENKEEL_TOKEN", TOKEN)
            .output()
            .unwrap();
        search(&format!("{args:?}"), &[said.stdout, said.stderr].concat());
    }
    let log = server.finish();
    assert!(log.contains("live") && log.lines().count() > 20, "there is a log: {log:.500}");
    search("the log", log.as_bytes());
    let mut files = 0;
    let mut folders = vec![folder.path().join(".state")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files += 1;
                search(&path.display().to_string(), &std::fs::read(&path).unwrap());
            }
        }
    }
    assert!(files > 3, "the database and the repository were searched");
}

#[test]
fn the_search_finds_every_form() {
    for secret in PLANTED {
        for form in forms(secret.1) {
            let text = format!("before {form} after");
            assert!(std::panic::catch_unwind(|| search("a text", text.as_bytes())).is_err(), "{form}");
        }
    }
}
