//! What an environment says of itself: its status, its metrics, and what others are told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::clock::now;
use super::engine::Reconciler;
use super::reason::Reason;
use super::reconcile_loop::PassOutcome;
use super::sources::MergedSources;
use super::status::{ConditionKind, ConditionStatus, Drift, MAX_LISTED, Status};
use crate::definition::environment::NotificationEvent;
use crate::plan::{Plan, Verb};
use crate::store::StoreError;
use crate::store::manifest::Owner;
use crate::text::Severity;
use crate::text::render::{OutputFormat, Report, render};

impl Reconciler {
    /// Everything that is declared serves here; ready when it serves everywhere.
    pub(super) async fn settled(
        &self,
        status: &mut Status,
        joined: &MergedSources,
        held: &[String],
    ) -> Result<(), StoreError> {
        self.describe(status);
        status.last_applied = joined.revisions();
        status.clear(ConditionKind::Reconciling);
        status.clear(ConditionKind::Stalled);
        let revision = joined.revisions().into_values().collect::<Vec<_>>().join(", ");
        let now = now();
        if !held.is_empty() || status.errors > 0 {
            let first = held.first().map_or_else(String::new, |first| format!("; the first is {first}"));
            let message = format!(
                "{revision}: {} errors; {} definitions keep their last good version or are left out{first}",
                status.errors,
                held.len(),
            );
            status.set(ConditionKind::Ready, ConditionStatus::False, Reason::Isolated, message, now);
            return Ok(());
        }
        let replicas = self.store().replicas(self.key()).await?;
        let behind = replicas.iter().filter(|replica| Some(replica.digest) != status.digest).count();
        if behind > 0 {
            let message =
                format!("{behind} of {} processes do not serve generation {} yet", replicas.len(), status.generation);
            status.set(ConditionKind::Ready, ConditionStatus::False, Reason::Progressing, message.clone(), now);
            status.set(ConditionKind::Reconciling, ConditionStatus::True, Reason::Progressing, message, now);
        } else {
            status.set(
                ConditionKind::Ready,
                ConditionStatus::True,
                Reason::Applied,
                format!("{revision} is live"),
                now,
            );
        }
        Ok(())
    }

    /// What serves.
    pub(super) fn describe(&self, status: &mut Status) {
        status.environment.clone_from(&self.given.key);
        let Some(live) = &self.live else { return };
        status.generation = live.generation.number;
        status.digest = Some(live.generation.digest);
        status.applied_at = live.generation.at;
        status.definitions = live.candidate.inventory.len();
    }

    /// How much of the work was known already.
    pub(super) fn count_work(&self) {
        let stats = self.examiner.stats();
        for (stage, last) in
            [("parse", stats.parsed.last), ("check", stats.checked.last), ("compile", stats.compiled.last)]
        {
            self.context.metrics.cache(stage, last.hits, last.misses);
        }
    }

    pub(super) fn count_findings(&self, status: &mut Status) {
        let Some(examined) = &self.looked else { return };
        let of = |severity| examined.findings.iter().filter(|finding| finding.severity == severity).count();
        (status.errors, status.warnings) = (of(Severity::Error), of(Severity::Warning));
        // What keeps it from being applied comes first.
        let mut first: Vec<_> = examined.findings.iter().collect();
        first.sort_by_key(|finding| finding.severity);
        let first: Vec<_> = first.into_iter().take(MAX_LISTED).cloned().collect();
        let report = Report {
            findings: &first,
            sources: &examined.catalog.sources,
            definitions: examined.catalog.entries.len(),
        };
        let rendered: Value = serde_json::from_str(&render(&report, OutputFormat::Json, false, 0)).unwrap_or_default();
        status.findings = rendered["findings"].as_array().cloned().unwrap_or_default();
        let metrics = &self.context.metrics;
        metrics.findings(&self.given.key, Severity::Error, status.errors);
        metrics.findings(&self.given.key, Severity::Warning, status.warnings);
    }

    /// What serves although it is not declared so: overrides, and what a plan would take back without any new revision.
    pub(super) fn see_drift(&self, status: &mut Status, plan: Option<&Plan>) {
        let before = status.drifted;
        status.drift.clear();
        let Some(live) = &self.live else { return };
        for item in live.candidate.manifest.items.values() {
            if let Owner::Api { who, at, until: until @ Some(_), .. } = &item.owner {
                let (id, how) = (item.id.to_string(), "changed".to_owned());
                status.drift.push(Drift { id, how, who: who.clone(), at: *at, until: *until });
            }
        }
        let overridden: BTreeSet<String> = status.drift.iter().map(|drift| drift.id.clone()).collect();
        for action in plan.iter().flat_map(|plan| &plan.actions) {
            // The plan says what would be done; what was done is its opposite.
            let how = match action.action {
                Verb::Create => "removed",
                Verb::Delete => "added",
                Verb::Update | Verb::Move => "changed",
            };
            let id = action.id.to_string();
            if overridden.contains(&id) {
                continue;
            }
            let (who, at) = (live.generation.actor.clone(), live.generation.at);
            status.drift.push(Drift { id, how: how.to_owned(), who, at, until: None });
        }
        let metrics = &self.context.metrics;
        metrics.drift_objects(&self.given.key, status.drift.len());
        for _ in before..status.drift.len() {
            metrics.drift_detected(&self.given.key);
        }
        status.drifted = status.drift.len();
        status.drift.truncate(MAX_LISTED);
    }

    /// Measures and tells that a revision went live.
    pub(super) fn went_live(&self, joined: &MergedSources, again: bool) {
        let metrics = &self.context.metrics;
        for (name, fetched) in &joined.parts {
            metrics.applied(&self.given.key, name, &fetched.revision.name);
            if fetched.revision.committed > 0 && !again {
                let seconds = (now() / 1_000_000).saturating_sub(fetched.revision.committed).max(0);
                metrics.went_live(&self.given.key, Duration::from_secs(seconds as u64));
            }
        }
    }

    /// Remembers and tells a status where it changed.
    pub(super) async fn publish(&mut self, status: Status, ended: PassOutcome) {
        // Before the status, so that whoever sees it finds what it speaks of.
        self.view.store(Arc::new(self.shown()));
        // Those who ask here are shown what is stored, whoever stored it.
        if **self.published.borrow() != status {
            self.published.send_replace(Arc::new(status.clone()));
        }
        if status == self.status {
            return;
        }
        let before = std::mem::replace(&mut self.status, status);
        if ended == PassOutcome::Following {
            return;
        }
        for blocked in self.status.blocked.iter().filter(|one| !before.blocked.contains(one)) {
            self.context.metrics.prune_blocked(&self.given.key, blocked.reason.as_str());
        }
        self.announce(&before);
        if self.context.shared && before.pending != self.status.pending {
            let plan = self.pending.as_ref().and_then(|plan| serde_json::to_value(&**plan).ok()).unwrap_or_default();
            if let Err(error) = self.store().put_state(self.key(), "plan", &plan).await {
                tracing::warn!(environment = self.given.key, "the plan cannot be shown by others: {error}");
            }
        }
        let written = serde_json::to_value(&self.status).map_err(|error| StoreError::Refused(error.to_string()));
        let written = match written {
            Ok(value) => self.store().put_state(self.key(), "status", &value).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(environment = self.given.key, "the status cannot be stored: {error}");
            // The next look tries again; who was told is not told twice.
            self.status = before;
        }
    }

    /// Tells others what changed.
    fn announce(&self, before: &Status) {
        if let Some(event) = event(before, &self.status) {
            self.tell(event, &self.status);
        }
    }
}

/// What is worth telling of a change from one status to the next.
pub(super) fn event(before: &Status, after: &Status) -> Option<NotificationEvent> {
    let reason = |status: &Status| status.condition(ConditionKind::Ready).map(|ready| ready.reason);
    let (was, is) = (reason(before), reason(after));
    // Each revision has a fate of its own, whatever the one before it had.
    let news = was != is || before.last_attempted != after.last_attempted;
    let waited =
        [Reason::Progressing, Reason::AwaitingApproval, Reason::PruneBlocked, Reason::Suspended, Reason::HeldBack];
    let Some(is) = is else {
        return (after.drifted > before.drifted).then_some(NotificationEvent::Drifted);
    };
    match is {
        Reason::Applied if !before.is_ready() && was.is_some_and(|was| !waited.contains(&was)) => {
            Some(NotificationEvent::Recovered)
        }
        Reason::Applied
            if was != Some(is)
                || before.last_applied != after.last_applied
                || before.generation != after.generation =>
        {
            Some(NotificationEvent::Applied)
        }
        Reason::PruneBlocked if news => Some(NotificationEvent::PruneBlocked),
        Reason::AwaitingApproval if news => Some(NotificationEvent::AwaitingApproval),
        _ if after.drifted > before.drifted => Some(NotificationEvent::Drifted),
        Reason::Applied
        | Reason::Progressing
        | Reason::Suspended
        | Reason::HeldBack
        | Reason::Drifted
        | Reason::ConflictLoop
        | Reason::PruneBlocked
        | Reason::AwaitingApproval => None,
        _ if news => Some(NotificationEvent::Failed),
        _ => None,
    }
}
