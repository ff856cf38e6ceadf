//! Kubernetes events: one for each transition that an operator should notice, with a rate limit.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::Value;

use super::resources::{Resource, lock};
use crate::definition::{API_VERSION, Kind};

/// Size of the token bucket; one token is added every [`REFILL`].
const BURST: u32 = 50;
const REFILL: Duration = Duration::from_millis(500);
/// Reason of a definition with errors.
const BROKEN: &str = "InvalidDefinition";
/// Longest note, in characters; the API accepts 1 KiB.
const MAX_NOTE: usize = 1000;
/// Waits before the repetitions of an event that was not accepted.
const REPETITIONS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(10)];
/// Maximum number of remembered broken resources; the recovery of further ones has no event.
const MAX_BROKEN: usize = 10_000;

/// Publishes events.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    /// Remaining tokens and the time of the last refill.
    tokens: Arc<Mutex<(u32, Instant)>>,
    /// Resources with an event that they are broken; a hold in between must not hide the recovery.
    broken: Arc<Mutex<HashSet<String>>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// Events of the process with this identity.
    pub fn new(client: Client, identity: &str) -> Events {
        let reporter = Reporter { controller: "evenkeel".into(), instance: Some(identity.to_owned()) };
        let recorder = Recorder::new(client, reporter);
        Events { recorder, tokens: Arc::new(Mutex::new((BURST, Instant::now()))), broken: Arc::default() }
    }

    /// Publishes an event for the change of a status, if the change is worth one.
    pub async fn publish_transition(&self, resource: &Resource, after: &Value) {
        let was_broken = lock(&self.broken).contains(&resource.uid);
        if let Some(transition) = transition(resource.key.kind, &resource.status, after, was_broken) {
            self.remember(&resource.uid, &transition.1);
            self.publish(resource, transition).await;
        }
        for kind in ["SecretsResolved", "ConnectorsHealthy"] {
            if let Some(transition) = condition_transition(kind, &resource.status, after) {
                self.publish(resource, transition).await;
            }
        }
    }

    async fn publish(&self, resource: &Resource, (type_, reason, note): (EventType, String, String)) {
        if !self.take_token() {
            return;
        }
        let event = Event { type_, reason, note: Some(note), action: "Reconcile".into(), secondary: None };
        let object = ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(resource.key.kind.as_str().to_owned()),
            namespace: Some(resource.key.namespace.clone()),
            name: Some(resource.key.name.clone()),
            uid: Some(resource.uid.clone()),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &object).await {
            tracing::debug!(resource = %resource.key, %error, "publishing an event failed; it is repeated");
            tokio::spawn(repeat(self.recorder.clone(), resource.key.to_string(), event, object));
        }
    }

    fn remember(&self, uid: &str, reason: &str) {
        let mut broken = lock(&self.broken);
        if reason != BROKEN {
            broken.remove(uid);
        } else if broken.len() < MAX_BROKEN {
            broken.insert(uid.to_owned());
        }
    }

    fn take_token(&self) -> bool {
        let mut tokens = lock(&self.tokens);
        let (count, since) = *tokens;
        let refilled = u32::try_from(since.elapsed().as_millis() / REFILL.as_millis()).unwrap_or(u32::MAX);
        let count = count.saturating_add(refilled).min(BURST);
        let since = if refilled > 0 { Instant::now() } else { since };
        *tokens = (count.saturating_sub(1), since);
        count > 0
    }
}

/// Publishes an event that was not accepted again. A transition has one event only, so a lost one would leave no trace. The
/// token bucket limits the number of these tasks.
async fn repeat(recorder: Recorder, resource: String, event: Event, object: ObjectReference) {
    for wait in REPETITIONS {
        tokio::time::sleep(wait).await;
        match recorder.publish(&event, &object).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(resource, %error, "publishing an event failed"),
        }
    }
    tracing::warn!(resource, reason = event.reason, "an event was not published");
}

/// The status, reason and message of a condition; empty without it.
fn condition_of(status: &Value, kind: &str) -> (String, String, String) {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null);
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

/// The event for a change of a condition besides Ready, unless the condition Ready has the same reason and its own event.
fn condition_transition(kind: &str, before: &Value, after: &Value) -> Option<(EventType, String, String)> {
    let (was, is) = (condition_of(before, kind), condition_of(after, kind));
    let note: String = is.2.chars().take(MAX_NOTE).collect();
    match is.0.as_str() {
        "False" if was != is && condition_of(after, "Ready").1 != is.1 => Some((EventType::Warning, is.1, note)),
        "True" if was.0 == "False" => Some((EventType::Normal, is.1, note)),
        _ => None,
    }
}

/// Type, reason and note of the event for a transition: a definition breaks or recovers; an Environment has a new reason
/// or live revision.
fn transition(kind: Kind, before: &Value, after: &Value, was_broken: bool) -> Option<(EventType, String, String)> {
    let ready = |status: &Value| condition_of(status, "Ready");
    let (_, previous, _) = ready(before);
    let (status, reason, message) = ready(after);
    let note: String = message.chars().take(MAX_NOTE).collect();
    let is_transient = |reason: &str| matches!(reason, "" | "Progressing");
    let is_notable = match kind {
        Kind::Environment => {
            let live = |status: &Value| status["lastAppliedRevision"].clone();
            !is_transient(&reason) && (previous != reason || live(before) != live(after))
        }
        _ => previous != reason && (reason == BROKEN || (was_broken || previous == BROKEN) && status == "True"),
    };
    let type_ = if status == "False" { EventType::Warning } else { EventType::Normal };
    is_notable.then_some((type_, reason, note))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ready(status: &str, reason: &str) -> Value {
        json!({"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": "why"}]})
    }

    fn event_reason(before: &Value, after: &Value, was_broken: bool) -> Option<String> {
        transition(Kind::Connector, before, after, was_broken).map(|(_, reason, _)| reason)
    }

    #[test]
    fn a_definition_that_breaks_or_recovers_has_an_event_also_after_a_hold_in_between() {
        let (applied, broken, held) =
            (ready("True", "Applied"), ready("False", "InvalidDefinition"), ready("False", "HeldBack"));
        assert_eq!(event_reason(&applied, &broken, false).as_deref(), Some("InvalidDefinition"));
        assert_eq!(event_reason(&broken, &broken, true), None);
        assert_eq!(
            event_reason(&broken, &applied, false).as_deref(),
            Some("Applied"),
            "another process published that it broke"
        );
        assert_eq!(event_reason(&broken, &held, true), None);
        assert_eq!(event_reason(&held, &applied, true).as_deref(), Some("Applied"));
        // The end of a hold and a new definition have no event.
        assert_eq!(event_reason(&held, &applied, false), None);
        assert_eq!(event_reason(&Value::Null, &applied, false), None);
    }

    #[test]
    fn a_change_of_the_secrets_has_one_event() {
        let status = |ready: &str, word: &str, reason: &str, message: &str| {
            json!({"conditions": [
                {"type": "Ready", "status": "True", "reason": ready, "message": "live"},
                {"type": "SecretsResolved", "status": word, "reason": reason, "message": message},
            ]})
        };
        let well = status("Applied", "True", "SecretsResolved", "all");
        let broken = |message| status("Applied", "False", "SecretsUnresolved", message);
        let reason = |before: &Value, after: &Value| {
            condition_transition("SecretsResolved", before, after).map(|(_, reason, _)| reason)
        };
        assert_eq!(reason(&Value::Null, &well), None);
        assert_eq!(reason(&well, &broken("a")).as_deref(), Some("SecretsUnresolved"));
        assert_eq!(reason(&broken("a"), &broken("a")), None);
        assert_eq!(reason(&broken("a"), &broken("a and b")).as_deref(), Some("SecretsUnresolved"));
        assert_eq!(reason(&broken("a"), &well).as_deref(), Some("SecretsResolved"));
        let refused = status("SecretsUnresolved", "False", "SecretsUnresolved", "a");
        assert_eq!(reason(&well, &refused), None, "the condition Ready has an event with this reason");
    }
}
