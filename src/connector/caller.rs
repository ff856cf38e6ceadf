//! Calls actions of one generation, over the network or with the tests of definitions in the role of the application.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::address::is_example_host;
use super::call::Call;
use super::error::{CallError, ErrorCode};
use super::host::{MaskedSecrets, ProvidedSecrets, Secrets};
use super::mock::MockUpstream;
use super::outcome::{CallOutcome, CallTiming};
use super::pipeline::{call, prepare};
use super::rate_limit;
use super::runtime::Runtime;
use super::spans;
use super::upstream::{NetworkUpstream, Upstream, network_error};
use crate::net;
use crate::quota::Limiter;
use crate::telemetry::TRACEPARENT;

/// Timeout of a request that no action describes.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum size of its response, in bytes.
const MAX_FETCHED_BYTES: usize = 4 << 20;

/// The recipient of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mocking {
    /// The application of every host.
    #[default]
    None,
    /// Tests for hosts that are reserved for examples, applications for others.
    Examples,
    /// Tests for every host.
    All,
}

/// Calls actions of one generation.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The compiled definitions.
    pub runtime: Arc<Runtime>,
    /// The guarded client.
    pub client: net::Client,
    /// The recipient of calls.
    pub mocking: Mocking,
    /// Rate limits and quotas of this process, or of all processes of its store.
    pub limiter: Arc<Limiter>,
}

impl Caller {
    /// Calls an action.
    pub async fn call(&self, connector: &str, action: &str, request: Call) -> CallOutcome {
        // Requests of subscriptions are no calls of the tenant.
        let tenant = request.tenant.as_deref().unwrap_or_default();
        if request.subscription.is_none()
            && let Some(calls) = self.runtime.quotas_of(tenant).calls_per_minute
            && let Err(error) = rate_limit::count_call(&self.limiter, &self.runtime.environment, tenant, calls).await
        {
            let status = error.code.status();
            return CallOutcome { result: Err(error), status, timing: CallTiming::default(), place: String::new() };
        }
        let mocked = match self.mocking {
            Mocking::All => true,
            Mocking::Examples => self.is_example(connector, action, &request),
            Mocking::None => false,
        };
        let (upstream, secrets): (Box<dyn Upstream>, Arc<dyn Secrets>) = if mocked {
            (Box::new(MockUpstream::new(Arc::clone(&self.runtime))), Arc::new(MaskedSecrets))
        } else {
            let (client, limiter) = (self.client.clone(), Arc::clone(&self.limiter));
            (Box::new(NetworkUpstream::new(client, limiter, &self.runtime.environment)), self.secrets())
        };
        call(&self.runtime, &*upstream, secrets, connector, action, request).await
    }

    /// The secrets of the environment.
    pub fn secrets(&self) -> Arc<dyn Secrets> {
        Arc::new(ProvidedSecrets::new(self.runtime.secrets.clone(), Arc::clone(&self.runtime.vault)))
    }

    /// True if the call would go to a host that is reserved for examples.
    fn is_example(&self, connector: &str, action: &str, call: &Call) -> bool {
        let prepared = prepare(&self.runtime, Arc::new(MaskedSecrets), connector, action, call);
        prepared.is_ok_and(|request| request.url.host_str().is_some_and(is_example_host))
    }

    /// Sends a request that no action describes, with the same guards. `init` holds `method`, `headers` and `body`, the
    /// result `status`, `headers` and `body`. The request is part of the trace, if there is one.
    ///
    /// # Errors
    /// The request is invalid, or no response is received. A response of any status is a success.
    pub async fn fetch(&self, url: &str, init: &Value, trace: &str) -> Result<Value, CallError> {
        let bad = |what: String| CallError::new(ErrorCode::BadRequest, what);
        let url = url::Url::parse(url).map_err(|error| bad(format!("`{url}` is not a URL: {error}")))?;
        let method = init.get("method").and_then(Value::as_str).unwrap_or("GET").to_ascii_uppercase();
        let method =
            http::Method::from_bytes(method.as_bytes()).map_err(|_| bad(format!("`{method}` is not a method")))?;
        let mut request = net::Request::new(method, url);
        for (name, value) in init.get("headers").and_then(Value::as_object).into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let header = http::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| bad(format!("`{name}` is not a header name")))?;
            let value =
                http::HeaderValue::from_str(&text).map_err(|_| bad(format!("header `{name}` cannot be sent")))?;
            request.headers.append(header, value);
        }
        request.body = match init.get("body") {
            None | Some(Value::Null) => bytes::Bytes::new(),
            Some(Value::String(text)) => text.clone().into(),
            Some(other) => other.to_string().into(),
        };
        let limits =
            net::Limits { timeout: FETCH_TIMEOUT, max_response_bytes: MAX_FETCHED_BYTES, ..net::Limits::default() };
        let mut span = spans::request(trace, request.method.as_str(), &request.url);
        if !request.headers.contains_key(TRACEPARENT)
            && let Ok(header) = http::HeaderValue::from_str(&span.traceparent())
        {
            request.headers.insert(TRACEPARENT, header);
        }
        let sent = self.client.send(request, &limits).await.map_err(|error| network_error(&error));
        spans::end(&mut span, sent.as_ref().map(|response| response.status.as_u16()));
        let response = sent?;
        let headers: BTreeMap<String, String> = response
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let body = String::from_utf8_lossy(&response.body).into_owned();
        Ok(json!({"status": response.status.as_u16(), "headers": headers, "body": body}))
    }
}
