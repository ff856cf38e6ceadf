//! The application behind a trait, implemented by the network and by the tests of definitions.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::address::is_example_host;
use super::error::{CallError, ErrorCode};
use super::prepared::PreparedRequest;
use super::rate_limit;
use crate::definition::connector::RateLimit;
use crate::net;
use crate::quota::{Limiter, Permit};

/// The response of an application.
#[derive(Clone, Debug)]
pub struct UpstreamResponse {
    /// The status.
    pub status: u16,
    /// Headers, lower case. Values of a repeated header are joined by `, `.
    pub headers: std::collections::BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
    /// Name of the test that responded instead of the application.
    pub mock: Option<String>,
}

/// The future of a response.
pub type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Result<UpstreamResponse, CallError>> + Send + 'a>>;

/// The future of the admission of a request; the permit is held while the request is sent.
pub type AdmissionFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<Permit>, CallError>> + Send + 'a>>;

/// Sends requests.
pub trait Upstream: Send + Sync {
    /// True if the caller must wait before another attempt.
    fn takes_time(&self) -> bool {
        true
    }

    /// Waits until the rate limit of a connector permits a request, at most until the deadline.
    fn admit<'a>(&'a self, connector: &'a str, limit: &'a RateLimit, deadline: Instant) -> AdmissionFuture<'a> {
        let _ = (connector, limit, deadline);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Sends one request of an action.
    fn send<'a>(&'a self, connector: &'a str, action: &'a str, request: &'a PreparedRequest) -> ResponseFuture<'a>;
}

/// Sends requests over the network with the guarded client.
#[derive(Clone, Debug)]
pub struct NetworkUpstream {
    client: net::Client,
    limiter: Arc<Limiter>,
    environment: String,
}

impl NetworkUpstream {
    /// An upstream that sends with a client, within the rate limits of connectors in an environment.
    pub fn new(client: net::Client, limiter: Arc<Limiter>, environment: &str) -> NetworkUpstream {
        NetworkUpstream { client, limiter, environment: environment.to_owned() }
    }
}

impl Upstream for NetworkUpstream {
    fn admit<'a>(&'a self, connector: &'a str, limit: &'a RateLimit, deadline: Instant) -> AdmissionFuture<'a> {
        Box::pin(rate_limit::admit(&self.limiter, &self.environment, (connector, limit), deadline))
    }

    fn send<'a>(&'a self, _connector: &'a str, _action: &'a str, request: &'a PreparedRequest) -> ResponseFuture<'a> {
        Box::pin(async move {
            let response = self.client.send(request.to_net()?, &request.limits).await.map_err(|error| {
                let mut failed = network_error(&error);
                if request.url.host_str().is_some_and(is_example_host) {
                    failed.detail += "; this host exists in examples only: `--mock` responds from the tests of actions";
                }
                failed
            })?;
            let mut headers = std::collections::BTreeMap::<String, String>::new();
            for (name, value) in &response.headers {
                let value = String::from_utf8_lossy(value.as_bytes());
                headers
                    .entry(name.as_str().to_owned())
                    .and_modify(|known| {
                        known.push_str(", ");
                        known.push_str(&value);
                    })
                    .or_insert_with(|| value.into_owned());
            }
            Ok(UpstreamResponse { status: response.status.as_u16(), headers, body: response.body, mock: None })
        })
    }
}

/// The error of a call for an error of the client.
pub(super) fn network_error(error: &net::Error) -> CallError {
    use net::Error;
    let code = match error {
        Error::Refused { .. } | Error::NotAllowedHost { .. } | Error::Scheme { .. } | Error::Downgrade { .. } => {
            ErrorCode::Refused
        }
        Error::Timeout { .. } => ErrorCode::Timeout,
        Error::BodyTooLarge { .. } | Error::HeadersTooLarge { .. } => ErrorCode::ResponseTooLarge,
        Error::BadUrl { .. } | Error::ForbiddenHeader { .. } | Error::ForbiddenMethod { .. } => ErrorCode::Template,
        _ => ErrorCode::Unreachable,
    };
    CallError::new(code, error.to_string())
}
