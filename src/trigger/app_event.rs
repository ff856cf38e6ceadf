//! Compiled triggers on the events of applications, received by webhook or found by polling.

use serde_json::{Value, json};

use super::route::{Route, optional_template, required_template, tree};
use crate::catalog::Catalog;
use crate::connector::Runtime;
use crate::definition::event::Event;
use crate::definition::trigger::AppEventTrigger;
use crate::template::{Template, Tree};

/// A trigger's compiled application event.
#[derive(Debug)]
pub struct AppEvent {
    /// The trigger's definition.
    pub spec: AppEventTrigger,
    /// The connector's event.
    pub event: Event,
    /// The routes of its events.
    pub routes: Vec<Route>,
    pub(super) when: Option<Template>,
    pub(super) change: Option<Template>,
    pub(super) data: Option<Tree>,
    pub(super) deduplicate: Option<Template>,
    /// The templates of its poll, if it is polled.
    pub(super) poll: Option<PollTemplates>,
}

/// The templates of a poll.
#[derive(Debug)]
pub(super) struct PollTemplates {
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
    /// The cause if the connector has no such event, or a template cannot be compiled.
    pub fn compile(catalog: &Catalog, spec: &AppEventTrigger) -> Result<AppEvent, String> {
        let connector = catalog.connector(&spec.connector).ok_or("there is no such connector")?.1;
        let event = connector.events.get(&spec.event).ok_or("the connector has no such event")?;
        let webhook = event.webhook.as_ref();
        let poll = match &event.poll {
            Some(poll) => Some(PollTemplates {
                input: poll.input.as_ref().map(tree).transpose()?,
                records: required_template(&poll.records)?,
                id: required_template(&poll.id)?,
                version: optional_template(poll.version.as_ref())?,
                cursor: optional_template(poll.cursor.as_ref())?,
            }),
            None => None,
        };
        Ok(AppEvent {
            routes: Route::compile_all(&spec.routes)?,
            when: optional_template(webhook.and_then(|webhook| webhook.when.as_ref()))?,
            change: optional_template(webhook.and_then(|webhook| webhook.change.as_ref()))?,
            data: webhook.and_then(|webhook| webhook.data.as_ref()).map(tree).transpose()?,
            deduplicate: optional_template(webhook.and_then(|webhook| webhook.deduplicate.as_ref()))?,
            poll,
            event: Event::clone(event),
            spec: spec.clone(),
        })
    }

    /// The connections whose events start the trigger: the declared one, else every active connection of the connector.
    /// An empty name stands for a connector that needs no connection.
    pub fn connections(&self, runtime: &Runtime) -> Vec<String> {
        if let Some(name) = &self.spec.connection {
            return vec![name.clone()];
        }
        let names = runtime.by_connector.get(&self.spec.connector).into_iter().flatten();
        let active = |name: &&String| runtime.connections.get(*name).is_some_and(|connection| connection.active);
        let names: Vec<String> = names.filter(active).cloned().collect();
        if names.is_empty() { vec![String::new()] } else { names }
    }

    /// An event in the common form of all application events.
    pub(super) fn normalized(&self, change: &str, data: Value) -> Value {
        json!({
            "connector": self.spec.connector, "event": self.spec.event,
            "entity": self.event.entity, "change": change, "data": data,
        })
    }
}

/// The tenant of a connection; empty if it has none.
pub(super) fn tenant_of(runtime: &Runtime, connection: &str) -> String {
    let found = runtime.connections.get(connection);
    found.and_then(|connection| connection.tenant.clone()).unwrap_or_default()
}
