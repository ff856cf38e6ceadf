//! The plan as a value: what must be done so that what is observed becomes what is desired.
//!
//! ```text
//! Catalog ──inventory──► Inventory (desired) ─┐
//!                                             ├─ plan ──► Plan { actions in order, class, digest } ──render──► people
//!                        Inventory (observed) ┘             │ guard ──► what may not be removed
//!                                                           │ inverse, apply
//! ```
//!
//! Everything here is pure: the same two inventories give the same plan, to the byte. A definition is compared in its
//! [canonical](canonical::document) form, so a plan shows what changes and never how it was written. A plan is complete
//! in itself: it can be saved, reviewed, and compared by its digest with what is applied later.

mod algebra;
mod breaking;
mod build;
pub mod canonical;
mod change;
mod guard;
mod lines;
mod mask;
mod object;
mod order;
mod pattern;
pub mod render;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::definition::Id;
use crate::text::Digest;

pub use algebra::{DefinitionState, StalePlan, apply, state};
pub use breaking::ChangeClass;
pub use build::plan;
pub use change::{Change, ChangeKind};
pub use guard::{BlockedReason, BlockedRemovals, DesiredState, PrunePolicy, guard};
pub use lines::{DiffLine, text_diff};
pub use object::{Inventory, Object, SourceLocation, inventory, object, parse_id};

/// The version of the plan's JSON form that is written and read.
pub const VERSION: u32 = 1;

/// Dependants that an action names; the others are only counted.
pub const MAX_DEPENDANTS: usize = 100;

/// Largest saved plan that is read, in bytes.
pub const MAX_PLAN_BYTES: usize = 256 << 20;

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions<'a> {
    /// The name of the environment.
    pub environment: &'a str,
    /// The key that secrets are fingerprinted with, so that a reviewer sees whether two are the same; without it they
    /// show as hidden.
    pub fingerprint: Option<&'a [u8; 32]>,
}

/// What must be done, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// The environment that it is for.
    pub environment: String,
    /// Digest of all that was observed: of identities and contents, not of places and commits.
    pub from: Digest,
    /// Digest of all that is desired.
    pub to: Digest,
    /// The actions: what is needed comes before what needs it, removals last and in reverse.
    pub actions: Vec<Action>,
    /// Definitions that stay as they are.
    pub unchanged: usize,
    /// How many actions of each kind.
    pub summary: Summary,
    /// Digest of everything that matters for "reviewed is applied": environment, `from`, `to`, and each action's
    /// identity, verb and contents. Places, commits and wording do not count.
    pub digest: Digest,
}

/// How many actions of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub delete: usize,
    #[serde(rename = "move")]
    pub moved: usize,
    pub breaking: usize,
}

/// What is done with one definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Action {
    /// The definition, written `Kind/name`.
    #[serde(with = "object::id_text")]
    pub id: Id,
    /// What is done.
    pub action: Verb,
    /// Why, in one sentence.
    pub reason: String,
    /// Where it is declared; where it was, for a removal.
    pub place: SourceLocation,
    /// Where it was declared before, where that is another file or source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<SourceLocation>,
    /// What it means for those who use the definition.
    pub class: ChangeClass,
    /// Why it is breaking; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// Digest of the canonical document before; `null` for what was not there.
    pub before: Option<Digest>,
    /// Digest of the canonical document after; `null` for what is removed.
    pub after: Option<Digest>,
    /// What differs, in the order of the canonical document. Secrets are replaced by fingerprints.
    pub changes: Vec<Change>,
    /// What needs it, directly or through others, sorted; at most [`MAX_DEPENDANTS`].
    pub dependants: Vec<String>,
    /// How many need it.
    pub dependants_total: usize,
    /// The definition that is removed in the same plan, and has the same spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// The definition that is created in the same plan, and has the same spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_to: Option<String>,
}

/// What is done with a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// It is not there yet.
    Create,
    /// It is there with another content.
    Update,
    /// It is no longer declared.
    Delete,
    /// It is declared in another file or source, with the same content.
    Move,
}

impl Verb {
    /// The word in a plan's JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
            Verb::Move => "move",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Plan {
    /// Is there nothing to do?
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The plan as JSON, the form that is saved; ends with a line break.
    pub fn to_json(&self) -> String {
        render::json(self)
    }

    /// Reads a saved plan.
    ///
    /// # Errors
    /// A sentence where it is no plan, one of another version, or was changed after it was made.
    pub fn from_json(text: &str) -> Result<Plan, String> {
        if text.len() > MAX_PLAN_BYTES {
            return Err(format!("the plan is larger than {} MiB; plan fewer changes at once", MAX_PLAN_BYTES >> 20));
        }
        let plan = match serde_json::from_str::<Version>(text) {
            Ok(Version { version: VERSION }) => serde_json::from_str::<Plan>(text),
            Ok(Version { version }) => {
                return Err(format!("the plan has version {version} and this reads version {VERSION}; plan again"));
            }
            Err(error) => Err(error),
        };
        // serde's message may quote what the file holds.
        let plan = plan.map_err(|error| {
            format!(
                "this is no plan (line {} column {}); make one with `evenkeel plan --out FILE`",
                error.line(),
                error.column()
            )
        })?;
        let sealed = plan.clone().sealed();
        if sealed.digest != plan.digest || sealed.summary != plan.summary {
            return Err("the plan was changed after it was made; plan again".into());
        }
        Ok(plan)
    }

    /// The plan with its summary and digest made from its actions.
    fn sealed(mut self) -> Plan {
        self.summary = Summary::default();
        for action in &self.actions {
            match action.action {
                Verb::Create => self.summary.create += 1,
                Verb::Update => self.summary.update += 1,
                Verb::Delete => self.summary.delete += 1,
                Verb::Move => self.summary.moved += 1,
            }
            self.summary.breaking += usize::from(action.class == ChangeClass::Breaking);
        }
        let digest = |digest: &Option<Digest>| digest.map_or_else(String::new, |digest| digest.to_string());
        let mut parts = vec![
            "evenkeel plan".to_owned(),
            self.version.to_string(),
            self.environment.clone(),
            self.from.to_string(),
            self.to.to_string(),
        ];
        for action in &self.actions {
            parts.extend([
                action.id.to_string(),
                action.action.to_string(),
                digest(&action.before),
                digest(&action.after),
            ]);
        }
        self.digest = Digest::of_parts(parts.iter().map(String::as_bytes));
        self
    }
}

/// What every version of the JSON form has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[cfg(test)]
mod tests;
