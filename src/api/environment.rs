//! Environments: their status and history.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Time, present, schema};
use crate::plan::BlockedReason;
use crate::reconcile::status::{self, ConditionKind, ConditionStatus, DriftKind, Status};
use crate::store::{self, Cause};
use crate::text::Digest;

/// An environment: its active generation, and the difference from the declared definitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Name; on Kubernetes `namespace.name`.
    pub name: String,
    /// True if everything that is declared serves.
    pub ready: bool,
    /// Number of the generation that serves; null before the first one, and in `evenkeel dev`.
    pub generation: Option<u64>,
    /// Digest of the generation that serves.
    #[schemars(schema_with = "schema::optional_digest")]
    pub digest: Option<Digest>,
    /// Time at which it became active.
    pub active_since: Option<Time>,
    /// Number of definitions in it.
    pub definitions: usize,
    /// Conditions: Ready always, Reconciling and Stalled while they hold, SecretsResolved while definitions
    /// reference secrets, ConnectorsHealthy while connectors have probes.
    pub conditions: Vec<Condition>,
    /// Folder of the definitions in their repository, as `path` of the Git source names it; empty for the root.
    #[serde(default)]
    pub folder: String,
    /// Revision of each source that serves.
    pub last_applied: BTreeMap<String, String>,
    /// Revision of each source that was fetched last.
    pub last_attempted: BTreeMap<String, String>,
    /// Revision of each source that does not follow from the one before it, as after a forced push.
    #[serde(default)]
    pub history_rewritten: BTreeMap<String, String>,
    /// Number of errors in the revision that was fetched last.
    pub errors: usize,
    /// Number of warnings in it.
    pub warnings: usize,
    /// Its first findings, as `validate -o json` writes them.
    #[schemars(schema_with = "schema::findings")]
    pub findings: Vec<Value>,
    /// Definitions that keep their last good version, or are absent, because the new version has errors.
    pub held: Vec<String>,
    /// Number of definitions that serve although they are not declared so.
    pub drifted: usize,
    /// The first of them.
    pub drift: Vec<Drift>,
    /// Removals that guards stop.
    pub blocked: Vec<Blocked>,
    /// The plan that waits for approval.
    pub pending: Option<Pending>,
    /// The request that suspended the environment.
    pub suspended: Option<Suspension>,
    /// Revisions that a rollback or promotion left and that are not applied again.
    pub held_back: Option<HeldBack>,
    /// Processes that serve the environment; only for one environment, not in lists.
    #[serde(default)]
    pub replicas: Vec<Replica>,
    /// Definitions that were removed and can be restored; only for one environment, not in lists.
    #[serde(default)]
    pub tombstones: Vec<Tombstone>,
}

/// A condition, as kstatus reads them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reconciling`, `Stalled`, `SecretsResolved` or `ConnectorsHealthy`.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["Ready", "Reconciling", "Stalled", "SecretsResolved", "ConnectorsHealthy"]))]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// Reason of the status, such as `Applied`.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// Time of the last change of `status`.
    pub last_transition_time: Option<Time>,
}

/// A definition that serves although it is not declared so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The definition, as `Kind/name`.
    pub id: String,
    /// `changed`, `removed` or `added`.
    #[schemars(extend("enum" = ["changed", "removed", "added"]))]
    pub how: String,
    /// Actor that made the change, as far as it is known.
    pub who: Option<String>,
    /// Time of the change.
    pub at: Option<Time>,
    /// Expiry of an override; null for drift that is not permitted.
    pub until: Option<Time>,
}

/// Removals that one guard stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// Guard that stops the removals.
    #[schemars(with = "String")]
    pub reason: BlockedReason,
    /// The first definitions, as `Kind/name`.
    pub ids: Vec<String>,
    /// Remedy.
    pub message: String,
}

/// A plan that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Digest of the plan, which an approval names.
    #[schemars(schema_with = "schema::digest")]
    pub plan: Digest,
    /// Reason why it is not applied.
    pub reason: String,
    /// Counts of its actions.
    pub summary: Value,
}

/// The request that suspended an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suspension {
    /// Name of the operator.
    pub by: String,
    /// Time of the request.
    pub at: Option<Time>,
    /// Reason in the operator's words.
    pub reason: Option<String>,
}

/// Revisions that are not applied again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldBack {
    /// Revision of each source.
    pub revisions: BTreeMap<String, String>,
    /// Name of the operator who requested the rollback or promotion.
    pub by: String,
    /// Time of the request.
    pub at: Option<Time>,
}

/// A process that serves an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replica {
    /// Name of the process.
    pub name: String,
    /// Number of the generation that it serves.
    pub generation: u64,
    /// Digest of the generation.
    #[schemars(schema_with = "schema::digest")]
    pub digest: Digest,
    /// Time of its last report.
    pub at: Option<Time>,
}

/// A removed definition that can be restored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// The definition, as `Kind/name`.
    pub id: String,
    /// Number of the last generation that contained it.
    pub generation: u64,
    /// Time of its removal.
    pub at: Option<Time>,
    /// End of the time for which it can be restored.
    pub until: Option<Time>,
}

/// A generation in the history of an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// Its number, from 1.
    pub generation: u64,
    /// Its digest.
    #[schemars(schema_with = "schema::digest")]
    pub digest: Digest,
    /// True if it serves.
    pub active: bool,
    /// Time of its activation.
    pub at: Option<Time>,
    /// Reason for its creation.
    #[schemars(with = "String", extend("enum" = ["Source", "Heal", "Rollback", "Promotion", "Override"]))]
    pub cause: Cause,
    /// `reconciler`, or the name of the person who requested it.
    pub actor: String,
    /// Revision of each source.
    pub revisions: BTreeMap<String, String>,
    /// Digest of the plan that led to it.
    #[schemars(schema_with = "schema::optional_digest")]
    pub plan: Option<Digest>,
    /// Counts of the plan's actions.
    pub summary: Value,
}

/// A line of the audit log of an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    /// Time.
    pub at: Option<Time>,
    /// The person or program that acted.
    pub actor: String,
    /// The action, in one word such as `Rollback`.
    pub action: String,
    /// Details of the action.
    pub details: Value,
}

impl Environment {
    /// The environment of a status. The fields about the active generation come from `serving`, since a status may be older.
    pub fn new(name: &str, status: &Status, serving: Serving) -> Environment {
        Environment {
            name: name.to_owned(),
            ready: status.is_ready(),
            generation: serving.generation,
            digest: serving.digest,
            active_since: serving.since,
            definitions: serving.definitions,
            conditions: status.conditions.iter().map(Condition::from).collect(),
            folder: String::new(),
            last_applied: status.last_applied.clone(),
            last_attempted: status.last_attempted.clone(),
            history_rewritten: status.history_rewritten.clone(),
            errors: status.errors,
            warnings: status.warnings,
            findings: status.findings.clone(),
            held: status.held.clone(),
            drifted: status.drifted,
            drift: status.drift.iter().map(Drift::from).collect(),
            blocked: status.blocked.iter().map(Blocked::from).collect(),
            pending: status.pending.as_ref().map(Pending::from),
            suspended: status.suspended.as_ref().map(Suspension::from),
            held_back: status.held_back.as_ref().map(HeldBack::from),
            replicas: Vec::new(),
            tombstones: Vec::new(),
        }
    }
}

/// The active generation of an environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Serving {
    /// Its number; `None` if generations are not counted.
    pub generation: Option<u64>,
    /// Its digest.
    pub digest: Option<Digest>,
    /// Time at which it became active.
    pub since: Option<Time>,
    /// Number of definitions in it.
    pub definitions: usize,
}

impl From<&status::Condition> for Condition {
    fn from(condition: &status::Condition) -> Condition {
        let kind = match condition.kind {
            ConditionKind::Ready => "Ready",
            ConditionKind::Reconciling => "Reconciling",
            ConditionKind::Stalled => "Stalled",
            ConditionKind::SecretsResolved => "SecretsResolved",
            ConditionKind::ConnectorsHealthy => "ConnectorsHealthy",
        };
        let state = match condition.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        };
        Condition {
            kind: kind.to_owned(),
            status: state.to_owned(),
            reason: condition.reason.to_string(),
            message: condition.message.clone(),
            last_transition_time: Time::of(condition.last_transition_time),
        }
    }
}

impl From<&status::Drift> for Drift {
    fn from(drift: &status::Drift) -> Drift {
        let how = match drift.how {
            DriftKind::Changed => "changed",
            DriftKind::Removed => "removed",
            DriftKind::Added => "added",
        };
        let (at, until) = (Time::of(drift.at), drift.until.and_then(Time::of));
        Drift { id: drift.id.clone(), how: how.to_owned(), who: present(&drift.who), at, until }
    }
}

impl From<&status::BlockedPrune> for Blocked {
    fn from(blocked: &status::BlockedPrune) -> Blocked {
        Blocked { reason: blocked.reason, ids: blocked.ids.clone(), message: blocked.message.clone() }
    }
}

impl From<&status::Pending> for Pending {
    fn from(pending: &status::Pending) -> Pending {
        Pending { plan: pending.plan, reason: pending.reason.to_string(), summary: pending.summary.clone() }
    }
}

impl From<&status::Requester> for Suspension {
    fn from(request: &status::Requester) -> Suspension {
        Suspension { by: request.by.clone(), at: Time::of(request.at), reason: request.reason.clone() }
    }
}

impl From<&status::HeldRevision> for HeldBack {
    fn from(held: &status::HeldRevision) -> HeldBack {
        HeldBack { revisions: held.revisions.clone(), by: held.by.clone(), at: Time::of(held.at) }
    }
}

impl From<store::Replica> for Replica {
    fn from(replica: store::Replica) -> Replica {
        let (generation, at) = (replica.number, Time::of(replica.at));
        Replica { name: replica.replica, generation, digest: replica.digest, at }
    }
}

impl From<store::Tombstone> for Tombstone {
    fn from(tombstone: store::Tombstone) -> Tombstone {
        Tombstone {
            id: tombstone.id,
            generation: tombstone.generation,
            at: Time::of(tombstone.at),
            until: Time::of(tombstone.at.saturating_add(tombstone.window)),
        }
    }
}

impl From<store::Audit> for AuditLine {
    fn from(line: store::Audit) -> AuditLine {
        AuditLine { at: Time::of(line.at), actor: line.actor, action: line.action, details: line.details }
    }
}

impl Generation {
    /// A stored generation; `active` is the number of the one that serves.
    pub fn new(generation: store::Generation, active: u64) -> Generation {
        Generation {
            generation: generation.number,
            digest: generation.digest,
            active: generation.number == active,
            at: Time::of(generation.at),
            cause: generation.cause,
            actor: generation.actor,
            revisions: generation.revisions,
            plan: generation.plan,
            summary: generation.summary,
        }
    }
}

/// The result of a command on an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandResult {
    /// The generation that the command activated; null if it activates none by itself.
    pub generation: Option<Generation>,
    /// Remarks, such as secrets that the environment lacks.
    pub warnings: Vec<String>,
    /// Number of requests to reconcile so far; null for other commands.
    pub requested: Option<u64>,
    /// The environment after the command.
    pub status: Environment,
}

/// The findings of the revision that was read last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// Name of the environment.
    pub environment: String,
    /// Digest of the generation that serves.
    pub digest: Option<String>,
    /// True if the revision that was read last serves; false if it has errors and an earlier generation serves.
    pub current: bool,
    /// The findings, as `validate -o json` writes them.
    #[schemars(schema_with = "schema::findings")]
    pub findings: Vec<Value>,
    /// Counts of the findings, as `validate -o json` writes them.
    pub summary: Value,
}

/// A push notification of a Git host that was verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushNotification {
    /// Name of the environment.
    pub environment: String,
    /// `accepted` if the sources are fetched soon, `ignored` if the push concerns none of them.
    #[schemars(extend("enum" = ["accepted", "ignored"]))]
    pub result: String,
}
