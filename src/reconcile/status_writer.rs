//! The status of an environment: recorded, measured, published to readers, stored and sent to notification targets.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::watch;

use super::notify;
use super::reason::Reason;
use super::schedule::PassOutcome;
use super::scope::Scope;
use super::sources::MergedSources;
use super::status::{ConditionKind, ConditionStatus, Drift, MAX_LISTED, Status};
use super::status_log::StatusLog;
use super::validate::{CacheStats, Validated};
use super::view::EnvironmentView;
use crate::connector::Vault;
use crate::definition::environment::NotificationEvent;
use crate::plan::Plan;
use crate::store::StoreError;
use crate::store::manifest::Manifest;
use crate::text::Severity;
use crate::text::render::{OutputFormat, Report, render};

/// The status that was stored last, and what readers are shown besides it.
#[derive(Debug)]
pub(super) struct StatusWriter {
    status: Status,
    published: watch::Sender<Arc<Status>>,
    view: Arc<ArcSwap<EnvironmentView>>,
    /// The validation of the last revision, valid or not.
    validated: Option<Arc<Validated>>,
    /// The plan that waits.
    plan: Option<Arc<Plan>>,
    log: StatusLog,
}

impl StatusWriter {
    /// Publishes to these readers.
    pub(super) fn new(published: watch::Sender<Arc<Status>>, view: Arc<ArcSwap<EnvironmentView>>) -> StatusWriter {
        StatusWriter {
            status: Status::default(),
            published,
            view,
            validated: None,
            plan: None,
            log: StatusLog::default(),
        }
    }

    /// The status that was stored last.
    pub(super) fn current(&self) -> &Status {
        &self.status
    }

    /// The whole plan that waits in this process.
    pub(super) fn plan(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref()
    }

    /// The validation of the last revision.
    pub(super) fn validated(&self) -> Option<&Validated> {
        self.validated.as_deref()
    }

    /// Replaces the plan that waits.
    pub(super) fn set_plan(&mut self, plan: Option<Arc<Plan>>) {
        self.plan = plan;
    }

    /// Reads the stored status; the current one if none is stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn stored(&self, scope: &Scope) -> Result<Status, StoreError> {
        let stored = scope.store().state(scope.key(), "status").await?;
        Ok(stored.and_then(|stored| serde_json::from_value(stored).ok()).unwrap_or_else(|| self.status.clone()))
    }

    /// Replaces the current status by the stored one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn refresh(&mut self, scope: &Scope) -> Result<&Status, StoreError> {
        self.status = self.stored(scope).await?;
        Ok(&self.status)
    }

    /// Records the findings of a revision in a status, and counts findings and cache hits.
    pub(super) fn record_validation(
        &mut self,
        scope: &Scope,
        status: &mut Status,
        validated: Arc<Validated>,
        stats: CacheStats,
    ) {
        let count = |severity| validated.findings.iter().filter(|finding| finding.severity == severity).count();
        (status.errors, status.warnings) = (count(Severity::Error), count(Severity::Warning));
        // Errors come first, as they prevent the activation.
        let mut first: Vec<_> = validated.findings.iter().collect();
        first.sort_by_key(|finding| finding.severity);
        let first: Vec<_> = first.into_iter().take(MAX_LISTED).cloned().collect();
        let report = Report {
            findings: &first,
            sources: &validated.catalog.sources,
            definitions: validated.catalog.entries.len(),
        };
        let rendered: Value = serde_json::from_str(&render(&report, OutputFormat::Json, false, 0)).unwrap_or_default();
        status.findings = rendered["findings"].as_array().cloned().unwrap_or_default();
        let metrics = scope.metrics();
        metrics.findings(scope.key(), Severity::Error, status.errors);
        metrics.findings(scope.key(), Severity::Warning, status.warnings);
        for (stage, last) in
            [("parse", stats.parsed.last), ("check", stats.checked.last), ("compile", stats.compiled.last)]
        {
            metrics.cache(stage, last.hits, last.misses);
        }
        self.validated = Some(validated);
    }

    /// Publishes manifest, findings and document to readers.
    pub(super) fn publish_view(&self, scope: &Scope, manifest: Option<&Arc<Manifest>>, shown_under: String) {
        self.view.store(Arc::new(EnvironmentView {
            manifest: manifest.cloned(),
            validated: self.validated.clone(),
            shown_under,
            document: Some(scope.document.document.clone()),
        }));
    }

    /// Publishes a status; stores it and sends notifications if it changed. A follower publishes only. `vault` resolves
    /// the secrets of notification targets.
    pub(super) async fn publish(&mut self, scope: &Scope, vault: &Vault, status: Status, outcome: PassOutcome) {
        // Readers are shown the stored status, whichever process wrote it.
        if **self.published.borrow() != status {
            self.published.send_replace(Arc::new(status.clone()));
        }
        if outcome != PassOutcome::Following {
            self.log.report(scope.key(), &status);
        }
        if status == self.status {
            return;
        }
        let before = std::mem::replace(&mut self.status, status);
        if outcome == PassOutcome::Following {
            return;
        }
        for blocked in self.status.blocked.iter().filter(|blocked| !before.blocked.contains(blocked)) {
            scope.metrics().prune_blocked(scope.key(), blocked.reason.as_str());
        }
        for event in events(&before, &self.status) {
            notify::send(scope, vault, event, &self.status);
        }
        if scope.context.shared && before.pending != self.status.pending {
            let plan = self.plan.as_ref().and_then(|plan| serde_json::to_value(&**plan).ok()).unwrap_or_default();
            if let Err(error) = scope.store().put_state(scope.key(), "plan", &plan).await {
                tracing::warn!(environment = scope.key(), %error, "storing the plan for other processes failed");
            }
        }
        let stored = match serde_json::to_value(&self.status) {
            Ok(value) => scope.store().put_state(scope.key(), "status", &value).await.map(|_| ()),
            Err(error) => Err(StoreError::Refused(error.to_string())),
        };
        if let Err(error) = stored {
            tracing::warn!(environment = scope.key(), %error, "storing the status failed");
            // The next pass tries again; a target is not notified of the same event twice in a row.
            self.status = before;
        }
    }
}

/// Records drift in a status, and counts definitions that drifted since.
pub(super) fn record_drift(scope: &Scope, status: &mut Status, drift: Vec<Drift>) {
    let (metrics, key) = (scope.metrics(), scope.key());
    metrics.drift_objects(key, drift.len());
    for _ in status.drifted..drift.len() {
        metrics.drift_detected(key);
    }
    status.drifted = drift.len();
    status.drift = drift;
    status.drift.truncate(MAX_LISTED);
}

/// Records which sources hold a history that does not follow from the one before it, until they hold one that does.
pub(super) fn record_rewritten_history(scope: &Scope, status: &mut Status, merged: &MergedSources) {
    let before = std::mem::take(&mut status.history_rewritten);
    for (name, fetched) in &merged.parts {
        let revision = &fetched.revision.name;
        let is_known = before.get(name) == Some(revision);
        if fetched.rewritten && !is_known {
            scope.metrics().history_rewritten(scope.key());
            tracing::warn!(
                environment = scope.key(),
                source = name,
                revision,
                "HistoryRewritten: the revision does not follow from the one before it"
            );
        }
        if fetched.rewritten || is_known {
            status.history_rewritten.insert(name.clone(), revision.clone());
        }
    }
}

/// The events to notify of after a change from one status to the next. A revision that is refused for its secrets, and its
/// recovery, are one event and not two.
pub(super) fn events(before: &Status, after: &Status) -> Vec<NotificationEvent> {
    let of_revision = event(before, after);
    let is_of_secrets = |status: &Status| {
        status.condition(ConditionKind::Ready).is_some_and(|ready| ready.reason == Reason::SecretsUnresolved)
    };
    let says_it = match of_revision {
        Some(NotificationEvent::Failed) => is_of_secrets(after),
        Some(NotificationEvent::Recovered) => is_of_secrets(before),
        _ => false,
    };
    let secrets = (NotificationEvent::SecretsUnresolved, NotificationEvent::SecretsResolved);
    let secrets = condition_event(before, after, ConditionKind::SecretsResolved, secrets).filter(|_| !says_it);
    let health = (NotificationEvent::ConnectorsUnhealthy, NotificationEvent::ConnectorsHealthy);
    let health = condition_event(before, after, ConditionKind::ConnectorsHealthy, health);
    of_revision.into_iter().chain(secrets).chain(health).collect()
}

/// The event of a change of a condition besides Ready: `broken` if it is false now or for another cause, `mended` if it is
/// true again.
fn condition_event(
    before: &Status,
    after: &Status,
    kind: ConditionKind,
    (broken, mended): (NotificationEvent, NotificationEvent),
) -> Option<NotificationEvent> {
    let (was, is) = (before.condition(kind), after.condition(kind)?);
    let was_false = was.filter(|was| was.status == ConditionStatus::False);
    match is.status {
        ConditionStatus::False if was_false.is_none_or(|was| was.message != is.message) => Some(broken),
        ConditionStatus::True if was_false.is_some() => Some(mended),
        _ => None,
    }
}

/// The event of a revision after a change from one status to the next.
pub(super) fn event(before: &Status, after: &Status) -> Option<NotificationEvent> {
    let reason = |status: &Status| status.condition(ConditionKind::Ready).map(|ready| ready.reason);
    let (was, is) = (reason(before), reason(after));
    // Each revision has an outcome of its own, independent of the one before it.
    let is_new = was != is || before.last_attempted != after.last_attempted;
    let drifted = after.drifted > before.drifted;
    match is {
        Some(Reason::Applied) if !before.is_ready() && was.is_some_and(Reason::is_failure) => {
            Some(NotificationEvent::Recovered)
        }
        Some(Reason::Applied)
            if was != is || before.last_applied != after.last_applied || before.generation != after.generation =>
        {
            Some(NotificationEvent::Applied)
        }
        Some(Reason::PruneBlocked) if is_new => Some(NotificationEvent::PruneBlocked),
        Some(Reason::AwaitingApproval) if is_new => Some(NotificationEvent::AwaitingApproval),
        _ if drifted => Some(NotificationEvent::Drifted),
        Some(reason) if is_new && !is_expected(reason) => Some(NotificationEvent::Failed),
        _ => None,
    }
}

/// True for reasons that are no failure of a revision.
fn is_expected(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Applied
            | Reason::Progressing
            | Reason::Suspended
            | Reason::HeldBack
            | Reason::Drifted
            | Reason::ConflictLoop
            | Reason::PruneBlocked
            | Reason::AwaitingApproval
    )
}
