//! Synchronisation of an environment with its sources.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::definition::common::Duration;

/// The application of changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sync {
    /// Reaction to a difference between the environment and its definitions. Default: `Heal`.
    #[serde(default)]
    pub mode: SyncMode,
    /// Handling of revisions that contain invalid definitions. Default: `Atomic`.
    #[serde(default)]
    pub apply: ApplyMode,
    /// Handling of definitions that were removed from the source.
    #[serde(default)]
    pub prune: Prune,
    /// Handling of secrets that cannot be resolved. Default: `Require`.
    #[serde(default)]
    pub secrets: SecretPolicy,
}

/// The reaction to a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SyncMode {
    /// Corrects the difference.
    #[default]
    Heal,
    /// Reports the difference without correcting it.
    Report,
    /// Waits for `evenkeel apply`.
    Manual,
}

/// The handling of revisions that contain invalid definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApplyMode {
    /// Rejects the whole revision.
    #[default]
    Atomic,
    /// Applies valid definitions; invalid ones keep their last valid version.
    Isolate,
}

/// The handling of secrets that definitions reference and that cannot be resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretPolicy {
    /// Keeps the last good generation until the secrets can be resolved; with `Isolate`, the last good version of the
    /// definitions that need them.
    #[default]
    Require,
    /// Applies the revision. The condition `SecretsResolved` and a notification name the secrets; calls that need them
    /// fail.
    Warn,
}

/// Handling of definitions that were removed from the source.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prune {
    /// Removes definitions that are no longer in the source. Default: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Maximum number of removals per application: a number, or a share such as `10%`. More removals require approval.
    /// Default: `20%`, at least 3 definitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Period in which a removed definition can be restored, from `0s` to `90d`. Default: `7d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "0s", "x-evenkeel-max" = "90d"))]
    pub undo_window: Option<Duration>,
}

/// The retention of earlier generations: the newest `keep` generations, and all that are younger than `maxAge`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct History {
    /// Number of generations that are kept regardless of their age. Default: `20`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub keep: Option<u32>,
    /// Age up to which all generations are kept, from `0s` to `365d`. Default: `30d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "0s", "x-evenkeel-max" = "365d"))]
    pub max_age: Option<Duration>,
}

/// A number of definitions, or a share of all definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// A number of definitions.
    Count(u32),
    /// A share in per cent.
    Percent(u8),
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Budget, String> {
        let percent =
            text.strip_suffix('%').and_then(|digits| digits.parse::<u8>().ok()).filter(|percent| *percent <= 100);
        percent
            .map(Budget::Percent)
            .ok_or_else(|| format!("`{text}` is not a budget; write a number, or a share such as `10%`"))
    }
}

impl Serialize for Budget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Budget::Count(count) => serializer.serialize_u32(*count),
            Budget::Percent(percent) => serializer.collect_str(&format_args!("{percent}%")),
        }
    }
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Budget, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Count(u32),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Count(count) => Ok(Budget::Count(count)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for Budget {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Budget".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of definitions, or a share of them such as `10%`.",
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": 1_000_000},
                {"type": "string", "pattern": "^(100|[0-9]{1,2})%$"}
            ],
            "x-kubernetes-int-or-string": true
        })
    }
}
