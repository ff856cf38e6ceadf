//! Starts executions over HTTP, and responds with their output or their ID.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::context::{RequestContext, TENANT, Target, workflow_service};
use super::extract::{JsonBody, PathParams};
use super::gateway::set_origin;
use super::reply::{self, ApiError, ApiResult, set};
use super::spans::trace_of;
use super::state::{Server, WorkflowService};
use crate::api::Problem;
use crate::api::execution::Started;
use crate::connector::{CallError, ErrorCode};
use crate::definition::schema_validator::nearest;
use crate::definition::workflow::Tier;
use crate::reconcile::active::Active;
use crate::store::queue::{CommitResult, EnqueueRequest, Execution, ExecutionStatus, NewExecution, TriggeredBy};
use crate::trigger::routing::concurrency_group;
use crate::workflow::Program;

/// Time that a caller waits beyond the workflow's timeout: for the claim, and for the end to be stored.
pub(super) const WAIT_MARGIN: std::time::Duration = std::time::Duration::from_secs(5);
/// Header with the id of the execution that a response comes from.
const EXECUTION: &str = "x-evenkeel-execution";

/// The response for an execution that was accepted: 202 with its ID and address.
pub(super) fn started(target: &Target, execution: &str, retry_of: Option<&str>) -> Response {
    let started = Started {
        execution: execution.to_owned(),
        status: ExecutionStatus::Queued,
        retry_of: retry_of.map(str::to_owned),
    };
    let mut response = reply::json(202, &started);
    set(&mut response, EXECUTION, execution);
    set(&mut response, "location", &target.path(&format!("/executions/{execution}")));
    response
}

/// The response for a finished execution: its output, or its error.
pub(super) fn finished(execution: &Execution) -> Response {
    let code = execution.error["code"].as_str();
    let status = match (execution.status, code) {
        (ExecutionStatus::Completed, _) => 200,
        (ExecutionStatus::TimedOut, _) => 504,
        (ExecutionStatus::Cancelled, _) => 409,
        (_, Some("INVALID_INPUT")) => 400,
        _ => 500,
    };
    let mut response = if execution.status == ExecutionStatus::Completed {
        reply::json(status, &execution.output)
    } else {
        let detail = execution.error["message"].as_str().unwrap_or("the execution did not complete");
        let problem = Problem::new(status, code.unwrap_or("EXECUTION_FAILED"), detail);
        ApiError::from(Problem { execution: Some(execution.id.clone()), ..problem }).into_response()
    };
    set(&mut response, EXECUTION, &execution.id);
    response
}

/// `POST …/workflows/{workflow}/runs` with the input as JSON; waits for the end of Instant workflows.
pub(super) async fn start(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    headers: HeaderMap,
    JsonBody(input): JsonBody<Value>,
) -> ApiResult<Response> {
    let (target, service) = (context.target()?, workflow_service(&server)?);
    let active = target.active()?;
    let program = program(&active, params.get("workflow"))?;
    let input = program.with_defaults(input).map_err(Problem::bad_request)?;
    let violations = program.input_errors(&input);
    if !violations.is_empty() {
        let detail = program.input_violations(&input).unwrap_or_default();
        return Err(CallError::new(ErrorCode::InvalidInput, detail).violations(violations).into());
    }
    context.check_user(&headers)?;
    let tenant = context.tenant(&headers)?.unwrap_or_default();
    let execution = manual_execution(service, target, &active, program, input, &tenant, trace_of(&headers)).await?;
    let (id, is_instant) = (execution.id.clone(), execution.tier == Tier::Instant);
    let end = is_instant.then(|| service.dispatcher.register_waiter(&id));
    let request = EnqueueRequest { executions: vec![execution], ..EnqueueRequest::default() };
    if let CommitResult::Refused(reason) = service.dispatcher.accept(request).await? {
        return Err(Problem::bad_request(format!("cannot store the input: {reason}")).into());
    }
    let mut response = started(target, &id, None);
    if let Some(end) = end
        && let Some(execution) =
            service.dispatcher.wait_for_end(&target.key, &id, end, program.timeout() + WAIT_MARGIN).await
    {
        response = finished(&execution);
    }
    set_origin(&mut response, &active);
    set(&mut response, "x-evenkeel-source", &program.source_location);
    Ok(response)
}

/// The live workflow of a name.
fn program<'a>(active: &'a Active, workflow: &str) -> Result<&'a Program, Problem> {
    let programs = &active.work.programs;
    let found = programs.get(workflow).map(|program| &**program);
    found.ok_or_else(|| {
        let near = nearest(workflow, programs.keys().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Problem::new(404, "NOT_FOUND", format!("unknown workflow `{workflow}`{near}"))
    })
}

/// An execution that a caller starts, as opposed to a trigger.
///
/// # Errors
/// Fails if the workflow is not active or needs a tenant, the tenant may not run, or the store does not respond.
pub(super) async fn manual_execution(
    service: &WorkflowService,
    target: &Target,
    active: &Active,
    program: &Program,
    input: Value,
    tenant: &str,
    trace: String,
) -> Result<NewExecution, ApiError> {
    if !program.spec.active {
        return Err(Problem::new(404, "NOT_FOUND", format!("workflow `{}` is not active", program.name)).into());
    }
    if program.spec.requires_tenant && tenant.is_empty() {
        let detail = format!("workflow `{}` requires a tenant; send the header `{TENANT}`", program.name);
        return Err(Problem::new(400, "TENANT_REQUIRED", detail).of_parameter(TENANT).into());
    }
    if let Some(refusal) = active.runtime.tenant_refusal(tenant) {
        return Err(refusal.into());
    }
    let input = program.with_defaults(input).map_err(Problem::bad_request)?;
    let live = service.live.live_of(active);
    let new = service.dispatcher.new_execution(&target.key, &live, program).await?;
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
