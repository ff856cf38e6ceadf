//! Spans of requests, after the OpenTelemetry semantic conventions for HTTP servers.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::telemetry::{Span, SpanKind, TRACEPARENT};

/// Records a span for each request, as a child of the caller's span. The request's `traceparent` header then names the new
/// span, so that handlers pass it on.
///
/// Records routes instead of paths: the address of a webhook contains a secret.
pub(super) async fn trace_request(mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let mut span = Span::child_of(&trace_of(request.headers()), SpanKind::Server, format!("{method} {route}"));
    span.set("http.request.method", method);
    span.set("http.route", route);
    if let Ok(trace) = HeaderValue::from_str(&span.traceparent()) {
        request.headers_mut().insert(TRACEPARENT, trace);
    }
    let response = next.run(request).await;
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.as_str());
    }
    response
}

/// The `traceparent` header of a request; empty if it has none.
pub(super) fn trace_of(headers: &HeaderMap) -> String {
    headers.get(TRACEPARENT).and_then(|trace| trace.to_str().ok()).unwrap_or_default().to_owned()
}
