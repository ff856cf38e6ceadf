//! `/hooks/…`: calls from outside that start workflows, and webhooks of applications.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde_json::json;
use tokio::sync::oneshot;

use super::executions::{PATIENCE, finished, started};
use super::response::{self, request_id, set};
use super::{Server, Working};
use crate::connector::{CallError, ErrorCode};
use crate::reconcile::active::Active;
use crate::store::queue::Execution;
use crate::trigger::receive::{self, AcceptedWebhook};
use crate::trigger::request::{WebhookRejection, WebhookRequest};
use crate::trigger::{TriggerKind, subscriber};

/// `POST /hooks/{trigger}`
pub(super) async fn hook(
    state: State<Server>,
    Path(trigger): Path<String>,
    method: Method,
    uri: Uri,
    query: RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    take(state.0, None, &trigger, "", method, uri, query.0, headers, body).await
}

/// `POST /hooks/{trigger}/{address}`: with the secret part of the address.
pub(super) async fn addressed(
    state: State<Server>,
    Path((trigger, address)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    query: RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    take(state.0, None, &trigger, &address, method, uri, query.0, headers, body).await
}

/// `POST /v1/environments/{environment}/hooks/{trigger}`: where there are several environments.
pub(super) async fn of_environment(
    state: State<Server>,
    Path((environment, trigger)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    query: RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    take(state.0, Some(&environment), &trigger, "", method, uri, query.0, headers, body).await
}

/// `POST /v1/environments/{environment}/hooks/{trigger}/{address}`
pub(super) async fn addressed_of_environment(
    state: State<Server>,
    Path((environment, trigger, address)): Path<(String, String, String)>,
    method: Method,
    uri: Uri,
    query: RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    take(state.0, Some(&environment), &trigger, &address, method, uri, query.0, headers, body).await
}

#[allow(clippy::too_many_arguments, reason = "the parts of one request")]
async fn take(
    server: Server,
    environment: Option<&str>,
    trigger: &str,
    address: &str,
    method: Method,
    uri: Uri,
    query: Option<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let id = request_id(&headers);
    let refused = |code: ErrorCode, detail: &str| response::error(&CallError::new(code, detail), &id);
    if method != Method::POST {
        let mut response = refused(ErrorCode::MethodNotAllowed, "webhooks are called with POST");
        set(&mut response, "allow", "POST");
        return response;
    }
    let Ok(body) = body else { return refused(ErrorCode::TooLarge, "the body is larger than 8 MiB, or broke off") };
    let Ok(_permit) = server.hooks.try_acquire() else {
        let mut response = refused(ErrorCode::Unavailable, "too many calls at the same moment");
        set(&mut response, "retry-after", "1");
        return response;
    };
    let (environment, active) = match server.active_named(environment) {
        Ok(found) => found,
        Err(error) => return response::error(&error, &id),
    };
    let Some(working) = server.working.clone() else {
        return refused(ErrorCode::Unavailable, "this server runs no workflows");
    };
    // One that is gone, one that is off and one that is no webhook all look like one that never was.
    let missing = || refused(ErrorCode::NotFound, "there is no such webhook");
    let Some(found) = active.work.triggers.get(trigger).filter(|trigger| trigger.spec.active).cloned() else {
        return missing();
    };
    let incoming = WebhookRequest {
        method: method.as_str().to_owned(),
        uri: format!(
            "{}{}",
            working.public_url.trim_end_matches('/'),
            uri.path_and_query().map_or("/", |path| path.as_str())
        ),
        headers: headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        query: query.as_deref().map(pairs).unwrap_or_default(),
        body,
        id: id.clone(),
    };
    let live = working.served.live_of(&active);
    let received = match &found.kind {
        TriggerKind::Webhook(webhook) => {
            let wanted = webhook.spec.webhook_id.as_deref().unwrap_or_default();
            if !crate::text::equal_in_constant_time(wanted.as_bytes(), address.as_bytes()) {
                return missing();
            }
            receive::receive_webhook(&working.dispatcher, &environment, &live, &found, webhook, &incoming).await
        }
        TriggerKind::AppEvent(app) => {
            let row = match subscriber::find_subscription(&working.dispatcher, &environment, trigger, address).await {
                Ok(Some(row)) => row,
                Ok(None) => return missing(),
                Err(error) => return refused(ErrorCode::Unavailable, &error.to_string()),
            };
            receive::receive_app_event(
                &working.dispatcher,
                &environment,
                &live,
                &found,
                app,
                &row.connection,
                &incoming,
            )
            .await
        }
        TriggerKind::Schedule(_) => return missing(),
    };
    let mut response = match received {
        Ok((taken, told)) => {
            tracing::info!(
                request_id = id,
                environment,
                trigger,
                event = taken.event,
                duplicate = taken.duplicate,
                executions = taken.executions.len(),
                "webhook"
            );
            answer(&working, &environment, &active, taken, told).await
        }
        Err(unwanted) => {
            tracing::info!(request_id = id, environment, trigger, "webhook refused: {}", told_of(&unwanted));
            unwanted_answer(&unwanted, &id)
        }
    };
    set(&mut response, "x-request-id", &id);
    set(&mut response, "x-evenkeel-generation", &active.runtime.generation);
    set(&mut response, "x-evenkeel-source", &found.source_location);
    response
}

/// The workflow's output where the caller is to have it; else that it was taken in.
async fn answer(
    working: &Working,
    environment: &str,
    active: &Active,
    taken: AcceptedWebhook,
    told: Vec<oneshot::Receiver<Arc<Execution>>>,
) -> Response {
    if let ([(run, workflow, _)], Some(told)) = (taken.executions.as_slice(), told.into_iter().next()) {
        let limit = active.work.programs.get(workflow).map_or(std::time::Duration::ZERO, |program| program.timeout());
        if let Some(run) = working.dispatcher.wait_for_end(environment, run, told, limit + PATIENCE).await {
            return finished(&run);
        }
        return started(run);
    }
    let runs: Vec<&str> = taken.executions.iter().map(|(id, _, _)| id.as_str()).collect();
    let mut said = json!({"event": taken.event, "executions": runs});
    if taken.duplicate {
        said["duplicate"] = true.into();
    }
    response::json(202, &said)
}

fn unwanted_answer(unwanted: &WebhookRejection, id: &str) -> Response {
    let error = |code: ErrorCode, detail: &str| response::error(&CallError::new(code, detail), id);
    match unwanted {
        // Whoever has no secret learns nothing about why.
        WebhookRejection::Unverified(_) => {
            let said =
                json!({"errors": {"code": "UNAUTHORIZED", "detail": "the call does not prove where it comes from"}});
            response::json(401, &said)
        }
        WebhookRejection::Malformed(detail) => error(ErrorCode::BadRequest, detail),
        WebhookRejection::TooLarge => error(ErrorCode::TooLarge, "the body is larger than 4 MiB"),
        WebhookRejection::NoSecret(_) | WebhookRejection::Unavailable(_) => {
            let mut response = error(ErrorCode::Unavailable, "the call cannot be taken in right now; send it again");
            set(&mut response, "retry-after", "2");
            response
        }
    }
}

/// For the log, where operators read it: never a secret.
fn told_of(unwanted: &WebhookRejection) -> String {
    match unwanted {
        WebhookRejection::Unverified(refused) => refused.to_string(),
        WebhookRejection::Malformed(detail)
        | WebhookRejection::NoSecret(detail)
        | WebhookRejection::Unavailable(detail) => detail.clone(),
        WebhookRejection::TooLarge => "too large".to_owned(),
    }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}
