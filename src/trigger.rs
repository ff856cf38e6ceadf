//! What starts workflows: calls from outside, the time, events of applications.
//!
//! ```text
//! request ──verify──► event ──when──► routes ──► executions     (webhook.rs, in the request, stored before it is answered)
//! clock ────due────► tick ─────────► routes ──► executions     (clock.rs; the tick and its executions in one transaction)
//! poll ───compare──► changes ──────► routes ──► executions     (poller.rs; cursor, memory and executions in one)
//! ```

pub mod app;
pub mod filter;
pub mod poller;
pub mod routing;
pub mod schedule;
pub mod service;
pub mod snapshot;
pub mod subscriber;
pub mod testing;
pub mod verify;
pub mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::definition::trigger::{DeadLetters, TriggerSpec};
use crate::definition::{Kind, Spec};
use crate::store::queue::TriggeredBy;
use crate::template::Template;

pub use app::AppEvent;
pub use routing::Route;
pub use schedule::Schedule;

/// How long dead letters are kept where nothing else is said.
const RETENTION: Duration = Duration::from_hours(30 * 24);

/// A trigger, ready to run.
#[derive(Debug)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// Its definition.
    pub spec: TriggerSpec,
    /// `file:line` of its definition.
    pub place: String,
    /// What it listens to.
    pub kind: TriggerKind,
    /// The entries that it was compiled from: its own, and its connector's.
    stamp: (u64, u64),
}

/// What a trigger listens to.
#[derive(Debug)]
pub enum TriggerKind {
    /// Calls from outside.
    Webhook(Box<webhook::Webhook>),
    /// The time.
    Schedule(Box<Schedule>),
    /// Events of a connector.
    AppEvent(Box<AppEvent>),
}

/// Triggers by name.
pub type Triggers = BTreeMap<String, Arc<Trigger>>;

/// Compiles the triggers of a catalog. Those that did not change are the ones of `before`.
///
/// # Errors
/// Where one cannot be compiled, which no checked catalog gives: its id and why.
pub fn compile(catalog: &Catalog, before: Option<&Triggers>) -> Result<Triggers, String> {
    let mut triggers = Triggers::new();
    for entry in catalog.of_kind(Kind::Trigger) {
        let Some(Spec::Trigger(spec)) = entry.spec() else { continue };
        let connector = spec.app_event.as_ref().and_then(|event| catalog.connector(&event.connector));
        let stamp = (entry.stamp(), connector.map_or(0, |(entry, _)| entry.stamp()));
        if let Some(known) = before.and_then(|before| before.get(&entry.id.name)).filter(|known| known.stamp == stamp) {
            triggers.insert(entry.id.name.clone(), Arc::clone(known));
            continue;
        }
        let kind = kind(catalog, spec).map_err(|error| format!("{}: {error}", entry.id))?;
        let (path, line) = entry.place();
        let trigger = Trigger {
            name: entry.id.name.clone(),
            spec: TriggerSpec::clone(spec),
            place: format!("{path}:{line}"),
            kind,
            stamp,
        };
        triggers.insert(entry.id.name.clone(), Arc::new(trigger));
    }
    Ok(triggers)
}

fn kind(catalog: &Catalog, spec: &TriggerSpec) -> Result<TriggerKind, String> {
    if let Some(webhook) = &spec.webhook {
        return Ok(TriggerKind::Webhook(Box::new(webhook::Webhook::compile(webhook)?)));
    }
    if let Some(schedule) = &spec.schedule {
        return Ok(TriggerKind::Schedule(Box::new(Schedule::new(schedule)?)));
    }
    if let Some(event) = &spec.app_event {
        return Ok(TriggerKind::AppEvent(Box::new(AppEvent::compile(catalog, event)?)));
    }
    Err("it listens to nothing".to_owned())
}

impl Trigger {
    /// How long what cannot be worked on is kept; `None` where it is not.
    pub fn keeps_dead(&self) -> Option<Duration> {
        let letters = self.dead_letters();
        letters.enabled.unwrap_or(true).then(|| letters.retention.map_or(RETENTION, |retention| retention.0))
    }

    fn dead_letters(&self) -> DeadLetters {
        let webhook = self.spec.webhook.as_ref().map(|webhook| &webhook.dead_letters);
        let event = self.spec.app_event.as_ref().map(|event| &event.dead_letters);
        webhook.or(event).cloned().unwrap_or_default()
    }

    /// The origin of the executions that it starts.
    pub fn triggered_by(&self) -> TriggeredBy {
        match self.kind {
            TriggerKind::Webhook(_) => TriggeredBy::Webhook,
            TriggerKind::Schedule(_) => TriggeredBy::Schedule,
            TriggerKind::AppEvent(_) => TriggeredBy::AppEvent,
        }
    }
}

fn template(source: Option<&String>) -> Result<Option<Template>, String> {
    source.map(|source| Template::compile(source).map_err(|problem| problem.message)).transpose()
}
