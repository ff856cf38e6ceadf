//! Cancels and retries executions, and sends them signals and approvals.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::context::{ListQuery, bad_request, not_found, workflow_context};
use super::execution_start::manual_execution;
use super::response::{JsonResult, command_error, respond};
use super::spans::trace_of;
use super::state::{Server, WorkflowService};
use crate::reconcile::commands::CommandError;
use crate::store::queue::{CommitResult, EnqueueRequest, Execution, NewExecution, SignalKind};

/// `POST /v1/executions/{id}/{verb}`: `cancel` or `retry`.
pub(super) async fn act(
    State(server): State<Server>,
    Path((id, verb)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Response {
    respond(cancel_or_retry(&server, &id, &verb, query, &headers).await)
}

async fn cancel_or_retry(server: &Server, id: &str, verb: &str, query: ListQuery, headers: &HeaderMap) -> JsonResult {
    server.access.writer(headers)?;
    let (environment, service) = workflow_context(server, headers, query.environment.as_deref())?;
    let store = service.dispatcher.store();
    let execution = store.execution(&environment, id).await?.ok_or_else(|| not_found("execution", id))?;
    match verb {
        "cancel" => {
            let previous = store.cancel(&environment, &execution.id).await?;
            service.dispatcher.wake();
            match previous {
                Some(status) if status.is_final() => {
                    let message = format!("execution {} is already {}", execution.id, status.as_str());
                    Err(CommandError::new(409, "Ended", message))
                }
                Some(status) => Ok(json!({"execution": execution.id, "was": status.as_str()})),
                None => Err(not_found("execution", id)),
            }
        }
        "retry" => {
            if !execution.status.is_final() {
                let message = format!("execution {} is still {}", execution.id, execution.status.as_str());
                return Err(CommandError::new(409, "NotEnded", message));
            }
            let new = retry(server, service, &environment, &execution, trace_of(headers)).await?;
            Ok(json!({"execution": new, "of": execution.id}))
        }
        _ => {
            let message = format!("unknown operation `{verb}`; expected one of cancel, retry");
            Err(CommandError::new(404, "NotFound", message))
        }
    }
}

/// Starts the workflow of an execution with the same input and origin; returns the new ID.
async fn retry(
    server: &Server,
    service: &WorkflowService,
    environment: &str,
    of: &Execution,
    trace: String,
) -> Result<String, CommandError> {
    let (_, active) = server.active_with_name(Some(environment)).map_err(command_error)?;
    let program = active.work.programs.get(&of.workflow).ok_or_else(|| not_found("workflow", &of.workflow))?;
    let execution = manual_execution(service, environment, &active, program, of.input.clone(), &of.tenant, trace).await;
    let execution = NewExecution {
        headers: of.headers.clone(),
        event: of.event.clone(),
        parent: of.id.clone(),
        triggered_by: of.triggered_by,
        source: of.source.clone(),
        ..execution.map_err(command_error)?
    };
    let id = execution.id.clone();
    let request = EnqueueRequest { executions: vec![execution], ..EnqueueRequest::default() };
    match service.dispatcher.accept(request).await? {
        CommitResult::Refused(reason) => Err(CommandError::new(422, "Unstorable", reason)),
        _ => Ok(id),
    }
}

/// `POST /v1/executions/{id}/events/{name}` with the data for `ctx.waitForEvent(name)`.
pub(super) async fn signal(
    State(server): State<Server>,
    Path((id, name)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(send_signal(&server, &id, SignalKind::Event, &name, query, &headers, &body).await)
}

/// `POST /v1/executions/{id}/approvals/{name}` with `{"approved": true}` or `{"approved": false}`.
pub(super) async fn approve(
    State(server): State<Server>,
    Path((id, name)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(send_signal(&server, &id, SignalKind::Approval, &name, query, &headers, &body).await)
}

async fn send_signal(
    server: &Server,
    id: &str,
    kind: SignalKind,
    name: &str,
    query: ListQuery,
    headers: &HeaderMap,
    body: &Bytes,
) -> JsonResult {
    let actor = server.access.writer(headers)?;
    let (environment, service) = workflow_context(server, headers, query.environment.as_deref())?;
    let store = service.dispatcher.store();
    let execution = store.execution(&environment, id).await?.ok_or_else(|| not_found("execution", id))?;
    let mut payload: Value = match body.is_empty() {
        true => json!({}),
        false => serde_json::from_slice(body).map_err(|error| bad_request(format!("the body is not JSON: {error}")))?,
    };
    if kind == SignalKind::Approval {
        if store.received_signal(&execution.id, &kind.step_name(name)).await?.is_some() {
            return Err(CommandError::new(409, "Answered", format!("approval `{name}` is already decided")));
        }
        if !payload.get("approved").is_some_and(Value::is_boolean) {
            return Err(bad_request("expected {\"approved\": true} or {\"approved\": false}"));
        }
        payload["by"] = json!(actor);
    }
    if !store.signal(&environment, &execution.id, kind, name, &payload).await? {
        return Err(CommandError::new(409, "Ended", format!("execution {} has ended", execution.id)));
    }
    service.dispatcher.wake();
    Ok(json!({"execution": execution.id, "told": kind.step_name(name)}))
}
