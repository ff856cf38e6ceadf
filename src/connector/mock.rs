//! The definitions' own tests as the application at the other end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::request::PreparedRequest;
use super::testing::{call_of, differences};
use super::upstream::{ResponseFuture, Upstream, UpstreamResponse};
use super::{CallError, ErrorCode, MaskedSecrets, Runtime, prepare};
use crate::definition::action_test::{ActionTest, ExpectedRequest, MockResponse};

/// Answers with what the tests beside an action say that the application answers.
///
/// Of the tests, the one whose request is the same answers; else the first one whose answer is a success.
/// The answer names it.
#[derive(Debug)]
pub struct MockUpstream {
    runtime: Arc<Runtime>,
    /// The test that answers this call, by connector and action, and how many of its answers were given.
    playing: Mutex<BTreeMap<(String, String), (usize, usize)>>,
}

impl MockUpstream {
    /// Answers for one call of the actions of a runtime.
    pub fn new(runtime: Arc<Runtime>) -> MockUpstream {
        MockUpstream { runtime, playing: Mutex::default() }
    }

    fn answer(&self, connector: &str, action: &str, request: &PreparedRequest) -> Option<UpstreamResponse> {
        let tests = &self.runtime.connectors.get(connector)?.actions.get(action)?.spec.tests;
        let mut playing = self.playing.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (connector.to_owned(), action.to_owned());
        // The first request of a call chooses the test; the ones after it get that test's next answers.
        let (test, at) = if let Some(&(test, given)) = playing.get(&key) {
            (test, given)
        } else {
            let same = |test: &ActionTest| self.position(connector, action, test, request) == Some(0);
            let good = |test: &ActionTest| {
                test.expect_error.is_none() && answers(test).last().is_some_and(|last| last.status < 400)
            };
            (tests.iter().position(same).or_else(|| tests.iter().position(good))?, 0)
        };
        playing.insert(key, (test, at + 1));
        let test = &tests[test];
        let answers = answers(test);
        let mut answer = response_of(answers.get(at).or(answers.last())?);
        answer.mock = Some(test.name.clone());
        Some(answer)
    }

    /// Which of a test's requests this one is.
    fn position(&self, connector: &str, action: &str, test: &ActionTest, request: &PreparedRequest) -> Option<usize> {
        let expected: Vec<&ExpectedRequest> = test.expect_request.iter().chain(&test.expect_requests).collect();
        if let Some(at) = expected.iter().position(|expected| {
            // Headers may hold a real credential here and a placeholder in the test.
            let expected = ExpectedRequest { headers: BTreeMap::new(), ..(*expected).clone() };
            expected.url.is_some() && differences(&expected, request).is_empty()
        }) {
            return Some(at);
        }
        let rendered = prepare(&self.runtime, Arc::new(MaskedSecrets), connector, action, &call_of(test)).ok()?;
        (expected.len() <= 1 && rendered.url == request.url && rendered.body == request.body).then_some(0)
    }
}

impl Upstream for MockUpstream {
    fn takes_time(&self) -> bool {
        false
    }

    fn send<'a>(&'a self, connector: &'a str, action: &'a str, request: &'a PreparedRequest) -> ResponseFuture<'a> {
        Box::pin(async move {
            self.answer(connector, action, request).ok_or_else(|| {
                let detail =
                    format!("no test of `{connector}/{action}` has an answer to play back; add one with `respond`");
                CallError::new(ErrorCode::NoMock, detail)
            })
        })
    }
}

/// The answers of a test, in order; 200 without a body where it gives none.
pub(super) fn answers(test: &ActionTest) -> Vec<MockResponse> {
    let given: Vec<MockResponse> = test.respond.iter().chain(&test.responds).cloned().collect();
    if given.is_empty() { vec![MockResponse::default()] } else { given }
}

/// A test's answer as an application's.
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

/// Hosts that exist in examples only (RFC 2606, RFC 6761): nothing can be reached there.
pub fn is_example_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or(&host);
    let second = ["example.com", "example.org", "example.net"];
    ["example", "test", "invalid"].contains(&last)
        || second.iter().any(|known| host == *known || host.strip_suffix(known).is_some_and(|rest| rest.ends_with('.')))
}
