//! Requests and push notifications that arrive through the store from other processes.

use serde_json::Value;

use super::scope::Scope;
use super::status::Controls;

/// Requests and push notifications that were taken into account already.
#[derive(Debug, Default)]
pub(super) struct StoreInbox {
    controls: Controls,
    push: Option<Value>,
}

impl StoreInbox {
    /// Remembers the controls that a pass took into account.
    pub(super) fn saw_controls(&mut self, controls: &Controls) {
        self.controls.clone_from(controls);
    }

    /// Reads the store; returns `true` if it holds requests or push notifications that are new.
    pub(super) async fn receive(&mut self, scope: &Scope) -> bool {
        let controls = scope.controls().await.unwrap_or_default();
        let push = scope.store().state(scope.key(), "hint").await.ok().flatten();
        let is_new = controls != self.controls || push != self.push;
        (self.controls, self.push) = (controls, push);
        is_new
    }

    /// Forwards a push notification to the process that leads.
    pub(super) async fn forward_push(&mut self, scope: &Scope) {
        let push = serde_json::json!(format!("{:016x}", rand::random::<u64>()));
        if let Err(error) = scope.store().put_state(scope.key(), "hint", &push).await {
            tracing::warn!(environment = scope.key(), %error, "forwarding a push notification failed");
        }
        self.push = Some(push);
    }
}
