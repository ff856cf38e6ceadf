//! Responses that several surfaces share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json as object};

use crate::connector::{CallError, ErrorCode};
use crate::reconcile::commands::CommandError;

/// JSON of a response, or the error of a command.
pub(super) type JsonResult = Result<Value, CommandError>;

/// The request ID of the caller, or a new one of the time and a counter: IDs sort by time and do not repeat.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let received = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let usable = |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    received.filter(usable).map_or_else(
        || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("{:x}-{:04x}", since.as_micros(), NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff)
        },
        str::to_owned,
    )
}

/// A JSON response with a status.
pub(super) fn json(status: u16, value: &Value) -> Response {
    let mut response = Response::new(Body::from(format!("{value}\n")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The error of a call.
pub(super) fn error(error: &CallError, request_id: &str) -> Response {
    let mut response = json(error.code.status(), &error.envelope(request_id));
    set(&mut response, "x-request-id", request_id);
    response
}

/// Sets a header; ignores values that are not header values.
pub(super) fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The response to a command.
pub(super) fn respond(result: JsonResult) -> Response {
    match result {
        Ok(value) => json(200, &value),
        Err(error) => {
            let errors = object!({"code": error.reason, "message": error.message, "findings": error.findings});
            json(error.status, &object!({"errors": errors}))
        }
    }
}

/// Converts the error of a call into the error of a command.
pub(super) fn command_error(error: CallError) -> CommandError {
    CommandError::new(error.code.status(), error.code.as_str(), error.detail)
}

/// Responds 404 to an unknown path.
pub(super) async fn not_found(request: Request) -> Response {
    let detail = format!(
        "unknown path {}; actions are called with POST /v1/connectors/{{connector}}/actions/{{action}}",
        request.uri().path()
    );
    error(&CallError::new(ErrorCode::NotFound, detail), &request_id(request.headers()))
}

/// Responds 405 to a known path with another method.
pub(super) async fn method_not_allowed(request: Request) -> Response {
    let detail = format!("{} is not supported for {}", request.method(), request.uri().path());
    error(&CallError::new(ErrorCode::MethodNotAllowed, detail), &request_id(request.headers()))
}
