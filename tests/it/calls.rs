//! Calls of actions within the test process: requests, responses and refusals.

mod records;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::api::Problem;
use evenkeel::catalog::{self, Snapshot};
use evenkeel::connector::{
    Call, CallOutcome, ErrorCode, MaskedSecrets, PreparedRequest, ResponseFuture, Runtime, Upstream, UpstreamResponse,
    call, prepare,
};
use serde_json::{Value, json};

/// A runtime of definitions that were not checked: they must be safe to run too.
pub fn runtime(text: &str) -> Runtime {
    let snapshot = Snapshot::of([("a.yaml", text.as_bytes())]);
    let (catalog, findings) = catalog::load(&snapshot);
    assert!(findings.is_empty(), "{findings:#?}");
    Runtime::compile(&catalog, None, String::new(), None).unwrap()
}

/// A connector named `c` with these lines under `spec`.
fn connector(spec: &str) -> Runtime {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    runtime(&format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: c }}\nspec:\n  displayName: C\n{spec}"
    ))
}

fn request(runtime: &Runtime, action: &str, call: &Call) -> Result<PreparedRequest, String> {
    let prepared = prepare(runtime, Arc::new(MaskedSecrets), "c", action, call);
    prepared.map_err(|error| format!("{}: {}", error.code.as_str(), error.detail))
}

fn input(input: Value) -> Call {
    Call { input, ..Call::default() }
}

fn variables(pairs: &[(&str, &str)]) -> Call {
    let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Call { input: json!({}), variables, ..Call::default() }
}

/// An application that responds from a list and repeats the last response.
struct Application {
    responses: Vec<(u16, Value)>,
    headers: BTreeMap<String, String>,
    delay: Duration,
    requests: AtomicUsize,
}

impl Application {
    fn new(responses: &[(u16, Value)]) -> Application {
        Application {
            responses: responses.to_vec(),
            headers: BTreeMap::new(),
            delay: Duration::ZERO,
            requests: AtomicUsize::new(0),
        }
    }
}

impl Upstream for Application {
    fn send<'a>(&'a self, _: &'a str, _: &'a str, request: &'a PreparedRequest) -> ResponseFuture<'a> {
        Box::pin(async move {
            let at = self.requests.fetch_add(1, Ordering::Relaxed);
            if self.delay > request.limits.timeout {
                tokio::time::sleep(request.limits.timeout).await;
                return Err(evenkeel::connector::CallError::new(ErrorCode::Timeout, "too late"));
            }
            tokio::time::sleep(self.delay).await;
            let (status, body) = self.responses.get(at).or(self.responses.last()).unwrap();
            let body = body.to_string().into();
            Ok(UpstreamResponse { status: *status, headers: self.headers.clone(), body, mock: None })
        })
    }
}

fn run(runtime: &Runtime, application: &Application, action: &str, with: Call) -> CallOutcome {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    executor.block_on(call(runtime, application, Arc::new(MaskedSecrets), "c", action, with))
}

fn value(outcome: &CallOutcome) -> Value {
    outcome.result.as_ref().unwrap_or_else(|error| panic!("{error:?}")).to_value()
}

/// The problem document of a failed call.
fn problem(outcome: &CallOutcome) -> Value {
    let error = outcome.result.as_ref().expect_err("it succeeded").clone();
    serde_json::to_value(Problem::from(error)).unwrap()
}

fn error(outcome: &CallOutcome) -> (&'static str, &str) {
    let error = outcome.result.as_ref().expect_err("it succeeded");
    (error.code.as_str(), &error.detail)
}

#[test]
fn only_the_definition_decides_the_host() {
    let runtime = connector(
        "baseUrl: \"https://{{ get_variable('sub') }}.shop.example/v1\"\nactions:\n  a: { http: { path: \"/{{ input.h }}/x\" } }\n",
    );
    let with = |sub: &str, h: &str| Call { input: json!({"h": h}), ..variables(&[("sub", sub)]) };
    assert_eq!(request(&runtime, "a", &with("eu", "b")).unwrap().url.as_str(), "https://eu.shop.example/v1/b/x");
    for sub in
        ["evil.example/", "evil.example/?", "evil.example#", "evil.example\\", "a@evil.example", "", "e vil", "e\nvil"]
    {
        let refused = request(&runtime, "a", &with(sub, "b")).unwrap_err();
        assert!(refused.starts_with("TEMPLATE_ERROR"), "{sub:?}: {refused}");
    }
    // A value cannot leave its segment of the path.
    for h in ["evil.example", "//evil.example", "a/../b", "?q", "#f", "%2e%2e", "a\\b", "@evil.example", "\u{2215}"] {
        let url = request(&runtime, "a", &with("eu", h)).unwrap().url;
        assert_eq!(url.host_str(), Some("eu.shop.example"), "{h}");
        assert_eq!(url.path_segments().unwrap().count(), 3, "{h}: {url}");
        assert_eq!((url.query(), url.fragment()), (None, None), "{h}: {url}");
    }
    for h in ["", ".", "..", "a\nb"] {
        assert!(request(&runtime, "a", &with("eu", h)).is_err(), "{h:?}");
    }
}

#[test]
fn an_empty_origin_does_not_make_the_path_the_host() {
    let runtime = connector(
        "baseUrl: \"https://{{ get_variable('host') }}\"\nactions:\n  a: { http: { path: \"/{{ pathParams.h }}/x\", pathParams: { h: {} } } }\n",
    );
    let mut with = variables(&[("host", "")]);
    with.path_params.insert("h".into(), "attacker.example".into());
    assert!(request(&runtime, "a", &with).is_err());
    let whole =
        connector("baseUrl: \"{{ get_variable('origin') }}/services\"\nactions:\n  a: { http: { path: /x } }\n");
    let url =
        |origin: &str| request(&whole, "a", &variables(&[("origin", origin)])).map(|request| request.url.to_string());
    assert_eq!(url("https://na1.force.example").unwrap(), "https://na1.force.example/services/x");
    for origin in
        ["", "na1.force.example", "ftp://x.example", "https://", "https://u:p@x.example", "javascript:alert(1)"]
    {
        assert!(url(origin).is_err(), "{origin}");
    }
}

/// Values stay in their segment for every way to write a path, and literal text is unchanged.
#[test]
fn a_value_cannot_leave_its_segment_of_the_path() {
    let with = |path: &str, y: Value| {
        let runtime =
            connector(&format!("baseUrl: https://a.example\nactions:\n  a: {{ http: {{ path: {path:?} }} }}\n"));
        request(&runtime, "a", &input(json!({"y": y, "l": [1, 2], "old": true}))).map(|request| request.url.to_string())
    };
    for path in [
        "/x/{{ input.y }}/z",
        "/x/{% filter trim %}{{ input.y }}{% endfilter %}/z",
        "/x/{{ get_variable('nope') | default(input.y) }}/z",
        "/x/{{ input.y | urlencode }}/z",
        "/x/{% set v %}{{ input.y }}{% endset %}{{ v }}/z",
        "/x/{% macro m(v) %}{{ v }}{% endmacro %}{{ m(input.y) }}/z",
        "/x/{{ 'a' if input.none is defined else input.y }}/z",
    ] {
        let url = with(path, json!("b/c?x=1&k=2")).unwrap_or_else(|error| panic!("{path}: {error}"));
        let rest = url
            .strip_prefix("https://a.example/x/")
            .unwrap()
            .strip_suffix("/z")
            .unwrap_or_else(|| panic!("{path}: {url}"));
        assert!(!rest.contains(['/', '?', '&']), "{path}: {url}");
    }
    assert!(with("/x/{{ input.y }}", json!(null)).is_err());
    assert_eq!(
        with("/items{{ '/archived' if input.old else '' }}", json!(1)).unwrap(),
        "https://a.example/items/archived"
    );
    assert_eq!(with("/q{{ '?a=1' if input.old }}", json!(1)).unwrap(), "https://a.example/q?a=1");
    let listed = "/q?ids={% for i in input.l %}{{ i }}{{ ',' if not loop.last }}{% endfor %}";
    assert_eq!(with(listed, json!(1)).unwrap(), "https://a.example/q?ids=1,2");
    assert_eq!(
        with("/lookup?url=https://b.example/{{ input.y }}", json!("a&b")).unwrap(),
        "https://a.example/lookup?url=https://b.example/a%26b"
    );
}

#[test]
fn null_is_empty_in_query_and_headers() {
    let runtime = connector(
        "baseUrl: https://a.example\nactions:\n  a: { http: { path: /x, query: { c: { value: \"{{ input.y | default(none) }}\", omitEmpty: true }, d: \"{{ none }}\", e: 'null' }, headers: { X-A: { value: \"{{ none }}\", omitEmpty: true } } } }\n",
    );
    let sent = request(&runtime, "a", &input(json!({}))).unwrap();
    assert_eq!((sent.url.query(), sent.header("x-a")), (Some("d=&e=null"), None));
}

#[test]
fn base_and_path_are_joined_once() {
    for (base, path, expected) in [
        ("https://a.example", "/x", "https://a.example/x"),
        ("https://a.example/", "/x", "https://a.example/x"),
        ("https://a.example/v2", "/x?y=1", "https://a.example/v2/x?y=1"),
        ("https://a.example/v2", "?y=1", "https://a.example/v2?y=1"),
        ("https://a.example:8443/v2", "/x/", "https://a.example:8443/v2/x/"),
    ] {
        let runtime = connector(&format!("baseUrl: {base}\nactions:\n  a: {{ http: {{ path: \"{path}\" }} }}\n"));
        assert_eq!(request(&runtime, "a", &input(json!({}))).unwrap().url.as_str(), expected);
    }
}

#[test]
fn only_overridable_parameters_are_overridden() {
    let runtime = connector(
        "baseUrl: https://a.example\ndefaults:\n  headers: { X-A: one, x-b: { value: one, overridable: true } }\n  query: { a: one }\nactions:\n  a:\n    http:\n      path: /x\n      headers: { X-B: { value: two, overridable: true }, X-C: three }\n      query: { b: { value: two, overridable: true }, c: { value: '', omitEmpty: true } }\n",
    );
    let own = ["x-a", "x-b", "x-c"].map(|name| (name.to_owned(), "mine".to_owned())).into();
    let query = ["a", "b", "c", "d"].map(|name| (name.to_owned(), "mine".to_owned())).into();
    let sent = request(&runtime, "a", &Call { headers: own, query, ..input(json!({})) }).unwrap();
    assert_eq!(sent.url.query(), Some("a=one&b=mine"));
    assert_eq!(
        (sent.header("x-a"), sent.header("x-b"), sent.header("x-c")),
        (Some("one"), Some("mine"), Some("three"))
    );
    let plain = request(&runtime, "a", &input(json!({}))).unwrap();
    assert_eq!((plain.header("x-b"), plain.url.query()), (Some("two"), Some("a=one&b=two")));
}

#[test]
fn bodies_match_their_declaration() {
    let runtime = connector(
        "baseUrl: https://a.example\nactions:\n  json: { http: { method: POST, path: /x, omitEmpty: true, body: { a: \"{{ input.a | default(none) }}\", list: [\"{{ input.n }}\", ''], deep: { b: '' }, no: false, zero: 0 } } }\n  form: { http: { method: POST, path: /x, form: { a: \"{{ input.a | default('') }}\", m: { k: \"{{ input.n }}\" }, l: [x, \"y z\"] } } }\n  text: { http: { method: POST, path: /x, headers: { Content-Type: text/csv }, text: \"a;{{ input.n }}\\n\" } }\n  none: { http: { method: POST, path: /x } }\n",
    );
    let sent = |action: &str| request(&runtime, action, &input(json!({"n": 7}))).unwrap();
    let body = |action: &str| String::from_utf8(sent(action).body.to_vec()).unwrap();
    assert_eq!(body("json"), r#"{"list":[7,""],"deep":{},"no":false,"zero":0}"#);
    assert_eq!(body("form"), "a=&l%5B0%5D=x&l%5B1%5D=y%20z&m%5Bk%5D=7");
    assert_eq!(body("text"), "a;7\n");
    assert_eq!(sent("text").header("content-type"), Some("text/csv"));
    assert_eq!((body("none").as_str(), sent("none").header("content-type")), ("", None));
    assert_eq!(sent("form").header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[test]
fn a_schema_that_cannot_be_compiled_refuses_every_value() {
    let runtime =
        connector("baseUrl: https://a.example\nactions:\n  a: { input: { multipleOf: 0 }, http: { path: /x } }\n");
    assert!(request(&runtime, "a", &input(json!(1))).unwrap_err().starts_with("SCHEMA_ERROR"));
}

#[test]
fn the_response_is_transformed_on_every_status() {
    let runtime = connector(
        "baseUrl: https://a.example\nactions:\n  a:\n    http: { path: /x }\n    response: { body: { status: \"{{ response.status_code }}\", why: \"{{ response.json.why | default(none) }}\" } }\n  picky:\n    http: { path: /x }\n    response: { body: \"{{ response.json.data }}\", successWhen: \"{{ response.json.ok }}\" }\n  found:\n    http: { path: /x }\n    response: { success: [200, 404], body: { found: \"{{ response.status_code == 200 }}\" } }\n",
    );
    let good = Application::new(&[(201, json!({}))]);
    let outcome = run(&runtime, &good, "a", input(json!({})));
    assert_eq!((outcome.status, value(&outcome)), (201, json!({"status": 201, "why": null})));
    let bad = Application::new(&[(422, json!({"why": "no"}))]);
    let outcome = run(&runtime, &bad, "a", input(json!({})));
    assert_eq!(error(&outcome).0, "UPSTREAM_ERROR");
    assert_eq!(problem(&outcome)["upstream"], json!({"status": 422, "body": {"status": 422, "why": "no"}}));
    // A transform that fails on an error does not hide it.
    let outcome = run(&runtime, &bad, "picky", input(json!({})));
    assert_eq!(problem(&outcome)["upstream"]["body"], json!({"why": "no"}));
    let refused = Application::new(&[(200, json!({"ok": false, "data": 1}))]);
    assert_eq!(error(&run(&runtime, &refused, "picky", input(json!({})))).0, "UPSTREAM_ERROR");
    let missing = Application::new(&[(404, json!({}))]);
    assert_eq!(value(&run(&runtime, &missing, "found", input(json!({})))), json!({"found": false}));
}

#[test]
fn only_repeatable_requests_are_retried() {
    let runtime = connector(
        "baseUrl: https://a.example\ndefaults: { retry: { maxAttempts: 3, initialInterval: 1ms, maxInterval: 2s } }\nactions:\n  get: { http: { path: /x } }\n  post: { http: { method: POST, path: /x } }\n",
    );
    let attempts = |action: &str, responses: &[(u16, Value)], retry_after: Option<&str>| {
        let mut application = Application::new(responses);
        application.headers.extend(retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_owned())));
        let outcome = run(&runtime, &application, action, input(json!({})));
        (application.requests.load(Ordering::Relaxed), outcome.result.is_ok())
    };
    let busy = [(503, json!(null)), (200, json!(1))];
    assert_eq!(attempts("get", &busy, None), (2, true));
    assert_eq!(attempts("post", &busy, None), (1, false));
    assert_eq!(attempts("post", &busy, Some("0")), (2, true));
    assert_eq!(attempts("post", &[(429, json!(null)), (200, json!(1))], None), (2, true));
    assert_eq!(attempts("post", &[(500, json!(null))], None), (1, false));
    assert_eq!(attempts("get", &[(500, json!(null))], None), (3, false));
    assert_eq!(attempts("get", &[(404, json!(null))], None), (1, false));
    // No retry if the application requests a longer wait than the policy allows.
    assert_eq!(attempts("get", &busy, Some("60")), (1, false));
}

#[test]
fn steps_run_in_order_within_one_deadline() {
    let runtime = connector(
        "baseUrl: https://a.example\nactions:\n  two:\n    timeout: 10s\n    steps:\n      - { name: find, http: { path: /find } }\n      - { name: skip, if: \"{{ steps.find.body.none }}\", http: { path: /skip } }\n      - { name: make, http: { method: POST, path: \"/make/{{ steps.find.body.id }}\" } }\n    response: { body: { id: \"{{ steps.find.body.id }}\", made: \"{{ response.json.id }}\" } }\n  outer: { steps: [{ name: a, action: two, input: {} }] }\n  strict: { input: { type: object, required: [q] }, http: { path: /x } }\n  wrong: { steps: [{ name: a, action: strict, input: {} }] }\n",
    );
    let application = Application::new(&[(200, json!({"id": 7, "none": false})), (201, json!({"id": 8}))]);
    let outcome = run(&runtime, &application, "two", input(json!({})));
    assert_eq!(value(&outcome), json!({"id": 7, "made": 8}));
    assert_eq!(application.requests.load(Ordering::Relaxed), 2);
    let names: Vec<&str> = outcome.timing.steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["find", "make"]);
    let application = Application::new(&[(200, json!({"id": 7, "none": false})), (201, json!({"id": 8}))]);
    assert_eq!(value(&run(&runtime, &application, "outer", input(json!({})))), json!({"id": 7, "made": 8}));
    let slow = Application { delay: Duration::from_secs(6), ..Application::new(&[(200, json!({"id": 7, "none": 0}))]) };
    let (code, detail) = {
        let outcome = run(&runtime, &slow, "two", input(json!({})));
        let (code, detail) = error(&outcome);
        (code, detail.to_owned())
    };
    assert_eq!(code, "TIMEOUT");
    assert!(detail.starts_with("step `make` (index 2)"), "{detail}");
    // Input that an inner action refuses is an error of the definitions, not of the caller.
    let outcome = run(&runtime, &Application::new(&[(200, json!(1))]), "wrong", input(json!({})));
    assert_eq!((error(&outcome).0, outcome.status), ("TEMPLATE_ERROR", 422));
}

#[test]
fn one_call_makes_a_bounded_number_of_requests() {
    let mut text = String::from("baseUrl: https://a.example\nactions:\n  l0: { http: { path: /x } }\n");
    for level in 1..=5 {
        let steps: Vec<String> = (0..10).map(|at| format!("{{ name: s{at}, action: l{} }}", level - 1)).collect();
        text += &format!("  l{level}: {{ steps: [{}] }}\n", steps.join(", "));
    }
    let runtime = connector(&text);
    let application = Application::new(&[(200, json!(1))]);
    let outcome = run(&runtime, &application, "l5", input(json!({})));
    assert!(error(&outcome).1.contains("100 requests"), "{:?}", error(&outcome));
    assert_eq!(application.requests.load(Ordering::Relaxed), 100);
    assert!(outcome.timing.server_timing().len() < 4096);
}

#[test]
fn connections_belong_to_their_tenants() {
    let runtime = runtime(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: c }\nspec:\n  displayName: C\n  baseUrl: https://a.example\n  auth: { methods: { key: { apiKey: { name: X-Key } } } }\n  actions: { a: { http: { path: /x } } }\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\nspec: { displayName: Acme }\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: globex }\nspec: { displayName: Globex }\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: gone }\nspec: { displayName: Gone, status: Suspended }\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Connection\nmetadata: { name: of-acme }\nspec: { connector: c, scope: Tenant, tenant: acme, credentials: { apiKey: { secretRef: acme } } }\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Connection\nmetadata: { name: of-ada }\nspec: { connector: c, scope: User, tenant: acme, user: ada, credentials: { apiKey: { secretRef: ada } } }\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Connection\nmetadata: { name: of-all }\nspec: { connector: c, credentials: { apiKey: { secretRef: all } } }\n",
    );
    let key = |tenant: Option<&str>, user: Option<&str>, connection: Option<&str>| {
        let call = Call {
            tenant: tenant.map(str::to_owned),
            user: user.map(|id| json!({"id": id})),
            connection: connection.map(str::to_owned),
            ..input(json!({}))
        };
        request(&runtime, "a", &call).map(|request| request.header("x-key").unwrap().to_owned())
    };
    assert_eq!(key(None, None, None).unwrap(), "[secret all]");
    assert_eq!(key(Some("acme"), None, None).unwrap(), "[secret acme]");
    assert_eq!(key(Some("acme"), Some("ada"), None).unwrap(), "[secret ada]");
    assert_eq!(key(Some("acme"), Some("bob"), None).unwrap(), "[secret acme]");
    assert_eq!(key(Some("globex"), Some("ada"), None).unwrap(), "[secret all]");
    for (tenant, user, connection) in [
        (Some("globex"), None, "of-acme"),
        (None, None, "of-acme"),
        (Some("acme"), Some("bob"), "of-ada"),
        (Some("globex"), Some("ada"), "of-ada"),
        (Some("acme"), None, "nothing"),
    ] {
        let refused = key(tenant, user, Some(connection)).unwrap_err();
        assert!(refused.starts_with("CONNECTION_REQUIRED"), "{connection}: {refused}");
    }
    assert!(key(Some("gone"), None, None).unwrap_err().starts_with("TENANT_NOT_ACTIVE"));
}
