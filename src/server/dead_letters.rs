//! Lists, shows and replays dead letters.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;

use super::context::{RequestContext, Target, workflow_service};
use super::execution_start::manual_execution;
use super::extract::{PathParams, QueryParams, limit, position};
use super::reply::{ApiError, ApiResult, Reply};
use super::spans::trace_of;
use super::state::{Server, WorkflowService};
use crate::api::event::{DeadLetter, DeadLetterSummary, Replayed};
use crate::api::page::Position;
use crate::api::query::{DeadLetterQuery, NoQuery};
use crate::api::{Page, Problem};
use crate::store::queue::{
    self, CommitResult, DeadLetterReason, DeadLetterStatus, EnqueueRequest, NewExecution, RowRange, TriggeredBy, new_id,
};
use crate::trigger::routing::{IncomingEvent, route_event};
use crate::trigger::{TriggerKind, receive};

/// `GET …/dead-letters`
pub(super) async fn list(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(query): QueryParams<DeadLetterQuery>,
) -> ApiResult<Reply<Page<DeadLetterSummary>>> {
    let target = context.target()?;
    let limit = limit(query.limit)?;
    let status = query.status.as_deref().map(|word| {
        let found = DeadLetterStatus::ALL.iter().copied().find(|status| status.as_str().eq_ignore_ascii_case(word));
        found.ok_or_else(|| {
            let words: Vec<&str> = DeadLetterStatus::ALL.iter().map(|status| status.as_str()).collect();
            Problem::bad_request(format!("unknown status `{word}`; expected one of {}", words.join(", ")))
                .of_parameter("status")
        })
    });
    let before = position(query.cursor.as_deref())?.map(|position| (position.at, position.id));
    let store = workflow_service(&server)?.dispatcher.store();
    let range = RowRange { before, limit: limit + 1 };
    let rows = store.dead_letters(&target.key, status.transpose()?, &range).await?;
    let page = Page::of_rows(rows, limit, |row| Position { at: row.at, id: row.id.clone() }.cursor());
    Ok(Reply(page.map(DeadLetterSummary::from).of_environment(&target.name)))
}

async fn find(server: &Server, context: &RequestContext, id: &str) -> ApiResult<queue::DeadLetter> {
    let letter = workflow_service(server)?.dispatcher.store().dead_letter(&context.target()?.key, id).await?;
    Ok(letter.ok_or_else(|| Problem::unknown("dead letter", id))?)
}

/// `GET …/dead-letters/{id}`
pub(super) async fn show(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
) -> ApiResult<Reply<DeadLetter>> {
    Ok(Reply(find(&server, &context, params.get("id")).await?.into()))
}

/// `POST …/dead-letters/{id}/replay`: starts an execution. An event that started none goes through the definitions that are
/// live now: one that did not fit its connector is read again, and one that a route could not deliver takes that route.
pub(super) async fn replay(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
    headers: HeaderMap,
) -> ApiResult<Reply<Replayed>> {
    let (target, service) = (context.target()?, workflow_service(&server)?);
    let letter = find(&server, &context, params.get("id")).await?;
    let trace = trace_of(&headers);
    let mut request = match letter.workflow.as_str() {
        // Nothing was started yet.
        _ if letter.execution.is_empty() => reroute(service, target, &letter, trace).await?,
        workflow => {
            let active = target.active()?;
            let unknown = || Problem::unknown("workflow", workflow);
            let program = active.work.programs.get(workflow).ok_or_else(unknown)?;
            let input = letter.payload.clone();
            let execution = manual_execution(service, target, &active, program, input, &letter.tenant, trace).await?;
            let execution = NewExecution {
                headers: letter.headers.clone(),
                event: letter.event.clone(),
                parent: letter.execution.clone(),
                triggered_by: TriggeredBy::Webhook,
                source: letter.trigger.clone(),
                ..execution
            };
            EnqueueRequest { executions: vec![execution], ..EnqueueRequest::default() }
        }
    };
    let executions: Vec<String> = request.executions.iter().map(|execution| execution.id.clone()).collect();
    // One transaction stores the executions and marks the letter: a second request starts nothing, and a failure in
    // between loses nothing.
    request.replays = Some((target.key.clone(), letter.id.clone()));
    match service.dispatcher.accept(request).await? {
        CommitResult::Stored(_) => Ok(Reply(Replayed { dead_letter: letter.id, executions })),
        CommitResult::Refused(reason) => Err(Problem::new(422, "UNSTORABLE", reason).into()),
        _ => {
            let detail = format!("dead letter {} is no longer pending", letter.id);
            Err(Problem::new(409, "NOT_PENDING", detail).into())
        }
    }
}

/// Matches an event with the live routes.
async fn reroute(
    service: &WorkflowService,
    target: &Target,
    letter: &queue::DeadLetter,
    trace: String,
) -> Result<EnqueueRequest, ApiError> {
    let active = target.active()?;
    let unknown = || Problem::unknown("trigger", &letter.trigger);
    let trigger = active.work.triggers.get(&letter.trigger).ok_or_else(unknown)?;
    let routes = match &trigger.kind {
        TriggerKind::Webhook(webhook) => &webhook.routes,
        TriggerKind::AppEvent(app) => &app.routes,
        TriggerKind::Schedule(_) => return Err(Problem::unknown("webhook", &letter.trigger).into()),
    };
    let live = service.live.live_of(&active);
    let headers: BTreeMap<String, String> = serde_json::from_value(letter.headers.clone()).unwrap_or_default();
    let body = match (&trigger.kind, letter.reason) {
        (TriggerKind::AppEvent(app), DeadLetterReason::Invalid) => {
            let now = service.dispatcher.now();
            let reread = receive::reread_app_event(app, &headers, &letter.payload, &live, now);
            reread.map_err(|cause| Problem::new(422, "UNDELIVERABLE", cause))?
        }
        _ => letter.payload.clone(),
    };
    let event = IncomingEvent {
        headers,
        query: BTreeMap::new(),
        input: body.clone(),
        app_event: body.clone(),
        body,
        tenant: letter.tenant.clone(),
        key: None,
        ordering_key: String::new(),
        request: format!("replay-{}", new_id()),
        trace,
        live: &live,
    };
    let mut request = route_event(&service.dispatcher, &target.key, trigger, routes, event).await?;
    if !letter.workflow.is_empty() {
        // Other routes have delivered the event.
        request.executions.retain(|execution| execution.workflow == letter.workflow);
        request.dead_letters.retain(|other| other.workflow == letter.workflow);
    }
    if let (true, Some(failed)) = (request.executions.is_empty(), request.dead_letters.first()) {
        return Err(Problem::new(422, "UNDELIVERABLE", failed.message.clone()).into());
    }
    if request.executions.is_empty() {
        return Err(Problem::new(409, "UNMATCHED", "no route of the trigger matches the event").into());
    }
    Ok(request)
}
