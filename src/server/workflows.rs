//! Live workflows with versions, live triggers with schedules and subscriptions.

use std::sync::Arc;

use axum::extract::State;

use super::context::{RequestContext, Target, hook_address, workflow_service};
use super::extract::{QueryParams, after, limit};
use super::reply::{ApiResult, Reply};
use super::state::Server;
use crate::api::query::PageQuery;
use crate::api::trigger::{Poll, ScheduleCounts, Subscription, Trigger};
use crate::api::workflow::Workflow;
use crate::api::{Page, Time};
use crate::store::queue::{self, Version};
use crate::trigger::readiness::{Surroundings, blocked_reason};
use crate::trigger::{self, TriggerKind};
use crate::workflow::Program;

/// `GET …/workflows`
pub(super) async fn workflows(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(query): QueryParams<PageQuery>,
) -> ApiResult<Reply<Page<Workflow>>> {
    let target = context.target()?;
    let (limit, after) = (limit(query.limit)?, after(query.cursor.as_deref())?);
    let versions = workflow_service(&server)?.dispatcher.store().versions(&target.key).await?;
    let active = target.active()?;
    let programs: Vec<&Arc<Program>> = active.work.programs.values().collect();
    let page = Page::of(programs, |program| program.name.clone(), after.as_deref(), limit);
    Ok(Reply(page.map(|program| describe(program, &versions)).of_environment(&target.name)))
}

fn describe(program: &Program, versions: &[Version]) -> Workflow {
    let own = |version: &&Version| version.workflow == program.name;
    let number = |version: &Version| u64::try_from(version.version).ok();
    Workflow {
        name: program.name.clone(),
        display_name: program.spec.display_name.clone(),
        tier: program.spec.tier,
        active: program.spec.active,
        version: versions.iter().filter(own).find(|version| version.digest == program.digest).and_then(number),
        latest: versions.iter().filter(own).filter_map(number).max(),
        requires_tenant: program.spec.requires_tenant,
        input: program.spec.input.as_ref().map(|schema| schema.0.value()),
        source: program.source_location.clone(),
    }
}

/// `GET …/triggers`
pub(super) async fn triggers(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(query): QueryParams<PageQuery>,
) -> ApiResult<Reply<Page<Trigger>>> {
    let target = context.target()?;
    let (limit, after) = (limit(query.limit)?, after(query.cursor.as_deref())?);
    let active = target.active()?;
    let store = workflow_service(&server)?.dispatcher.store();
    let subscriptions = store.subscriptions(&target.key).await?;
    let polls = store.polls(&target.key).await?;
    let triggers: Vec<&Arc<trigger::Trigger>> = active.work.triggers.values().collect();
    let page = Page::of(triggers, |trigger| trigger.name.clone(), after.as_deref(), limit);
    let service = workflow_service(&server)?;
    let surroundings =
        Surroundings { public_url: Some(&service.public_url), mocking: server.mocking, now: service.dispatcher.now() };
    let mut items = Vec::new();
    for found in page.items {
        let mut item = describe_trigger(found, &server, target);
        item.reason = blocked_reason(found, &active.runtime, &active.work.programs, surroundings);
        match &found.kind {
            TriggerKind::Schedule(schedule) => {
                let state = store.schedule(&target.key, &found.name).await?;
                let from = jiff::Timestamp::from_microsecond(state.until).unwrap_or_default();
                item.description = Some(schedule.describe());
                item.next = schedule.next(from).map(Time);
                item.counts = Some(ScheduleCounts::from(&state));
            }
            TriggerKind::AppEvent(app) => {
                item.event = Some(format!("{}/{}", app.spec.connector, app.spec.event));
                let own = |row: &&queue::Subscription| row.trigger == found.name;
                item.subscriptions = subscriptions.iter().filter(own).map(Subscription::from).collect();
                item.polls = polls.iter().filter(|row| row.trigger == found.name).map(Poll::from).collect();
            }
            TriggerKind::Webhook(_) => {}
        }
        items.push(item);
    }
    Ok(Reply(Page { environment: Some(target.name.clone()), items, next: page.next }))
}

fn describe_trigger(found: &trigger::Trigger, server: &Server, target: &Target) -> Trigger {
    let url = matches!(found.kind, TriggerKind::Webhook(_)).then(|| hook_address(server, target, &found.name));
    Trigger {
        name: found.name.clone(),
        kind: found.triggered_by(),
        active: found.spec.active,
        reason: None,
        source: found.source_location.clone(),
        url,
        description: None,
        next: None,
        counts: None,
        event: None,
        subscriptions: Vec::new(),
        polls: Vec::new(),
    }
}
