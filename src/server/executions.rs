//! Executions and events: lists, details and logs. `execution_commands` changes executions.

use std::collections::BTreeMap;

use axum::extract::State;

use super::context::{RequestContext, workflow_service};
use super::extract::{PathParams, QueryParams, after, bad_cursor, limit, position};
use super::reply::{ApiResult, Reply};
use super::state::Server;
use crate::api::event::{Event, EventSummary};
use crate::api::execution::{Execution, ExecutionSummary, LogLine};
use crate::api::page::{Position, cursor_after};
use crate::api::query::{EventQuery, ExecutionQuery, NoQuery, PageQuery};
use crate::api::{Page, Problem};
use crate::definition::common::Duration;
use crate::store::queue::{self, ExecutionFilter, ExecutionMatch, ExecutionStatus, RowRange, Step};
use crate::store::{Micros, Store};

/// `GET …/executions`
pub(super) async fn list(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(query): QueryParams<ExecutionQuery>,
) -> ApiResult<Reply<Page<ExecutionSummary>>> {
    let target = context.target()?;
    let service = workflow_service(&server)?;
    let limit = limit(query.limit)?;
    let status = query.status.as_deref().map(|word| {
        ExecutionStatus::from_name_ignoring_case(word).ok_or_else(|| {
            let words: Vec<&str> = ExecutionStatus::ALL.iter().map(|status| status.as_str()).collect();
            Problem::bad_request(format!("unknown status `{word}`; expected one of {}", words.join(", ")))
                .of_parameter("status")
        })
    });
    let since = query.since.as_deref().map(|text| {
        let duration = text.parse::<Duration>();
        duration.map(|duration| service.dispatcher.now().saturating_sub(duration.0.as_micros() as Micros)).map_err(
            |_| {
                let detail = format!("`since={text}` is not a duration; expected for example `2h`");
                Problem::bad_request(detail).of_parameter("since")
            },
        )
    });
    let filter = ExecutionFilter {
        workflow: query.workflow,
        status: status.transpose()?,
        tenant: context.visible_tenant(query.tenant)?,
        trigger: query.trigger,
        event: query.event,
        since: since.transpose()?,
        before: position(query.cursor.as_deref())?.map(|position| (position.at, position.id)),
        text: query.text,
        limit: limit + 1,
        open: false,
    };
    let store = service.dispatcher.store();
    let rows = store.executions(&target.key, &filter).await?;
    let page = Page::of_rows(rows, limit, |row| Position { at: row.created_at, id: row.id.clone() }.cursor());
    let waits = waiting_steps(store, &page.items).await?;
    let page = page.map(|row| {
        let steps = waits.get(&row.id).map(Vec::as_slice).unwrap_or_default();
        ExecutionSummary::new(row, steps)
    });
    Ok(Reply(page.of_environment(&target.name)))
}

/// The steps that waiting executions wait for, by execution.
async fn waiting_steps(store: &dyn Store, rows: &[queue::ExecutionSummary]) -> ApiResult<BTreeMap<String, Vec<Step>>> {
    let waiting = rows.iter().filter(|row| row.status == ExecutionStatus::Waiting);
    let ids: Vec<String> = waiting.map(|row| row.id.clone()).collect();
    let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for (execution, step) in store.waiting_steps(&ids).await? {
        steps.entry(execution).or_default().push(step);
    }
    Ok(steps)
}

/// An execution that the caller may see, by its id or an unambiguous prefix.
///
/// # Errors
/// 404 if it does not exist, or belongs to another tenant; 409 with the candidates if a prefix names several.
pub(super) async fn find(server: &Server, context: &RequestContext, id: &str) -> ApiResult<queue::Execution> {
    let store = workflow_service(server)?.dispatcher.store();
    let key = &context.target()?.key;
    let visible = |execution: &queue::Execution| {
        let tenant = Some(execution.tenant.as_str()).filter(|tenant| !tenant.is_empty());
        context.principal.reaches_tenant(tenant)
    };
    let mut found = match store.find_execution(key, id).await? {
        ExecutionMatch::None => Vec::new(),
        ExecutionMatch::One(execution) => vec![*execution],
        ExecutionMatch::Several(ids) => {
            let mut candidates = Vec::new();
            for id in &ids {
                candidates.extend(store.execution(key, id).await?);
            }
            candidates
        }
    };
    // Ids of other tenants are not shown, and do not make a prefix ambiguous.
    found.retain(visible);
    match found.len() {
        0 => Err(Problem::unknown("execution", id).into()),
        1 => Ok(found.remove(0)),
        _ => {
            let ids: Vec<&str> = found.iter().map(|execution| execution.id.as_str()).collect();
            let detail = format!("several executions begin with `{id}`: {}", ids.join(", "));
            Err(Problem::new(409, "AMBIGUOUS_ID", detail).into())
        }
    }
}

/// `GET …/executions/{id}`: an execution with its steps.
pub(super) async fn show(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
) -> ApiResult<Reply<Execution>> {
    let execution = find(&server, &context, params.get("id")).await?;
    let steps = workflow_service(&server)?.dispatcher.store().steps(&execution.id).await?;
    Ok(Reply(Execution::new(execution, steps)))
}

/// `GET …/executions/{id}/logs`
pub(super) async fn logs(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(query): QueryParams<PageQuery>,
) -> ApiResult<Reply<Page<LogLine>>> {
    let execution = find(&server, &context, params.get("id")).await?;
    let limit = limit(query.limit)? as usize;
    let start: usize = match after(query.cursor.as_deref())? {
        Some(after) => after.parse().map_err(|_| bad_cursor())?,
        None => 0,
    };
    // The store keeps at most 10,000 lines of an execution.
    let lines = workflow_service(&server)?.dispatcher.store().logs(&execution.id).await?;
    let end = start.saturating_add(limit);
    let next = (lines.len() > end).then(|| cursor_after(&end.to_string()));
    let items = lines.into_iter().skip(start).take(limit).map(LogLine::from).collect();
    Ok(Reply(Page { environment: Some(context.target()?.name.clone()), items, next }))
}

/// `GET …/events/{id}`: an event with its headers and payload.
pub(super) async fn event(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
) -> ApiResult<Reply<Event>> {
    let id = params.get("id");
    let event = workflow_service(&server)?.dispatcher.store().event(&context.target()?.key, id).await?;
    Ok(Reply(event.ok_or_else(|| Problem::unknown("event", id))?.into()))
}

/// `GET …/events`: events without headers and payloads.
pub(super) async fn events(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(query): QueryParams<EventQuery>,
) -> ApiResult<Reply<Page<EventSummary>>> {
    let target = context.target()?;
    let limit = limit(query.limit)?;
    let before = position(query.cursor.as_deref())?.map(|position| (position.at, position.id));
    let store = workflow_service(&server)?.dispatcher.store();
    let range = RowRange { before, limit: limit + 1 };
    let rows = store.events(&target.key, query.trigger.as_deref(), &range).await?;
    let page = Page::of_rows(rows, limit, |row| Position { at: row.at, id: row.id.clone() }.cursor());
    Ok(Reply(page.map(EventSummary::from).of_environment(&target.name)))
}
