//! `/hooks/…`: webhooks, and events of applications, which start workflows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::oneshot;

use super::context::{Target, target, workflow_service};
use super::execution_start::{WAIT_MARGIN, finished, started};
use super::extract::{BodyBytes, PathParams};
use super::gateway::set_origin;
use super::reply::{self, ApiError, ApiResult, Reported, RequestId, set};
use super::state::{Server, WorkflowService};
use crate::api::Problem;
use crate::api::event::Accepted;
use crate::reconcile::active::Active;
use crate::store::queue::Execution;
use crate::text::equal_in_constant_time;
use crate::trigger::receive::{self, AcceptedWebhook};
use crate::trigger::request::{WebhookRejection, WebhookRequest};
use crate::trigger::{Trigger, TriggerKind, subscriber};

/// `POST …/hooks/{trigger}` and `POST …/hooks/{trigger}/{address}`, where the address contains a secret: verifies and stores
/// an event, and responds once it is durable.
pub(super) async fn hook(
    State(server): State<Server>,
    axum::Extension(RequestId(id)): axum::Extension<RequestId>,
    params: PathParams,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> ApiResult<Response> {
    let busy = || Problem::new(503, "UNAVAILABLE", "too many concurrent requests; send the event again");
    let _permit = server.hook_permits.try_acquire().map_err(|_| busy())?;
    let (name, address) = (params.get("trigger"), params.get("address"));
    let (target, active, found) = find(&server, params.find("environment"), name)?;
    let service = workflow_service(&server)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let incoming = WebhookRequest {
        method: method.as_str().to_owned(),
        uri: server.address(path),
        headers: headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        query: uri.query().map(pairs).unwrap_or_default(),
        body,
        id: id.clone(),
    };
    let received = accept(service, &target, &active, &found, address, &incoming).await?;
    let mut response = match received {
        Ok((taken, ends)) => {
            tracing::info!(
                request_id = id,
                environment = target.key,
                trigger = name,
                event = taken.event,
                duplicate = taken.duplicate,
                executions = taken.executions.len(),
                "webhook"
            );
            accepted(service, &target, &active, taken, ends).await
        }
        Err(rejection) => {
            log_rejection(&rejection, &id, &target.key, name);
            rejected(&rejection)
        }
    };
    response.extensions_mut().insert(Reported);
    set_origin(&mut response, &active);
    set(&mut response, "x-evenkeel-source", &found.source_location);
    Ok(response)
}

type Received = Result<(AcceptedWebhook, Vec<oneshot::Receiver<Arc<Execution>>>), WebhookRejection>;

/// The environment and the live webhook of a name.
///
/// Without an environment it is the only environment that has an active webhook of this name: another environment does not
/// change what the address means unless it has a webhook of the same name.
///
/// # Errors
/// 404 for an unknown name: also for a removed trigger, an inactive one, and one that is not a webhook.
fn find(server: &Server, environment: Option<&str>, name: &str) -> ApiResult<(Target, Arc<Active>, Arc<Trigger>)> {
    let unknown = || Problem::new(404, "NOT_FOUND", "unknown webhook");
    let live = |target: Target| {
        let active = target.active()?;
        let found = active.work.triggers.get(name).filter(|trigger| trigger.spec.active).cloned();
        let found = found.filter(|trigger| !matches!(trigger.kind, TriggerKind::Schedule(_))).ok_or_else(unknown)?;
        Ok::<_, Problem>((target, active, found))
    };
    let (None, Some(environments)) = (environment, &server.environments) else {
        let target = target(server, environment, None).map_err(|problem| match problem.status {
            404 => unknown(),
            _ => problem,
        })?;
        return Ok(live(target)?);
    };
    let all = environments.all.load();
    let targets = all.keys().filter_map(|key| target(server, Some(key), None).ok());
    let mut candidates: Vec<Result<_, Problem>> = targets.map(live).collect();
    if candidates.len() == 1 {
        return Ok(candidates.remove(0)?);
    }
    let mut found: Vec<_> = candidates.into_iter().flatten().collect();
    match found.len() {
        0 => Err(unknown().into()),
        1 => Ok(found.remove(0)),
        _ => {
            let detail = "several environments have this webhook: use /v1/environments/{environment}/hooks/{trigger}, as \
                          `evenkeel triggers` shows it";
            Err(Problem::new(400, "AMBIGUOUS_ENVIRONMENT", detail).into())
        }
    }
}

/// Verifies, stores and routes an event.
async fn accept(
    service: &WorkflowService,
    target: &Target,
    active: &Active,
    found: &Arc<Trigger>,
    address: &str,
    incoming: &WebhookRequest,
) -> ApiResult<Received> {
    let unknown = || ApiError::from(Problem::new(404, "NOT_FOUND", "unknown webhook"));
    let live = service.live.live_of(active);
    match &found.kind {
        TriggerKind::Webhook(webhook) => {
            let expected = webhook.spec.webhook_id.as_deref().unwrap_or_default();
            if !equal_in_constant_time(expected.as_bytes(), address.as_bytes()) {
                return Err(unknown());
            }
            Ok(receive::receive_webhook(&service.dispatcher, &target.key, &live, found, webhook, incoming).await)
        }
        TriggerKind::AppEvent(app) => {
            let row = subscriber::find_subscription(&service.dispatcher, &target.key, &found.name, address).await?;
            let connection = &row.ok_or_else(unknown)?.connection;
            let dispatcher = &service.dispatcher;
            Ok(receive::receive_app_event(dispatcher, &target.key, &live, found, app, connection, incoming).await)
        }
        TriggerKind::Schedule(_) => Err(unknown()),
    }
}

/// The output of the workflow if the webhook waits for it; otherwise 202 with the IDs of the executions.
async fn accepted(
    service: &WorkflowService,
    target: &Target,
    active: &Active,
    taken: AcceptedWebhook,
    ends: Vec<oneshot::Receiver<Arc<Execution>>>,
) -> Response {
    if let ([(id, workflow, _)], Some(end)) = (taken.executions.as_slice(), ends.into_iter().next()) {
        let limit = active.work.programs.get(workflow).map_or(std::time::Duration::ZERO, |program| program.timeout());
        if let Some(execution) = service.dispatcher.wait_for_end(&target.key, id, end, limit + WAIT_MARGIN).await {
            return finished(&execution);
        }
        return started(target, id, None);
    }
    let executions: Vec<String> = taken.executions.iter().map(|(id, _, _)| id.clone()).collect();
    let location = match executions.as_slice() {
        [only] => Some(target.path(&format!("/executions/{only}"))),
        _ => None,
    };
    let mut response = reply::json(202, &Accepted { event: taken.event, executions, duplicate: taken.duplicate });
    if let Some(location) = location {
        set(&mut response, "location", &location);
    }
    response
}

fn rejected(rejection: &WebhookRejection) -> Response {
    let problem = match rejection {
        // Callers without the secret do not learn the reason.
        WebhookRejection::Unverified(_) => Problem::new(401, "UNAUTHORIZED", "the signature is missing or wrong"),
        WebhookRejection::Malformed(detail) => Problem::bad_request(detail.clone()),
        WebhookRejection::TooLarge => Problem::new(413, "REQUEST_TOO_LARGE", "the body is larger than 4 MiB"),
        WebhookRejection::NoSecret(_) => {
            // Sending it again helps once the secret has a value; the reason is for the operator.
            Problem::new(
                503,
                "UNAVAILABLE",
                "this webhook cannot verify events now; its operator can read why in the log",
            )
        }
        WebhookRejection::OverQuota(refusal) => Problem::from(&**refusal),
        WebhookRejection::Unavailable(_) => {
            Problem::new(503, "UNAVAILABLE", "the event cannot be stored right now; send it again")
        }
    };
    ApiError::from(problem).into_response()
}

/// Logs a rejection. The text never contains a secret.
fn log_rejection(rejection: &WebhookRejection, request_id: &str, environment: &str, trigger: &str) {
    let reason = match rejection {
        WebhookRejection::Unverified(error) => error.to_string(),
        WebhookRejection::Malformed(detail)
        | WebhookRejection::NoSecret(detail)
        | WebhookRejection::Unavailable(detail) => detail.clone(),
        WebhookRejection::OverQuota(refusal) => refusal.to_string(),
        WebhookRejection::TooLarge => "too large".to_owned(),
    };
    // Only the operator can repair this. Missing secrets are warned of where calls are verified, at a falling rate.
    if let WebhookRejection::Unavailable(_) = rejection {
        tracing::warn!(request_id, environment, trigger, reason, "webhook rejected");
    } else {
        tracing::info!(request_id, environment, trigger, reason, "webhook rejected");
    }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}
