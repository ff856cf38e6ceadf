//! Values of the store.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::Id;
use crate::text::Digest;

/// Microseconds since 1970, UTC.
pub type Micros = i64;

/// One generation of an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// The environment.
    pub environment: String,
    /// Its number, from 1 in each environment.
    pub number: u64,
    /// Digest of its root object, and so of all its content.
    pub digest: Digest,
    /// Revision of each source, by the source's name.
    pub revisions: BTreeMap<String, String>,
    /// Reason for its creation.
    pub cause: Cause,
    /// `reconciler`, or the name of the person who requested it.
    pub actor: String,
    /// Time of its activation, by the store's clock.
    pub at: Micros,
    /// Digest of the plan that led to it.
    pub plan: Option<Digest>,
    /// Counts of the plan's actions, for histories.
    pub summary: Value,
}

/// Reason for the creation of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The source changed.
    Source,
    /// The active generation differed from the declared state.
    Heal,
    /// An earlier generation was requested.
    Rollback,
    /// Another environment's generation was requested.
    Promotion,
    /// A definition was written or removed through the API.
    Override,
}

impl Cause {
    /// The text form, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Source => "Source",
            Cause::Heal => "Heal",
            Cause::Rollback => "Rollback",
            Cause::Promotion => "Promotion",
            Cause::Override => "Override",
        }
    }

    /// The cause with a text form; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Cause> {
        let all = [Cause::Source, Cause::Heal, Cause::Rollback, Cause::Promotion, Cause::Override];
        all.into_iter().find(|cause| cause.as_str() == name)
    }
}

/// A generation to be activated.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The environment.
    pub environment: String,
    /// Number of the generation that must still be active; 0 if there must be none.
    pub expected: u64,
    /// Digest of the root object, which is stored already.
    pub digest: Digest,
    /// Revision of each source.
    pub revisions: BTreeMap<String, String>,
    /// Reason for the activation.
    pub cause: Cause,
    /// `reconciler`, or the name of the person who requested it.
    pub actor: String,
    /// Digest of the plan.
    pub plan: Option<Digest>,
    /// Counts of the plan's actions, for histories.
    pub summary: Value,
    /// Tombstones of the definitions that this activation removes.
    pub tombstones: Vec<Tombstone>,
    /// Definitions that this activation restores or replaces: their tombstones are deleted.
    pub restored: Vec<Id>,
}

/// A removed definition that can still be restored with its identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// Kind and name, as `Kind/name`.
    pub id: String,
    /// Its item in the generation's manifest, with its identity and the digest of its content.
    pub item: Value,
    /// The last generation that contained it.
    pub generation: u64,
    /// Time of its removal, by the store's clock; set by the store.
    pub at: Micros,
    /// Time for which it can be restored, in microseconds.
    pub window: Micros,
}

/// Exclusive ownership with an expiry, and the token that fences out earlier holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Name of the lease.
    pub name: String,
    /// Its holder.
    pub holder: String,
    /// Fencing token; grows with each new holder. Writes with an older one are refused.
    pub token: i64,
}

/// The generation that a process serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replica {
    /// The process.
    pub replica: String,
    /// The environment.
    pub environment: String,
    /// The generation's number.
    pub number: u64,
    /// The generation's digest, as loaded and verified.
    pub digest: Digest,
    /// Time of the last report.
    pub at: Micros,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Time, by the store's clock; set by the store.
    pub at: Micros,
    /// The environment; empty if none.
    pub environment: String,
    /// The person or program that acted.
    pub actor: String,
    /// The action, in one word such as `Rollback`.
    pub action: String,
    /// Details of the action. Never a secret.
    pub details: Value,
}

/// Name of a stored credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CredentialId {
    /// The environment that it belongs to.
    pub environment: String,
    /// The tenant; empty if none.
    pub tenant: String,
    /// Its name.
    pub name: String,
}

/// A secret value. Its `Debug` hides it, it has no `Serialize`, and it is wiped when dropped.
#[derive(Clone)]
pub struct SecretBytes(pub zeroize::Zeroizing<Vec<u8>>);

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
