//! `/v1/workflows` and `/v1/triggers`: live workflows with versions, live triggers with schedules and subscriptions.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::context::{ListQuery, workflow_context};
use super::response::{JsonResult, command_error, respond};
use super::state::{Server, WorkflowService};
use crate::trigger::{Trigger, TriggerKind};

/// `GET /v1/workflows`
pub(super) async fn workflows(
    State(server): State<Server>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Response {
    let result = async {
        let (environment, service) = workflow_context(&server, &headers, query.environment.as_deref())?;
        let versions = service.dispatcher.store().versions(&environment).await?;
        let programs = server.active_with_name(Some(&environment)).map(|(_, active)| Arc::clone(&active.work.programs));
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
                    "latest": latest, "place": program.source_location,
                })
            })
            .collect();
        Ok(json!({"environment": environment, "workflows": list}))
    };
    respond(result.await)
}

/// `GET /v1/triggers`
pub(super) async fn triggers(
    State(server): State<Server>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Response {
    respond(read_triggers(&server, query, &headers).await)
}

async fn read_triggers(server: &Server, query: ListQuery, headers: &HeaderMap) -> JsonResult {
    let (environment, service) = workflow_context(server, headers, query.environment.as_deref())?;
    let (_, active) = server.active_with_name(Some(&environment)).map_err(command_error)?;
    let store = service.dispatcher.store();
    let subscriptions = store.subscriptions(&environment).await?;
    let polls = store.polls(&environment).await?;
    let mut list = Vec::new();
    for trigger in active.work.triggers.values() {
        let mut value = trigger_json(trigger, service);
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
                // The address of a subscription is a secret, so it is not listed.
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

fn trigger_json(trigger: &Trigger, service: &WorkflowService) -> Value {
    let mut value = json!({
        "name": trigger.name, "kind": trigger.triggered_by(), "active": trigger.spec.active, "place": trigger.source_location,
    });
    if matches!(trigger.kind, TriggerKind::Webhook(_)) {
        value["url"] = json!(format!("{}/hooks/{}", service.public_url.trim_end_matches('/'), trigger.name));
    }
    value
}
