//! `/v1/executions` and `/v1/events`: lists, details and logs. `execution_commands` changes executions.

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::context::{ListQuery, bad_request, not_found, workflow_context};
use super::response::{JsonResult, respond};
use super::state::Server;
use crate::store::Micros;
use crate::store::queue::{ExecutionFilter, ExecutionStatus, ExecutionSummary};

/// `GET /v1/executions`
pub(super) async fn list(State(server): State<Server>, Query(query): Query<ListQuery>, headers: HeaderMap) -> Response {
    respond(read_list(&server, query, &headers).await)
}

async fn read_list(server: &Server, query: ListQuery, headers: &HeaderMap) -> JsonResult {
    let (environment, service) = workflow_context(server, headers, query.environment.as_deref())?;
    let store = service.dispatcher.store();
    let limit = query.limit();
    let status = query.status.as_deref().map(|word| {
        ExecutionStatus::from_name_ignoring_case(word).ok_or_else(|| {
            let words: Vec<&str> = ExecutionStatus::ALL.iter().map(|status| status.as_str()).collect();
            bad_request(format!("unknown status `{word}`; expected one of {}", words.join(", ")))
        })
    });
    let since = query.since.as_deref().map(|text| {
        let duration = text.parse::<crate::definition::common::Duration>();
        duration
            .map(|duration| service.dispatcher.now().saturating_sub(duration.0.as_micros() as Micros))
            .map_err(|_| bad_request(format!("`since={text}` is not a duration; expected for example `2h`")))
    });
    let before = match query.before.as_deref() {
        Some(id) => {
            let execution = store.execution(&environment, id).await?.ok_or_else(|| not_found("execution", id))?;
            Some((execution.created_at, execution.id))
        }
        None => None,
    };
    let filter = ExecutionFilter {
        workflow: query.workflow,
        status: status.transpose()?,
        tenant: query.tenant,
        trigger: query.trigger,
        event: query.event,
        since: since.transpose()?,
        before,
        text: query.text,
        limit,
        open: false,
    };
    let executions = store.executions(&environment, &filter).await?;
    let executions: Vec<Value> = executions.iter().map(summary).collect();
    Ok(json!({"environment": environment, "executions": executions}))
}

fn summary(execution: &ExecutionSummary) -> Value {
    let is_finished = execution.finished_at > 0 && execution.started_at > 0;
    let duration = match is_finished {
        true => json!((execution.finished_at - execution.started_at) as f64 / 1000.0),
        false => Value::Null,
    };
    json!({
        "id": execution.id, "workflow": execution.workflow, "version": execution.version, "tier": execution.tier,
        "status": execution.status, "tenant": execution.tenant, "triggeredBy": execution.triggered_by,
        "source": execution.source, "event": execution.event, "generation": execution.generation,
        "attempt": execution.attempt, "createdAt": execution.created_at, "startedAt": execution.started_at,
        "finishedAt": execution.finished_at, "durationMs": duration, "error": execution.error_message,
        "trace": execution.trace, "parent": execution.parent, "priority": execution.priority,
    })
}

/// `GET /v1/executions/{id}`: an execution with its steps.
pub(super) async fn show(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Response {
    respond(read_one(&server, &id, query, &headers).await)
}

async fn read_one(server: &Server, id: &str, query: ListQuery, headers: &HeaderMap) -> JsonResult {
    let (environment, service) = workflow_context(server, headers, query.environment.as_deref())?;
    let store = service.dispatcher.store();
    let execution = store.execution(&environment, id).await?.ok_or_else(|| not_found("execution", id))?;
    let mut value = summary(&execution.summary());
    let payloads = [
        ("input", &execution.input),
        ("headers", &execution.headers),
        ("output", &execution.output),
        ("error", &execution.error),
    ];
    for (name, payload) in payloads {
        value[name] = payload.clone();
    }
    value["steps"] = json!(store.steps(&execution.id).await?);
    value["worker"] = json!(execution.worker);
    value["cancelled"] = json!(execution.cancel_requested);
    Ok(value)
}

/// `GET /v1/executions/{id}/logs`
pub(super) async fn logs(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Response {
    let result = async {
        let (environment, service) = workflow_context(&server, &headers, query.environment.as_deref())?;
        let store = service.dispatcher.store();
        let execution = store.execution(&environment, &id).await?.ok_or_else(|| not_found("execution", &id))?;
        Ok(json!({"execution": execution.id, "lines": store.logs(&execution.id).await?}))
    };
    respond(result.await)
}

/// `GET /v1/events/{id}`: an event with its headers and payload.
pub(super) async fn event(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Response {
    let result = async {
        let (environment, service) = workflow_context(&server, &headers, query.environment.as_deref())?;
        let event = service.dispatcher.store().event(&environment, &id).await?;
        Ok(json!(event.ok_or_else(|| not_found("event", &id))?))
    };
    respond(result.await)
}

/// `GET /v1/events`: events without headers and payloads.
pub(super) async fn events(
    State(server): State<Server>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Response {
    let result = async {
        let (environment, service) = workflow_context(&server, &headers, query.environment.as_deref())?;
        let store = service.dispatcher.store();
        let events = store.events(&environment, query.trigger.as_deref(), query.limit()).await?;
        Ok(json!({"environment": environment, "events": events}))
    };
    respond(result.await)
}
