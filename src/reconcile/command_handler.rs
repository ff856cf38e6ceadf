//! Execution of the commands that operators give an environment.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::change_plan::empty_plan;
use super::clock::now;
use super::commands::{CommandError, Request};
use super::manual_override::{ManualWrite, manual_document};
use super::reason::Reason;
use super::reconciler::Reconciler;
use super::sources::MergedSources;
use super::status::{Approved, BlockedPrune, ConditionKind, ConditionStatus, Requester, Status};
use crate::catalog::Snapshot;
use crate::store::Audit;
use crate::text::{Digest, Format};

impl Reconciler {
    /// Carries a request out and records it in the audit log.
    ///
    /// # Errors
    /// The request is not carried out, and nothing has changed.
    pub(super) async fn handle(&mut self, request: Request, actor: &str) -> Result<Value, CommandError> {
        let audit = request.audit();
        let response = self.execute(request, actor).await?;
        if let Some((action, details)) = audit {
            log_command(self.scope.key(), action, actor, &details);
            let (environment, actor) = (self.scope.key().to_owned(), actor.to_owned());
            let line = Audit { at: 0, environment, actor, action: action.to_owned(), details };
            // The request has been carried out, so a failure here must not look as if it had not.
            if let Err(error) = self.scope.store().append_audit(&line).await {
                tracing::error!(?line, %error, "writing the audit log failed");
            }
        }
        Ok(response)
    }

    async fn execute(&mut self, request: Request, actor: &str) -> Result<Value, CommandError> {
        if self.leadership.follows() {
            // The status of the process that leads counts.
            self.status.refresh(&self.scope).await?;
        }
        let mut controls = self.scope.controls().await?;
        match request {
            Request::Reconcile => controls.requested += 1,
            Request::Suspend { reason } => {
                controls.suspended = Some(Requester { by: actor.to_owned(), at: now(), reason });
            }
            Request::Resume => {
                controls.suspended = None;
                controls.held_back = None;
                self.backoff.reset();
            }
            Request::Approve { plan } => {
                let waiting = self.status.plan().map(|waiting| waiting.digest);
                controls.approved = Some(approve(self.status.current(), waiting, plan, actor)?);
            }
            Request::Rollback { to } => return self.roll_back(to, actor).await,
            Request::Promote { from } => return self.promote(&from, actor).await,
            Request::Put { id, text, json, over, reason, precondition } => {
                let document = manual_document(&id, &text, json);
                return self.put(&id, document, ManualWrite { over, reason, precondition }, actor).await;
            }
            Request::Delete { id, precondition } => return self.delete(&id, precondition, actor).await,
            Request::Restore { id } => return self.restore(&id, actor).await,
            Request::Plan => return self.pending_plan().await,
            Request::Preview { files } => return self.preview(files).await,
        }
        self.scope.put_controls(&controls).await?;
        Ok(json!({"environment": self.scope.key(), "requested": controls.requested}))
    }

    /// The plan that waits; one without actions if nothing does.
    async fn pending_plan(&self) -> Result<Value, CommandError> {
        let status = self.status.current();
        if self.leadership.follows() && status.pending.is_some() {
            let plan = self.scope.store().state(self.scope.key(), "plan").await?;
            return Ok(plan.unwrap_or_default());
        }
        if let Some(ready) = status.condition(ConditionKind::Ready)
            && self.status.plan().is_none()
            && ready.status != ConditionStatus::True
            && ready.reason != Reason::Progressing
        {
            return Err(CommandError::new(409, "NO_PLAN", format!("there is no plan: {}", ready.message)));
        }
        let plan = self.status.plan().cloned().unwrap_or_else(|| empty_plan(&self.scope, self.active.live()));
        Ok(serde_json::to_value(&*plan).unwrap_or_default())
    }

    /// Plans files as if they were the source's, with everything that this environment adds. Nothing of it is shown to
    /// other readers.
    async fn preview(&mut self, files: BTreeMap<String, String>) -> Result<Value, CommandError> {
        self.load_active().await?;
        let sent: BTreeMap<String, Arc<[u8]>> =
            files.into_iter().map(|(path, text)| (path, Arc::from(text.into_bytes()))).collect();
        let definitions = sent.iter().filter(|(path, _)| Format::of(path).is_some());
        let mut snapshot = Snapshot::of(definitions.map(|(path, bytes)| (path.as_str(), Arc::clone(bytes))));
        snapshot.names = Arc::new(sent.keys().cloned().collect());
        snapshot.with_code(sent.iter().map(|(path, bytes)| (path.as_str(), bytes)));
        let merged = MergedSources { parts: Vec::new(), snapshot, unreadable: Vec::new(), sent };
        let proposed = self.propose(&merged, None).await;
        match proposed.result {
            Ok(proposal) => {
                let blocked: Vec<BlockedPrune> = proposal.blocked.iter().map(BlockedPrune::from).collect();
                Ok(json!({"plan": &*proposal.plan, "blocked": blocked}))
            }
            Err(error) => match proposed.validated.filter(|validated| !validated.is_valid()) {
                Some(validated) => Err(CommandError::invalid(&validated)),
                None => Err(error.into()),
            },
        }
    }
}

/// Reports a request that was carried out, with its sender and the reason.
fn log_command(environment: &str, action: &str, actor: &str, details: &Value) {
    let reason = details["reason"].as_str();
    match action {
        "Suspend" => tracing::info!(environment, actor, reason, "the environment is suspended"),
        "Resume" => tracing::info!(environment, actor, "the environment is resumed"),
        _ => tracing::info!(environment, actor, action, %details, "the command was carried out"),
    }
}

/// Approves a plan if it is the one that waits and no guard stops it for good. `waiting`: digest of the plan that waits in
/// this process.
fn approve(status: &Status, waiting: Option<Digest>, plan: Digest, actor: &str) -> Result<Approved, CommandError> {
    let waiting = waiting.or(status.pending.as_ref().map(|pending| pending.plan));
    if waiting != Some(plan) {
        let message = match waiting {
            Some(waiting) => format!("the plan is stale: {waiting} waits now; read it and approve that one"),
            None => "no plan waits for approval; `evenkeel reconcile` fetches a new commit now".to_owned(),
        };
        return Err(CommandError::new(409, "STALE_PLAN", message));
    }
    if let Some(blocked) = status.blocked.iter().find(|blocked| blocked.reason.is_final()) {
        return Err(CommandError::new(409, "NOT_APPROVABLE", blocked.message.clone()));
    }
    Ok(Approved { plan, by: actor.to_owned(), at: now() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::BlockedReason;
    use crate::reconcile::status::Pending;

    #[test]
    fn approves_the_waiting_plan_only_and_never_past_a_final_guard() {
        let [one, two] = [b"one", b"two"].map(|text| Digest::of(text));
        let waits = |blocked: &[BlockedReason]| Status {
            pending: Some(Pending { plan: one, reason: Reason::PruneBlocked, summary: Value::Null }),
            blocked: blocked
                .iter()
                .map(|reason| BlockedPrune { reason: *reason, ids: Vec::new(), message: "remedy".into() })
                .collect(),
            ..Status::default()
        };
        let rows = [
            ("nothing waits", Status::default(), None, "STALE_PLAN"),
            ("another plan waits", waits(&[]), Some(two), "STALE_PLAN"),
            ("over the budget", waits(&[BlockedReason::Budget]), Some(one), "approved"),
            ("still referenced", waits(&[BlockedReason::StillReferenced]), None, "approved"),
            ("nothing is pruned", waits(&[BlockedReason::Disabled]), None, "approved"),
            ("protected", waits(&[BlockedReason::Budget, BlockedReason::Protected]), Some(one), "approved"),
            ("empty source", waits(&[BlockedReason::EmptySource]), Some(one), "approved"),
            ("incomplete", waits(&[BlockedReason::Incomplete]), Some(one), "NOT_APPROVABLE"),
            (
                "empty and incomplete",
                waits(&[BlockedReason::EmptySource, BlockedReason::Incomplete]),
                Some(one),
                "NOT_APPROVABLE",
            ),
        ];
        for (row, status, waiting, outcome) in rows {
            let approved = approve(&status, waiting, one, "alice");
            assert_eq!(approved.map_or_else(|error| error.reason, |_| "approved"), outcome, "{row}");
        }
    }
}
