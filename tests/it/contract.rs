//! The contract of the HTTP API: every route has a permission and a description, and is closed to callers without it.

mod tools;

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::server::{openapi, route_table};
use serde_json::{Value, json};

use crate::serve::{saying, serve, wait};
use crate::support::{Answer, Dev, request, root, write};

const ALICE: &str = "alice-token-0123456789";
const READER: &str = "reader-token-0123456789";
const SHOP: &str = "shop-token-0123456789";
const CALLER: &str = "caller-token-0123456789";
const DRAFT: &str = "draft-token-0123456789";

/// Two environments with a workflow, an action and callers of different rights.
struct Place {
    _folder: tempfile::TempDir,
    server: Dev,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let workflow = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: echo }\nspec:\n  tier: Standard\n  \
                    source:\n    inline: |\n      export default async (ctx) => { await ctx.waitForEvent('go'); return 1 }\n";
    for name in ["live", "draft"] {
        let source = folder.path().join(format!("{name}-definitions"));
        std::fs::create_dir(&source).unwrap();
        write(&source.join("a.yaml"), &saying("a", name));
        write(&source.join("w.yaml"), workflow);
        let document = format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: {name} }}\nspec:\n  source: {{ directory: \
             {{ path: {name}-definitions }} }}\n"
        );
        std::fs::create_dir_all(folder.path().join("environments")).unwrap();
        write(
            &folder.path().join("environments").join(format!("{name}.yaml")),
            &document.replace(&format!("path: {name}-definitions"), &format!("path: \"{}\"", source.display())),
        );
    }
    let tokens = format!(
        "alice:{ALICE} rights=read,call,operate,act-for-others\nreader:{READER} rights=read\n\
         caller:{CALLER} rights=call\n\
         shop:{SHOP} rights=read,call,operate environments=live tenants=acme\n\
         drafter:{DRAFT} rights=read,call,operate,act-for-others environments=draft\n"
    );
    write(&folder.path().join("tokens"), &tokens);
    let tokens = folder.path().join("tokens");
    let state = folder.path().join("state");
    let args = ["--tokens", tokens.to_str().unwrap(), "--state", state.to_str().unwrap()];
    let server = serve(&folder.path().join("environments"), &args, |_| {});
    let place = Place { _folder: folder, server };
    for name in ["live", "draft"] {
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(2);
        while place.send("GET", &format!("/v1/environments/{name}"), Some(ALICE), &[]).json()["ready"] != true {
            assert!(std::time::Instant::now() < deadline, "{name} did not become ready");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    place
}

impl Place {
    fn send(&self, method: &str, path: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut all = headers.to_vec();
        all.extend(bearer.iter().map(|bearer| ("authorization", bearer.as_str())));
        let body = if method == "GET" { "" } else { "{}" };
        request(&self.server.address, method, path, &all, body)
    }
}

/// A path with values for its parameters.
fn filled(path: &str, environment: &str) -> String {
    let values = [
        ("{environment}", environment),
        ("{connector}", "a"),
        ("{action}", "say"),
        ("{workflow}", "echo"),
        ("{kind}", "Connector"),
        ("{name}", "a"),
        ("{id}", "00000000000000000000000000"),
        ("{trigger}", "none"),
        ("{address}", "none"),
    ];
    values.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

fn problem(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status, "{problem}");
    for member in ["type", "title", "code", "detail", "requestId"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
    }
    assert_eq!(answer.header("x-request-id"), problem["requestId"].as_str(), "{problem}");
    let code = problem["code"].as_str().unwrap();
    assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
    problem
}

#[test]
fn the_router_the_permissions_and_the_document_agree() {
    let document = openapi();
    let described: BTreeSet<(String, String, Option<String>)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().map(move |(method, operation)| {
                let right = operation["x-evenkeel-right"].as_str().map(str::to_owned);
                (method.to_uppercase(), path.clone(), right)
            })
        })
        .collect();
    let routed: BTreeSet<(String, String, Option<String>)> = route_table()
        .into_iter()
        .map(|(method, path, right)| (method.to_owned(), path, right.map(str::to_owned)))
        .collect();
    assert_eq!(routed, described);
    // What needs no token is a deliberate, short list.
    let open: BTreeSet<&str> =
        routed.iter().filter(|(_, _, right)| right.is_none()).map(|(_, path, _)| path.as_str()).collect();
    assert_eq!(
        open.into_iter().collect::<Vec<_>>(),
        [
            "/",
            "/healthz",
            "/hooks/{trigger}",
            "/hooks/{trigger}/{address}",
            "/openapi.json",
            "/readyz",
            "/v1/environments/{environment}/hooks/{trigger}",
            "/v1/environments/{environment}/hooks/{trigger}/{address}",
            "/v1/environments/{environment}/webhook",
        ]
    );
    let mut ids = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert_eq!(ids.insert(id.to_owned(), path), None, "{id} names two operations");
        }
    }
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let path = root().join("schemas/openapi.json");
    let generated = format!("{:#}\n", openapi());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "schemas/openapi.json is old: run `UPDATE=1 cargo test --test it contract::`");
}

#[test]
fn every_route_is_closed_to_callers_without_its_right() {
    let mut place = place();
    for (method, path, right) in route_table() {
        let Some(right) = right else { continue };
        let path = filled(&path, "live");
        let missing = place.send(method, &path, None, &[]);
        assert_eq!(
            (missing.status, problem(&missing)["code"].as_str()),
            (401, Some("UNAUTHORIZED")),
            "{method} {path}"
        );
        let wrong = place.send(method, &path, Some("no-such-token-0123456789"), &[]);
        assert_eq!((wrong.status, problem(&wrong)["code"].as_str()), (401, Some("INVALID_TOKEN")), "{method} {path}");
        // A token with the right to read, or to call, holds none of the others.
        let lacks = if right == "read" { CALLER } else { READER };
        let lacking = place.send(method, &path, Some(lacks), &[]);
        assert_eq!((lacking.status, problem(&lacking)["code"].as_str()), (403, Some("FORBIDDEN")), "{method} {path}");
        // The token of a tenant reaches calls and executions of its tenant; nothing has the id of this path.
        let is_own = ["/actions/say", "/runs", "/executions"].iter().any(|end| path.ends_with(end));
        if path.starts_with("/v1/environments/live") && !is_own {
            let tenant = place.send(method, &path, Some(SHOP), &[]);
            let expected = if path.contains("/executions/") { [404, 400] } else { [403, 403] };
            assert!(expected.contains(&tenant.status), "{method} {path}: {tenant:?}");
        }
        if path.starts_with("/v1/environments/live") {
            let elsewhere = place.send(method, &path, Some(DRAFT), &[]);
            assert_eq!(elsewhere.status, 403, "{method} {path}: another environment's token");
        }
    }
    let said = place.server.said();
    assert!(
        said.contains("request denied") && said.contains("INVALID_TOKEN") && said.contains("UNAUTHORIZED"),
        "{said}"
    );
}

#[test]
fn a_token_of_a_tenant_reaches_the_data_of_that_tenant_only() {
    let mut place = place();
    let start = |token: &str, tenant: Option<&str>| {
        let headers: Vec<(&str, &str)> = tenant.map(|tenant| ("x-evenkeel-tenant", tenant)).into_iter().collect();
        place.send("POST", "/v1/environments/live/workflows/echo/runs", Some(token), &headers)
    };
    let own = start(SHOP, None);
    assert_eq!(own.status, 202, "{own:?}");
    let own = own.json()["execution"].as_str().unwrap().to_owned();
    assert_eq!(start(SHOP, Some("acme")).status, 202);
    assert_eq!(start(SHOP, Some("globex")).status, 403, "another tenant");
    let other = start(ALICE, Some("globex")).json()["execution"].as_str().unwrap().to_owned();
    let path = |id: &str, more: &str| format!("/v1/environments/live/executions/{id}{more}");
    let shown = place.send("GET", &path(&own, ""), Some(SHOP), &[]).json();
    assert_eq!(shown["tenant"], "acme", "the tenant comes from the token");
    for (method, more) in
        [("GET", ""), ("GET", "/logs"), ("POST", "/cancel"), ("POST", "/retry"), ("POST", "/events/go")]
    {
        let answer = place.send(method, &path(&other, more), Some(SHOP), &[]);
        assert_eq!(answer.status, 404, "{method} {more}: {answer:?}");
    }
    let listed = place.send("GET", "/v1/environments/live/executions", Some(SHOP), &[]).json();
    let tenants: BTreeSet<&str> =
        listed["items"].as_array().unwrap().iter().filter_map(|one| one["tenant"].as_str()).collect();
    assert_eq!(tenants, BTreeSet::from(["acme"]));
    assert_eq!(place.send("GET", "/v1/environments/live/executions?tenant=globex", Some(SHOP), &[]).status, 403);
    // Data of the whole environment is closed to it.
    for path in ["", "/history", "/definitions", "/events", "/dead-letters", "/triggers", "/workflows", "/plan"] {
        let answer = place.send("GET", &format!("/v1/environments/live{path}"), Some(SHOP), &[]);
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
    }
    for path in ["/metrics", "/v1/environments"] {
        assert_eq!(place.send("GET", path, Some(SHOP), &[]).status, 403, "{path}");
    }
    // Metrics show all environments, so a token for one of them does not reach them.
    assert_eq!(place.send("GET", "/metrics", Some(DRAFT), &[]).status, 403);
    assert_eq!(place.send("GET", "/metrics", Some(READER), &[]).status, 200);
    let twice = [("x-evenkeel-tenant", "acme"), ("x-evenkeel-tenant", "globex")];
    let ambiguous = place.send("POST", "/v1/environments/live/workflows/echo/runs", Some(ALICE), &twice);
    assert_eq!((ambiguous.status, problem(&ambiguous)["code"].as_str()), (400, Some("BAD_REQUEST")));
    let user =
        place.send("POST", "/v1/environments/live/connectors/a/actions/say", Some(SHOP), &[("x-evenkeel-user", "{}")]);
    assert_eq!((user.status, problem(&user)["code"].as_str()), (403, Some("FORBIDDEN")), "it names no user");
    // What a handler denies is recorded with its caller, as what the guard denies.
    let said = place.server.said();
    let denied: Vec<&str> = said.lines().filter(|line| line.contains("request denied")).collect();
    for text in
        ["may not act for tenant `globex`", "may not see tenant `globex`", "may not name a user", "limited to tenants"]
    {
        let is_recorded = |line: &&str| line.contains(text) && line.contains("principal=\"shop\"");
        assert!(denied.iter().any(is_recorded), "{text} in:\n{said}");
    }
}

#[test]
fn errors_of_the_server_itself_are_problems() {
    let place = place();
    let large = "x".repeat((8 << 20) + 1);
    let bearer = format!("Bearer {ALICE}");
    let token = ("authorization", bearer.as_str());
    let live = "/v1/environments/live";
    for (method, path, headers, body, status, code) in [
        ("GET", "/nowhere".to_owned(), vec![token], "", 404, "NOT_FOUND"),
        ("DELETE", format!("{live}/executions"), vec![token], "", 405, "METHOD_NOT_ALLOWED"),
        ("GET", format!("{live}/executions?limit=abc"), vec![token], "", 400, "BAD_REQUEST"),
        ("GET", format!("{live}/executions?limit=0"), vec![token], "", 400, "BAD_REQUEST"),
        ("GET", format!("{live}/executions?limit=1001"), vec![token], "", 400, "BAD_REQUEST"),
        ("GET", format!("{live}/executions?colour=red"), vec![token], "", 400, "BAD_REQUEST"),
        ("GET", format!("{live}/executions?cursor=abc"), vec![token], "", 400, "BAD_REQUEST"),
        ("GET", format!("{live}/executions?status=Sleeping"), vec![token], "", 400, "BAD_REQUEST"),
        ("GET", "/v1/executions".to_owned(), vec![token], "", 400, "AMBIGUOUS_ENVIRONMENT"),
        ("GET", "/v1/environments/lvie/executions".to_owned(), vec![token], "", 404, "UNKNOWN_ENVIRONMENT"),
        ("POST", format!("{live}/rollback"), vec![token], "{", 400, "BAD_REQUEST"),
        ("POST", format!("{live}/rollback"), vec![token], "{\"to\": \"x\"}", 400, "BAD_REQUEST"),
        (
            "POST",
            format!("{live}/rollback"),
            vec![token, ("content-type", "text/xml")],
            "<a/>",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        ("POST", format!("{live}/connectors/a/actions/say"), vec![token], large.as_str(), 413, "REQUEST_TOO_LARGE"),
        (
            "POST",
            format!("{live}/connectors/a/actions/say"),
            vec![token, ("x-evenkeel-environment", "live")],
            "{}",
            400,
            "BAD_REQUEST",
        ),
        ("GET", format!("{live}/executions"), vec![token, ("host", "evil.example")], "", 400, "FOREIGN_ORIGIN"),
    ] {
        let answer = request(&place.server.address, method, &path, &headers, body);
        assert_eq!(
            (answer.status, problem(&answer)["code"].as_str()),
            (status, Some(code)),
            "{method} {path}: {answer:?}"
        );
    }
    let allowed = request(&place.server.address, "DELETE", &format!("{live}/executions"), &[token], "");
    assert_eq!(allowed.header("allow"), Some("GET,HEAD"), "{allowed:?}");
}

#[test]
fn lists_are_paged_to_the_end_without_gaps_or_repetitions() {
    let place = place();
    let start = || place.send("POST", "/v1/environments/live/workflows/echo/runs", Some(ALICE), &[]);
    let started: BTreeSet<String> = (0..7).map(|_| start().json()["execution"].as_str().unwrap().to_owned()).collect();
    for path in ["executions", "definitions", "history", "connectors"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page =
                place.send("GET", &format!("/v1/environments/live/{path}?limit=2{cursor}"), Some(ALICE), &[]).json();
            let items = page["items"].as_array().unwrap_or_else(|| panic!("{path}: {page}")).clone();
            assert!(items.len() <= 2);
            seen.extend(items);
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
            assert!(seen.len() < 100, "{path} does not end");
        }
        let whole = place.send("GET", &format!("/v1/environments/live/{path}"), Some(ALICE), &[]).json();
        let key = |item: &Value| [&item["id"], &item["generation"], &item["name"]].map(Clone::clone);
        let whole: Vec<_> = whole["items"].as_array().unwrap().iter().map(key).collect();
        assert_eq!(seen.iter().map(key).collect::<Vec<_>>(), whole, "{path}");
        if path == "executions" {
            let ids: BTreeSet<String> = seen.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect();
            assert_eq!(ids, started);
        }
    }
}

#[test]
fn a_written_definition_has_a_tag_that_protects_it() {
    let place = place();
    let path = "/v1/environments/live/definitions/Connector/mine";
    let bearer = format!("Bearer {ALICE}");
    let put = |text: &str, headers: &[(&str, &str)]| {
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        request(&place.server.address, "PUT", path, &all, text)
    };
    let created = put(&saying("mine", "one"), &[("if-none-match", "*")]);
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.header("location"), Some(path));
    let read = place.send("GET", path, Some(ALICE), &[]);
    let tag = read.header("etag").unwrap().to_owned();
    assert_eq!(created.header("etag"), Some(tag.as_str()));
    assert_eq!(read.json()["document"]["metadata"]["name"], "mine");
    assert_eq!(put(&saying("mine", "two"), &[("if-none-match", "*")]).status, 412, "it exists");
    let changed = put(&saying("mine", "two"), &[("if-match", &tag)]);
    assert_eq!(changed.status, 200, "{changed:?}");
    let late = put(&saying("mine", "three"), &[("if-match", &tag)]);
    assert_eq!((late.status, problem(&late)["code"].as_str()), (412, Some("PRECONDITION_FAILED")));
    let headers = [("authorization", bearer.as_str()), ("if-match", tag.as_str())];
    assert_eq!(request(&place.server.address, "DELETE", path, &headers, "").status, 412);
    let new = changed.header("etag").unwrap().to_owned();
    let headers = [("authorization", bearer.as_str()), ("if-match", new.as_str())];
    assert_eq!(request(&place.server.address, "DELETE", path, &headers, "").status, 200);
    assert_eq!(place.send("GET", path, Some(ALICE), &[]).status, 404);
}

#[test]
fn refuses_signals_that_nothing_waits_for_and_names_the_awaited_ones() {
    let place = place();
    let started = place.send("POST", "/v1/environments/live/workflows/echo/runs", Some(ALICE), &[]);
    let location = started.header("location").unwrap().to_owned();
    let waits = || place.send("GET", &location, Some(ALICE), &[]).json()["waitsFor"].clone();
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while waits()[0]["name"] != "go" {
        assert!(std::time::Instant::now() < deadline, "{}", waits());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let list = place.send("GET", "/v1/environments/live/executions", Some(ALICE), &[]).json();
    assert_eq!(list["items"][0]["waitsFor"], waits());
    let wrong = problem(&place.send("POST", &format!("{location}/events/goo"), Some(ALICE), &[]));
    assert_eq!((&wrong["code"], &wrong["waiting"]), (&json!("NOT_WAITED_FOR"), &json!(["go"])), "{wrong}");
    let body = request(
        &place.server.address,
        "POST",
        &format!("{location}/approvals/go"),
        &[("authorization", &format!("Bearer {ALICE}"))],
        r#"{"approved": true}"#,
    );
    let approval = problem(&body);
    assert_eq!((&approval["code"], &approval["waiting"]), (&json!("NOT_WAITED_FOR"), &Value::Null), "{approval}");
    let zero = place.send("POST", &format!("{location}/events/g%00?keep=true"), Some(ALICE), &[]);
    assert_eq!(zero.status, 400, "{zero:?}");
    let kept = place.send("POST", &format!("{location}/events/goo?keep=true"), Some(ALICE), &[]);
    assert_eq!((kept.status, &kept.json()["waitedFor"]), (200, &json!(false)));
    let right = place.send("POST", &format!("{location}/events/go"), Some(ALICE), &[]);
    assert_eq!((right.status, &right.json()["waitedFor"]), (200, &json!(true)), "{right:?}");
    wait(&place.server, "live", |_| true, "nothing");
}

#[test]
fn other_machines_reach_a_server_only_if_it_knows_its_callers() {
    let folder = tempfile::tempdir().unwrap();
    write(
        &folder.path().join("live.yaml"),
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\nspec: {}\n",
    );
    let mut command = crate::support::evenkeel();
    command
        .arg("serve")
        .arg(folder.path())
        .args(["--port", "0", "--bind", "0.0.0.0", "--state"])
        .arg(folder.path().join(".state"));
    let said = crate::support::said(&command.output().unwrap());
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("--tokens FILE") && said.err.contains("--allow-anonymous"), "{}", said.err);
    let server = serve(folder.path(), &["--bind", "0.0.0.0", "--allow-anonymous"], |_| {});
    let address = server.address.replace("0.0.0.0", "127.0.0.1");
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while request(&address, "GET", "/readyz", &[], "").status != 200 {
        assert!(std::time::Instant::now() < deadline, "it did not become ready");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let denied = request(&address, "GET", "/v1/environments", &[], "");
    assert_eq!(denied.status, 403, "{denied:?}");
    assert!(problem(&denied)["detail"].as_str().unwrap().contains("EVENKEEL_TOKEN"), "{denied:?}");
    let open = request(
        &address,
        "POST",
        "/v1/environments/live/connectors/none/actions/none",
        &[("x-evenkeel-tenant", "acme")],
        "{}",
    );
    assert_eq!(problem(&open)["code"], "UNKNOWN_CONNECTOR");
}
