//! Answers that every surface gives: errors in one form, and nothing to pages of other sites.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;

use super::Server;
use crate::connector::{CallError, ErrorCode};

/// The request id that the caller gave, or a new one: time and a number, so that ids sort and do not repeat.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let given = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let usable = |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    given.filter(usable).map_or_else(
        || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("{:x}-{:04x}", since.as_micros(), NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff)
        },
        str::to_owned,
    )
}

/// JSON with a status.
pub(super) fn json(status: u16, value: &Value) -> Response {
    let mut response = Response::new(Body::from(format!("{value}\n")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error in the form that all errors have.
pub(super) fn error(error: &CallError, request_id: &str) -> Response {
    let mut response = json(error.code.status(), &error.envelope(request_id));
    set(&mut response, "x-request-id", request_id);
    response
}

/// Sets a header, unless the value cannot be one.
pub(super) fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// What is nowhere.
pub(super) async fn not_found(request: Request) -> Response {
    let mut found = CallError::new(ErrorCode::NotFound, format!("there is nothing at {}", request.uri().path()));
    found.detail += "; actions are called by POST /v1/connectors/{connector}/actions/{action}";
    error(&found, &request_id(request.headers()))
}

/// What is there, for other methods.
pub(super) async fn not_allowed(request: Request) -> Response {
    let detail = format!("{} cannot be asked by {}", request.uri().path(), request.method());
    error(&CallError::new(ErrorCode::MethodNotAllowed, detail), &request_id(request.headers()))
}

/// Refuses what a page of another site makes a browser send: its name would resolve to this machine (DNS rebinding), or
/// its script would post without asking (CSRF). An address cannot be rebound, a name can.
pub(super) async fn same_site(State(server): State<Server>, request: Request, next: Next) -> Response {
    if is_own(request.headers(), &server) {
        return next.run(request).await;
    }
    let detail = "this server is asked by its address, and by its own page only; `--allow-host NAME` adds a name";
    error(&CallError::new(ErrorCode::BadRequest, detail), &request_id(request.headers()))
}

fn is_own(headers: &HeaderMap, server: &Server) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let port = |(_, port): &(&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(port).map_or(host, |(name, _)| name);
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    let is_name = std::iter::once("localhost")
        .chain(server.names.iter().map(String::as_str))
        .any(|known| known == "*" || known.eq_ignore_ascii_case(name));
    let origin = text(header::ORIGIN);
    (is_address || is_name)
        && origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, rest)| rest == host))
}
