//! Runs the tests of actions, without network, clock and secrets.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::error::{CallError, ErrorCode};
use super::fixture::{differences, response_of, responses};
use super::host::MaskedSecrets;
use super::pipeline::call;
use super::prepared::PreparedRequest;
use super::runtime::Runtime;
use super::upstream::{ResponseFuture, Upstream};
use crate::definition::Json;
use crate::definition::action_test::{ActionTest, ExpectedRequest, MockResponse};

pub use super::fixture::{Difference, call_of, pretty, same};

/// The result of one test.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// The connector.
    pub connector: String,
    /// The action.
    pub action: String,
    /// The test.
    pub name: String,
    /// The differences; empty if the test passes.
    pub differences: Vec<Difference>,
    /// True if the test has no expectations.
    pub expects_nothing: bool,
}

/// Runs one test of an action.
pub async fn run(runtime: &Runtime, connector: &str, action: &str, test: &ActionTest) -> TestResult {
    let upstream = ScriptedUpstream { responses: responses(test), sent: Mutex::new(Vec::new()) };
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
            // The error of the call is reported below.
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

/// Responds in order, and records the requests.
struct ScriptedUpstream {
    responses: Vec<MockResponse>,
    sent: Mutex<Vec<PreparedRequest>>,
}

impl Upstream for ScriptedUpstream {
    fn takes_time(&self) -> bool {
        false
    }

    fn send<'a>(&'a self, _connector: &'a str, _action: &'a str, request: &'a PreparedRequest) -> ResponseFuture<'a> {
        Box::pin(async move {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            let at = sent.len();
            sent.push(request.clone());
            // The last response is repeated, for example for retries.
            let response = self.responses.get(at).or_else(|| self.responses.last());
            response.map(response_of).ok_or_else(|| CallError::new(ErrorCode::NoMock, "the test has no response"))
        })
    }
}
