//! `/hooks/…`: webhooks, and events of applications, which start workflows.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde_json::json;
use tokio::sync::oneshot;

use super::execution_start::{WAIT_MARGIN, finished, started};
use super::response::{self, request_id, set};
use super::state::{Server, WorkflowService};
use crate::connector::{CallError, ErrorCode};
use crate::reconcile::active::Active;
use crate::store::queue::Execution;
use crate::trigger::receive::{self, AcceptedWebhook};
use crate::trigger::request::{WebhookRejection, WebhookRequest};
use crate::trigger::{TriggerKind, subscriber};

/// A request to a webhook; the signature covers several of its parts.
pub(super) struct HookRequest {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
}

impl FromRequest<Server> for HookRequest {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &Server) -> Result<HookRequest, Infallible> {
        let (method, uri, headers) = (request.method().clone(), request.uri().clone(), request.headers().clone());
        Ok(HookRequest { method, uri, headers, body: Bytes::from_request(request, state).await })
    }
}

/// `POST /hooks/{trigger}`
pub(super) async fn hook(State(server): State<Server>, Path(trigger): Path<String>, request: HookRequest) -> Response {
    receive(server, None, &trigger, "", request).await
}

/// `POST /hooks/{trigger}/{address}`: with the secret part of the address.
pub(super) async fn hook_with_address(
    State(server): State<Server>,
    Path((trigger, address)): Path<(String, String)>,
    request: HookRequest,
) -> Response {
    receive(server, None, &trigger, &address, request).await
}

/// `POST /v1/environments/{environment}/hooks/{trigger}`: for a server with several environments.
pub(super) async fn environment_hook(
    State(server): State<Server>,
    Path((environment, trigger)): Path<(String, String)>,
    request: HookRequest,
) -> Response {
    receive(server, Some(&environment), &trigger, "", request).await
}

/// `POST /v1/environments/{environment}/hooks/{trigger}/{address}`
pub(super) async fn environment_hook_with_address(
    State(server): State<Server>,
    Path((environment, trigger, address)): Path<(String, String, String)>,
    request: HookRequest,
) -> Response {
    receive(server, Some(&environment), &trigger, &address, request).await
}

/// Verifies and stores an event, and responds once it is durable.
async fn receive(
    server: Server,
    environment: Option<&str>,
    trigger: &str,
    address: &str,
    request: HookRequest,
) -> Response {
    let id = request_id(&request.headers);
    let error = |code: ErrorCode, detail: &str| response::error(&CallError::new(code, detail), &id);
    if request.method != Method::POST {
        let mut response = error(ErrorCode::MethodNotAllowed, "webhooks are called with POST");
        set(&mut response, "allow", "POST");
        return response;
    }
    let Ok(body) = request.body else {
        return error(ErrorCode::TooLarge, "the body is larger than 8 MiB, or incomplete");
    };
    let Ok(_permit) = server.hook_permits.try_acquire() else {
        let mut response = error(ErrorCode::Unavailable, "too many concurrent requests");
        set(&mut response, "retry-after", "1");
        return response;
    };
    let (environment, active) = match server.active_with_name(environment) {
        Ok(found) => found,
        Err(error) => return response::error(&error, &id),
    };
    let Some(service) = server.workflows.clone() else {
        return error(ErrorCode::Unavailable, "this server runs no workflows");
    };
    // A removed trigger, an inactive one and one that is not a webhook get the same response as an unknown one.
    let not_found = || error(ErrorCode::NotFound, "unknown webhook");
    let Some(found) = active.work.triggers.get(trigger).filter(|trigger| trigger.spec.active).cloned() else {
        return not_found();
    };
    let incoming = WebhookRequest {
        method: request.method.as_str().to_owned(),
        uri: format!(
            "{}{}",
            service.public_url.trim_end_matches('/'),
            request.uri.path_and_query().map_or("/", |path| path.as_str())
        ),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        query: request.uri.query().map(pairs).unwrap_or_default(),
        body,
        id: id.clone(),
    };
    let live = service.live.live_of(&active);
    let received = match &found.kind {
        TriggerKind::Webhook(webhook) => {
            let expected = webhook.spec.webhook_id.as_deref().unwrap_or_default();
            if !crate::text::equal_in_constant_time(expected.as_bytes(), address.as_bytes()) {
                return not_found();
            }
            receive::receive_webhook(&service.dispatcher, &environment, &live, &found, webhook, &incoming).await
        }
        TriggerKind::AppEvent(app) => {
            let row = match subscriber::find_subscription(&service.dispatcher, &environment, trigger, address).await {
                Ok(Some(row)) => row,
                Ok(None) => return not_found(),
                Err(cause) => return error(ErrorCode::Unavailable, &cause.to_string()),
            };
            receive::receive_app_event(
                &service.dispatcher,
                &environment,
                &live,
                &found,
                app,
                &row.connection,
                &incoming,
            )
            .await
        }
        TriggerKind::Schedule(_) => return not_found(),
    };
    let mut response = match received {
        Ok((taken, ends)) => {
            tracing::info!(
                request_id = id,
                environment,
                trigger,
                event = taken.event,
                duplicate = taken.duplicate,
                executions = taken.executions.len(),
                "webhook"
            );
            accepted(&service, &environment, &active, taken, ends).await
        }
        Err(rejection) => {
            tracing::info!(request_id = id, environment, trigger, reason = log_text(&rejection), "webhook rejected");
            rejected(&rejection, &id)
        }
    };
    set(&mut response, "x-request-id", &id);
    set(&mut response, "x-evenkeel-generation", &active.runtime.generation);
    set(&mut response, "x-evenkeel-source", &found.source_location);
    response
}

/// The output of the workflow if the webhook waits for it; otherwise 202 with the IDs of the executions.
async fn accepted(
    service: &WorkflowService,
    environment: &str,
    active: &Active,
    taken: AcceptedWebhook,
    ends: Vec<oneshot::Receiver<Arc<Execution>>>,
) -> Response {
    if let ([(id, workflow, _)], Some(end)) = (taken.executions.as_slice(), ends.into_iter().next()) {
        let limit = active.work.programs.get(workflow).map_or(std::time::Duration::ZERO, |program| program.timeout());
        if let Some(execution) = service.dispatcher.wait_for_end(environment, id, end, limit + WAIT_MARGIN).await {
            return finished(&execution);
        }
        return started(id);
    }
    let executions: Vec<&str> = taken.executions.iter().map(|(id, _, _)| id.as_str()).collect();
    let mut body = json!({"event": taken.event, "executions": executions});
    if taken.duplicate {
        body["duplicate"] = true.into();
    }
    response::json(202, &body)
}

fn rejected(rejection: &WebhookRejection, id: &str) -> Response {
    let error = |code: ErrorCode, detail: &str| response::error(&CallError::new(code, detail), id);
    match rejection {
        // Callers without the secret do not learn the reason.
        WebhookRejection::Unverified(_) => {
            let errors = json!({"code": "UNAUTHORIZED", "detail": "the signature is missing or wrong"});
            response::json(401, &json!({"errors": errors}))
        }
        WebhookRejection::Malformed(detail) => error(ErrorCode::BadRequest, detail),
        WebhookRejection::TooLarge => error(ErrorCode::TooLarge, "the body is larger than 4 MiB"),
        WebhookRejection::NoSecret(_) | WebhookRejection::Unavailable(_) => {
            let mut response = error(ErrorCode::Unavailable, "the event cannot be stored right now; send it again");
            set(&mut response, "retry-after", "2");
            response
        }
    }
}

/// Text for the log; never contains a secret.
fn log_text(rejection: &WebhookRejection) -> String {
    match rejection {
        WebhookRejection::Unverified(error) => error.to_string(),
        WebhookRejection::Malformed(detail)
        | WebhookRejection::NoSecret(detail)
        | WebhookRejection::Unavailable(detail) => detail.clone(),
        WebhookRejection::TooLarge => "too large".to_owned(),
    }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}
