//! The tests of definitions in the role of the application.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{CallError, ErrorCode};
use super::fixture::{call_of, differences, response_of, responses};
use super::host::MaskedSecrets;
use super::pipeline::prepare;
use super::prepared::PreparedRequest;
use super::runtime::Runtime;
use super::upstream::{ResponseFuture, Upstream, UpstreamResponse};
use crate::definition::action_test::{ActionTest, ExpectedRequest};

/// Responds with the responses that the tests of an action declare: those of the first test with the same request,
/// otherwise those of the first successful test. The response names the test.
#[derive(Debug)]
pub struct MockUpstream {
    runtime: Arc<Runtime>,
    /// For each connector and action, the test that responds to this call and the number of its responses so far.
    playing: Mutex<BTreeMap<(String, String), (usize, usize)>>,
}

impl MockUpstream {
    /// An upstream for one call of an action of a runtime.
    pub fn new(runtime: Arc<Runtime>) -> MockUpstream {
        MockUpstream { runtime, playing: Mutex::default() }
    }

    fn respond(&self, connector: &str, action: &str, request: &PreparedRequest) -> Option<UpstreamResponse> {
        let tests = &self.runtime.connectors.get(connector)?.actions.get(action)?.spec.tests;
        let mut playing = self.playing.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (connector.to_owned(), action.to_owned());
        // The first request of a call selects the test, which responds to the following requests too.
        let (test, at) = if let Some(&position) = playing.get(&key) {
            position
        } else {
            let same = |test: &ActionTest| self.position(connector, action, test, request) == Some(0);
            let successful = |test: &ActionTest| {
                test.expect_error.is_none() && responses(test).last().is_some_and(|last| last.status < 400)
            };
            (tests.iter().position(same).or_else(|| tests.iter().position(successful))?, 0)
        };
        playing.insert(key, (test, at + 1));
        let test = &tests[test];
        let responses = responses(test);
        let mut response = response_of(responses.get(at).or(responses.last())?);
        response.mock = Some(test.name.clone());
        Some(response)
    }

    /// The position of a request among those of a test.
    fn position(&self, connector: &str, action: &str, test: &ActionTest, request: &PreparedRequest) -> Option<usize> {
        let expected: Vec<&ExpectedRequest> = test.expect_request.iter().chain(&test.expect_requests).collect();
        if let Some(at) = expected.iter().position(|expected| {
            // Headers may hold a credential here and a placeholder in the test.
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
            self.respond(connector, action, request).ok_or_else(|| {
                let detail = format!("no test of `{connector}/{action}` has a response; add one with `respond`");
                CallError::new(ErrorCode::NoMock, detail)
            })
        })
    }
}
