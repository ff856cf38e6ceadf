//! `/metrics`, `/healthz`, `/readyz`: for machines that watch.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::Server;

/// `GET /metrics`, in the OpenMetrics text format.
pub(super) async fn metrics(State(server): State<Server>) -> Response {
    let Some(environments) = &server.environments else { return StatusCode::NOT_FOUND.into_response() };
    let metrics = &environments.context.metrics;
    metrics.queue_oldest(environments.oldest());
    metrics.store_writes(environments.context.store.writes());
    let mut response = metrics.encode().into_response();
    let format = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, format);
    response
}

/// `GET /healthz`: fails when the reconciling of an environment does not go on, so that the process is started again.
pub(super) async fn health(State(server): State<Server>) -> Response {
    match server.environments.as_ref().and_then(super::super::reconcile::environments::Environments::stuck) {
        Some(environment) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("environment {environment} is stuck\n")).into_response()
        }
        None => "ok\n".into_response(),
    }
}

/// `GET /readyz`: fails until every environment serves a generation.
pub(super) async fn ready(State(server): State<Server>) -> Response {
    let waiting = server.environments.as_ref().and_then(|environments| {
        let all = environments.all.load();
        all.values().find(|handle| handle.pointer.load().is_none()).map(|handle| handle.name.clone())
    });
    match waiting {
        Some(environment) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("environment {environment} serves nothing yet\n")).into_response()
        }
        None => "ok\n".into_response(),
    }
}
