//! Compiled triggers on the events of applications, received by webhook or found by polling.

use serde_json::{Value, json};

use super::route::{Route, optional_template, required_template, tree};
use crate::catalog::Catalog;
use crate::connector::{Runtime, map_records};
use crate::definition::event::{Change, Event};
use crate::definition::json_schema::{JsonSchema, entity_schemas};
use crate::definition::trigger::AppEventTrigger;
use crate::template::{Template, Tree};

/// Maximum length of an unknown change in a message, in characters.
const MAX_SHOWN_CHANGE: usize = 40;

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
    payload: Option<JsonSchema>,
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
            payload: match &event.payload {
                Some(schema) => Some(JsonSchema::compile(&schema.0.value(), &entity_schemas(&connector.entities))?),
                None => None,
            },
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

    /// The fate of an event with a change, as the application names it, and data. `is_mapped` is true if the records in
    /// the data have the values of their entity already.
    pub(super) fn report(&self, runtime: &Runtime, change: Option<&str>, data: Value, is_mapped: bool) -> Report {
        let change = match self.change_of(change) {
            Ok(change) => change,
            Err(cause) => return Report::Invalid(cause),
        };
        if change.is_some_and(|change| !self.event.changes.is_empty() && !self.event.changes.contains(&change)) {
            return Report::NotListed;
        }
        let mut data = data;
        if let (Some(entity), Some(connector), false) =
            (&self.event.entity, runtime.connectors.get(&self.spec.connector), is_mapped)
            && let Err(error) = map_records(connector, entity, &mut data)
        {
            return Report::Invalid(error.message);
        }
        // A large record that was deleted is not remembered.
        let is_unknown = data.is_null() && change == Some(Change::Deleted);
        if let Some(problem) = self.payload.as_ref().filter(|_| !is_unknown).and_then(|schema| problem(schema, &data)) {
            return Report::Invalid(format!("the event does not match its `payload`: {problem}"));
        }
        let change = change.map_or_else(String::new, |change| format!("{change:?}"));
        Report::Event(json!({
            "connector": self.spec.connector, "event": self.spec.event,
            "entity": self.event.entity, "change": change, "data": data,
        }))
    }

    /// The reason why an event in the common form, as tests write it, would not be delivered.
    pub(super) fn refusal_of(&self, runtime: &Runtime, event: &Value) -> Option<String> {
        let data = event.get("data")?;
        match self.report(runtime, event.get("change").and_then(Value::as_str), data.clone(), true) {
            Report::Event(_) => None,
            Report::NotListed => Some("the change of the event is not listed in `changes`".to_owned()),
            Report::Invalid(cause) => Some(cause),
        }
    }

    /// The change that an event reports; `None` if the connector says nothing about changes.
    fn change_of(&self, named: Option<&str>) -> Result<Option<Change>, String> {
        let Some(named) = named else {
            return match self.event.changes.as_slice() {
                [] => Ok(None),
                [only] => Ok(Some(*only)),
                _ => Err("the event lists several `changes`, and its connector declares no `change`".to_owned()),
            };
        };
        // Applications write these words in any case.
        let found = Change::ALL.into_iter().find(|change| format!("{change:?}").eq_ignore_ascii_case(named.trim()));
        found.map(Some).ok_or_else(|| {
            let shown: String = named.trim().chars().take(MAX_SHOWN_CHANGE).collect();
            format!(
                "`{shown}` is not a change; expected one of {}",
                Change::ALL.map(|change| format!("{change:?}")).join(", ")
            )
        })
    }
}

/// The fate of an event of an application.
#[derive(Debug)]
pub(super) enum Report {
    /// It is routed, in the common form of all application events.
    Event(Value),
    /// Its change is not listed in `changes`: it is ignored.
    NotListed,
    /// It does not fit its definition: it becomes a dead letter. The cause.
    Invalid(String),
}

/// The first violations of a schema, as one text.
fn problem(schema: &JsonSchema, value: &Value) -> Option<String> {
    let violations = schema.violations(value, 5).into_iter().map(|violation| match violation.pointer.as_str() {
        "" => violation.message,
        pointer => format!("{pointer}: {}", violation.message),
    });
    let shown: Vec<String> = violations.collect();
    (!shown.is_empty()).then(|| shown.join("; "))
}

/// The tenant of a connection; empty if it has none.
pub(super) fn tenant_of(runtime: &Runtime, connection: &str) -> String {
    let found = runtime.connections.get(connection);
    found.and_then(|connection| connection.tenant.clone()).unwrap_or_default()
}
