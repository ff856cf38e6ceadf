//! A request that is ready to be sent.

use bytes::Bytes;
use url::Url;

use super::address::append_query;
use super::error::{CallError, ErrorCode};
use crate::net;

/// Maximum size of the value of a header, in bytes.
const MAX_HEADER_BYTES: usize = 16 << 10;

/// A rendered request. Authentication adds its credentials, then it is sent.
#[derive(Clone, Debug)]
pub struct PreparedRequest {
    /// The method.
    pub method: &'static str,
    /// The whole URL.
    pub url: Url,
    /// Headers with names as written. Names are sent in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Names of headers that hold credentials, lower case. They are not sent to another origin after a redirect.
    pub sensitive: Vec<String>,
    /// Limits of the exchange.
    pub limits: net::Limits,
}

impl PreparedRequest {
    /// Adds a header that holds a credential.
    pub(super) fn credential_header(&mut self, name: &str, value: String) -> Result<(), CallError> {
        let value = header_value(name, value)?;
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value));
        self.sensitive.push(name.to_ascii_lowercase());
        Ok(())
    }

    /// Adds a query parameter that holds a credential.
    pub(super) fn credential_query(&mut self, name: &str, value: &str) {
        // Some applications use the first of two parameters of one name, which might be the caller's.
        let others: Vec<(String, String)> =
            self.url.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
        if others.len() != self.url.query_pairs().count() {
            self.url.set_query(None);
            append_query(&mut self.url, others.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        }
        append_query(&mut self.url, std::iter::once((name, value)));
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The request in the form of the guarded client.
    pub(super) fn to_net(&self) -> Result<net::Request, CallError> {
        let wrong = |what: &str| CallError::new(ErrorCode::Template, format!("{what} cannot be sent"));
        let method = http::Method::from_bytes(self.method.as_bytes()).map_err(|_| wrong("the method"))?;
        let mut request = net::Request::new(method, self.url.clone());
        for (name, value) in &self.headers {
            let header =
                http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(&format!("header `{name}`")))?;
            let mut value =
                http::HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong(&format!("header `{name}`")))?;
            if self.sensitive.iter().any(|sensitive| sensitive == header.as_str()) {
                value.set_sensitive(true);
                request.sensitive.push(header.clone());
            }
            request.headers.append(header, value);
        }
        request.body = self.body.clone();
        Ok(request)
    }
}

/// Refuses values with line breaks or other control characters, which would start another header.
pub(super) fn header_value(name: &str, value: String) -> Result<String, CallError> {
    let allowed = |byte: u8| byte == b'\t' || byte >= 0x20 && byte != 0x7f;
    if value.len() > MAX_HEADER_BYTES {
        return Err(CallError::new(ErrorCode::Template, format!("header `{name}`: the value is longer than 16 KiB")));
    }
    if value.bytes().all(allowed) {
        return Ok(value);
    }
    Err(CallError::new(
        ErrorCode::Template,
        format!("header `{name}`: the value holds a line break or another control character"),
    ))
}
