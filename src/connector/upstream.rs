//! The application at the other end, behind a trait: the network, or a definition's own tests.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use super::request::PreparedRequest;
use super::{CallError, ErrorCode};
use crate::net;

/// An answer of an application.
#[derive(Clone, Debug)]
pub struct UpstreamResponse {
    /// Status.
    pub status: u16,
    /// Headers, lower case; values of a repeated header joined by `, `.
    pub headers: std::collections::BTreeMap<String, String>,
    /// Body.
    pub body: Bytes,
    /// The test that answered, where it was not the application.
    pub mock: Option<String>,
}

/// What a sent request turns into.
pub type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Result<UpstreamResponse, CallError>> + Send + 'a>>;

/// Sends requests.
pub trait Upstream: Send + Sync {
    /// Does waiting before another attempt mean anything here?
    fn takes_time(&self) -> bool {
        true
    }

    /// Sends one request of an action.
    fn send<'a>(&'a self, connector: &'a str, action: &'a str, request: &'a PreparedRequest) -> ResponseFuture<'a>;
}

/// The network, through the guarded client.
#[derive(Clone, Debug)]
pub struct NetworkUpstream {
    client: net::Client,
}

impl NetworkUpstream {
    /// Sends through a client.
    pub fn new(client: net::Client) -> NetworkUpstream {
        NetworkUpstream { client }
    }
}

impl Upstream for NetworkUpstream {
    fn send<'a>(&'a self, _connector: &'a str, _action: &'a str, request: &'a PreparedRequest) -> ResponseFuture<'a> {
        Box::pin(async move {
            let response = self.client.send(request.to_net()?, &request.limits).await.map_err(|error| {
                let mut failed = refused(&error);
                if request.url.host_str().is_some_and(super::is_example_host) {
                    failed.detail +=
                        "; this host exists in examples only: `--mock` answers from the tests beside actions";
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

pub(super) fn refused(error: &net::Error) -> CallError {
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
