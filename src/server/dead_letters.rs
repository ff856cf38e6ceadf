//! What nobody could work on: listed, shown, tried again.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;

use super::environments::respond;
use super::executions::{Answer, Asked, by_hand, missing, place};
use super::spans::trace_of;
use super::{Server, Working};
use crate::connector::CallError;
use crate::reconcile::commands::CommandError;
use crate::store::queue::{
    CommitResult, DeadLetter, DeadLetterStatus, EnqueueRequest, NewExecution, TriggeredBy, new_id,
};
use crate::trigger::TriggerKind;

/// `GET /v1/dead-letters`
pub(super) async fn list(State(server): State<Server>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    respond(
        async {
            let (environment, working) = place(&server, &headers, asked.environment.as_deref())?;
            let most = asked.limit.unwrap_or(50).clamp(1, 1000);
            let status = asked.status.as_deref().filter(|status| !status.is_empty()).map(DeadLetterStatus::from_name);
            let letters = match status {
                // A status that does not exist: no dead letter has it.
                Some(None) => Vec::new(),
                status => working.dispatcher.store().dead_letters(&environment, status.flatten(), most).await?,
            };
            Ok(json!({"environment": environment, "deadLetters": letters}))
        }
        .await,
    )
}

/// `GET /v1/dead-letters/{id}`
pub(super) async fn show(
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    respond(
        async {
            let (environment, working) = place(&server, &headers, asked.environment.as_deref())?;
            let letter = working.dispatcher.store().dead_letter(&environment, &id).await?;
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
    let store = working.dispatcher.store();
    let letter = store.dead_letter(&environment, id).await?.ok_or_else(|| missing("dead letter", id))?;
    let denied = |error: CallError| CommandError::new(error.code.status(), error.code.as_str(), error.detail);
    let mut intake = match letter.workflow.as_str() {
        "" => reroute(server, working, &environment, &letter, trace_of(headers)).await?,
        workflow => {
            let (_, active) = server.active_named(Some(&environment)).map_err(denied)?;
            let program = active.work.programs.get(workflow).ok_or_else(|| missing("workflow", workflow))?;
            let (input, trace) = (letter.payload.clone(), trace_of(headers));
            let run = by_hand(working, &environment, &active, program, input, &letter.tenant, trace).await;
            let run = NewExecution {
                headers: letter.headers.clone(),
                event: letter.event.clone(),
                parent: letter.execution.clone(),
                triggered_by: TriggeredBy::Webhook,
                source: letter.trigger.clone(),
                ..run.map_err(denied)?
            };
            EnqueueRequest { executions: vec![run], ..EnqueueRequest::default() }
        }
    };
    let executions: Vec<String> = intake.executions.iter().map(|run| run.id.clone()).collect();
    // Marked in the transaction that stores what it starts: asking twice does not start it twice, and a failure in between
    // loses nothing.
    intake.replays = Some((environment.clone(), letter.id.clone()));
    match working.dispatcher.accept(intake).await? {
        CommitResult::Stored(_) => Ok(json!({"deadLetter": letter.id, "executions": executions})),
        CommitResult::Refused(why) => Err(CommandError::new(422, "Unstorable", why)),
        _ => Err(CommandError::new(409, "NotPending", format!("dead letter {} is not pending any more", letter.id))),
    }
}

/// Asks the routes of today for an event that none matched.
async fn reroute(
    server: &Server,
    working: &Working,
    environment: &str,
    letter: &DeadLetter,
    trace: String,
) -> Result<EnqueueRequest, CommandError> {
    let denied = |error: CallError| CommandError::new(error.code.status(), error.code.as_str(), error.detail);
    let (_, active) = server.active_named(Some(environment)).map_err(denied)?;
    let trigger = active.work.triggers.get(&letter.trigger).ok_or_else(|| missing("trigger", &letter.trigger))?;
    let routes = match &trigger.kind {
        TriggerKind::Webhook(webhook) => &webhook.routes,
        TriggerKind::AppEvent(app) => &app.routes,
        TriggerKind::Schedule(_) => return Err(missing("webhook", &letter.trigger)),
    };
    let live = working.served.live_of(&active);
    let texts: BTreeMap<String, String> = serde_json::from_value(letter.headers.clone()).unwrap_or_default();
    let arriving = crate::trigger::routing::IncomingEvent {
        body: letter.payload.clone(),
        headers: texts,
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
    let intake =
        crate::trigger::routing::route_event(&working.dispatcher, environment, trigger, routes, arriving).await?;
    if intake.executions.is_empty() {
        return Err(CommandError::new(409, "Unmatched", "no route of the trigger matches it now either"));
    }
    Ok(intake)
}
