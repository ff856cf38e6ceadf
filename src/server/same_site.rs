//! Protection against pages of other sites.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::reply::ApiError;
use super::state::Server;
use crate::api::Problem;

/// Rejects requests that a page of another site makes a browser send: its name resolves to this machine (DNS
/// rebinding), or its script posts in the user's name (CSRF). An address cannot be rebound, a name can.
pub(super) async fn check(State(server): State<Server>, request: Request, next: Next) -> Response {
    if is_same_site(request.headers(), &server.allowed_hosts) {
        return next.run(request).await;
    }
    let detail =
        "the host or origin is not allowed; use the server's address, or allow a name with `--allow-host NAME`";
    ApiError::from(Problem::new(400, "FOREIGN_ORIGIN", detail)).into_response()
}

fn is_same_site(headers: &HeaderMap, allowed_hosts: &[String]) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let port = |(_, port): &(&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(port).map_or(host, |(name, _)| name);
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    let is_allowed = std::iter::once("localhost")
        .chain(allowed_hosts.iter().map(String::as_str))
        .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(name));
    let origin = text(header::ORIGIN);
    (is_address || is_allowed)
        && origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, rest)| rest == host))
}
