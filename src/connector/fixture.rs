//! The tests of actions as data: their calls, responses, and comparisons.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use bytes::Bytes;
use serde_json::{Value, json};

use super::call::Call;
use super::prepared::PreparedRequest;
use super::upstream::UpstreamResponse;
use crate::definition::Json;
use crate::definition::action_test::{ActionTest, ExpectedRequest, MockResponse};

/// A difference between an expected and an actual value.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The compared part, such as `request body` or `output`.
    pub what: String,
    /// The expected value, as text of several lines.
    pub expected: String,
    /// The actual value, as text of several lines.
    pub actual: String,
}

/// Default of `now()` in tests: 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600;

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

/// The responses of a test, in order; 200 without a body if it has none.
pub(super) fn responses(test: &ActionTest) -> Vec<MockResponse> {
    let responses: Vec<MockResponse> = test.respond.iter().chain(&test.responds).cloned().collect();
    if responses.is_empty() { vec![MockResponse::default()] } else { responses }
}

/// The response of a test in the form of an application's.
pub(super) fn response_of(response: &MockResponse) -> UpstreamResponse {
    let mut headers: BTreeMap<String, String> =
        response.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let (body, content_type) = match (&response.body, &response.text) {
        (Some(body), _) => (Bytes::from(body.to_string()), "application/json"),
        (None, Some(text)) => (Bytes::from(text.clone()), "text/plain; charset=utf-8"),
        (None, None) => (Bytes::new(), ""),
    };
    if !content_type.is_empty() {
        headers.entry("content-type".into()).or_insert_with(|| content_type.into());
    }
    UpstreamResponse { status: response.status, headers, body, mock: None }
}

/// The differences between a request and the expected one. Fields that the test omits are not compared.
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
        // Brackets of placeholders are encoded in a URL, and more readable in a test without encoding.
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

/// True if two values are equal as JSON: `1` equals `1.0`, and the order of members does not matter.
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

/// The value with sorted keys and indentation, so that differences are on separate lines.
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
