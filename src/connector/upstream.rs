//! The application behind a trait, implemented by the network and by the tests of definitions.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use super::address::is_example_host;
use super::error::{CallError, ErrorCode};
use super::prepared::PreparedRequest;
use crate::net;

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

/// Sends requests.
pub trait Upstream: Send + Sync {
    /// True if the caller must wait before another attempt.
    fn takes_time(&self) -> bool {
        true
    }

    /// Sends one request of an action.
    fn send<'a>(&'a self, connector: &'a str, action: &'a str, request: &'a PreparedRequest) -> ResponseFuture<'a>;
}

/// Sends requests over the network with the guarded client.
#[derive(Clone, Debug)]
pub struct NetworkUpstream {
    client: net::Client,
}

impl NetworkUpstream {
    /// An upstream that sends with a client.
    pub fn new(client: net::Client) -> NetworkUpstream {
        NetworkUpstream { client }
    }
}

impl Upstream for NetworkUpstream {
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
