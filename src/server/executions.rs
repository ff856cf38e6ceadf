//! Workflows and what became of them: started by hand, listed, looked into, ended, done again.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{self, request_id, set};
use super::environments::{ENVIRONMENT, respond};
use super::{Server, Working};
use crate::connector::{CallError, ErrorCode};
use crate::reconcile::commands::Denied;
use crate::store::queue::{DeadLetter, Done, Intake, NewRun, Run, RunFilter, RunStatus, new_id};
use crate::store::{Micros, StoreError};
use crate::trigger::routing::gate;
use crate::trigger::{Trigger, TriggerKind};
use crate::workflow::{Program, trace_of};

/// How long a caller waits beyond the workflow's own time: for its turn, and for its end to be stored.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

type Answer = Result<Value, Denied>;

/// An execution that goes on: its id.
pub(super) fn started(run: &str) -> Response {
    let mut response = answer::json(202, &json!({"execution": run, "status": "Running"}));
    set(&mut response, "x-evenkeel-execution", run);
    response
}

/// An execution that ended: its output, or its error.
pub(super) fn finished(run: &Run) -> Response {
    let status = match (run.status, run.error["code"].as_str()) {
        (RunStatus::Completed, _) => 200,
        (RunStatus::TimedOut, _) => 504,
        (RunStatus::Cancelled, _) => 409,
        (_, Some("INVALID_INPUT")) => 400,
        _ => 500,
    };
    let mut response = if run.status == RunStatus::Completed {
        answer::json(status, &run.output)
    } else {
        let (code, detail) = (run.error["code"].clone(), run.error["message"].clone());
        let errors = json!({"code": code, "detail": detail, "execution": run.id});
        answer::json(status, &json!({"errors": errors}))
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
        Err(error) => answer::error(&error, &id),
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
        let near = crate::definition::shape::nearest(workflow, programs.keys().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        CallError::new(ErrorCode::NotFound, format!("there is no workflow `{workflow}`{near}"))
    })?;
    let bad = |detail: String| CallError::new(ErrorCode::BadRequest, detail);
    let input: Value = match body.is_empty() {
        true => json!({}),
        false => serde_json::from_slice(body).map_err(|error| bad(format!("the body is not JSON: {error}")))?,
    };
    if let Some(problem) = program.refuses(&input) {
        return Err(CallError::new(ErrorCode::InvalidInput, problem));
    }
    let tenant = text("x-evenkeel-tenant").unwrap_or_default();
    let run = by_hand(working, &environment, &active, program, input, tenant, trace_of(text("traceparent"))).await?;
    let (run_id, waits) = (run.id.clone(), run.tier == "Instant");
    let told = waits.then(|| working.desk.watch(&run_id));
    let unavailable = |error: StoreError| CallError::new(ErrorCode::Unavailable, error.to_string());
    let accepted = working.desk.accept(Intake { runs: vec![run], ..Intake::default() }).await;
    if let Done::Refused(why) = accepted.map_err(unavailable)? {
        return Err(bad(format!("the input cannot be stored: {why}")));
    }
    if let Some(told) = told
        && let Some(run) = working.desk.wait(&environment, &run_id, told, program.timeout() + PATIENCE).await
    {
        return Ok(finished(&run));
    }
    Ok(started(&run_id))
}

/// An execution that somebody starts.
async fn by_hand(
    working: &Working,
    environment: &str,
    active: &crate::reconcile::active::Active,
    program: &Program,
    input: Value,
    tenant: &str,
    trace: String,
) -> Result<NewRun, CallError> {
    if !program.spec.active {
        let detail = format!("workflow `{}` is not active", program.name);
        return Err(CallError::new(ErrorCode::NotFound, detail));
    }
    if program.spec.requires_tenant && tenant.is_empty() {
        let detail = format!("workflow `{}` needs a tenant: send `x-evenkeel-tenant`", program.name);
        return Err(CallError::new(ErrorCode::BadRequest, detail));
    }
    let live = working.served.live_of(active);
    let new = working.desk.new_run(environment, &live, program).await;
    let new = new.map_err(|error| CallError::new(ErrorCode::Unavailable, error.to_string()))?;
    let per_tenant = program.spec.concurrency.as_ref().is_some_and(|limit| limit.per_tenant);
    Ok(NewRun {
        gate: gate(&new, tenant, per_tenant),
        // Somebody waits for it.
        priority: 1,
        tenant: tenant.to_owned(),
        triggered_by: "manual".to_owned(),
        input,
        trace,
        ..new
    })
}

/// What lists are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Asked {
    environment: Option<String>,
    workflow: Option<String>,
    status: Option<String>,
    tenant: Option<String>,
    trigger: Option<String>,
    event: Option<String>,
    since: Option<String>,
    before: Option<String>,
    text: Option<String>,
    limit: Option<u32>,
}

/// Where something is asked: the environment's key, and what works there.
fn place<'a>(
    server: &'a Server,
    headers: &HeaderMap,
    environment: Option<&str>,
) -> Result<(String, &'a Working), Denied> {
    server.access.reader(headers)?;
    let header = headers.get(ENVIRONMENT).and_then(|value| value.to_str().ok());
    let found = server.active_named(environment.or(header));
    let (environment, _) =
        found.map_err(|error| Denied::new(error.code.status(), error.code.as_str(), error.detail))?;
    let working = server.working().map_err(|error| Denied::new(503, error.code.as_str(), error.detail))?;
    Ok((environment, working))
}

fn missing(what: &str, id: &str) -> Denied {
    Denied::new(404, "NotFound", format!("there is no {what} `{id}` here"))
}

/// `GET /v1/executions`
pub(super) async fn list(State(server): State<Server>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    respond(listed(&server, asked, &headers).await)
}

async fn listed(server: &Server, asked: Asked, headers: &HeaderMap) -> Answer {
    let (environment, working) = place(server, headers, asked.environment.as_deref())?;
    let store = working.desk.store();
    let status = asked.status.as_deref().map(|word| {
        RunStatus::from_word(word).ok_or_else(|| {
            let words: Vec<&str> = RunStatus::ALL.iter().map(|status| status.as_str()).collect();
            Denied::new(400, "BadRequest", format!("`{word}` is no status; there are {}", words.join(", ")))
        })
    });
    let since = asked.since.as_deref().map(|text| {
        let duration = text.parse::<crate::definition::common::Duration>();
        duration
            .map(|duration| working.desk.now().saturating_sub(duration.0.as_micros() as Micros))
            .map_err(|_| Denied::new(400, "BadRequest", format!("`since={text}` is no duration such as `2h`")))
    });
    let before = match asked.before.as_deref() {
        Some(id) => {
            let run = store.run(&environment, id).await?.ok_or_else(|| missing("execution", id))?;
            Some((run.created_at, run.id))
        }
        None => None,
    };
    let filter = RunFilter {
        workflow: asked.workflow,
        status: status.transpose()?,
        tenant: asked.tenant,
        trigger: asked.trigger,
        event: asked.event,
        since: since.transpose()?,
        before,
        text: asked.text,
        most: asked.limit.unwrap_or(50).clamp(1, 1000),
        open: false,
    };
    let runs = store.runs(&environment, &filter).await?;
    let executions: Vec<Value> = runs.iter().map(summary).collect();
    Ok(json!({"environment": environment, "executions": executions}))
}

fn summary(run: &Run) -> Value {
    let end = if run.finished_at > 0 { run.finished_at } else { 0 };
    let duration =
        if end > 0 && run.started_at > 0 { json!((end - run.started_at) as f64 / 1000.0) } else { Value::Null };
    json!({
        "id": run.id, "workflow": run.workflow, "version": run.version, "tier": run.tier, "status": run.status,
        "tenant": run.tenant, "triggeredBy": run.triggered_by, "source": run.source, "event": run.event,
        "generation": run.generation, "attempt": run.attempt, "createdAt": run.created_at,
        "startedAt": run.started_at, "finishedAt": run.finished_at, "durationMs": duration,
        "error": run.error.get("message"), "trace": run.trace, "parent": run.parent,
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
    let store = working.desk.store();
    let run = store.run(&environment, id).await?.ok_or_else(|| missing("execution", id))?;
    let mut value = summary(&run);
    for (name, part) in
        [("input", &run.input), ("headers", &run.headers), ("output", &run.output), ("error", &run.error)]
    {
        value[name] = part.clone();
    }
    value["steps"] = json!(store.steps(&run.id).await?);
    value["worker"] = json!(run.worker);
    value["cancelled"] = json!(run.cancelled);
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
            let store = working.desk.store();
            let run = store.run(&environment, &id).await?.ok_or_else(|| missing("execution", &id))?;
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
    let store = working.desk.store();
    let run = store.run(&environment, id).await?.ok_or_else(|| missing("execution", id))?;
    match verb {
        "cancel" => {
            let was = store.cancel(&environment, &run.id).await?;
            working.desk.wake();
            match was {
                Some(status) if status.is_final() => {
                    Err(Denied::new(409, "Ended", format!("execution {} is {} already", run.id, status.as_str())))
                }
                Some(status) => Ok(json!({"execution": run.id, "was": status.as_str()})),
                None => Err(missing("execution", id)),
            }
        }
        "retry" => {
            if !run.status.is_final() {
                let message = format!("execution {} is still {}", run.id, run.status.as_str());
                return Err(Denied::new(409, "NotEnded", message));
            }
            let new = again(server, working, &environment, &run.workflow, &run.tenant, run.input.clone(), &run).await?;
            Ok(json!({"execution": new, "of": run.id}))
        }
        _ => Err(Denied::new(404, "NotFound", format!("executions take `cancel` and `retry`, not `{verb}`"))),
    }
}

/// Starts a workflow anew, with what an earlier execution had.
async fn again(
    server: &Server,
    working: &Working,
    environment: &str,
    workflow: &str,
    tenant: &str,
    input: Value,
    of: &Run,
) -> Result<String, Denied> {
    let denied = |error: CallError| Denied::new(error.code.status(), error.code.as_str(), error.detail);
    let (_, active) = server.active_named(Some(environment)).map_err(denied)?;
    let program = active.work.programs.get(workflow).ok_or_else(|| missing("workflow", workflow))?;
    let run = by_hand(working, environment, &active, program, input, tenant, trace_of(None)).await.map_err(denied)?;
    let run = NewRun {
        headers: of.headers.clone(),
        event: of.event.clone(),
        parent: of.id.clone(),
        triggered_by: if of.triggered_by.is_empty() { "manual".to_owned() } else { of.triggered_by.clone() },
        source: of.source.clone(),
        ..run
    };
    let id = run.id.clone();
    match working.desk.accept(Intake { runs: vec![run], ..Intake::default() }).await? {
        Done::Refused(why) => Err(Denied::new(422, "Unstorable", why)),
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
    respond(told(&server, &id, &format!("event {name}"), asked, &headers, &body).await)
}

/// `POST /v1/executions/{id}/approvals/{name}` with `{"approved": true}`: an answer to a question.
pub(super) async fn approve(
    State(server): State<Server>,
    Path((id, name)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(told(&server, &id, &format!("approval {name}"), asked, &headers, &body).await)
}

async fn told(server: &Server, id: &str, name: &str, asked: Asked, headers: &HeaderMap, body: &Bytes) -> Answer {
    let who = server.access.writer(headers)?;
    let (environment, working) = place(server, headers, asked.environment.as_deref())?;
    let store = working.desk.store();
    let run = store.run(&environment, id).await?.ok_or_else(|| missing("execution", id))?;
    let bad = |error: serde_json::Error| Denied::new(400, "BadRequest", format!("the body is not JSON: {error}"));
    let mut payload: Value = if body.is_empty() { json!({}) } else { serde_json::from_slice(body).map_err(bad)? };
    if name.starts_with("approval ") {
        if store.signalled(&run.id, name).await?.is_some() {
            return Err(Denied::new(409, "Answered", "somebody answered already"));
        }
        if !payload.get("approved").is_some_and(Value::is_boolean) {
            return Err(Denied::new(400, "BadRequest", "send {\"approved\": true} or {\"approved\": false}"));
        }
        payload["by"] = json!(who);
    }
    if !store.signal(&environment, &run.id, name, &payload).await? {
        return Err(Denied::new(409, "Ended", format!("execution {} has ended", run.id)));
    }
    working.desk.wake();
    Ok(json!({"execution": run.id, "told": name}))
}

/// `GET /v1/events`
pub(super) async fn events(State(server): State<Server>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    respond(
        async {
            let (environment, working) = place(&server, &headers, asked.environment.as_deref())?;
            let most = asked.limit.unwrap_or(50).clamp(1, 1000);
            let events = working.desk.store().events(&environment, asked.trigger.as_deref(), most).await?;
            Ok(json!({"environment": environment, "events": events}))
        }
        .await,
    )
}

/// `GET /v1/dead-letters`
pub(super) async fn dead_letters(
    State(server): State<Server>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    respond(
        async {
            let (environment, working) = place(&server, &headers, asked.environment.as_deref())?;
            let most = asked.limit.unwrap_or(50).clamp(1, 1000);
            let letters = working.desk.store().dead_letters(&environment, asked.status.as_deref(), most).await?;
            Ok(json!({"environment": environment, "deadLetters": letters}))
        }
        .await,
    )
}

/// `GET /v1/dead-letters/{id}`
pub(super) async fn dead_letter(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    respond(
        async {
            let (environment, working) = place(&server, &headers, asked.environment.as_deref())?;
            let letter = working.desk.store().dead_letter(&environment, &id).await?;
            Ok(json!(letter.ok_or_else(|| missing("dead letter", &id))?))
        }
        .await,
    )
}

/// `POST /v1/dead-letters/{id}/replay`: an execution anew; what no route matched is asked of the routes as they are now.
pub(super) async fn replay(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    respond(replayed(&server, &id, asked, &headers).await)
}

async fn replayed(server: &Server, id: &str, asked: Asked, headers: &HeaderMap) -> Answer {
    server.access.writer(headers)?;
    let (environment, working) = place(server, headers, asked.environment.as_deref())?;
    let store = working.desk.store();
    let letter = store.dead_letter(&environment, id).await?.ok_or_else(|| missing("dead letter", id))?;
    let denied = |error: CallError| Denied::new(error.code.status(), error.code.as_str(), error.detail);
    let mut intake = match letter.workflow.as_str() {
        "" => reroute(server, working, &environment, &letter).await?,
        workflow => {
            let (_, active) = server.active_named(Some(&environment)).map_err(denied)?;
            let program = active.work.programs.get(workflow).ok_or_else(|| missing("workflow", workflow))?;
            let (input, trace) = (letter.payload.clone(), trace_of(None));
            let run = by_hand(working, &environment, &active, program, input, &letter.tenant, trace).await;
            let run = NewRun {
                headers: letter.headers.clone(),
                event: letter.event.clone(),
                parent: letter.run.clone(),
                triggered_by: "webhook".to_owned(),
                source: letter.trigger.clone(),
                ..run.map_err(denied)?
            };
            Intake { runs: vec![run], ..Intake::default() }
        }
    };
    let executions: Vec<String> = intake.runs.iter().map(|run| run.id.clone()).collect();
    // Marked in the transaction that stores what it starts: asking twice does not start it twice, and a failure in between
    // loses nothing.
    intake.replays = Some((environment.clone(), letter.id.clone()));
    match working.desk.accept(intake).await? {
        Done::Stored(_) => Ok(json!({"deadLetter": letter.id, "executions": executions})),
        Done::Refused(why) => Err(Denied::new(422, "Unstorable", why)),
        _ => Err(Denied::new(409, "NotPending", format!("dead letter {} is not pending any more", letter.id))),
    }
}

/// Asks the routes of today for an event that none matched.
async fn reroute(server: &Server, working: &Working, environment: &str, letter: &DeadLetter) -> Result<Intake, Denied> {
    let denied = |error: CallError| Denied::new(error.code.status(), error.code.as_str(), error.detail);
    let (_, active) = server.active_named(Some(environment)).map_err(denied)?;
    let trigger = active.work.triggers.get(&letter.trigger).ok_or_else(|| missing("trigger", &letter.trigger))?;
    let routes = match &trigger.kind {
        TriggerKind::Webhook(webhook) => &webhook.routes,
        TriggerKind::AppEvent(app) => &app.routes,
        TriggerKind::Schedule(_) => return Err(missing("webhook", &letter.trigger)),
    };
    let live = working.served.live_of(&active);
    let texts: BTreeMap<String, String> = serde_json::from_value(letter.headers.clone()).unwrap_or_default();
    let arriving = crate::trigger::routing::Arriving {
        body: letter.payload.clone(),
        headers: texts,
        query: BTreeMap::new(),
        input: letter.payload.clone(),
        event: letter.payload.clone(),
        tenant: letter.tenant.clone(),
        key: None,
        lane: String::new(),
        request: format!("replay-{}", new_id()),
        trace: trace_of(None),
        live: &live,
    };
    let intake = crate::trigger::routing::intake(&working.desk, environment, trigger, routes, arriving).await?;
    if intake.runs.is_empty() {
        return Err(Denied::new(409, "Unmatched", "no route of the trigger matches it now either"));
    }
    Ok(intake)
}

/// `GET /v1/workflows`
pub(super) async fn workflows(
    State(server): State<Server>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    respond(
        async {
            let (environment, working) = place(&server, &headers, asked.environment.as_deref())?;
            let versions = working.desk.store().versions(&environment).await?;
            let programs = server.active_named(Some(&environment)).map(|(_, active)| Arc::clone(&active.work.programs));
            let programs = programs.unwrap_or_default();
            let list: Vec<Value> = programs
                .values()
                .map(|program| {
                    let own = |version: &&crate::store::queue::Version| version.workflow == program.name;
                    let current = versions.iter().filter(own).find(|version| version.digest == program.digest);
                    let latest = versions.iter().filter(own).map(|version| version.version).max();
                    json!({
                        "name": program.name, "displayName": program.spec.display_name, "tier": program.spec.tier,
                        "active": program.spec.active, "version": current.map(|version| version.version),
                        "latest": latest, "place": program.place,
                    })
                })
                .collect();
            Ok(json!({"environment": environment, "workflows": list}))
        }
        .await,
    )
}

/// `GET /v1/triggers`
pub(super) async fn triggers(State(server): State<Server>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    respond(listed_triggers(&server, asked, &headers).await)
}

async fn listed_triggers(server: &Server, asked: Asked, headers: &HeaderMap) -> Answer {
    let (environment, working) = place(server, headers, asked.environment.as_deref())?;
    let denied = |error: CallError| Denied::new(error.code.status(), error.code.as_str(), error.detail);
    let (_, active) = server.active_named(Some(&environment)).map_err(denied)?;
    let store = working.desk.store();
    let subscriptions = store.subscriptions(&environment).await?;
    let polls = store.polls(&environment).await?;
    let mut list = Vec::new();
    for trigger in active.work.triggers.values() {
        let mut value = of_trigger(trigger, working);
        match &trigger.kind {
            TriggerKind::Schedule(schedule) => {
                let state = store.schedule(&environment, &trigger.name).await?;
                let from = jiff::Timestamp::from_microsecond(state.until).unwrap_or_default();
                value["description"] = json!(schedule.describe());
                value["next"] = json!(schedule.next(from).map(|next| next.to_string()));
                value["counts"] = json!({"fired": state.fired, "missed": state.missed, "late": state.late});
            }
            TriggerKind::AppEvent(app) => {
                value["event"] = json!(format!("{}/{}", app.spec.connector, app.spec.event));
                // The address is the secret that calls are let in by.
                let rows = subscriptions.iter().filter(|row| row.trigger == trigger.name);
                value["subscriptions"] = rows
                    .map(|row| json!({"connection": row.connection, "status": row.status, "id": row.external, "error": row.error}))
                    .collect();
                let rows = polls.iter().filter(|row| row.trigger == trigger.name);
                value["polls"] = rows
                    .map(|row| json!({"connection": row.connection, "next": row.next_at, "failures": row.failures, "error": row.error}))
                    .collect();
            }
            TriggerKind::Webhook(_) => {}
        }
        list.push(value);
    }
    Ok(json!({"environment": environment, "triggers": list}))
}

fn of_trigger(trigger: &Trigger, working: &Working) -> Value {
    let mut value = json!({
        "name": trigger.name, "kind": trigger.word(), "active": trigger.spec.active, "place": trigger.place,
    });
    if matches!(trigger.kind, TriggerKind::Webhook(_)) {
        value["url"] = json!(format!("{}/hooks/{}", working.public_url.trim_end_matches('/'), trigger.name));
    }
    value
}
