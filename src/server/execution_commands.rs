//! Cancels and retries executions, and sends them signals and approvals.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::context::{RequestContext, Target, workflow_service};
use super::execution_start::{manual_execution, started};
use super::executions::find;
use super::extract::{JsonBody, PathParams, QueryParams};
use super::reply::{ApiError, ApiResult, Reply};
use super::spans::trace_of;
use super::state::{Server, WorkflowService};
use crate::api::Problem;
use crate::api::execution::{Cancelled, Decision, Delivered, waits};
use crate::api::query::{NoQuery, SignalQuery};
use crate::store::queue::{CommitResult, EnqueueRequest, Execution, NewExecution, SignalKind, Step, StepKind};
use crate::store::{Audit, Store};

/// `POST …/executions/{id}/cancel`
pub(super) async fn cancel(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
) -> ApiResult<Reply<Cancelled>> {
    let execution = find(&server, &context, params.get("id")).await?;
    let service = workflow_service(&server)?;
    let previous = service.dispatcher.store().cancel(&context.target()?.key, &execution.id).await?;
    service.dispatcher.wake();
    match previous {
        Some(status) if status.is_final() => {
            let detail = format!("execution {} is already {}", execution.id, status.as_str());
            Err(Problem::new(409, "ENDED", detail).into())
        }
        Some(was) => Ok(Reply(Cancelled { execution: execution.id, was })),
        None => Err(Problem::unknown("execution", &execution.id).into()),
    }
}

/// `POST …/executions/{id}/retry`: starts the workflow again with the same input and origin.
pub(super) async fn retry(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let execution = find(&server, &context, params.get("id")).await?;
    if !execution.status.is_final() {
        let detail = format!("execution {} is still {}", execution.id, execution.status.as_str());
        return Err(Problem::new(409, "NOT_ENDED", detail).into());
    }
    let (service, target) = (workflow_service(&server)?, context.target()?);
    let new = start_again(service, target, &execution, trace_of(&headers)).await?;
    Ok(started(target, &new, Some(&execution.id)))
}

/// Starts the workflow of an execution with the same input and origin; returns the new ID.
async fn start_again(
    service: &WorkflowService,
    target: &Target,
    of: &Execution,
    trace: String,
) -> Result<String, ApiError> {
    let active = target.active()?;
    let unknown = || Problem::unknown("workflow", &of.workflow);
    let program = active.work.programs.get(&of.workflow).ok_or_else(unknown)?;
    let execution = manual_execution(service, target, &active, program, of.input.clone(), &of.tenant, trace).await?;
    let execution = NewExecution {
        headers: of.headers.clone(),
        event: of.event.clone(),
        parent: of.id.clone(),
        triggered_by: of.triggered_by,
        source: of.source.clone(),
        ..execution
    };
    let id = execution.id.clone();
    let request = EnqueueRequest { executions: vec![execution], ..EnqueueRequest::default() };
    match service.dispatcher.accept(request).await? {
        CommitResult::Refused(reason) => Err(Problem::new(422, "UNSTORABLE", reason).into()),
        _ => Ok(id),
    }
}

/// `POST …/executions/{id}/events/{name}` with the data for `ctx.waitForEvent(name)`.
pub(super) async fn signal(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(query): QueryParams<SignalQuery>,
    JsonBody(payload): JsonBody<Value>,
) -> ApiResult<Reply<Delivered>> {
    let execution = find(&server, &context, params.get("id")).await?;
    let keep = query.keep.unwrap_or(false);
    deliver(&server, &context, &execution, SignalKind::Event, params.get("name"), payload, keep).await
}

/// `POST …/executions/{id}/approvals/{name}` with `{"approved": true}` or `{"approved": false}`.
pub(super) async fn approve(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
    JsonBody(decision): JsonBody<Decision>,
) -> ApiResult<Reply<Delivered>> {
    let name = params.get("name");
    let execution = find(&server, &context, params.get("id")).await?;
    let store = workflow_service(&server)?.dispatcher.store();
    if store.received_signal(&execution.id, &SignalKind::Approval.step_name(name)).await?.is_some() {
        return Err(Problem::new(409, "ANSWERED", format!("approval `{name}` is already decided")).into());
    }
    let steps = store.steps(&execution.id).await?;
    let required = steps.iter().find_map(|step| required_roles(step, name));
    if required.is_none() && !execution.status.is_final() {
        let approvals = waits(&steps).into_iter().filter(|wait| wait.kind == StepKind::Approval);
        let waiting = approvals.map(|wait| wait.name).collect();
        return Err(not_waited_for(&execution, SignalKind::Approval, name, waiting).into());
    }
    let required = required.unwrap_or_default();
    if !context.principal.has_one_of(&required) {
        let details = json!({"execution": execution.id, "approval": name, "requiredRoles": required});
        audit(store, &context, "ApprovalDenied", details).await;
        let roles: Vec<String> = required.iter().map(|role| format!("`{role}`")).collect();
        let what = format!("may not answer approval `{name}`, which takes one of the roles {}", roles.join(", "));
        return Err(context.forbidden(&what).into());
    }
    let mut payload = Value::Object(decision.data);
    payload["approved"] = json!(decision.approved);
    payload["by"] = json!(context.principal.name);
    let delivered = deliver(&server, &context, &execution, SignalKind::Approval, name, payload, false).await?;
    let action = if decision.approved { "ApproveExecution" } else { "RejectExecution" };
    audit(store, &context, action, json!({"execution": execution.id, "approval": name})).await;
    Ok(delivered)
}

/// The roles that an approval requires; `None` if the step is not the one that waits for it.
fn required_roles(step: &Step, name: &str) -> Option<Vec<String>> {
    let is_waiting =
        waits(std::slice::from_ref(step)).iter().any(|wait| wait.kind == StepKind::Approval && wait.name == name);
    let roles = is_waiting.then(|| step.input["roles"].as_array().cloned())?.unwrap_or_default();
    Some(roles.iter().filter_map(|role| role.as_str().map(str::to_owned)).collect())
}

/// Records in the audit log what the caller did with an execution.
async fn audit(store: &dyn Store, context: &RequestContext, action: &str, details: Value) {
    let environment = context.target().map_or_else(|_| String::new(), |target| target.key.clone());
    let actor = context.principal.name.clone();
    tracing::info!(target: "evenkeel::audit", environment, actor, action, %details, "an approval was answered");
    let line = Audit { at: 0, environment, actor, action: action.to_owned(), details };
    // The answer counts already, so a failure here must not look as if it did not.
    if let Err(error) = store.append_audit(&line).await {
        tracing::error!(?line, %error, "writing the audit log failed");
    }
}

/// Stores a signal that the execution waits for. `keep` stores it also if the execution does not wait for it yet.
async fn deliver(
    server: &Server,
    context: &RequestContext,
    execution: &Execution,
    kind: SignalKind,
    name: &str,
    payload: Value,
    keep: bool,
) -> ApiResult<Reply<Delivered>> {
    if name.chars().any(char::is_control) {
        return Err(Problem::bad_request("the name contains a control character").into());
    }
    let service = workflow_service(server)?;
    let store = service.dispatcher.store();
    let ended = || Problem::new(409, "ENDED", format!("execution {} has ended", execution.id));
    if execution.status.is_final() {
        return Err(ended().into());
    }
    let wanted = if kind == SignalKind::Approval { StepKind::Approval } else { StepKind::Event };
    let steps = store.waiting_steps(std::slice::from_ref(&execution.id)).await?;
    let steps: Vec<_> = steps.into_iter().map(|(_, step)| step).collect();
    let waiting: Vec<String> =
        waits(&steps).into_iter().filter(|wait| wait.kind == wanted).map(|wait| wait.name).collect();
    let waited_for = waiting.iter().any(|waiting| waiting == name);
    if !waited_for && !keep {
        return Err(not_waited_for(execution, kind, name, waiting).into());
    }
    if !store.signal(&context.target()?.key, &execution.id, kind, name, &payload).await? {
        return Err(ended().into());
    }
    service.dispatcher.wake();
    Ok(Reply(Delivered { execution: execution.id.clone(), kind: kind.to_string(), name: name.to_owned(), waited_for }))
}

fn not_waited_for(execution: &Execution, kind: SignalKind, name: &str, waiting: Vec<String>) -> Problem {
    let what = if kind == SignalKind::Approval { "approval" } else { "event" };
    let shown: Vec<String> = waiting.iter().map(|name| format!("`{name}`")).collect();
    let now = match shown.len() {
        0 => format!("it waits for no {what} now"),
        _ => format!("it waits for {}", shown.join(", ")),
    };
    let remedy = if kind == SignalKind::Event { "; `keep=true` keeps the event until it does" } else { "" };
    let detail = format!("execution {} does not wait for {what} `{name}`; {now}{remedy}", execution.id);
    Problem { waiting, ..Problem::new(409, "NOT_WAITED_FOR", detail) }
}
