//! Secrets of the active generation, checked again on each pass and after a call that failed on one.

use std::sync::Arc;

use super::clock::now;
use super::obstacles::{Obstacle, secrets_condition};
use super::reconciler::Reconciler;
use super::schedule::PassOutcome;
use super::secret_monitor::referenced;
use super::status::{ConditionKind, ConditionStatus, Status};

impl Reconciler {
    /// Checks the secrets of the active generation, and sets the condition `SecretsResolved` of a status.
    pub(super) async fn watch_secrets(&mut self, status: &mut Status) {
        let mut obstacles: Vec<Obstacle> =
            self.secrets.candidate.iter().filter(|obstacle| obstacle.is_secret()).cloned().collect();
        let mut count = obstacles.len();
        if let (Some(live), Some(active)) = (self.active.live(), self.active.runtime()) {
            let validated = Arc::clone(&live.candidate.validated);
            count = count.max(referenced(&validated).count());
            let is_new = |found: &Obstacle| obstacles.iter().all(|known| known.secret() != found.secret());
            let found = self.secrets.obstacles(&active.runtime, &validated).await;
            let found: Vec<Obstacle> = found.into_iter().filter(is_new).collect();
            obstacles.extend(found);
        }
        self.scope.metrics().secrets_unresolved(self.scope.key(), obstacles.len());
        let before = status.condition(ConditionKind::SecretsResolved).cloned();
        status.set_condition(ConditionKind::SecretsResolved, secrets_condition(&obstacles, count), now());
        let after = status.condition(ConditionKind::SecretsResolved);
        let environment = self.scope.key();
        let Some(after) = after else { return };
        let is_other = before.as_ref().is_none_or(|before| before.message != after.message);
        if after.status == ConditionStatus::False && is_other {
            tracing::warn!(environment, cause = after.message, "secrets cannot be resolved");
        }
        if after.status == ConditionStatus::True && before.is_some_and(|before| before.status != after.status) {
            tracing::info!(environment, "all secrets can be resolved again");
        }
    }

    /// Checks the secrets of the active generation after a call failed on one, and publishes the status. A process that
    /// does not lead requests a pass of the one that does.
    pub(super) async fn recheck_secrets(&mut self) {
        if self.leadership.follows() {
            return self.inbox.forward_push(&self.scope).await;
        }
        let mut status = self.status.current().clone();
        self.watch_secrets(&mut status).await;
        self.publish(status, PassOutcome::Waiting).await;
    }
}
