//! Requests, responses and the limits of an exchange.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use url::Url;

use super::error::host_of;

/// A request to send.
///
/// `Debug` shows header names without values, and of the URL only scheme and
/// host.
#[derive(Clone)]
pub struct Request {
    /// The method; CONNECT and TRACE are refused.
    pub method: Method,
    /// An absolute http or https URL without userinfo, at most 16 KiB. A
    /// fragment is never sent.
    pub url: Url,
    /// Header fields. Refused are the ones the client sets itself: Host,
    /// Content-Length, Transfer-Encoding, Connection, Keep-Alive, Upgrade, TE,
    /// Trailer, Expect, HTTP2-Settings and all Proxy-* fields.
    ///
    /// Without an Accept-Encoding here, gzip is requested and decoded.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// Fields that hold credentials beside Authorization and Cookie, e.g.
    /// `x-api-key`. All of these are dropped for good when a redirect leaves the
    /// origin (scheme, host and port), as are fields whose value is marked
    /// [`sensitive`](http::HeaderValue::set_sensitive). Credentials in the query
    /// are not known here; a redirect's Location replaces the query anyway.
    pub sensitive: Vec<HeaderName>,
}

impl Request {
    /// A request without header fields and body.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Request {
        Request { method, url, headers: HeaderMap::new(), body: Bytes::new(), sensitive: Vec::new() }
    }
}

/// Limits of one exchange. None can be turned off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time for the whole exchange: name look-up, connecting, every redirect and
    /// the last byte of the body [default: 15 s].
    pub timeout: Duration,
    /// Largest response body, in bytes after decompression [default: 8 MiB].
    pub max_response_bytes: usize,
    /// Maximum number of redirects; one more is an error. 0 follows none and
    /// returns the redirect response [default: 5].
    pub max_redirects: u8,
    /// Largest response header section of each hop, in bytes as RFC 9113 section
    /// 6.5.2 counts them [default: 64 KiB, which is also announced to HTTP/2
    /// servers]. Over HTTP/1 it is checked after parsing; until then a hostile
    /// server can fill hyper's read buffer, about 400 KiB, with 100 fields.
    pub max_header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            timeout: Duration::from_secs(15),
            max_response_bytes: 8 * 1024 * 1024,
            max_redirects: 5,
            max_header_bytes: 64 * 1024,
        }
    }
}

/// A complete response. Any status is a response: 404 and 500 are not errors
/// here.
#[derive(Clone)]
pub struct Response {
    /// The final status.
    pub status: StatusCode,
    /// The final response's header fields. Content-Encoding and Content-Length
    /// are gone when the body was decoded; a Content-Encoding that is still here
    /// (say, `br`) means that the body is still encoded.
    pub headers: HeaderMap,
    /// The body, gzip decoded. Empty for HEAD, 204 and 304.
    pub body: Bytes,
    /// The URL that answered, after redirects.
    pub url: Url,
    /// Number of redirects that were followed.
    pub redirects: u8,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("scheme", &self.url.scheme())
            .field("host", &host_of(&self.url))
            .field("headers", &names(&self.headers))
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("scheme", &self.url.scheme())
            .field("host", &host_of(&self.url))
            .field("headers", &names(&self.headers))
            .field("body_bytes", &self.body.len())
            .field("redirects", &self.redirects)
            .finish()
    }
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(HeaderName::as_str).collect()
}
