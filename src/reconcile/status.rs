//! The status of an environment: conditions as kstatus reads them, revisions, findings, drift and waiting plans.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reason::Reason;
use crate::plan::{BlockedReason, BlockedRemovals};
use crate::store::Micros;
use crate::text::Digest;

/// Maximum number of findings, drifted definitions or held definitions in a status; counts are never cut.
pub const MAX_LISTED: usize = 100;

/// The state of an environment. It is written only when it changed, so it holds nothing that changes by itself: no ages
/// and no future times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Key of the environment.
    pub environment: String,
    /// Ready, Reconciling, Stalled, SecretsResolved, ConnectorsHealthy.
    pub conditions: Vec<Condition>,
    /// Revision of each source that was fetched last.
    pub last_attempted: BTreeMap<String, String>,
    /// Revision of each source that is live.
    pub last_applied: BTreeMap<String, String>,
    /// Revision of each source that does not follow from the one before it, as after a forced push; kept until the source
    /// holds one that follows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub history_rewritten: BTreeMap<String, String>,
    /// Number of the active generation; 0 before the first one.
    pub generation: u64,
    /// Digest of the active generation.
    pub digest: Option<Digest>,
    /// Time of its activation.
    pub applied_at: Micros,
    /// Number of definitions in it.
    pub definitions: usize,
    /// Number of errors in the revision that was fetched last.
    pub errors: usize,
    /// Number of warnings in it.
    pub warnings: usize,
    /// The first findings, as `validate -o json` writes them.
    pub findings: Vec<Value>,
    /// Definitions that keep their last good version, or are absent, because the new version has errors.
    pub held: Vec<String>,
    /// Number of definitions that serve although they are not declared so.
    pub drifted: usize,
    /// The first of them.
    pub drift: Vec<Drift>,
    /// Removals that guards stop.
    pub blocked: Vec<BlockedPrune>,
    /// The plan that waits for approval.
    pub pending: Option<Pending>,
    /// The request that suspended the environment.
    pub suspended: Option<Requester>,
    /// Revisions that are not applied again after a rollback or promotion.
    pub held_back: Option<HeldRevision>,
}

/// A condition of the environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of the condition.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// `True`, `False` or `Unknown`.
    pub status: ConditionStatus,
    /// Reason of the status.
    pub reason: Reason,
    /// One sentence that stays the same as long as nothing changes.
    pub message: String,
    /// Time of the last change of `status`.
    pub last_transition_time: Micros,
}

/// The conditions of kstatus, of which Reconciling and Stalled exist only while they hold; SecretsResolved, which exists while
/// definitions reference secrets, and ConnectorsHealthy, which exists while connectors have probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "kstatus names them")]
pub enum ConditionKind {
    Ready,
    Reconciling,
    Stalled,
    SecretsResolved,
    ConnectorsHealthy,
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// The outcome of a pass, from which all three conditions follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Status of Ready.
    pub ready: ConditionStatus,
    /// Reason of all conditions.
    pub reason: Reason,
    /// Message of all conditions.
    pub message: String,
    /// True if only a new revision or an operator can help.
    pub stalled: bool,
    /// True while processes have yet to serve the generation.
    pub reconciling: bool,
}

/// A definition that serves although it is not declared so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The definition as `Kind/name`.
    pub id: String,
    /// Difference from the declared state.
    pub how: DriftKind,
    /// Actor that made the change, as far as it is known.
    pub who: String,
    /// Time of the change.
    pub at: Micros,
    /// Expiry of an override; `None` for drift that is not permitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Micros>,
}

/// Difference of a definition from the declared state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum DriftKind {
    Changed,
    Removed,
    Added,
}

impl fmt::Display for DriftKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DriftKind::Changed => "changed",
            DriftKind::Removed => "removed",
            DriftKind::Added => "added",
        })
    }
}

/// Removals that one guard stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockedPrune {
    /// Guard that stops the removals.
    pub reason: BlockedReason,
    /// The first definitions, as `Kind/name`.
    pub ids: Vec<String>,
    /// Remedy.
    pub message: String,
}

impl From<&BlockedRemovals> for BlockedPrune {
    fn from(blocked: &BlockedRemovals) -> BlockedPrune {
        let ids = blocked.ids.iter().take(MAX_LISTED).cloned().collect();
        BlockedPrune { reason: blocked.reason, ids, message: blocked.message.clone() }
    }
}

/// A plan that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Digest of the plan, which an approval names.
    pub plan: Digest,
    /// Reason why it is not applied.
    pub reason: Reason,
    /// Counts of its actions.
    pub summary: Value,
}

/// An operator's request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requester {
    /// Name of the operator.
    pub by: String,
    /// Time of the request.
    pub at: Micros,
    /// Reason in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Revisions that a rollback or promotion left and that are not applied again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldRevision {
    /// Revision of each source.
    pub revisions: BTreeMap<String, String>,
    /// Name of the operator who requested the rollback or promotion.
    pub by: String,
    /// Time of the request.
    pub at: Micros,
}

/// Requests of operators, kept in the store so that any process that leads carries them out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Controls {
    /// Nothing is applied while this is set.
    pub suspended: Option<Requester>,
    /// Revisions that are not applied again.
    pub held_back: Option<HeldRevision>,
    /// The plan that may be applied although it removes much or the environment is `Manual`.
    pub approved: Option<Approved>,
    /// Number of requests to reconcile now.
    pub requested: u64,
}

/// An approval of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    /// Digest of the plan.
    pub plan: Digest,
    /// Name of the operator.
    pub by: String,
    /// Time of the approval.
    pub at: Micros,
}

impl Status {
    /// The condition of a kind.
    pub fn condition(&self, kind: ConditionKind) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// True if everything that is declared is live.
    pub fn is_ready(&self) -> bool {
        self.condition(ConditionKind::Ready).is_some_and(|ready| ready.status == ConditionStatus::True)
    }

    /// Sets all conditions to a verdict.
    pub fn conclude(&mut self, verdict: &Verdict, now: Micros) {
        let set = |status: &mut Status, kind, word| status.set(kind, word, verdict.reason, &verdict.message, now);
        set(self, ConditionKind::Ready, verdict.ready);
        for (kind, holds) in
            [(ConditionKind::Reconciling, verdict.reconciling), (ConditionKind::Stalled, verdict.stalled)]
        {
            if holds {
                set(self, kind, ConditionStatus::True);
            } else {
                self.conditions.retain(|condition| condition.kind != kind);
            }
        }
    }

    /// Sets a condition besides those of a verdict, or removes it.
    pub(super) fn set_condition(
        &mut self,
        kind: ConditionKind,
        condition: Option<(ConditionStatus, Reason, String)>,
        now: Micros,
    ) {
        match condition {
            Some((status, reason, message)) => self.set(kind, status, reason, &message, now),
            None => self.conditions.retain(|condition| condition.kind != kind),
        }
    }

    /// Sets a condition; the time of its transition changes only with its status.
    fn set(&mut self, kind: ConditionKind, status: ConditionStatus, reason: Reason, message: &str, now: Micros) {
        let known = self.condition(kind).filter(|known| known.status == status);
        let last_transition_time = known.map_or(now, |known| known.last_transition_time);
        self.conditions.retain(|condition| condition.kind != kind);
        self.conditions.push(Condition { kind, status, reason, message: message.to_owned(), last_transition_time });
        self.conditions.sort_by_key(|condition| condition.kind as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ready: ConditionStatus, reason: Reason, stalled: bool, reconciling: bool) -> Verdict {
        Verdict { ready, reason, message: reason.to_string(), stalled, reconciling }
    }

    #[test]
    fn conditions_keep_their_transition_time_while_their_status_stays() {
        let mut status = Status::default();
        let shown = |status: &Status| -> Vec<(ConditionKind, Reason, Micros)> {
            status.conditions.iter().map(|known| (known.kind, known.reason, known.last_transition_time)).collect()
        };
        status.conclude(&verdict(ConditionStatus::False, Reason::Progressing, false, true), 1);
        assert_eq!(
            shown(&status),
            [(ConditionKind::Ready, Reason::Progressing, 1), (ConditionKind::Reconciling, Reason::Progressing, 1)]
        );
        status.conclude(&verdict(ConditionStatus::False, Reason::InvalidDefinitions, true, false), 2);
        assert_eq!(
            shown(&status),
            [
                (ConditionKind::Ready, Reason::InvalidDefinitions, 1),
                (ConditionKind::Stalled, Reason::InvalidDefinitions, 2)
            ]
        );
        status.conclude(&verdict(ConditionStatus::True, Reason::Applied, false, false), 3);
        assert_eq!(shown(&status), [(ConditionKind::Ready, Reason::Applied, 3)]);
        let resolved = |word, reason| Some((word, reason, String::new()));
        status.set_condition(
            ConditionKind::SecretsResolved,
            resolved(ConditionStatus::False, Reason::SecretsUnresolved),
            4,
        );
        status.conclude(&verdict(ConditionStatus::True, Reason::Applied, false, false), 5);
        status.set_condition(
            ConditionKind::SecretsResolved,
            resolved(ConditionStatus::False, Reason::SecretsUnresolved),
            6,
        );
        let secrets = (ConditionKind::SecretsResolved, Reason::SecretsUnresolved, 4);
        assert_eq!(shown(&status), [(ConditionKind::Ready, Reason::Applied, 3), secrets]);
        status.set_condition(ConditionKind::SecretsResolved, None, 7);
        assert_eq!(shown(&status), [(ConditionKind::Ready, Reason::Applied, 3)]);
    }
}
