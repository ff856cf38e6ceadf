//! Errors of exchanges, with texts that are safe to log.

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderName, Method};
use url::Url;

/// Error of an exchange.
///
/// Messages name the host at most: never a path, query, fragment, userinfo or
/// header value, as each of them may hold a secret. For the same reason there
/// is no `source()`: reqwest's errors print whole URLs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host is, or resolves only to, addresses the policy refuses. Nothing
    /// was sent to it.
    #[error("{host} is refused: its address{} is not public ({class}); use a public host, or ask the operator", shown(.address.as_ref()))]
    Refused {
        /// The host as the URL named it.
        host: String,
        /// The refused address (the first, when there were several); `None` for
        /// `localhost` names, which are refused unresolved.
        address: Option<IpAddr>,
        /// See [`classify`](super::classify).
        class: &'static str,
    },
    /// The host is not on the policy's list. Nothing was sent to it.
    #[error("{host} is not an allowed host; an operator can add it to the allowed hosts")]
    NotAllowedHost {
        /// The host as the URL named it.
        host: String,
    },
    /// The scheme is not https (nor http where the policy permits that).
    #[error("scheme {scheme} is not permitted for {host}; use https")]
    Scheme {
        /// The URL's scheme.
        scheme: String,
        /// The URL's host; empty if it has none.
        host: String,
    },
    /// A redirect leads from https to http, which would expose the exchange.
    #[error("{host} redirects from https to http; use the final https address instead")]
    Downgrade {
        /// The host that sent the redirect.
        host: String,
    },
    /// The URL cannot be used.
    #[error("the url for host {host:?} cannot be used: {reason}")]
    BadUrl {
        /// The URL's host; empty if it has none.
        host: String,
        /// The cause.
        reason: &'static str,
    },
    /// The caller set a header that belongs to the connection.
    #[error("header {name} is set by the client itself; remove it from the request")]
    ForbiddenHeader {
        /// The header's name.
        name: HeaderName,
    },
    /// The method is CONNECT or TRACE.
    #[error("method {method} is not permitted; use another one")]
    ForbiddenMethod {
        /// The method.
        method: Method,
    },
    /// More redirects than [`Limits::max_redirects`](super::Limits::max_redirects).
    #[error("more than {limit} redirects; use the final address, or raise the limit")]
    TooManyRedirects {
        /// The limit in force.
        limit: u8,
    },
    /// A redirect whose Location cannot be followed.
    #[error("{host} sent a redirect that cannot be followed: {reason}")]
    BadRedirect {
        /// The host that sent it.
        host: String,
        /// The cause.
        reason: &'static str,
    },
    /// The whole exchange took longer than [`Limits::timeout`](super::Limits::timeout).
    #[error("no complete response within {after:?}; try again later, or raise the timeout")]
    Timeout {
        /// The limit in force.
        after: Duration,
    },
    /// Response headers above [`Limits::max_header_bytes`](super::Limits::max_header_bytes).
    #[error("response headers are larger than {limit} bytes")]
    HeadersTooLarge {
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// Response body above [`Limits::max_response_bytes`](super::Limits::max_response_bytes).
    #[error("response body is larger than {limit} bytes; ask for less, or raise the limit")]
    BodyTooLarge {
        /// The limit in force, in bytes after decompression.
        limit: usize,
    },
    /// The host name has no address, or no name server answered.
    #[error("cannot resolve {host}; check the name and this machine's name servers")]
    Dns {
        /// The host as the URL named it.
        host: String,
    },
    /// No connection came about.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// The host as the URL named it.
        host: String,
        /// The operating system's word for it.
        reason: String,
    },
    /// The TLS handshake failed, or the certificate is not trusted.
    #[error("no trusted tls connection to {host}: {reason}")]
    Tls {
        /// The host as the URL named it.
        host: String,
        /// rustls' word for it.
        reason: String,
    },
    /// The peer broke HTTP, or the connection broke.
    #[error("the exchange with {host} broke off: {reason}")]
    Protocol {
        /// The host as the URL named it.
        host: String,
        /// The cause.
        reason: String,
    },
}

/// Error of building a [`Client`](super::Client).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No TLS set-up, most often because the machine has no root certificates.
    #[error("cannot set up tls: {reason}; install ca-certificates or set SSL_CERT_FILE")]
    Tls {
        /// The text of the library.
        reason: String,
    },
}

/// Maximum length of foreign text in a message, in characters.
const MAX_REASON: usize = 160;
/// Maximum depth of the chain of causes, which may be cyclic.
const MAX_CAUSES: usize = 16;

impl Error {
    /// Converts a reqwest error. `connect_timeout` is the timeout of a connection
    /// attempt, for the message.
    pub(super) fn from_reqwest(err: &reqwest::Error, url: &Url, connect_timeout: Duration) -> Self {
        let host = host_of(url);
        // The error of the guarded resolver passes through the connector as a cause.
        if let Some(own) = causes(err).find_map(|cause| cause.downcast_ref::<Error>()) {
            return own.clone();
        }
        if let Some(tls) = causes(err).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            let reason = tidy(&tls.to_string());
            return Error::Tls { host, reason };
        }
        if err.is_dns() {
            return Error::Dns { host };
        }
        if err.is_connect() {
            let reason =
                if err.is_timeout() { format!("no answer within {connect_timeout:?}") } else { reason_of(err) };
            return Error::Connect { host, reason };
        }
        let reason = reason_of(err);
        Error::Protocol { host, reason }
    }
}

impl BuildError {
    pub(super) fn from_reqwest(err: &reqwest::Error) -> Self {
        // The outermost text is only "builder error"; the innermost cause is specific.
        let reason = causes(err).last().map_or_else(String::new, |c| tidy(&c.to_string()));
        BuildError::Tls { reason }
    }
}

/// The URL's host for messages; empty if it has none.
pub(super) fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn shown(address: Option<&IpAddr>) -> String {
    address.map_or_else(String::new, |ip| format!(" {ip}"))
}

/// A short reason that cannot hold a URL: the operating system's error kind, or
/// hyper's own fixed texts. reqwest's texts carry URLs, and causes below hyper
/// may quote what the peer sent.
fn reason_of(err: &reqwest::Error) -> String {
    let kind = causes(err)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind)
        .find(|kind| *kind != io::ErrorKind::Other);
    if let Some(kind) = kind {
        return kind.to_string();
    }
    causes(err)
        .filter(|cause| !cause.is::<reqwest::Error>())
        .map(ToString::to_string)
        // hyper-util's wrapper, which names only the step.
        .find(|text| !text.starts_with("client error"))
        .map_or_else(|| "unknown error".to_owned(), |text| tidy(&text))
}

/// The error and its causes. `io::Error::source` skips the error it wraps, and
/// that is where rustls' errors are, so wrapped errors are visited as well.
fn causes<'a>(err: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(err), |&cause| match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => cause.source(),
    })
    .take(MAX_CAUSES)
}

/// One short line of printable text.
fn tidy(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}
