//! Rules about header fields: those that a caller may not set, those that stay
//! within their origin, those that belong to a body, and the size of a section.

use http::Method;
use http::header::{self, HeaderMap, HeaderName};

use super::error::Error;
use super::message::Request;

/// Fields the client sets itself, because they frame the message, belong to one
/// connection, or speak to a proxy (RFC 9110 sections 7.2, 7.6.1, 8.6, 10.1.1;
/// RFC 9113 section 8.2.2). All `proxy-*` fields are refused as well.
const CONNECTION_FIELDS: [&str; 10] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "http2-settings",
];

/// Fields that carry credentials, beside those the caller names.
const CREDENTIAL_FIELDS: [&str; 5] = ["authorization", "cookie", "cookie2", "proxy-authorization", "www-authenticate"];

/// Fields about the body, void once a redirect drops it (RFC 9110 section 15.4).
const BODY_FIELDS: [&str; 9] = [
    "content-encoding",
    "content-language",
    "content-location",
    "content-type",
    "content-length",
    "content-digest",
    "repr-digest",
    "digest",
    "last-modified",
];

/// Rejects methods and fields that a caller may not send. They are not silently
/// removed: such a field is a mistake (or an attempt to reach another virtual
/// host), and the request without it would not do what its author expects.
///
/// # Errors
///
/// [`Error::ForbiddenMethod`] or [`Error::ForbiddenHeader`].
pub(super) fn check(request: &Request) -> Result<(), Error> {
    // CONNECT opens a tunnel past every check here; TRACE echoes credentials.
    if matches!(request.method, Method::CONNECT | Method::TRACE) {
        return Err(Error::ForbiddenMethod { method: request.method.clone() });
    }
    let forbidden =
        |name: &&HeaderName| CONNECTION_FIELDS.contains(&name.as_str()) || name.as_str().starts_with("proxy-");
    match request.headers.keys().find(forbidden) {
        Some(name) => Err(Error::ForbiddenHeader { name: name.clone() }),
        None => Ok(()),
    }
}

/// Removes everything that must not reach another origin: the usual credential
/// fields, the caller's own `sensitive` ones, and every field with a value that
/// is marked [`sensitive`](http::HeaderValue::set_sensitive).
pub(super) fn drop_credentials(headers: &mut HeaderMap, sensitive: &[HeaderName]) {
    let marked: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| {
            value.is_sensitive() || sensitive.contains(name) || CREDENTIAL_FIELDS.contains(&name.as_str())
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in marked {
        headers.remove(name);
    }
}

/// Removes the fields that describe a body that is no longer sent.
pub(super) fn drop_body_fields(headers: &mut HeaderMap) {
    for name in BODY_FIELDS {
        headers.remove(name);
    }
}

/// Size of a header section as RFC 9113 section 6.5.2 counts it: name and value
/// and 32 bytes for each field, in bytes.
pub(super) fn size(headers: &HeaderMap) -> usize {
    headers.iter().fold(0usize, |sum, (name, value)| {
        sum.saturating_add(name.as_str().len()).saturating_add(value.len()).saturating_add(32)
    })
}

/// The one Location of a redirect, if it has any.
///
/// # Errors
///
/// The cause if several fields differ: redirects are smuggled past servers and
/// proxies that disagree about which field counts.
pub(super) fn location(headers: &HeaderMap) -> Result<Option<&[u8]>, &'static str> {
    let mut all = headers.get_all(header::LOCATION).iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    if all.any(|other| other != first) {
        return Err("it has several different locations");
    }
    Ok(Some(first.as_bytes()))
}
