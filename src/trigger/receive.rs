//! Reception of webhook calls: verified, matched and stored before they are answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;

use super::app_event::{AppEvent, Report, tenant_of};
use super::compiled::Trigger;
use super::request::{WebhookRejection, WebhookRequest, bounded_key};
use super::routing::{IncomingEvent, invalid_event, route_event};
use super::webhook::Webhook;
use crate::definition::trigger::ExecutionMode;
use crate::definition::workflow::Tier;
use crate::store::queue::{CommitResult, EnqueueRequest, Execution, MAX_VALUE_BYTES};
use crate::store::{Micros, StoreError};
use crate::telemetry::repetition;
use crate::workflow::{AcceptError, Dispatcher, LiveEnvironment};

/// The default deduplication window of webhooks.
const WEBHOOK_WINDOW: Micros = 24 * 3600 * 1_000_000;
/// The deduplication window of application events: longer than applications retry.
const APP_EVENT_WINDOW: Micros = 7 * 24 * 3600 * 1_000_000;

/// An event that was stored, or a duplicate of one.
#[derive(Debug)]
pub struct AcceptedWebhook {
    /// The event's id.
    pub event: String,
    /// The executions that it starts: id, workflow, tier.
    pub executions: Vec<(String, String, Tier)>,
    /// True if the event was received before.
    pub duplicate: bool,
}

/// An accepted call, and the receivers of its executions' ends if the caller waits for the output.
pub type Received = (AcceptedWebhook, Vec<oneshot::Receiver<Arc<Execution>>>);

/// Receives a call of a webhook trigger.
///
/// # Errors
/// The reason for rejecting the call; nothing was stored.
pub async fn receive_webhook(
    dispatcher: &Arc<Dispatcher>,
    environment: &str,
    live: &LiveEnvironment,
    trigger: &Trigger,
    webhook: &Webhook,
    request: &WebhookRequest,
) -> Result<Received, WebhookRejection> {
    let now = dispatcher.now();
    let verified = request.verify(&webhook.spec.verify, live, now);
    report_missing_secret(environment, trigger, &verified);
    verified?;
    if request.body.len() > MAX_VALUE_BYTES {
        return Err(WebhookRejection::TooLarge);
    }
    let body = request.parsed_body()?;
    let key = request.render("deduplicate", webhook.deduplicate.as_ref(), &body, live, now)?;
    let order = request.render("orderBy", webhook.order_by.as_ref(), &body, live, now)?;
    let window = webhook.spec.deduplication_window;
    let window = window.map_or(WEBHOOK_WINDOW, |window| Micros::try_from(window.0.as_micros()).unwrap_or(Micros::MAX));
    let ordering_key = match (webhook.spec.execution_mode, order) {
        (ExecutionMode::Parallel, None) => String::new(),
        (_, order) => format!("{}/{}", trigger.name, bounded_key(order.unwrap_or_default())),
    };
    let event = IncomingEvent {
        headers: request.visible_headers(&webhook.spec.verify),
        query: request.query.clone(),
        input: body.clone(),
        body,
        app_event: Value::Null,
        tenant: String::new(),
        key: key.filter(|key| !key.is_empty()).map(|key| (bounded_key(key), window)),
        ordering_key,
        request: request.id.clone(),
        trace: request.traceparent(),
        live,
    };
    let accept = route_event(dispatcher, environment, trigger, &webhook.routes, event).await.map_err(unavailable)?;
    store(dispatcher, accept).await
}

/// Receives a call of an application, for the connection whose subscription it belongs to.
///
/// # Errors
/// The reason for rejecting the call; nothing was stored.
pub async fn receive_app_event(
    dispatcher: &Arc<Dispatcher>,
    environment: &str,
    live: &LiveEnvironment,
    trigger: &Trigger,
    app: &AppEvent,
    connection: &str,
    request: &WebhookRequest,
) -> Result<Received, WebhookRejection> {
    let Some(definition) = &app.event.webhook else {
        return Err(WebhookRejection::Malformed("this event is polled and accepts no calls".to_owned()));
    };
    let now = dispatcher.now();
    let verified = request.verify(&definition.verify, live, now);
    report_missing_secret(environment, trigger, &verified);
    verified?;
    let body = request.parsed_body()?;
    // The application sends several kinds of events to one address; the others are accepted and ignored.
    if let Some(when) = request.render("when", app.when.as_ref(), &body, live, now)?
        && matches!(when.trim().to_ascii_lowercase().as_str(), "" | "false" | "none" | "null" | "0")
    {
        return Ok((AcceptedWebhook { event: String::new(), executions: Vec::new(), duplicate: false }, Vec::new()));
    }
    if body.to_string().len() > MAX_VALUE_BYTES {
        return Err(WebhookRejection::TooLarge);
    }
    let key = request.render("deduplicate", app.deduplicate.as_ref(), &body, live, now)?;
    let (report, body) = match report_of(app, request, &body, live, now) {
        Report::NotListed => {
            return Ok((
                AcceptedWebhook { event: String::new(), executions: Vec::new(), duplicate: false },
                Vec::new(),
            ));
        }
        Report::Event(event) => (Ok(()), event),
        Report::Invalid(cause) => (Err(cause), body),
    };
    let event = IncomingEvent {
        headers: request.visible_headers(&definition.verify),
        query: request.query.clone(),
        input: body.clone(),
        app_event: body.clone(),
        body,
        tenant: tenant_of(&live.runtime, connection),
        key: key
            .filter(|key| !key.is_empty())
            .map(|key| (bounded_key(format!("{connection}/{key}")), APP_EVENT_WINDOW)),
        ordering_key: String::new(),
        request: request.id.clone(),
        trace: request.traceparent(),
        live,
    };
    let accept = match report {
        Ok(()) => route_event(dispatcher, environment, trigger, &app.routes, event).await.map_err(unavailable)?,
        Err(cause) => invalid_event(environment, trigger, event, cause),
    };
    store(dispatcher, accept).await
}

/// The fate of a call of an application. A call that the templates cannot read is invalid.
fn report_of(app: &AppEvent, request: &WebhookRequest, body: &Value, live: &LiveEnvironment, now: Micros) -> Report {
    let read = || {
        let change = request.render("change", app.change.as_ref(), body, live, now)?;
        let data = match &app.data {
            Some(tree) => request.render_tree("data", tree, body, live, now)?,
            None => body.clone(),
        };
        Ok((change, data))
    };
    match read() {
        Ok((change, data)) => app.report(&live.runtime, change.as_deref(), data, false),
        Err(WebhookRejection::Malformed(cause)) => Report::Invalid(cause),
        Err(other) => Report::Invalid(format!("{other:?}")),
    }
}

/// The event of a dead letter that did not fit its definition, as the live definition reads it.
///
/// # Errors
/// The reason why it still cannot be delivered.
pub fn reread_app_event(
    app: &AppEvent,
    headers: &BTreeMap<String, String>,
    payload: &Value,
    live: &LiveEnvironment,
    now: Micros,
) -> Result<Value, String> {
    let report = if app.event.poll.is_some() {
        let is_mapped = payload["isMapped"].as_bool().unwrap_or(false);
        let report = app.report(&live.runtime, payload["change"].as_str(), payload["data"].clone(), is_mapped);
        match report {
            Report::Event(mut event) => {
                (event["id"], event["fields"]) = (payload["id"].clone(), payload["fields"].clone());
                Report::Event(event)
            }
            other => other,
        }
    } else {
        let body = payload.to_string().into();
        let request = WebhookRequest { headers: headers.clone(), body, ..WebhookRequest::default() };
        report_of(app, &request, payload, live, now)
    };
    match report {
        Report::Event(event) => Ok(event),
        Report::NotListed => Err("its change is not listed in `changes` of the event".to_owned()),
        Report::Invalid(cause) => Err(cause),
    }
}

/// Logs that calls are refused for lack of a secret, at a falling rate, until a call is verified.
fn report_missing_secret(environment: &str, trigger: &Trigger, verified: &Result<(), WebhookRejection>) {
    let fault = format!("webhook secret {environment} {} ", trigger.name);
    match verified {
        Ok(()) => repetition::faults_ended(&fault),
        Err(WebhookRejection::NoSecret(cause)) => {
            if let Some(repetitions) = repetition::fault_occurred(&format!("{fault}{cause}")) {
                let trigger = &trigger.name;
                tracing::warn!(
                    environment,
                    trigger,
                    cause,
                    repetitions,
                    "webhook calls are refused for lack of a secret"
                );
            }
        }
        Err(_) => {}
    }
}

fn unavailable(error: StoreError) -> WebhookRejection {
    WebhookRejection::Unavailable(error.to_string())
}

/// Stores an event and its executions, and registers a waiter if the caller waits for the output.
async fn store(dispatcher: &Arc<Dispatcher>, accept: EnqueueRequest) -> Result<Received, WebhookRejection> {
    let event = accept.event.as_ref().map_or_else(String::new, |event| event.id.clone());
    let executions: Vec<_> =
        accept.executions.iter().map(|new| (new.id.clone(), new.workflow.clone(), new.tier)).collect();
    // Registered before the execution can end, and only if the caller waits for the output.
    let is_batched = accept.executions.iter().any(|new| !new.batch_key.is_empty());
    let waits = !is_batched && matches!(executions.as_slice(), [(_, _, Tier::Instant)]);
    let remove_waiters = || executions.iter().for_each(|(id, _, _)| dispatcher.remove_waiters(id));
    let ends = match waits {
        true => executions.iter().map(|(id, _, _)| dispatcher.register_waiter(id)).collect(),
        false => Vec::new(),
    };
    let rejection = match dispatcher.accept(accept).await {
        Ok(CommitResult::Stored(_)) => return Ok((AcceptedWebhook { event, executions, duplicate: false }, ends)),
        Ok(CommitResult::Duplicate(event)) => {
            remove_waiters();
            return Ok((AcceptedWebhook { event, executions: Vec::new(), duplicate: true }, Vec::new()));
        }
        Ok(CommitResult::Refused(cause)) => WebhookRejection::Malformed(format!("cannot store this call: {cause}")),
        Ok(CommitResult::Fenced) => {
            WebhookRejection::Unavailable("another process stored a newer state; send the call again".to_owned())
        }
        Err(AcceptError::OverQuota(refusal)) => WebhookRejection::OverQuota(refusal),
        Err(AcceptError::Store(error)) => unavailable(error),
    };
    remove_waiters();
    Err(rejection)
}
