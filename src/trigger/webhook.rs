//! Calls from outside: is it who it says, which event is it, and what does that start?

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::routing::{IncomingEvent, Route, context};
use super::verify::{self, Refused};
use super::{Trigger, template};
use crate::definition::event::Verify;
use crate::definition::trigger::{ExecutionMode, WebhookTrigger};
use crate::definition::workflow::Tier;
use crate::store::Micros;
use crate::store::queue::{CommitResult, EnqueueRequest, Execution, MAX_VALUE_BYTES};
use crate::telemetry::TRACEPARENT;
use crate::template::{Limits, Template};
use crate::workflow::{Dispatcher, LiveEnvironment};

/// How long a call is remembered where nothing else is said.
const WINDOW: Micros = 24 * 3600 * 1_000_000;
/// Longest key of an event, in bytes; what is longer counts by its digest.
const MAX_KEY: usize = 200;
/// Headers that workflows never see: credentials, and what only the connection is about.
const HIDDEN: [&str; 12] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-evenkeel-key",
    "x-evenkeel-access-key",
    "connection",
    "host",
    "content-length",
    "transfer-encoding",
    "te",
];

/// A webhook, ready to be called.
#[derive(Debug)]
pub struct Webhook {
    /// Its definition.
    pub spec: WebhookTrigger,
    /// Where its events go.
    pub routes: Vec<Route>,
    deduplicate: Option<Template>,
    order: Option<Template>,
}

impl Webhook {
    /// Compiles a webhook.
    ///
    /// # Errors
    /// Where a template cannot be compiled.
    pub fn compile(spec: &WebhookTrigger) -> Result<Webhook, String> {
        Ok(Webhook {
            routes: Route::compile(&spec.routes)?,
            deduplicate: template(spec.deduplicate.as_ref())?,
            order: template(spec.order_by.as_ref())?,
            spec: spec.clone(),
        })
    }
}

/// A call from outside.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// Its method.
    pub method: String,
    /// The whole address, as the caller knows it.
    pub uri: String,
    /// Headers with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The query.
    pub query: BTreeMap<String, String>,
    /// The body as it was sent.
    pub body: Bytes,
    /// The id of the request.
    pub id: String,
}

impl Incoming {
    /// The trace that it is part of: a `traceparent`; empty where there is none.
    pub fn trace(&self) -> String {
        self.headers.get(TRACEPARENT).cloned().unwrap_or_default()
    }
}

/// Why a call is not taken in.
#[derive(Debug)]
pub enum WebhookRejection {
    /// It does not prove where it comes from, or is too old.
    Refused(Refused),
    /// It cannot be understood; what to do.
    Malformed(String),
    /// It is larger than may be.
    TooLarge,
    /// The secret that it is to be checked with is not available.
    NoSecret(String),
    /// It cannot be stored right now.
    Unavailable(String),
}

/// What is stored of a call.
#[derive(Debug)]
pub struct Taken {
    /// The event's id.
    pub event: String,
    /// Executions that it starts: id, workflow, tier.
    pub runs: Vec<(String, String, Tier)>,
    /// Was it here before?
    pub duplicate: bool,
}

/// What is stored of a call, and, where its caller is to have the output, who tells of the execution's end.
pub type Received = (Taken, Vec<oneshot::Receiver<Arc<Execution>>>);

/// Does the call prove where it comes from?
///
/// # Errors
/// Why not.
pub fn check(rule: &Verify, incoming: &Incoming, live: &LiveEnvironment, now: Micros) -> Result<(), WebhookRejection> {
    let secret = match verify::secret_of(rule) {
        Some(name) => live.actions.secret(name).map_err(WebhookRejection::NoSecret)?,
        None => String::new(),
    };
    let request = verify::Request {
        method: &incoming.method,
        uri: &incoming.uri,
        headers: &incoming.headers,
        body: &incoming.body,
    };
    verify::verify(rule, &request, &secret, now / 1_000_000).map_err(WebhookRejection::Refused)
}

/// What a call says: JSON, a form as an object, or text.
///
/// # Errors
/// Where it says that it is JSON and is none.
pub fn body(incoming: &Incoming) -> Result<Value, WebhookRejection> {
    let content_type = incoming.headers.get("content-type").map(String::as_str).unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if incoming.body.is_empty() {
        return Ok(Value::Null);
    }
    // `curl -d` calls everything a form.
    let looks_like_json = matches!(incoming.body.trim_ascii_start().first(), Some(b'{' | b'['));
    if content_type == "application/x-www-form-urlencoded" && !looks_like_json {
        let pairs = url::form_urlencoded::parse(&incoming.body).into_owned();
        return Ok(Value::Object(pairs.map(|(name, value)| (name, Value::String(value))).collect::<Map<_, _>>()));
    }
    match serde_json::from_slice(&incoming.body) {
        Ok(value) => Ok(value),
        Err(error) if content_type.contains("json") => {
            Err(WebhookRejection::Malformed(format!("the body is not JSON: {error}")))
        }
        Err(_) => match std::str::from_utf8(&incoming.body) {
            Ok(text) => Ok(Value::String(text.to_owned())),
            Err(_) => Err(WebhookRejection::Malformed("the body is neither JSON, a form nor text".to_owned())),
        },
    }
}

/// Takes a call in: verified, matched and stored, so that what is answered is kept.
///
/// # Errors
/// Why it is not taken in; nothing is stored then.
pub async fn receive(
    desk: &Arc<Dispatcher>,
    environment: &str,
    live: &LiveEnvironment,
    trigger: &Trigger,
    webhook: &Webhook,
    incoming: &Incoming,
) -> Result<Received, WebhookRejection> {
    check(&webhook.spec.verify, incoming, live, desk.now())?;
    if incoming.body.len() > MAX_VALUE_BYTES {
        return Err(WebhookRejection::TooLarge);
    }
    let body = body(incoming)?;
    let render = |template: &Option<Template>, what: &str| match template {
        Some(template) => rendered(template, incoming, &body, live, desk.now())
            .map(Some)
            .map_err(|error| WebhookRejection::Malformed(format!("`{what}` cannot be made of this call: {error}"))),
        None => Ok(None),
    };
    let key = render(&webhook.deduplicate, "deduplicate")?.filter(|key| !key.is_empty());
    let order = render(&webhook.order, "orderBy")?;
    let window = webhook.spec.deduplication_window;
    let window = window.map_or(WINDOW, |window| Micros::try_from(window.0.as_micros()).unwrap_or(Micros::MAX));
    let ordering_key = match (webhook.spec.execution_mode, order) {
        (ExecutionMode::Parallel, None) => String::new(),
        (_, order) => format!("{}/{}", trigger.name, bounded(order.unwrap_or_default())),
    };
    let arriving = IncomingEvent {
        headers: seen(&incoming.headers, &webhook.spec.verify),
        query: incoming.query.clone(),
        input: body.clone(),
        body,
        event: Value::Null,
        tenant: String::new(),
        key: key.map(|key| (bounded(key), window)),
        ordering_key,
        request: incoming.id.clone(),
        trace: incoming.trace(),
        live,
    };
    let unavailable = |error: crate::store::StoreError| WebhookRejection::Unavailable(error.to_string());
    let intake =
        super::routing::intake(desk, environment, trigger, &webhook.routes, arriving).await.map_err(unavailable)?;
    store(desk, intake).await
}

/// Stores what came in.
///
/// # Errors
/// Where it cannot be stored.
pub async fn store(desk: &Arc<Dispatcher>, intake: EnqueueRequest) -> Result<Received, WebhookRejection> {
    let event = intake.event.as_ref().map_or_else(String::new, |event| event.id.clone());
    let runs: Vec<_> = intake.executions.iter().map(|run| (run.id.clone(), run.workflow.clone(), run.tier)).collect();
    // Asked for before it can end, and only where somebody waits for the answer.
    let is_batched = intake.executions.iter().any(|run| !run.batch_key.is_empty());
    let waits = !is_batched && matches!(runs.as_slice(), [(_, _, tier)] if *tier == Tier::Instant);
    let told = if waits { runs.iter().map(|(id, _, _)| desk.watch(id)).collect() } else { Vec::new() };
    let forget = || runs.iter().for_each(|(id, _, _)| desk.unwatch(id));
    match desk.accept(intake).await {
        Ok(CommitResult::Stored(_)) => Ok((Taken { event, runs, duplicate: false }, told)),
        Ok(CommitResult::Duplicate(event)) => {
            forget();
            Ok((Taken { event, runs: Vec::new(), duplicate: true }, Vec::new()))
        }
        Ok(CommitResult::Refused(why)) => {
            forget();
            Err(WebhookRejection::Malformed(format!("this call cannot be stored: {why}")))
        }
        Ok(CommitResult::Fenced) => {
            forget();
            Err(WebhookRejection::Unavailable("another process was first; send it again".to_owned()))
        }
        Err(error) => {
            forget();
            Err(WebhookRejection::Unavailable(error.to_string()))
        }
    }
}

/// A template over a call.
pub(super) fn rendered(
    template: &Template,
    incoming: &Incoming,
    body: &Value,
    live: &LiveEnvironment,
    now: Micros,
) -> Result<String, String> {
    let (headers, query) = (json!(incoming.headers), json!(incoming.query));
    let text = Value::String(String::from_utf8_lossy(&incoming.body).into_owned());
    let roots = [
        ("headers", &headers),
        ("query", &query),
        ("body", body),
        ("payload", body),
        ("body_text", &text),
        ("tenant", &Value::Null),
        ("tenant_id", &Value::Null),
    ];
    template.render_text(&context(live, now, &roots), &Limits::default()).map_err(|error| error.to_string())
}

/// A key of a length that databases take.
pub(super) fn bounded(key: String) -> String {
    let key = key.replace('\0', "\u{fffd}");
    match key.len() <= MAX_KEY {
        true => key,
        false => crate::text::Digest::of(key.as_bytes()).hex(),
    }
}

/// Headers that workflows and the record may see.
pub(super) fn seen(headers: &BTreeMap<String, String>, rule: &Verify) -> BTreeMap<String, String> {
    let key = rule.api_key.as_ref().and_then(|key| key.header.as_deref()).unwrap_or_default().to_lowercase();
    let signature = rule.hmac_sha256.as_ref().map(|hmac| hmac.header.to_lowercase()).unwrap_or_default();
    let is_hidden = |name: &str| {
        HIDDEN.contains(&name)
            || name == key
            || name == signature
            || name.contains("signature")
            || name.contains("hmac")
    };
    headers.iter().filter(|(name, _)| !is_hidden(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}
