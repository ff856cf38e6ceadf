//! Events of applications: what a trigger needs to hear of them, by webhook or by polling.

use serde_json::{Value, json};

use super::template;
use super::webhook::{self, Incoming, Received, WebhookRejection, rendered, seen};
use super::{Route, routing, routing::IncomingEvent};
use crate::catalog::Catalog;
use crate::connector::Runtime;
use crate::definition::event::Event;
use crate::definition::trigger::AppEventTrigger;
use crate::store::Micros;
use crate::template::{Limits, Template, Tree};
use crate::workflow::{Dispatcher, LiveEnvironment};

/// How long an event is remembered, so that it is not taken for a new one: longer than applications try again.
const WINDOW: Micros = 7 * 24 * 3600 * 1_000_000;

/// A trigger's application event, ready to be heard.
#[derive(Debug)]
pub struct AppEvent {
    /// Its definition.
    pub spec: AppEventTrigger,
    /// The connector's event.
    pub event: Event,
    /// Where its events go.
    pub routes: Vec<Route>,
    when: Option<Template>,
    change: Option<Template>,
    data: Option<Tree>,
    deduplicate: Option<Template>,
    /// How it is polled.
    pub(super) poll: Option<Poll>,
}

/// Templates of a poll.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) input: Option<Tree>,
    pub(super) records: Template,
    pub(super) id: Template,
    pub(super) version: Option<Template>,
    pub(super) cursor: Option<Template>,
}

impl AppEvent {
    /// Compiles a trigger's event.
    ///
    /// # Errors
    /// Where the connector has no such event, or a template cannot be compiled.
    pub fn compile(catalog: &Catalog, spec: &AppEventTrigger) -> Result<AppEvent, String> {
        let connector = catalog.connector(&spec.connector).ok_or("there is no such connector")?.1;
        let event = connector.events.get(&spec.event).ok_or("the connector has no such event")?;
        let tree = |value: &crate::definition::Json| {
            Tree::compile(&value.value()).map_err(|(pointer, problem)| format!("{pointer}: {}", problem.message))
        };
        let webhook = event.webhook.as_ref();
        let needed = |source: &String| Template::compile(source).map_err(|problem| problem.message);
        let poll = match &event.poll {
            Some(poll) => Some(Poll {
                input: poll.input.as_ref().map(tree).transpose()?,
                records: needed(&poll.records)?,
                id: needed(&poll.id)?,
                version: template(poll.version.as_ref())?,
                cursor: template(poll.cursor.as_ref())?,
            }),
            None => None,
        };
        Ok(AppEvent {
            routes: Route::compile(&spec.routes)?,
            when: template(webhook.and_then(|webhook| webhook.when.as_ref()))?,
            change: template(webhook.and_then(|webhook| webhook.change.as_ref()))?,
            data: webhook.and_then(|webhook| webhook.data.as_ref()).map(tree).transpose()?,
            deduplicate: template(webhook.and_then(|webhook| webhook.deduplicate.as_ref()))?,
            poll,
            event: Event::clone(event),
            spec: spec.clone(),
        })
    }

    /// The connections that are listened to: the one that is named, else every active one of the connector; one without a
    /// name where the connector needs none.
    pub fn connections(&self, runtime: &Runtime) -> Vec<String> {
        if let Some(name) = &self.spec.connection {
            return vec![name.clone()];
        }
        let names = runtime.by_connector.get(&self.spec.connector).into_iter().flatten();
        let active = |name: &&String| runtime.connections.get(*name).is_some_and(|connection| connection.active);
        let names: Vec<String> = names.filter(active).cloned().collect();
        if names.is_empty() { vec![String::new()] } else { names }
    }

    /// An event in the form that all events of applications have.
    pub(super) fn normal(&self, change: &str, data: Value) -> Value {
        json!({
            "connector": self.spec.connector, "event": self.spec.event,
            "entity": self.event.entity, "change": change, "data": data,
        })
    }
}

/// The tenant of a connection; empty where it has none.
pub(super) fn tenant_of(runtime: &Runtime, connection: &str) -> String {
    let found = runtime.connections.get(connection);
    found.and_then(|connection| connection.tenant.clone()).unwrap_or_default()
}

/// Takes in a call of an application, for the connection that it was asked for.
///
/// # Errors
/// Why it is not taken in; nothing is stored then.
pub async fn receive(
    desk: &std::sync::Arc<Dispatcher>,
    environment: &str,
    live: &LiveEnvironment,
    trigger: &super::Trigger,
    app: &AppEvent,
    connection: &str,
    incoming: &Incoming,
) -> Result<Received, WebhookRejection> {
    let Some(definition) = &app.event.webhook else {
        return Err(WebhookRejection::Malformed("this event is polled, and takes no calls".to_owned()));
    };
    webhook::check(&definition.verify, incoming, live, desk.now())?;
    let body = webhook::body(incoming)?;
    let render = |template: &Option<Template>, what: &str| match template {
        Some(template) => rendered(template, incoming, &body, live, desk.now())
            .map(Some)
            .map_err(|error| WebhookRejection::Malformed(format!("`{what}` cannot be made of this call: {error}"))),
        None => Ok(None),
    };
    let nothing = || (webhook::Taken { event: String::new(), runs: Vec::new(), duplicate: false }, Vec::new());
    // Calls of another kind to the same address: heard, and none of ours.
    if let Some(when) = render(&app.when, "when")?
        && matches!(when.trim().to_ascii_lowercase().as_str(), "" | "false" | "none" | "null" | "0")
    {
        return Ok(nothing());
    }
    let change = render(&app.change, "change")?;
    let change = change.or_else(|| app.event.changes.first().map(|change| format!("{change:?}"))).unwrap_or_default();
    let key = render(&app.deduplicate, "deduplicate")?.filter(|key| !key.is_empty());
    let data = match &app.data {
        Some(tree) => data(tree, incoming, &body, live, desk.now())
            .map_err(|error| WebhookRejection::Malformed(format!("`data` cannot be made of this call: {error}")))?,
        None => body.clone(),
    };
    let event = app.normal(change.trim(), data);
    let arriving = IncomingEvent {
        headers: seen(&incoming.headers, &definition.verify),
        query: incoming.query.clone(),
        input: event.clone(),
        body: event.clone(),
        event,
        tenant: tenant_of(&live.runtime, connection),
        key: key.map(|key| (webhook::bounded(format!("{connection}/{key}")), WINDOW)),
        ordering_key: String::new(),
        request: incoming.id.clone(),
        trace: incoming.trace(),
        live,
    };
    let unavailable = |error: crate::store::StoreError| WebhookRejection::Unavailable(error.to_string());
    let intake = routing::intake(desk, environment, trigger, &app.routes, arriving).await.map_err(unavailable)?;
    webhook::store(desk, intake).await
}

fn data(tree: &Tree, incoming: &Incoming, body: &Value, live: &LiveEnvironment, now: Micros) -> Result<Value, String> {
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
    tree.render(&routing::context(live, now, &roots), &Limits::default()).map_err(|error| error.to_string())
}
