//! `/metrics`, `/healthz` and `/readyz`.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use super::reply::{ApiError, ApiResult};
use super::state::Server;
use crate::api::Problem;
use crate::reconcile::environments::{Environments, Handle};

/// `GET /metrics`, in the OpenMetrics text format.
pub(super) async fn metrics(State(server): State<Server>) -> ApiResult<Response> {
    let missing = || Problem::new(404, "NOT_IN_DEV", "`evenkeel dev` has no metrics; `evenkeel serve` has");
    let environments = server.environments.as_ref().ok_or_else(missing)?;
    let metrics = &environments.context.metrics;
    metrics.queue_oldest(environments.oldest());
    metrics.store_writes(environments.context.store.writes());
    for name in environments.all.load().keys() {
        // If the store does not respond, the gauges keep their last values.
        if let Ok(depth) = environments.context.store.depth(name).await {
            metrics.queue_depth(name, &depth);
        }
    }
    let mut response = metrics.encode().into_response();
    let format = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, format);
    Ok(response)
}

/// `GET /healthz`: fails if the reconcile loop of an environment is stuck, so that the process is restarted.
pub(super) async fn health(State(server): State<Server>) -> Response {
    match server.environments.as_ref().and_then(Environments::stuck) {
        Some(environment) => {
            ApiError::from(Problem::new(503, "STUCK", format!("environment {environment} is stuck"))).into_response()
        }
        None => "ok\n".into_response(),
    }
}

/// `GET /readyz`: fails until every environment serves a generation; on Kubernetes, every one that was ever live.
pub(super) async fn ready(State(server): State<Server>) -> Response {
    match server.environments.as_ref().and_then(not_ready_reason) {
        Some(message) => ApiError::from(Problem::new(503, "NOT_READY", message)).into_response(),
        None => "ok\n".into_response(),
    }
}

/// Reason why a server is not ready for requests; `None` if it is ready.
fn not_ready_reason(environments: &Environments) -> Option<String> {
    if !environments.complete.load(Ordering::Acquire) {
        return Some("listing the cluster's resources".to_owned());
    }
    // On Kubernetes any user can create an Environment that never becomes ready: it must not make the server unready for
    // the others. An Environment that was live once must be live again.
    let tolerant = environments.context.source_context.cluster.is_some();
    let is_waiting = |handle: &&Handle| {
        let status = handle.status.borrow();
        let may_be_empty = tolerant && status.generation == 0 && !status.conditions.is_empty();
        handle.pointer.load().is_none() && !may_be_empty
    };
    let all = environments.all.load();
    all.values().find(is_waiting).map(|handle| format!("environment {} has no active generation yet", handle.name))
}
