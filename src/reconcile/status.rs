//! What an environment says of itself: conditions as kstatus reads them, revisions, findings, drift, what waits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reason::Reason;
use crate::plan::{BlockedReason, BlockedRemovals};
use crate::store::Micros;
use crate::text::Digest;

/// Most findings, drifted definitions or held definitions that a status lists; counts are always whole.
pub const MAX_LISTED: usize = 100;

/// The state of an environment. RawDocument only where it changed, so nothing in it may change by itself: no ages, no
/// next times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Its name.
    pub environment: String,
    /// Ready, Reconciling, Stalled.
    pub conditions: Vec<Condition>,
    /// The revision of each source that was looked at last.
    pub last_attempted: BTreeMap<String, String>,
    /// The revision of each source that is live.
    pub last_applied: BTreeMap<String, String>,
    /// The revision of each source that does not follow from the one before it, as after a forced push: until the source
    /// holds one that follows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub history_rewritten: BTreeMap<String, String>,
    /// The active generation; 0 where there is none.
    pub generation: u64,
    /// Its digest.
    pub digest: Option<Digest>,
    /// When it was activated.
    pub applied_at: Micros,
    /// Definitions in it.
    pub definitions: usize,
    /// Errors in the revision looked at last.
    pub errors: usize,
    /// Warnings in it.
    pub warnings: usize,
    /// The first of them, as `validate -o json` writes them.
    pub findings: Vec<Value>,
    /// Definitions that keep their last good version, or are left out, because the new one has errors.
    pub held: Vec<String>,
    /// How many definitions serve although they are not declared so.
    pub drifted: usize,
    /// The first of them.
    pub drift: Vec<Drift>,
    /// Removals that are held back.
    pub blocked: Vec<BlockedPrune>,
    /// A plan that waits for approval.
    pub pending: Option<Pending>,
    /// Nothing is applied: who asked for that.
    pub suspended: Option<Requester>,
    /// A revision that is not applied again after a rollback or promotion.
    pub held_back: Option<HeldRevision>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// `True`, `False` or `Unknown`.
    pub status: ConditionStatus,
    /// Reason of the status.
    pub reason: Reason,
    /// One sentence, the same as long as nothing changes.
    pub message: String,
    /// When `status` changed last.
    pub last_transition_time: Micros,
}

/// The conditions of kstatus: Reconciling and Stalled are there only while they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "kstatus names them")]
pub enum ConditionKind {
    Ready,
    Reconciling,
    Stalled,
}

/// The three truths of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// A definition that serves although it is not declared so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// `Kind/name`.
    pub id: String,
    /// `changed`, `removed` or `added`.
    pub how: String,
    /// Who did it, as far as it is known.
    pub who: String,
    /// When.
    pub at: Micros,
    /// Until when it is allowed; `None` where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Micros>,
}

/// Removals that are held back for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockedPrune {
    /// Guard that stops the removals.
    pub reason: BlockedReason,
    /// The definitions, as `Kind/name`.
    pub ids: Vec<String>,
    /// What to do.
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
    /// Its digest, which an approval names.
    pub plan: Digest,
    /// Reason why it is not applied.
    pub reason: Reason,
    /// What it would do, in counts.
    pub summary: Value,
}

/// Who asked for something, when and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requester {
    /// Who.
    pub by: String,
    /// When.
    pub at: Micros,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A revision that is not applied again: somebody went back from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldRevision {
    /// The revision of each source.
    pub revisions: BTreeMap<String, String>,
    /// Who went back.
    pub by: String,
    /// When.
    pub at: Micros,
}

/// What was asked for through the API: kept in the store, so that whichever process leads does it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Controls {
    /// Nothing is applied.
    pub suspended: Option<Requester>,
    /// The revision that is not applied again.
    pub held_back: Option<HeldRevision>,
    /// The digest of the plan that may be applied although it removes much, or the environment is `Manual`.
    pub approved: Option<Approved>,
    /// Counts the times that somebody asked to look now.
    pub requested: u64,
}

/// A plan that somebody read and approved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    /// The plan's digest.
    pub plan: Digest,
    /// Who.
    pub by: String,
    /// When.
    pub at: Micros,
}

impl Status {
    /// The condition of a kind.
    pub fn condition(&self, kind: ConditionKind) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Is everything that is declared live?
    pub fn is_ready(&self) -> bool {
        self.condition(ConditionKind::Ready).is_some_and(|ready| ready.status == ConditionStatus::True)
    }

    /// Sets a condition; the time of its transition changes only with its status.
    pub fn set(
        &mut self,
        kind: ConditionKind,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
        now: Micros,
    ) {
        let known = self.condition(kind).filter(|known| known.status == status);
        let last_transition_time = known.map_or(now, |known| known.last_transition_time);
        self.clear(kind);
        let message = message.into();
        self.conditions.push(Condition { kind, status, reason, message, last_transition_time });
        self.conditions.sort_by_key(|condition| condition.kind as u8);
    }

    /// Removes a condition: Reconciling and Stalled where they do not hold.
    pub fn clear(&mut self, kind: ConditionKind) {
        self.conditions.retain(|condition| condition.kind != kind);
    }
}
