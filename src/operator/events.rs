//! Kubernetes events: one for each transition worth a person's attention, and never a flood of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::Value;

use super::resources::{Resource, lock};
use crate::definition::{API_VERSION, Kind};

/// Events at once; then one every [`REFILL`].
const BURST: u32 = 50;
const REFILL: Duration = Duration::from_millis(500);
/// The reason of a definition that is not taken.
const BROKEN: &str = "InvalidDefinition";
/// Longest note; the API takes 1 KiB.
const MAX_NOTE: usize = 1000;

/// Broken resources that are remembered; beyond that, their recovery may go untold.
const MAX_BROKEN: usize = 10_000;

/// Writes events.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    left: Arc<Mutex<(u32, Instant)>>,
    /// Resources that were told to be broken: what they are held back for in between must not hide that they recover.
    broken: Arc<Mutex<HashSet<String>>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// In the name of one process.
    pub fn new(client: Client, identity: &str) -> Events {
        let reporter = Reporter { controller: "evenkeel".into(), instance: Some(identity.to_owned()) };
        let recorder = Recorder::new(client, reporter);
        Events { recorder, left: Arc::new(Mutex::new((BURST, Instant::now()))), broken: Arc::default() }
    }

    /// Tells of a change from what a resource's status said to what it says now, where it is worth telling.
    pub async fn of_transition(&self, resource: &Resource, after: &Value) {
        let was_broken = lock(&self.broken).contains(&resource.uid);
        let Some((type_, reason, note)) = transition(resource.key.kind, &resource.status, after, was_broken) else {
            return;
        };
        self.remember(&resource.uid, &reason);
        if !self.may() {
            return;
        }
        let event = Event { type_, reason, note: Some(note), action: "Reconcile".into(), secondary: None };
        let about = ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(resource.key.kind.as_str().to_owned()),
            namespace: Some(resource.key.namespace.clone()),
            name: Some(resource.key.name.clone()),
            uid: Some(resource.uid.clone()),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &about).await {
            tracing::debug!(resource = %resource.key, "an event cannot be written: {error}");
        }
    }

    fn remember(&self, uid: &str, told: &str) {
        let mut broken = lock(&self.broken);
        if told != BROKEN {
            broken.remove(uid);
        } else if broken.len() < MAX_BROKEN {
            broken.insert(uid.to_owned());
        }
    }

    fn may(&self) -> bool {
        let mut left = lock(&self.left);
        let (count, since) = *left;
        let refilled = u32::try_from(since.elapsed().as_millis() / REFILL.as_millis()).unwrap_or(u32::MAX);
        let count = count.saturating_add(refilled).min(BURST);
        let since = if refilled > 0 { Instant::now() } else { since };
        *left = (count.saturating_sub(1), since);
        count > 0
    }
}

/// What is worth telling: a definition that breaks or recovers; of an Environment every new reason or live revision.
fn transition(kind: Kind, before: &Value, after: &Value, was_broken: bool) -> Option<(EventType, String, String)> {
    let ready = |status: &Value| {
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.into_iter().find(|one| one["type"] == "Ready").unwrap_or_default();
        let text = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
    };
    let (_, was, _) = ready(before);
    let (status, reason, message) = ready(after);
    let note: String = message.chars().take(MAX_NOTE).collect();
    let passing = |reason: &str| matches!(reason, "" | "Progressing");
    let worth = match kind {
        Kind::Environment => {
            let live = |status: &Value| status["lastAppliedRevision"].clone();
            !passing(&reason) && (was != reason || live(before) != live(after))
        }
        _ => was != reason && (reason == BROKEN || (was_broken || was == BROKEN) && status == "True"),
    };
    let type_ = if status == "False" { EventType::Warning } else { EventType::Normal };
    worth.then_some((type_, reason, note))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ready(status: &str, reason: &str) -> Value {
        json!({"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": "why"}]})
    }

    fn told(before: &Value, after: &Value, was_broken: bool) -> Option<String> {
        transition(Kind::Connector, before, after, was_broken).map(|(_, reason, _)| reason)
    }

    #[test]
    fn a_definition_that_breaks_or_recovers_is_told_also_where_it_was_held_back_in_between() {
        let (applied, broken, held) =
            (ready("True", "Applied"), ready("False", "InvalidDefinition"), ready("False", "HeldBack"));
        assert_eq!(told(&applied, &broken, false).as_deref(), Some("InvalidDefinition"));
        assert_eq!(told(&broken, &broken, true), None);
        assert_eq!(told(&broken, &applied, false).as_deref(), Some("Applied"), "another process told that it broke");
        assert_eq!(told(&broken, &held, true), None);
        assert_eq!(told(&held, &applied, true).as_deref(), Some("Applied"));
        // One that was only held back, or is new, is no news.
        assert_eq!(told(&held, &applied, false), None);
        assert_eq!(told(&Value::Null, &applied, false), None);
    }
}
