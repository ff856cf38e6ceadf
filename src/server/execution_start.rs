//! Starts executions over HTTP, and responds with their output or their ID.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::context::{ENVIRONMENT, header_text};
use super::response::{self, request_id, set};
use super::spans::trace_of;
use super::state::{Server, WorkflowService};
use crate::connector::{CallError, ErrorCode};
use crate::definition::workflow::Tier;
use crate::reconcile::active::Active;
use crate::store::StoreError;
use crate::store::queue::{CommitResult, EnqueueRequest, Execution, ExecutionStatus, NewExecution, TriggeredBy};
use crate::trigger::routing::concurrency_group;
use crate::workflow::Program;

/// Time that a caller waits beyond the workflow's timeout: for the claim, and for the end to be stored.
pub(super) const WAIT_MARGIN: std::time::Duration = std::time::Duration::from_secs(5);

/// The response for a running execution: 202 with its ID.
pub(super) fn started(execution: &str) -> Response {
    let mut response = response::json(202, &json!({"execution": execution, "status": "Running"}));
    set(&mut response, "x-evenkeel-execution", execution);
    response
}

/// The response for a finished execution: its output, or its error.
pub(super) fn finished(execution: &Execution) -> Response {
    let status = match (execution.status, execution.error["code"].as_str()) {
        (ExecutionStatus::Completed, _) => 200,
        (ExecutionStatus::TimedOut, _) => 504,
        (ExecutionStatus::Cancelled, _) => 409,
        (_, Some("INVALID_INPUT")) => 400,
        _ => 500,
    };
    let mut response = if execution.status == ExecutionStatus::Completed {
        response::json(status, &execution.output)
    } else {
        let (code, detail) = (execution.error["code"].clone(), execution.error["message"].clone());
        let errors = json!({"code": code, "detail": detail, "execution": execution.id});
        response::json(status, &json!({"errors": errors}))
    };
    set(&mut response, "x-evenkeel-execution", &execution.id);
    response
}

/// `POST /v1/workflows/{workflow}/runs` with the input as JSON; waits for the end of Instant workflows.
pub(super) async fn start(
    State(server): State<Server>,
    Path(workflow): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let id = request_id(&headers);
    let mut response = match start_workflow(&server, &workflow, &headers, &body).await {
        Ok(response) => response,
        Err(error) => response::error(&error, &id),
    };
    set(&mut response, "x-request-id", &id);
    response
}

async fn start_workflow(
    server: &Server,
    workflow: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, CallError> {
    let (environment, active) = server.active_with_name(header_text(headers, ENVIRONMENT))?;
    let service = server.workflow_service()?;
    let programs = &active.work.programs;
    let program = programs.get(workflow).ok_or_else(|| {
        let near = crate::definition::schema_validator::nearest(workflow, programs.keys().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        CallError::new(ErrorCode::NotFound, format!("unknown workflow `{workflow}`{near}"))
    })?;
    let bad = |detail: String| CallError::new(ErrorCode::BadRequest, detail);
    let input: Value = match body.is_empty() {
        true => json!({}),
        false => serde_json::from_slice(body).map_err(|error| bad(format!("the body is not JSON: {error}")))?,
    };
    if let Some(problem) = program.input_violations(&input) {
        return Err(CallError::new(ErrorCode::InvalidInput, problem));
    }
    let tenant = header_text(headers, "x-evenkeel-tenant").unwrap_or_default();
    let execution = manual_execution(service, &environment, &active, program, input, tenant, trace_of(headers)).await?;
    let (id, is_instant) = (execution.id.clone(), execution.tier == Tier::Instant);
    let end = is_instant.then(|| service.dispatcher.register_waiter(&id));
    let unavailable = |error: StoreError| CallError::new(ErrorCode::Unavailable, error.to_string());
    let request = EnqueueRequest { executions: vec![execution], ..EnqueueRequest::default() };
    let accepted = service.dispatcher.accept(request).await;
    if let CommitResult::Refused(reason) = accepted.map_err(unavailable)? {
        return Err(bad(format!("cannot store the input: {reason}")));
    }
    if let Some(end) = end
        && let Some(execution) =
            service.dispatcher.wait_for_end(&environment, &id, end, program.timeout() + WAIT_MARGIN).await
    {
        return Ok(finished(&execution));
    }
    Ok(started(&id))
}

/// An execution that a caller starts, as opposed to a trigger.
///
/// # Errors
/// Fails if the workflow is not active, needs a tenant, or the store does not respond.
pub(super) async fn manual_execution(
    service: &WorkflowService,
    environment: &str,
    active: &Active,
    program: &Program,
    input: Value,
    tenant: &str,
    trace: String,
) -> Result<NewExecution, CallError> {
    if !program.spec.active {
        let detail = format!("workflow `{}` is not active", program.name);
        return Err(CallError::new(ErrorCode::NotFound, detail));
    }
    if program.spec.requires_tenant && tenant.is_empty() {
        let detail = format!("workflow `{}` requires a tenant; send the header `x-evenkeel-tenant`", program.name);
        return Err(CallError::new(ErrorCode::BadRequest, detail));
    }
    let live = service.live.live_of(active);
    let new = service.dispatcher.new_execution(environment, &live, program).await;
    let new = new.map_err(|error| CallError::new(ErrorCode::Unavailable, error.to_string()))?;
    let per_tenant = program.spec.concurrency.as_ref().is_some_and(|limit| limit.per_tenant);
    Ok(NewExecution {
        concurrency_group: concurrency_group(&new, tenant, per_tenant),
        // A caller waits for the execution.
        priority: 1,
        tenant: tenant.to_owned(),
        triggered_by: TriggeredBy::Manual,
        input,
        trace,
        ..new
    })
}
