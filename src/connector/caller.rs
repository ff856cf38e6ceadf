//! Calls of one generation, over the network or answered by the definitions' own tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::spans;
use super::upstream::refused;
use super::{
    Call, CallError, CallOutcome, ErrorCode, MaskedSecrets, MockUpstream, NetworkUpstream, ProvidedSecrets, Runtime,
    Secrets, Upstream, call, is_example_host, prepare,
};
use crate::net;
use crate::telemetry::TRACEPARENT;

/// Longest wait for an answer to a request that no action describes.
const FETCH: Duration = Duration::from_secs(30);
/// Largest answer to it.
const MAX_FETCHED: usize = 4 << 20;

/// Where calls go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mocking {
    /// Every host is called.
    #[default]
    None,
    /// Tests answer for hosts that exist in examples only; others are called.
    Examples,
    /// Tests answer for every host.
    All,
}

/// Calls actions of one generation.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What they are compiled to.
    pub runtime: Arc<Runtime>,
    /// The guarded client.
    pub client: net::Client,
    /// Where calls go.
    pub mocking: Mocking,
}

impl Caller {
    /// Calls an action.
    pub async fn call(&self, connector: &str, action: &str, request: Call) -> CallOutcome {
        let mocked = match self.mocking {
            Mocking::All => true,
            Mocking::Examples => self.is_example(connector, action, &request),
            Mocking::None => false,
        };
        let (upstream, secrets): (Box<dyn Upstream>, Arc<dyn Secrets>) = match mocked {
            true => (Box::new(MockUpstream::new(Arc::clone(&self.runtime))), Arc::new(MaskedSecrets)),
            false => (Box::new(NetworkUpstream::new(self.client.clone())), self.secrets()),
        };
        call(&self.runtime, &*upstream, secrets, connector, action, request).await
    }

    /// The environment's secrets.
    pub fn secrets(&self) -> Arc<dyn Secrets> {
        Arc::new(ProvidedSecrets::new(self.runtime.secrets.clone(), Arc::clone(&self.runtime.vault)))
    }

    /// Would this call go to a host that exists in examples only?
    fn is_example(&self, connector: &str, action: &str, call: &Call) -> bool {
        let prepared = prepare(&self.runtime, Arc::new(MaskedSecrets), connector, action, call);
        prepared.is_ok_and(|request| request.url.host_str().is_some_and(is_example_host))
    }

    /// Sends a request that no action describes, through the same guards: `method`, `headers` and `body` in, `status`,
    /// `headers` and `body` out. It is part of the trace, where there is one.
    ///
    /// # Errors
    /// Where it cannot be sent, or is not answered. An answer of any status is an answer.
    pub async fn fetch(&self, url: &str, init: &Value, trace: &str) -> Result<Value, CallError> {
        let bad = |what: String| CallError::new(ErrorCode::BadRequest, what);
        let url = url::Url::parse(url).map_err(|error| bad(format!("`{url}` is no URL: {error}")))?;
        let method = init.get("method").and_then(Value::as_str).unwrap_or("GET").to_ascii_uppercase();
        let method = http::Method::from_bytes(method.as_bytes()).map_err(|_| bad(format!("no method `{method}`")))?;
        let mut request = net::Request::new(method, url);
        for (name, value) in init.get("headers").and_then(Value::as_object).into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let header =
                http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(format!("no header `{name}`")))?;
            let value =
                http::HeaderValue::from_str(&text).map_err(|_| bad(format!("header `{name}` cannot be sent")))?;
            request.headers.append(header, value);
        }
        request.body = match init.get("body") {
            None | Some(Value::Null) => bytes::Bytes::new(),
            Some(Value::String(text)) => text.clone().into(),
            Some(other) => other.to_string().into(),
        };
        let limits = net::Limits { timeout: FETCH, max_response_bytes: MAX_FETCHED, ..net::Limits::default() };
        let mut span = spans::request(trace, request.method.as_str(), &request.url);
        if !request.headers.contains_key(TRACEPARENT)
            && let Ok(header) = http::HeaderValue::from_str(&span.trace())
        {
            request.headers.insert(TRACEPARENT, header);
        }
        let sent = self.client.send(request, &limits).await.map_err(|error| refused(&error));
        spans::answered(&mut span, sent.as_ref().map(|response| response.status.as_u16()));
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
