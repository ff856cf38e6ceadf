//! Responses: JSON values, and problem documents for every error.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::state::Server;
use crate::api::Problem;
use crate::api::problem::CONTENT_TYPE;
use crate::connector::CallError;
use crate::reconcile::commands::CommandError;
use crate::store::StoreError;
use crate::workflow::AcceptError;

/// Header with the id of a request.
pub(super) const REQUEST_ID: &str = "x-request-id";

/// Longest path in the log, in characters.
const MAX_LOGGED_PATH: usize = 300;

/// Mark of a response whose handler has reported it in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// The id of a request, in its extensions.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

/// Name of the caller of a request, in the extensions of its response.
#[derive(Clone, Debug)]
pub(super) struct CallerName(pub(super) String);

/// A JSON response with status 200.
#[derive(Debug)]
pub(super) struct Reply<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        json(200, &self.0)
    }
}

/// An error of a handler; the response is its problem document.
#[derive(Debug)]
pub(super) struct ApiError(pub(super) Box<Problem>);

/// Result of a handler.
pub(super) type ApiResult<T> = Result<T, ApiError>;

macro_rules! from_error {
    ($($error:ty),+) => {
        $(impl From<$error> for ApiError {
            fn from(error: $error) -> ApiError {
                ApiError(Box::new(error.into()))
            }
        })+
    };
}

from_error!(Problem, AcceptError, CallError, CommandError, StoreError);

impl IntoResponse for ApiError {
    /// A response without a body: `finish` adds it, since only it knows the id of the request.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self.0.status == 503 {
            set(&mut response, "retry-after", "1");
        }
        if let Some(seconds) = self.0.retry_after {
            set(&mut response, "retry-after", &seconds.to_string());
        }
        if self.0.status == 401 {
            set(&mut response, "www-authenticate", "Bearer");
        }
        response.extensions_mut().insert(self.0);
        response
    }
}

/// A JSON response with a status.
pub(super) fn json(status: u16, value: &impl Serialize) -> Response {
    let Ok(mut text) = serde_json::to_vec(value) else {
        return ApiError::from(Problem::new(500, "INTERNAL", "the response cannot be encoded")).into_response();
    };
    text.push(b'\n');
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sets a header; ignores values that are not header values.
pub(super) fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Gives each request an id, and each error its problem document. Records requests that are denied, by the guard of the
/// endpoint or by its handler.
pub(super) async fn finish(State(server): State<Server>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), loggable(request.uri().path()));
    let mut response = next.run(request).await;
    let is_reported = response.extensions_mut().remove::<Reported>().is_some();
    if let Some(mut problem) = response.extensions_mut().remove::<Box<Problem>>() {
        problem.request_id.clone_from(&id);
        let (status, code, detail) = (problem.status, &problem.code, &problem.detail);
        let caller = response.extensions_mut().remove::<CallerName>();
        let principal = caller.map_or_else(String::new, |caller| caller.0);
        match status {
            _ if is_reported => {}
            401 | 403 => {
                tracing::warn!(
                    target: "evenkeel::audit",
                    request_id = id,
                    principal,
                    code,
                    detail,
                    %method,
                    path,
                    "request denied"
                );
                if let Some(environments) = &server.environments {
                    environments.context.metrics.denied(code);
                }
            }
            _ => tracing::info!(request_id = id, %method, path, status, code, detail, "request refused"),
        }
        let mut body = serde_json::to_vec(&problem).unwrap_or_default();
        body.push(b'\n');
        *response.body_mut() = Body::from(body);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        set(&mut response, "content-type", CONTENT_TYPE);
        set(&mut response, "cache-control", "no-store");
    }
    set(&mut response, REQUEST_ID, &id);
    response
}

/// A path for the log: bounded, and without the secret part of the address of a webhook.
fn loggable(path: &str) -> String {
    let end = path
        .find("/hooks/")
        .map(|at| at + "/hooks/".len())
        .and_then(|start| Some(start + path.get(start..)?.find('/')?));
    path.get(..end.unwrap_or(path.len())).unwrap_or_default().chars().take(MAX_LOGGED_PATH).collect()
}

/// Responds 404 to an unknown path.
pub(super) async fn not_found(request: Request) -> Response {
    let detail = format!("unknown path {}; /openapi.json lists the paths of this server", request.uri().path());
    ApiError::from(Problem::new(404, "NOT_FOUND", detail)).into_response()
}

/// Responds 405 to a known path with another method; the router adds `Allow`.
pub(super) async fn method_not_allowed(request: Request) -> Response {
    let detail =
        format!("{} is not supported for {}; `Allow` lists the methods", request.method(), request.uri().path());
    ApiError::from(Problem::new(405, "METHOD_NOT_ALLOWED", detail)).into_response()
}

/// The request ID of the caller, or a new one of the time and a counter: IDs sort by time and do not repeat.
fn request_id(headers: &HeaderMap) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let received = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let usable = |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    received.filter(usable).map_or_else(
        || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("{:x}-{:04x}", since.as_micros(), NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff)
        },
        str::to_owned,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_address_of_a_webhook_is_logged() {
        let rows = [
            ("/v1/executions/7", "/v1/executions/7"),
            ("/hooks/orders", "/hooks/orders"),
            ("/hooks/orders/5f0c-secret", "/hooks/orders"),
            ("/v1/environments/live/hooks/orders/5f0c-secret/more", "/v1/environments/live/hooks/orders"),
            ("/hooks/", "/hooks/"),
        ];
        for (path, expected) in rows {
            assert_eq!(loggable(path), expected);
        }
        assert_eq!(loggable(&"/ä".repeat(1000)).chars().count(), MAX_LOGGED_PATH);
    }
}
