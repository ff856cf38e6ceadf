//! Trace spans of requests to applications (OpenTelemetry semantic conventions for HTTP clients).

use url::Url;

use super::error::CallError;
use crate::telemetry::{Span, SpanKind};

/// The span of a request to an application, within a trace.
pub(super) fn request(parent: &str, method: &str, url: &Url) -> Span {
    let mut span = Span::child_of(parent, SpanKind::Client, method);
    span.set("http.request.method", method.to_owned());
    span.set("url.scheme", url.scheme().to_owned());
    if let Some(host) = url.host_str() {
        span.set("server.address", host.to_owned());
    }
    if let Some(port) = url.port_or_known_default() {
        span.set("server.port", i64::from(port));
    }
    span
}

/// Sets the result of a span: the status, or the code of the error.
pub(super) fn end(span: &mut Span, status: Result<u16, &CallError>) {
    match status {
        Ok(status) => {
            span.set("http.response.status_code", i64::from(status));
            if status >= 400 {
                span.fail(&status.to_string());
            }
        }
        Err(error) => span.fail(error.code.as_str()),
    }
}
