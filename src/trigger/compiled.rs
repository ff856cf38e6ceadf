//! The triggers of a generation, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::app_event::AppEvent;
use super::schedule::Schedule;
use super::webhook::Webhook;
use crate::catalog::Catalog;
use crate::definition::trigger::{DeadLetters, TriggerSpec};
use crate::definition::{Kind, Spec};
use crate::store::queue::TriggeredBy;

/// The default retention of dead letters.
pub const DEAD_LETTER_RETENTION: Duration = Duration::from_hours(30 * 24);

/// A compiled trigger.
#[derive(Debug)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// Its definition.
    pub spec: TriggerSpec,
    /// `file:line` of its definition.
    pub source_location: String,
    /// The compiled form of its kind.
    pub kind: TriggerKind,
    /// The stamps of the catalog entries that it was compiled from: its own, and its connector's.
    stamp: (u64, u64),
}

/// The kind of a trigger.
#[derive(Debug)]
pub enum TriggerKind {
    /// Started by calls from outside.
    Webhook(Box<Webhook>),
    /// Started by the clock.
    Schedule(Box<Schedule>),
    /// Started by events of a connector.
    AppEvent(Box<AppEvent>),
}

/// Triggers by name.
pub type Triggers = BTreeMap<String, Arc<Trigger>>;

/// Compiles the triggers of a catalog. Unchanged ones are taken from `before`.
///
/// # Errors
/// The id of the trigger that cannot be compiled, and the cause. Checked catalogs have none.
pub fn compile(catalog: &Catalog, before: Option<&Triggers>) -> Result<Triggers, String> {
    let mut triggers = Triggers::new();
    for entry in catalog.of_kind(Kind::Trigger) {
        let Some(Spec::Trigger(spec)) = entry.spec() else { continue };
        let connector = spec.app_event.as_ref().and_then(|event| catalog.connector(&event.connector));
        let stamp = (entry.stamp(), connector.map_or(0, |(entry, _)| entry.stamp()));
        let source_location = catalog.shown_place(entry.place());
        let is_same = |known: &&Arc<Trigger>| known.stamp == stamp && known.source_location == source_location;
        if let Some(known) = before.and_then(|before| before.get(&entry.id.name)).filter(is_same) {
            triggers.insert(entry.id.name.clone(), Arc::clone(known));
            continue;
        }
        let kind = compile_kind(catalog, spec).map_err(|error| format!("{}: {error}", entry.id))?;
        let trigger =
            Trigger { name: entry.id.name.clone(), spec: TriggerSpec::clone(spec), source_location, kind, stamp };
        triggers.insert(entry.id.name.clone(), Arc::new(trigger));
    }
    Ok(triggers)
}

fn compile_kind(catalog: &Catalog, spec: &TriggerSpec) -> Result<TriggerKind, String> {
    if let Some(webhook) = &spec.webhook {
        return Ok(TriggerKind::Webhook(Box::new(Webhook::compile(webhook)?)));
    }
    if let Some(schedule) = &spec.schedule {
        return Ok(TriggerKind::Schedule(Box::new(Schedule::new(schedule)?)));
    }
    if let Some(event) = &spec.app_event {
        return Ok(TriggerKind::AppEvent(Box::new(AppEvent::compile(catalog, event)?)));
    }
    Err("the trigger has none of `webhook`, `schedule` and `appEvent`".to_owned())
}

impl Trigger {
    /// The retention of its dead letters; `None` if they are disabled.
    pub fn dead_letter_retention(&self) -> Option<Duration> {
        let letters = self.dead_letters();
        letters
            .enabled
            .unwrap_or(true)
            .then(|| letters.retention.map_or(DEAD_LETTER_RETENTION, |retention| retention.0))
    }

    pub(super) fn dead_letters(&self) -> DeadLetters {
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
