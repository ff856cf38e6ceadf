//! `/v1/dead-letters`: lists, shows and replays dead letters.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;

use super::context::{ListQuery, not_found, workflow_context};
use super::execution_start::manual_execution;
use super::response::{JsonResult, command_error, respond};
use super::spans::trace_of;
use super::state::{Server, WorkflowService};
use crate::reconcile::commands::CommandError;
use crate::store::queue::{
    CommitResult, DeadLetter, DeadLetterStatus, EnqueueRequest, NewExecution, TriggeredBy, new_id,
};
use crate::trigger::TriggerKind;

/// `GET /v1/dead-letters`
pub(super) async fn list(State(server): State<Server>, Query(query): Query<ListQuery>, headers: HeaderMap) -> Response {
    let result = async {
        let (environment, service) = workflow_context(&server, &headers, query.environment.as_deref())?;
        let store = service.dispatcher.store();
        let status = query.status.as_deref().filter(|status| !status.is_empty()).map(DeadLetterStatus::from_name);
        let letters = match status {
            // No dead letter has an unknown status.
            Some(None) => Vec::new(),
            status => store.dead_letters(&environment, status.flatten(), query.limit()).await?,
        };
        Ok(json!({"environment": environment, "deadLetters": letters}))
    };
    respond(result.await)
}

/// `GET /v1/dead-letters/{id}`
pub(super) async fn show(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Response {
    let result = async {
        let (environment, service) = workflow_context(&server, &headers, query.environment.as_deref())?;
        let letter = service.dispatcher.store().dead_letter(&environment, &id).await?;
        Ok(json!(letter.ok_or_else(|| not_found("dead letter", &id))?))
    };
    respond(result.await)
}

/// `POST /v1/dead-letters/{id}/replay`: starts an execution. An event that no route matched goes through the routes that
/// are live now.
pub(super) async fn replay(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Response {
    respond(start_again(&server, &id, query, &headers).await)
}

async fn start_again(server: &Server, id: &str, query: ListQuery, headers: &HeaderMap) -> JsonResult {
    server.access.writer(headers)?;
    let (environment, service) = workflow_context(server, headers, query.environment.as_deref())?;
    let store = service.dispatcher.store();
    let letter = store.dead_letter(&environment, id).await?.ok_or_else(|| not_found("dead letter", id))?;
    let mut request = match letter.workflow.as_str() {
        "" => reroute(server, service, &environment, &letter, trace_of(headers)).await?,
        workflow => {
            let (_, active) = server.active_with_name(Some(&environment)).map_err(command_error)?;
            let program = active.work.programs.get(workflow).ok_or_else(|| not_found("workflow", workflow))?;
            let (input, trace) = (letter.payload.clone(), trace_of(headers));
            let execution =
                manual_execution(service, &environment, &active, program, input, &letter.tenant, trace).await;
            let execution = NewExecution {
                headers: letter.headers.clone(),
                event: letter.event.clone(),
                parent: letter.execution.clone(),
                triggered_by: TriggeredBy::Webhook,
                source: letter.trigger.clone(),
                ..execution.map_err(command_error)?
            };
            EnqueueRequest { executions: vec![execution], ..EnqueueRequest::default() }
        }
    };
    let executions: Vec<String> = request.executions.iter().map(|execution| execution.id.clone()).collect();
    // One transaction stores the executions and marks the letter: a second request starts nothing, and a failure in
    // between loses nothing.
    request.replays = Some((environment.clone(), letter.id.clone()));
    match service.dispatcher.accept(request).await? {
        CommitResult::Stored(_) => Ok(json!({"deadLetter": letter.id, "executions": executions})),
        CommitResult::Refused(reason) => Err(CommandError::new(422, "Unstorable", reason)),
        _ => Err(CommandError::new(409, "NotPending", format!("dead letter {} is no longer pending", letter.id))),
    }
}

/// Matches an event with the live routes.
async fn reroute(
    server: &Server,
    service: &WorkflowService,
    environment: &str,
    letter: &DeadLetter,
    trace: String,
) -> Result<EnqueueRequest, CommandError> {
    let (_, active) = server.active_with_name(Some(environment)).map_err(command_error)?;
    let trigger = active.work.triggers.get(&letter.trigger).ok_or_else(|| not_found("trigger", &letter.trigger))?;
    let routes = match &trigger.kind {
        TriggerKind::Webhook(webhook) => &webhook.routes,
        TriggerKind::AppEvent(app) => &app.routes,
        TriggerKind::Schedule(_) => return Err(not_found("webhook", &letter.trigger)),
    };
    let live = service.live.live_of(&active);
    let headers: BTreeMap<String, String> = serde_json::from_value(letter.headers.clone()).unwrap_or_default();
    let event = crate::trigger::routing::IncomingEvent {
        body: letter.payload.clone(),
        headers,
        query: BTreeMap::new(),
        input: letter.payload.clone(),
        app_event: letter.payload.clone(),
        tenant: letter.tenant.clone(),
        key: None,
        ordering_key: String::new(),
        request: format!("replay-{}", new_id()),
        trace,
        live: &live,
    };
    let request =
        crate::trigger::routing::route_event(&service.dispatcher, environment, trigger, routes, event).await?;
    if request.executions.is_empty() {
        return Err(CommandError::new(409, "Unmatched", "no route of the trigger matches the event"));
    }
    Ok(request)
}
