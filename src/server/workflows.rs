//! Workflows and triggers as they are live, with their versions, next times and subscriptions.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::environments::respond;
use super::executions::{Answer, Asked, place};
use super::{Server, Working};
use crate::connector::CallError;
use crate::reconcile::commands::CommandError;
use crate::trigger::{Trigger, TriggerKind};

/// `GET /v1/workflows`
pub(super) async fn workflows(
    State(server): State<Server>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    respond(
        async {
            let (environment, working) = place(&server, &headers, asked.environment.as_deref())?;
            let versions = working.dispatcher.store().versions(&environment).await?;
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
                        "latest": latest, "place": program.source_location,
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
    let denied = |error: CallError| CommandError::new(error.code.status(), error.code.as_str(), error.detail);
    let (_, active) = server.active_named(Some(&environment)).map_err(denied)?;
    let store = working.dispatcher.store();
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
        "name": trigger.name, "kind": trigger.triggered_by(), "active": trigger.spec.active, "place": trigger.source_location,
    });
    if matches!(trigger.kind, TriggerKind::Webhook(_)) {
        value["url"] = json!(format!("{}/hooks/{}", working.public_url.trim_end_matches('/'), trigger.name));
    }
    value
}
