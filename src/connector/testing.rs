//! Running the tests beside actions: no network, no clock, no secrets.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::mock::{answers, response_of};
use super::pipeline::call;
use super::request::PreparedRequest;
use super::upstream::{ResponseFuture, Upstream};
use super::{Call, CallError, ErrorCode, MaskedSecrets, Runtime};
use crate::definition::Json;
use crate::definition::action_test::{ActionTest, ExpectedRequest};

/// What became of one test.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// The connector.
    pub connector: String,
    /// The action.
    pub action: String,
    /// The test.
    pub name: String,
    /// What is not as expected; nothing where the test passes.
    pub differences: Vec<Difference>,
    /// The test gives nothing to compare with.
    pub expects_nothing: bool,
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What was compared, such as `request body` or `output`.
    pub what: String,
    /// What the test expects, as text of several lines.
    pub expected: String,
    /// What there was.
    pub actual: String,
}

/// What `now()` answers in tests that do not say: 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600;

/// Runs one test of an action.
pub async fn run(runtime: &Runtime, connector: &str, action: &str, test: &ActionTest) -> TestResult {
    let upstream = Scripted { answers: answers(test), sent: Mutex::new(Vec::new()) };
    let outcome = call(runtime, &upstream, Arc::new(MaskedSecrets), connector, action, call_of(test)).await;
    let sent = upstream.sent.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::new();
    let expected: Vec<&ExpectedRequest> = test.expect_request.iter().chain(&test.expect_requests).collect();
    for (at, expected) in expected.iter().enumerate() {
        let number = if test.expect_requests.is_empty() { String::new() } else { format!("{}: ", at + 1) };
        match sent.get(at) {
            Some(request) => {
                found.extend(differences(expected, request).into_iter().map(|difference| Difference {
                    what: format!("request {number}{}", difference.what),
                    ..difference
                }));
            }
            None if outcome.result.is_ok() || test.expect_error.is_some() => found.push(Difference {
                what: format!("request {number}").trim_end_matches([':', ' ']).to_owned(),
                expected: "a request".into(),
                actual: "none was sent".into(),
            }),
            // The error below says why nothing was sent.
            None => {}
        }
    }
    if !test.expect_requests.is_empty() && sent.len() > expected.len() {
        let surplus = sent.iter().skip(expected.len()).map(|request| format!("{} {}", request.method, request.url));
        found.push(Difference {
            what: "requests".into(),
            expected: "no more requests".into(),
            actual: surplus.collect::<Vec<_>>().join("\n"),
        });
    }
    found.extend(outcome_difference(test, &outcome.result.map(|output| output.to_value())));
    let expects_nothing = expected.is_empty() && test.expect_output.is_none() && test.expect_error.is_none();
    TestResult {
        connector: connector.into(),
        action: action.into(),
        name: test.name.clone(),
        differences: found,
        expects_nothing,
    }
}

fn outcome_difference(test: &ActionTest, result: &Result<Value, CallError>) -> Option<Difference> {
    let difference =
        |what: &str, expected: String, actual: String| Some(Difference { what: what.into(), expected, actual });
    let output = test.expect_output.as_ref().map(Json::value);
    match (result, &output, &test.expect_error) {
        (Ok(actual), Some(expected), _) if !same(expected, actual) => {
            difference("output", pretty(expected), pretty(actual))
        }
        (Ok(actual), _, Some(expected)) => {
            difference("error", expected.code.clone(), format!("no error; the output is\n{}", pretty(actual)))
        }
        (Err(error), _, Some(expected)) => {
            let (detail, upstream) = (expected.detail.as_deref(), expected.upstream.as_ref().map(Json::value));
            let fits = error.code.as_str() == expected.code
                && detail.is_none_or(|detail| error.detail.contains(detail))
                && upstream
                    .as_ref()
                    .is_none_or(|wanted| error.upstream.as_deref().is_some_and(|actual| same(wanted, actual)));
            let detail = detail.map_or_else(String::new, |detail| format!(": …{detail}…"));
            let upstream = upstream.map_or_else(String::new, |body| format!("\n{}", pretty(&body)));
            let wanted = format!("{}{detail}{upstream}", expected.code);
            if fits { None } else { difference("error", wanted, shown(error)) }
        }
        (Err(error), Some(expected), None) => difference("output", pretty(expected), format!("error {}", shown(error))),
        (Err(error), None, None) => difference("result", "success".into(), format!("error {}", shown(error))),
        (Ok(_), _, None) => None,
    }
}

fn shown(error: &CallError) -> String {
    let upstream = error.upstream.as_ref().map_or_else(String::new, |body| format!("\n{}", pretty(body)));
    format!("{}: {}{upstream}", error.code.as_str(), error.detail)
}

/// The call that a test makes.
pub fn call_of(test: &ActionTest) -> Call {
    let now = test.now.as_deref().and_then(|text| jiff::Timestamp::from_str(text).ok());
    let settings = (!test.settings.is_empty())
        .then(|| Value::Object(test.settings.iter().map(|(name, value)| (name.clone(), value.value())).collect()));
    Call {
        input: test.input.as_ref().map_or_else(|| json!({}), Json::value),
        path_params: test.path_params.clone(),
        headers: test.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
        query: test.query.clone(),
        user: test.user.as_ref().and_then(|user| serde_json::to_value(user).ok()),
        tenant: Some(test.tenant.clone().unwrap_or_else(|| "test".into())),
        method: test.auth.clone(),
        settings,
        variables: test.variables.clone(),
        request_id: "test".into(),
        hermetic: true,
        now: Some(now.map_or(NOW, jiff::Timestamp::as_second)),
        ..Call::default()
    }
}

/// Where a request is not what is expected; what is left out is not compared.
pub(super) fn differences(expected: &ExpectedRequest, request: &PreparedRequest) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |what: &str, expected: String, actual: String| {
        if expected != actual {
            found.push(Difference { what: what.into(), expected, actual });
        }
    };
    if let Some(method) = expected.method {
        compare("method", method.as_str().into(), request.method.into());
    }
    if let Some(url) = &expected.url {
        let mut actual = request.url.clone();
        if expected.query.is_some() {
            actual.set_query(None);
        }
        // Brackets of placeholders are encoded in a URL; a test is easier to read with them as they are.
        let readable = |url: &str| url.replace("%5B", "[").replace("%5D", "]").replace("%20", " ");
        let normal = url::Url::parse(url).map_or_else(|_| url.clone(), |url| url.to_string());
        if readable(&normal) != readable(actual.as_str()) {
            compare("url", url.clone(), actual.to_string());
        }
    }
    if let Some(query) = &expected.query {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let expected: BTreeMap<String, String> =
            query.iter().map(|(name, value)| (name.clone(), text(&value.value()))).collect();
        let actual: BTreeMap<String, String> = request.url.query_pairs().into_owned().collect();
        compare("query", pretty(&json!(expected)), pretty(&json!(actual)));
    }
    for (name, value) in &expected.headers {
        let actual = request.header(name).map_or_else(|| "not sent".to_owned(), |actual| format!("{name}: {actual}"));
        compare("header", format!("{name}: {value}"), actual);
    }
    let body = || String::from_utf8_lossy(&request.body).into_owned();
    if let Some(expected) = &expected.body.as_ref().map(Json::value) {
        match serde_json::from_slice::<Value>(&request.body) {
            Ok(actual) if same(expected, &actual) => {}
            Ok(actual) => compare("body", pretty(expected), pretty(&actual)),
            Err(_) => {
                compare("body", pretty(expected), if request.body.is_empty() { "no body".into() } else { body() });
            }
        }
    }
    if let Some(form) = &expected.form {
        let actual: BTreeMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        compare("form", pretty(&json!(form)), pretty(&json!(actual)));
    }
    if let Some(text) = &expected.text {
        compare("body", text.clone(), body());
    }
    found
}

/// Equal as JSON: `1` and `1.0` are one number, the order of members does not count.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

/// Sorted and indented, so that a difference shows on lines of its own.
pub fn pretty(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let ordered: BTreeMap<&String, Value> = map.iter().map(|(key, value)| (key, sorted(value))).collect();
                json!(ordered)
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    match value {
        Value::String(text) => text.clone(),
        value => format!("{:#}", sorted(value)),
    }
}

/// Answers in order, and keeps what was sent.
struct Scripted {
    answers: Vec<crate::definition::action_test::MockResponse>,
    sent: Mutex<Vec<PreparedRequest>>,
}

impl Upstream for Scripted {
    fn takes_time(&self) -> bool {
        false
    }

    fn send<'a>(&'a self, _connector: &'a str, _action: &'a str, request: &'a PreparedRequest) -> ResponseFuture<'a> {
        Box::pin(async move {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            let at = sent.len();
            sent.push(request.clone());
            // The last answer stands for all that follow, as for a request that is tried again.
            let answer = self.answers.get(at).or_else(|| self.answers.last());
            answer.map(response_of).ok_or_else(|| CallError::new(ErrorCode::NoMock, "the test gives no answer"))
        })
    }
}
