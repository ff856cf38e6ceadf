//! How an environment follows its sources.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::definition::common::Duration;

/// How changes are applied.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sync {
    /// What happens when the environment differs from its definitions; `Heal` unless set.
    #[serde(default)]
    pub mode: SyncMode,
    /// Does one broken definition hold back the others? `Atomic` unless set.
    #[serde(default)]
    pub apply: ApplyMode,
    /// What happens to definitions that are gone from the source.
    #[serde(default)]
    pub prune: Prune,
}

/// What happens on a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SyncMode {
    /// It is corrected.
    #[default]
    Heal,
    /// It is reported.
    Report,
    /// It waits for `evenkeel apply`.
    Manual,
}

/// Does one broken definition hold back the others?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApplyMode {
    /// All or nothing.
    #[default]
    Atomic,
    /// Broken ones keep their last good version, the others go live.
    Isolate,
}

/// What happens to definitions that are gone from the source.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prune {
    /// Are they removed? `true` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Most that one apply removes: a number, or a share such as `10%`; more waits for approval. 20% unless set, and
    /// never less than 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How long a removed definition is kept, so that it can come back as what it was; `7d` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "0s", "x-evenkeel-max" = "90d"))]
    pub undo_window: Option<Duration>,
}

/// How long earlier generations are kept: the newest `keep`, and all that are younger than `maxAge`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct History {
    /// Generations that are kept whatever their age; 20 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub keep: Option<u32>,
    /// Generations younger than this are kept too; `30d` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "0s", "x-evenkeel-max" = "365d"))]
    pub max_age: Option<Duration>,
}

/// A number of definitions or a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// A number.
    Count(u32),
    /// Per cent.
    Percent(u8),
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Budget, String> {
        let percent =
            text.strip_suffix('%').and_then(|digits| digits.parse::<u8>().ok()).filter(|percent| *percent <= 100);
        percent
            .map(Budget::Percent)
            .ok_or_else(|| format!("`{text}` is no budget; write a number, or a share such as `10%`"))
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
