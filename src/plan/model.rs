//! The plan and its actions.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::breaking::ChangeClass;
use super::change::Change;
use super::file_diff::FileDiff;
use super::object::{SourceLocation, id_text};
use crate::definition::Id;
use crate::text::Digest;

/// The version of the JSON form of plans.
pub const VERSION: u32 = 2;

/// Maximum number of dependants that an action names. Further dependants are only counted.
pub const MAX_DEPENDANTS: usize = 100;

/// Maximum size of a saved plan, in bytes.
pub const MAX_PLAN_BYTES: usize = 256 << 20;

/// Options of a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions<'a> {
    /// The name of the environment.
    pub environment: &'a str,
}

/// The actions that turn the observed definitions into the desired ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// The name of the environment.
    pub environment: String,
    /// Digest of the observed identities and contents, without places and commits.
    pub from: Digest,
    /// Digest of the desired identities and contents.
    pub to: Digest,
    /// The actions in order: a definition comes after those that it needs; removals come last, in reverse order.
    pub actions: Vec<Action>,
    /// Number of unchanged definitions.
    pub unchanged: usize,
    /// Number of actions of each kind.
    pub summary: Summary,
    /// Digest of what a review approves: of all other fields except the places of declarations. So a plan for a pull request is
    /// the plan for its merge, wherever the files are then.
    pub digest: Digest,
}

/// Number of actions of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub delete: usize,
    #[serde(rename = "move")]
    pub moved: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub adopt: usize,
    pub breaking: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A change of one definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Action {
    /// The definition, written `Kind/name`.
    #[serde(with = "id_text")]
    pub id: Id,
    /// The kind of change.
    pub action: Verb,
    /// The reason, in one sentence.
    pub reason: String,
    /// The place of the declaration; for a removal, its former place.
    pub place: SourceLocation,
    /// The former place, if it is in another file or source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<SourceLocation>,
    /// The effect on users of the definition.
    pub class: ChangeClass,
    /// The reasons why it is breaking; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// Digest of the canonical document before; `null` for a creation.
    pub before: Option<Digest>,
    /// Digest of the canonical document after; `null` for a removal.
    pub after: Option<Digest>,
    /// The differences, in the order of the canonical document. Secrets are hidden.
    pub changes: Vec<Change>,
    /// Diffs of the files that it refers to. `changes` has their digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileDiff>,
    /// Definitions that need it directly or indirectly, sorted; at most [`MAX_DEPENDANTS`].
    pub dependants: Vec<String>,
    /// Number of definitions that need it.
    pub dependants_total: usize,
    /// A definition with the same spec that is removed in the same plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// A definition with the same spec that is created in the same plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_to: Option<String>,
}

/// The kind of change of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// The definition does not exist yet.
    Create,
    /// The definition exists with other content.
    Update,
    /// The definition is no longer declared.
    Delete,
    /// The definition is declared in another file or source, with the same content.
    Move,
    /// The definition was made through the API, and a source declares it now, with the same or with other content.
    Adopt,
}

impl Verb {
    /// The name in the JSON form.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
            Verb::Move => "move",
            Verb::Adopt => "adopt",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Plan {
    /// True if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The plan as JSON, the form that is saved, in the stable order of its fields; ends with a line break.
    pub fn to_json(&self) -> String {
        // Strings, numbers and maps with string keys serialize without errors.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a saved plan.
    ///
    /// # Errors
    /// One sentence, for a text that is not a plan, has another version, or was changed after it was made.
    pub fn from_json(text: &str) -> Result<Plan, String> {
        if text.len() > MAX_PLAN_BYTES {
            return Err(format!("the plan is larger than {} MiB; plan fewer changes at once", MAX_PLAN_BYTES >> 20));
        }
        let plan = match serde_json::from_str::<Version>(text) {
            Ok(Version { version: VERSION }) => serde_json::from_str::<Plan>(text),
            Ok(Version { version }) => {
                return Err(format!("the plan has version {version}, expected version {VERSION}; plan again"));
            }
            Err(error) => Err(error),
        };
        // serde's message may quote the content of the file.
        let plan = plan.map_err(|error| {
            format!(
                "not a plan (line {} column {}); make one with `evenkeel plan --out FILE`",
                error.line(),
                error.column()
            )
        })?;
        let expected = plan.clone().with_digest();
        if expected.digest != plan.digest || expected.summary != plan.summary {
            return Err("the plan was changed after it was made; plan again".into());
        }
        Ok(plan)
    }

    /// Computes summary and digest from the actions.
    pub(super) fn with_digest(mut self) -> Plan {
        self.summary = Summary::default();
        for action in &self.actions {
            match action.action {
                Verb::Create => self.summary.create += 1,
                Verb::Update => self.summary.update += 1,
                Verb::Delete => self.summary.delete += 1,
                Verb::Move => self.summary.moved += 1,
                Verb::Adopt => self.summary.adopt += 1,
            }
            self.summary.breaking += usize::from(action.class == ChangeClass::Breaking);
        }
        let mut parts = vec![
            "evenkeel plan".to_owned(),
            self.version.to_string(),
            self.environment.clone(),
            self.from.to_string(),
            self.to.to_string(),
            self.unchanged.to_string(),
        ];
        parts.extend(self.actions.iter().map(Action::reviewed));
        self.digest = Digest::of_parts(parts.iter().map(String::as_bytes));
        self
    }
}

impl Action {
    /// The action as JSON without its places, which say where a definition is declared and not what it is.
    fn reviewed(&self) -> String {
        let mut action = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = action.as_object_mut() {
            fields.retain(|name, _| !matches!(name.as_str(), "place" | "was"));
        }
        action.to_string()
    }
}

/// The field that every version of the JSON form has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}
