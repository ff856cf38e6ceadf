//! Workflows and what became of them: started by hand, listed, looked into, ended, done again.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::environments::{ENVIRONMENT, respond};
use super::response::{self, request_id, set};
use super::spans::trace_of;
use super::{Server, Working};
use crate::connector::{CallError, ErrorCode};
use crate::definition::workflow::Tier;
use crate::reconcile::commands::CommandError;
use crate::store::queue::{
    CommitResult, EnqueueRequest, Execution, ExecutionFilter, ExecutionStatus, ExecutionSummary, NewExecution,
    SignalKind, TriggeredBy,
};
use crate::store::{Micros, StoreError};
use crate::trigger::routing::concurrency_group;
use crate::workflow::Program;

/// How long a caller waits beyond the workflow's own time: for its turn, and for its end to be stored.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) type Answer = Result<Value, CommandError>;

/// An execution that goes on: its id.
pub(super) fn started(run: &str) -> Response {
    let mut response = response::json(202, &json!({"execution": run, "status": "Running"}));
    set(&mut response, "x-evenkeel-execution", run);
    response
}

/// An execution that ended: its output, or its error.
pub(super) fn finished(run: &Execution) -> Response {
    let status = match (run.status, run.error["code"].as_str()) {
        (ExecutionStatus::Completed, _) => 200,
        (ExecutionStatus::TimedOut, _) => 504,
        (ExecutionStatus::Cancelled, _) => 409,
        (_, Some("INVALID_INPUT")) => 400,
        _ => 500,
    };
    let mut response = if run.status == ExecutionStatus::Completed {
        response::json(status, &run.output)
    } else {
        let (code, detail) = (run.error["code"].clone(), run.error["message"].clone());
        let errors = json!({"code": code, "detail": detail, "execution": run.id});
        response::json(status, &json!({"errors": errors}))
    };
    set(&mut response, "x-evenkeel-execution", &run.id);
    response
}

/// `POST /v1/workflows/{workflow}/runs` with the input as JSON: Instant ones are waited for.
pub(super) async fn run(
    State(server): State<Server>,
    Path(workflow): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let id = request_id(&headers);
    let result = start(&server, &workflow, &headers, &body).await;
    let mut response = match result {
        Ok(response) => response,
        Err(error) => response::error(&error, &id),
    };
    set(&mut response, "x-request-id", &id);
    response
}

async fn start(server: &Server, workflow: &str, headers: &HeaderMap, body: &Bytes) -> Result<Response, CallError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (environment, active) = server.active_named(text(ENVIRONMENT))?;
    let working = server.working()?;
    let programs = &active.work.programs;
    let program = programs.get(workflow).ok_or_else(|| {
        let near = crate::definition::schema_validator::nearest(workflow, programs.keys().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        CallError::new(ErrorCode::NotFound, format!("there is no workflow `{workflow}`{near}"))
    })?;
    let bad = |detail: String| CallError::new(ErrorCode::BadRequest, detail);
    let input: Value = match body.is_empty() {
        true => json!({}),
        false => serde_json::from_slice(body).map_err(|error| bad(format!("the body is not JSON: {error}")))?,
    };
    if let Some(problem) = program.input_violations(&input) {
        return Err(CallError::new(ErrorCode::InvalidInput, problem));
    }
    let tenant = text("x-evenkeel-tenant").unwrap_or_default();
    let run = by_hand(working, &environment, &active, program, input, tenant, trace_of(headers)).await?;
    let (run_id, waits) = (run.id.clone(), run.tier == Tier::Instant);
    let told = waits.then(|| working.dispatcher.register_waiter(&run_id));
    let unavailable = |error: StoreError| CallError::new(ErrorCode::Unavailable, error.to_string());
    let accepted =
        working.dispatcher.accept(EnqueueRequest { executions: vec![run], ..EnqueueRequest::default() }).await;
    if let CommitResult::Refused(why) = accepted.map_err(unavailable)? {
        return Err(bad(format!("the input cannot be stored: {why}")));
    }
    if let Some(told) = told
        && let Some(run) =
            working.dispatcher.wait_for_end(&environment, &run_id, told, program.timeout() + PATIENCE).await
    {
        return Ok(finished(&run));
    }
    Ok(started(&run_id))
}

/// An execution that somebody starts.
pub(super) async fn by_hand(
    working: &Working,
    environment: &str,
    active: &crate::reconcile::active::Active,
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
        let detail = format!("workflow `{}` needs a tenant: send `x-evenkeel-tenant`", program.name);
        return Err(CallError::new(ErrorCode::BadRequest, detail));
    }
    let live = working.served.live_of(active);
    let new = working.dispatcher.new_execution(environment, &live, program).await;
    let new = new.map_err(|error| CallError::new(ErrorCode::Unavailable, error.to_string()))?;
    let per_tenant = program.spec.concurrency.as_ref().is_some_and(|limit| limit.per_tenant);
    Ok(NewExecution {
        concurrency_group: concurrency_group(&new, tenant, per_tenant),
        // Somebody waits for it.
        priority: 1,
        tenant: tenant.to_owned(),
        triggered_by: TriggeredBy::Manual,
        input,
        trace,
        ..new
    })
}

/// What lists are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Asked {
    pub(super) environment: Option<String>,
    pub(super) workflow: Option<String>,
    pub(super) status: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) trigger: Option<String>,
    pub(super) event: Option<String>,
    pub(super) since: Option<String>,
    pub(super) before: Option<String>,
    pub(super) text: Option<String>,
    pub(super) limit: Option<u32>,
}

/// Where something is asked: the environment's key, and what works there.
pub(super) fn place<'a>(
    server: &'a Server,
    headers: &HeaderMap,
    environment: Option<&str>,
) -> Result<(String, &'a Working), CommandError> {
    server.access.reader(headers)?;
    let header = headers.get(ENVIRONMENT).and_then(|value| value.to_str().ok());
    let found = server.active_named(environment.or(header));
    let (environment, _) =
        found.map_err(|error| CommandError::new(error.code.status(), error.code.as_str(), error.detail))?;
    let working = server.working().map_err(|error| CommandError::new(503, error.code.as_str(), error.detail))?;
    Ok((environment, working))
}

pub(super) fn missing(what: &str, id: &str) -> CommandError {
    CommandError::new(404, "NotFound", format!("there is no {what} `{id}` here"))
}

/// `GET /v1/executions`
pub(super) async fn list(State(server): State<Server>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    respond(listed(&server, asked, &headers).await)
}

async fn listed(server: &Server, asked: Asked, headers: &HeaderMap) -> Answer {
    let (environment, working) = place(server, headers, asked.environment.as_deref())?;
    let store = working.dispatcher.store();
    let status = asked.status.as_deref().map(|word| {
        ExecutionStatus::from_name_ignoring_case(word).ok_or_else(|| {
            let words: Vec<&str> = ExecutionStatus::ALL.iter().map(|status| status.as_str()).collect();
            CommandError::new(400, "BadRequest", format!("`{word}` is no status; there are {}", words.join(", ")))
        })
    });
    let since = asked.since.as_deref().map(|text| {
        let duration = text.parse::<crate::definition::common::Duration>();
        duration
            .map(|duration| working.dispatcher.now().saturating_sub(duration.0.as_micros() as Micros))
            .map_err(|_| CommandError::new(400, "BadRequest", format!("`since={text}` is no duration such as `2h`")))
    });
    let before = match asked.before.as_deref() {
        Some(id) => {
            let run = store.execution(&environment, id).await?.ok_or_else(|| missing("execution", id))?;
            Some((run.created_at, run.id))
        }
        None => None,
    };
    let filter = ExecutionFilter {
        workflow: asked.workflow,
        status: status.transpose()?,
        tenant: asked.tenant,
        trigger: asked.trigger,
        event: asked.event,
        since: since.transpose()?,
        before,
        text: asked.text,
        limit: asked.limit.unwrap_or(50).clamp(1, 1000),
        open: false,
    };
    let runs = store.executions(&environment, &filter).await?;
    let executions: Vec<Value> = runs.iter().map(summary).collect();
    Ok(json!({"environment": environment, "executions": executions}))
}

fn summary(run: &ExecutionSummary) -> Value {
    let end = if run.finished_at > 0 { run.finished_at } else { 0 };
    let duration =
        if end > 0 && run.started_at > 0 { json!((end - run.started_at) as f64 / 1000.0) } else { Value::Null };
    json!({
        "id": run.id, "workflow": run.workflow, "version": run.version, "tier": run.tier, "status": run.status,
        "tenant": run.tenant, "triggeredBy": run.triggered_by, "source": run.source, "event": run.event,
        "generation": run.generation, "attempt": run.attempt, "createdAt": run.created_at,
        "startedAt": run.started_at, "finishedAt": run.finished_at, "durationMs": duration,
        "error": run.error_message, "trace": run.trace, "parent": run.parent, "priority": run.priority,
    })
}

/// `GET /v1/executions/{id}`: with its steps.
pub(super) async fn show(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    respond(shown(&server, &id, asked, &headers).await)
}

async fn shown(server: &Server, id: &str, asked: Asked, headers: &HeaderMap) -> Answer {
    let (environment, working) = place(server, headers, asked.environment.as_deref())?;
    let store = working.dispatcher.store();
    let run = store.execution(&environment, id).await?.ok_or_else(|| missing("execution", id))?;
    let mut value = summary(&run.summary());
    for (name, part) in
        [("input", &run.input), ("headers", &run.headers), ("output", &run.output), ("error", &run.error)]
    {
        value[name] = part.clone();
    }
    value["steps"] = json!(store.steps(&run.id).await?);
    value["worker"] = json!(run.worker);
    value["cancelled"] = json!(run.cancel_requested);
    Ok(value)
}

/// `GET /v1/executions/{id}/logs`
pub(super) async fn logs(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    respond(
        async {
            let (environment, working) = place(&server, &headers, asked.environment.as_deref())?;
            let store = working.dispatcher.store();
            let run = store.execution(&environment, &id).await?.ok_or_else(|| missing("execution", &id))?;
            Ok(json!({"execution": run.id, "lines": store.logs(&run.id).await?}))
        }
        .await,
    )
}

/// `POST /v1/executions/{id}/{verb}`: `cancel` or `retry`.
pub(super) async fn act(
    State(server): State<Server>,
    Path((id, verb)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    respond(acted(&server, &id, &verb, asked, &headers).await)
}

async fn acted(server: &Server, id: &str, verb: &str, asked: Asked, headers: &HeaderMap) -> Answer {
    server.access.writer(headers)?;
    let (environment, working) = place(server, headers, asked.environment.as_deref())?;
    let store = working.dispatcher.store();
    let run = store.execution(&environment, id).await?.ok_or_else(|| missing("execution", id))?;
    match verb {
        "cancel" => {
            let was = store.cancel(&environment, &run.id).await?;
            working.dispatcher.wake();
            match was {
                Some(status) if status.is_final() => {
                    Err(CommandError::new(409, "Ended", format!("execution {} is {} already", run.id, status.as_str())))
                }
                Some(status) => Ok(json!({"execution": run.id, "was": status.as_str()})),
                None => Err(missing("execution", id)),
            }
        }
        "retry" => {
            if !run.status.is_final() {
                let message = format!("execution {} is still {}", run.id, run.status.as_str());
                return Err(CommandError::new(409, "NotEnded", message));
            }
            let (input, trace) = (run.input.clone(), trace_of(headers));
            let new = again(server, working, &environment, &run.workflow, &run.tenant, input, trace, &run).await?;
            Ok(json!({"execution": new, "of": run.id}))
        }
        _ => Err(CommandError::new(404, "NotFound", format!("executions take `cancel` and `retry`, not `{verb}`"))),
    }
}

/// Starts a workflow anew, with what an earlier execution had.
#[allow(clippy::too_many_arguments, reason = "the parts of one execution")]
async fn again(
    server: &Server,
    working: &Working,
    environment: &str,
    workflow: &str,
    tenant: &str,
    input: Value,
    trace: String,
    of: &Execution,
) -> Result<String, CommandError> {
    let denied = |error: CallError| CommandError::new(error.code.status(), error.code.as_str(), error.detail);
    let (_, active) = server.active_named(Some(environment)).map_err(denied)?;
    let program = active.work.programs.get(workflow).ok_or_else(|| missing("workflow", workflow))?;
    let run = by_hand(working, environment, &active, program, input, tenant, trace).await.map_err(denied)?;
    let run = NewExecution {
        headers: of.headers.clone(),
        event: of.event.clone(),
        parent: of.id.clone(),
        triggered_by: of.triggered_by,
        source: of.source.clone(),
        ..run
    };
    let id = run.id.clone();
    match working.dispatcher.accept(EnqueueRequest { executions: vec![run], ..EnqueueRequest::default() }).await? {
        CommitResult::Refused(why) => Err(CommandError::new(422, "Unstorable", why)),
        _ => Ok(id),
    }
}

/// `POST /v1/executions/{id}/events/{name}`: what `ctx.waitForEvent(name)` gets.
pub(super) async fn signal(
    State(server): State<Server>,
    Path((id, name)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(told(&server, &id, SignalKind::Event, &name, asked, &headers, &body).await)
}

/// `POST /v1/executions/{id}/approvals/{name}` with `{"approved": true}`: an answer to a question.
pub(super) async fn approve(
    State(server): State<Server>,
    Path((id, name)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(told(&server, &id, SignalKind::Approval, &name, asked, &headers, &body).await)
}

async fn told(
    server: &Server,
    id: &str,
    kind: SignalKind,
    name: &str,
    asked: Asked,
    headers: &HeaderMap,
    body: &Bytes,
) -> Answer {
    let who = server.access.writer(headers)?;
    let (environment, working) = place(server, headers, asked.environment.as_deref())?;
    let store = working.dispatcher.store();
    let run = store.execution(&environment, id).await?.ok_or_else(|| missing("execution", id))?;
    let bad = |error: serde_json::Error| CommandError::new(400, "BadRequest", format!("the body is not JSON: {error}"));
    let mut payload: Value = if body.is_empty() { json!({}) } else { serde_json::from_slice(body).map_err(bad)? };
    if kind == SignalKind::Approval {
        if store.received_signal(&run.id, &kind.step_name(name)).await?.is_some() {
            return Err(CommandError::new(409, "Answered", "somebody answered already"));
        }
        if !payload.get("approved").is_some_and(Value::is_boolean) {
            return Err(CommandError::new(400, "BadRequest", "send {\"approved\": true} or {\"approved\": false}"));
        }
        payload["by"] = json!(who);
    }
    if !store.signal(&environment, &run.id, kind, name, &payload).await? {
        return Err(CommandError::new(409, "Ended", format!("execution {} has ended", run.id)));
    }
    working.dispatcher.wake();
    Ok(json!({"execution": run.id, "told": kind.step_name(name)}))
}

/// `GET /v1/events/{id}`: one event, with its headers and payload.
pub(super) async fn event(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    respond(
        async {
            let (environment, working) = place(&server, &headers, asked.environment.as_deref())?;
            let event = working.dispatcher.store().event(&environment, &id).await?;
            Ok(json!(event.ok_or_else(|| missing("event", &id))?))
        }
        .await,
    )
}

/// `GET /v1/events`: without headers and payloads.
pub(super) async fn events(State(server): State<Server>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    respond(
        async {
            let (environment, working) = place(&server, &headers, asked.environment.as_deref())?;
            let most = asked.limit.unwrap_or(50).clamp(1, 1000);
            let events = working.dispatcher.store().events(&environment, asked.trigger.as_deref(), most).await?;
            Ok(json!({"environment": environment, "events": events}))
        }
        .await,
    )
}
