//! Routing: the executions that an event or a tick starts.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::compiled::Trigger;
use super::route::{Route, template_context};
use crate::connector::CallError;
use crate::definition::trigger::{ScheduleRoute, Unmatched};
use crate::store::queue::{
    DeadLetter, DeadLetterReason, DedupKey, EnqueueRequest, Event, EventOutcome, MAX_VALUE_BYTES, NewExecution,
    TriggeredBy, new_id,
};
use crate::store::{Micros, StoreError};
use crate::telemetry::{TRACEPARENT, repetition};
use crate::template::{Context, Limits};
use crate::workflow::dispatcher::priority_number;
use crate::workflow::{Dispatcher, LiveEnvironment, Program};

/// Maximum number of headers of a call that an execution keeps.
const MAX_HEADERS: usize = 64;
/// Headers of a trace (W3C Trace Context).
const TRACE_HEADERS: [&str; 2] = [TRACEPARENT, "tracestate"];
/// Maximum size of these headers, in bytes.
const MAX_HEADERS_BYTES: usize = 16 << 10;

/// A received or found event, before it is routed.
#[derive(Debug)]
pub struct IncomingEvent<'a> {
    /// Its body, as conditions and templates read it.
    pub body: Value,
    /// Its headers, without credentials.
    pub headers: BTreeMap<String, String>,
    /// Its query.
    pub query: BTreeMap<String, String>,
    /// The default input of the workflows that it starts.
    pub input: Value,
    /// The normalized event of an application, as templates read it; null for webhooks.
    pub app_event: Value,
    /// The tenant that it belongs to; empty if none. A route may declare another.
    pub tenant: String,
    /// The deduplication key and its window, if any.
    pub key: Option<(String, Micros)>,
    /// The ordering key: executions of one key run in the order of their events. Empty for none.
    pub ordering_key: String,
    /// The id of the request; empty if none.
    pub request: String,
    /// The `traceparent`; empty if none.
    pub trace: String,
    /// The live environment, which holds the variables of templates and the workflows.
    pub live: &'a LiveEnvironment,
}

/// Routes an event: everything that it stores, as one request.
///
/// # Errors
/// The store cannot be read.
pub async fn route_event(
    dispatcher: &Dispatcher,
    environment: &str,
    trigger: &Trigger,
    routes: &[Route],
    incoming: IncomingEvent<'_>,
) -> Result<EnqueueRequest, StoreError> {
    let mut event = event_of(environment, trigger, &incoming);
    let IncomingEvent { body, headers, query, input, app_event, tenant, key, ordering_key, trace, live, .. } = incoming;
    let tenant_value = if tenant.is_empty() { Value::Null } else { Value::String(tenant.clone()) };
    let query_value = json!(query);
    let context = template_context(
        live,
        dispatcher.now(),
        &[
            ("headers", &event.headers),
            ("query", &query_value),
            ("body", &body),
            ("payload", &body),
            ("event", &app_event),
            ("tenant", &tenant_value),
            ("tenant_id", &tenant_value),
        ],
    );
    let (mut executions, mut dead_letters) = (Vec::new(), Vec::new());
    for (index, route) in routes.iter().enumerate() {
        if !route.matches(&body, &headers) {
            continue;
        }
        let routed = start_execution(
            dispatcher,
            environment,
            trigger,
            route,
            index,
            &context,
            (&input, &headers, &tenant),
            live,
        )
        .await?;
        match routed {
            Ok(new) => executions.push(NewExecution {
                triggered_by: trigger.triggered_by(),
                source: trigger.name.clone(),
                event: event.id.clone(),
                ordering_key: ordering_key.clone(),
                trace: trace.clone(),
                ..new
            }),
            Err((reason, message)) => {
                dead_letters.push(dead_letter(trigger, &event, &route.spec.workflow, &tenant, reason, message));
            }
        }
    }
    if executions.is_empty() && dead_letters.is_empty() {
        event.outcome = EventOutcome::Unmatched;
        if trigger.dead_letters().unmatched == Unmatched::Keep {
            let message = "no route matches this event".to_owned();
            dead_letters.push(dead_letter(trigger, &event, "", &tenant, DeadLetterReason::Unmatched, message));
        }
    } else if executions.is_empty() {
        event.outcome = EventOutcome::Dead;
    }
    Ok(enqueue(trigger, event, key, executions, dead_letters))
}

/// An event that does not fit its definition: a dead letter with the event as it was received.
pub(super) fn invalid_event(
    environment: &str,
    trigger: &Trigger,
    incoming: IncomingEvent<'_>,
    cause: String,
) -> EnqueueRequest {
    let event = Event { outcome: EventOutcome::Dead, ..event_of(environment, trigger, &incoming) };
    let letter = dead_letter(trigger, &event, "", &incoming.tenant, DeadLetterReason::Invalid, cause);
    enqueue(trigger, event, incoming.key, Vec::new(), vec![letter])
}

fn event_of(environment: &str, trigger: &Trigger, incoming: &IncomingEvent<'_>) -> Event {
    Event {
        id: new_id(),
        environment: environment.to_owned(),
        trigger: trigger.name.clone(),
        kind: trigger.triggered_by(),
        headers: json!(incoming.headers),
        payload: incoming.body.clone(),
        outcome: EventOutcome::Started,
        request: incoming.request.clone(),
        trace: incoming.trace.clone(),
        ..Event::default()
    }
}

/// The request that stores an event with what it starts.
fn enqueue(
    trigger: &Trigger,
    event: Event,
    key: Option<(String, Micros)>,
    executions: Vec<NewExecution>,
    mut dead_letters: Vec<DeadLetter>,
) -> EnqueueRequest {
    for letter in &dead_letters {
        let (trigger, workflow, tenant, reason) = (&letter.trigger, &letter.workflow, &letter.tenant, &letter.message);
        let fault = format!("event {} {trigger} {workflow} {tenant} {}", letter.environment, letter.reason);
        if let Some(repetitions) = repetition::fault_occurred(&fault) {
            tracing::info!(
                environment = letter.environment,
                trigger,
                workflow,
                tenant,
                reason,
                repetitions,
                "an event was not delivered"
            );
        }
    }
    if trigger.dead_letter_retention().is_none() {
        dead_letters.clear();
    }
    let dedup_key = key.map(|(key, window)| DedupKey { key, window });
    EnqueueRequest { event: Some(event), dedup_key, executions, dead_letters, ..EnqueueRequest::default() }
}

fn dead_letter(
    trigger: &Trigger,
    event: &Event,
    workflow: &str,
    tenant: &str,
    reason: DeadLetterReason,
    message: String,
) -> DeadLetter {
    let retention = trigger.dead_letter_retention().unwrap_or_default();
    DeadLetter {
        id: new_id(),
        environment: event.environment.clone(),
        trigger: trigger.name.clone(),
        workflow: workflow.to_owned(),
        event: event.id.clone(),
        tenant: tenant.to_owned(),
        reason,
        message,
        payload: event.payload.clone(),
        headers: event.headers.clone(),
        retention: Micros::try_from(retention.as_micros()).unwrap_or(Micros::MAX),
        ..DeadLetter::default()
    }
}

/// The execution that a route starts, or the reason that this event cannot start one.
#[allow(clippy::too_many_arguments, reason = "the parts of one event")]
async fn start_execution(
    dispatcher: &Dispatcher,
    environment: &str,
    trigger: &Trigger,
    route: &Route,
    index: usize,
    context: &Context,
    (input, headers, tenant): (&Value, &BTreeMap<String, String>, &str),
    live: &LiveEnvironment,
) -> Result<Result<NewExecution, (DeadLetterReason, String)>, StoreError> {
    let limits = Limits::default();
    let spec = &route.spec;
    let rendered = (|| {
        let input = match &route.input {
            Some(tree) => tree.render(context, &limits).map_err(|error| format!("input: {error}"))?,
            None => input.clone(),
        };
        if input.to_string().len() > MAX_VALUE_BYTES {
            return Err(format!("the input is larger than {} MiB", MAX_VALUE_BYTES >> 20));
        }
        let mut headers = bounded_headers(headers);
        for (name, template) in &route.headers {
            let text = template.render_text(context, &limits).map_err(|error| format!("header {name}: {error}"))?;
            headers.insert(name.clone(), Value::String(text));
        }
        let tenant = match &route.tenant {
            Some(template) => template.render_text(context, &limits).map_err(|error| format!("tenant: {error}"))?,
            None => tenant.to_owned(),
        };
        Ok((input, headers, tenant))
    })();
    let (input, headers, tenant) = match rendered {
        Ok(rendered) => rendered,
        Err(message) => return Ok(Err((DeadLetterReason::Unreadable, message))),
    };
    if let Some(refusal) = refused_tenant(dispatcher, live, &tenant) {
        return Ok(Err((DeadLetterReason::Refused, refusal.detail)));
    }
    let Some(program) = live.programs.get(&spec.workflow).filter(|program| program.spec.active) else {
        let message = format!("workflow `{}` is not active", spec.workflow);
        return Ok(Err((DeadLetterReason::Unreadable, message)));
    };
    if program.spec.requires_tenant && tenant.is_empty() {
        let message = format!("workflow `{}` requires a tenant, and this event has none", spec.workflow);
        return Ok(Err((DeadLetterReason::Unreadable, message)));
    }
    let input = match with_defaults(program, input, spec.batch_window.is_some()) {
        Ok(input) => input,
        Err(message) => return Ok(Err((DeadLetterReason::Unreadable, message))),
    };
    let new = dispatcher.new_execution(environment, live, program).await?;
    let window = spec.batch_window.map(|window| Micros::try_from(window.0.as_micros()).unwrap_or(Micros::MAX));
    Ok(Ok(NewExecution {
        concurrency_group: concurrency_group(
            &new,
            &tenant,
            program.spec.concurrency.as_ref().is_some_and(|limit| limit.per_tenant),
        ),
        priority: spec.priority.map_or(new.priority, priority_number),
        batch_key: window.map_or_else(String::new, |_| format!("{}/{index}/{tenant}", trigger.name)),
        delay: window.unwrap_or(0),
        tenant,
        input,
        headers: Value::Object(headers),
        ..new
    }))
}

/// The refusal of a tenant. Tests, which have a clock of their own, name tenants at will.
fn refused_tenant(dispatcher: &Dispatcher, live: &LiveEnvironment, tenant: &str) -> Option<CallError> {
    live.runtime.tenant_refusal(tenant).filter(|_| !dispatcher.clock().is_virtual())
}

/// An input with the defaults of its workflow. Events that are collected get them when the execution starts.
fn with_defaults(program: &Program, input: Value, is_batched: bool) -> Result<Value, String> {
    if is_batched { Ok(input) } else { program.with_defaults(input) }
}

/// The headers of a call that an execution keeps: the first ones by name, within the limits.
fn bounded_headers(headers: &BTreeMap<String, String>) -> Map<String, Value> {
    let mut left = MAX_HEADERS_BYTES;
    let mut kept = Map::new();
    // Evenkeel continues the trace itself.
    for (name, value) in headers.iter().filter(|(name, _)| !TRACE_HEADERS.contains(&name.as_str())) {
        let Some(rest) = left.checked_sub(name.len() + value.len()) else { continue };
        if kept.len() < MAX_HEADERS {
            left = rest;
            kept.insert(name.clone(), Value::String(value.clone()));
        }
    }
    kept
}

/// The concurrency group of an execution: one per tenant if the workflow declares it.
pub fn concurrency_group(new: &NewExecution, tenant: &str, per_tenant: bool) -> String {
    match new.concurrency_group.is_empty() || !per_tenant {
        true => new.concurrency_group.clone(),
        false => format!("{}/{tenant}", new.concurrency_group),
    }
}

/// Logs that a schedule or a poll does not run for a tenant, at a falling rate.
pub(super) fn report_skipped(environment: &str, trigger: &Trigger, tenant: &str, refusal: &CallError) {
    let trigger = &trigger.name;
    if let Some(repetitions) = repetition::fault_occurred(&format!("tenant {environment} {tenant} {trigger}")) {
        let reason = &refusal.detail;
        tracing::info!(environment, trigger, tenant, reason, repetitions, "a trigger does not run for a tenant");
    }
}

/// The executions of one tick of a schedule, delayed by `delay`.
///
/// # Errors
/// The store cannot be read.
pub async fn scheduled_executions(
    dispatcher: &Dispatcher,
    environment: &str,
    trigger: &Trigger,
    live: &LiveEnvironment,
    due: jiff::Timestamp,
    delay: Micros,
) -> Result<Vec<NewExecution>, StoreError> {
    let Some(schedule) = &trigger.spec.schedule else { return Ok(Vec::new()) };
    let mut executions = Vec::new();
    for route in &schedule.routes {
        let ScheduleRoute { workflow, headers, payload, tenants, priority: own_priority } = route;
        let Some(program) = live.programs.get(workflow).filter(|program| program.spec.active) else { continue };
        let payload =
            payload.as_ref().or(schedule.payload.as_ref()).map_or_else(|| json!({}), crate::definition::Json::value);
        let mut all_headers: Map<String, Value> =
            headers.iter().map(|(name, value)| (name.to_lowercase(), Value::String(value.clone()))).collect();
        all_headers.insert("x-evenkeel-scheduled-at".to_owned(), Value::String(due.to_string()));
        let Ok(payload) = program.with_defaults(payload) else { continue };
        let no_tenant = [String::new()];
        for tenant in if tenants.is_empty() { &no_tenant[..] } else { &tenants[..] } {
            if let Some(refusal) = refused_tenant(dispatcher, live, tenant) {
                report_skipped(environment, trigger, tenant, &refusal);
                continue;
            }
            let new = dispatcher.new_execution(environment, live, program).await?;
            executions.push(NewExecution {
                concurrency_group: concurrency_group(
                    &new,
                    tenant,
                    program.spec.concurrency.as_ref().is_some_and(|limit| limit.per_tenant),
                ),
                priority: own_priority.map_or(3, priority_number),
                tenant: tenant.clone(),
                triggered_by: TriggeredBy::Schedule,
                source: trigger.name.clone(),
                input: payload.clone(),
                headers: Value::Object(all_headers.clone()),
                trace: crate::telemetry::derived_root_traceparent(&new.id),
                delay,
                ..new
            });
        }
    }
    Ok(executions)
}
