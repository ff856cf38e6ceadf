//! Bodies of requests that change an environment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::text::Digest;

/// `suspend`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Suspend {
    /// Reason: one line of at most 500 bytes.
    pub reason: Option<String>,
}

/// `rollback`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// Number of the generation to activate again.
    pub to: u64,
}

/// `promote`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Promote {
    /// Name of the environment to take the active generation from.
    pub from: String,
}

/// `apply`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Apply {
    /// Digest of the plan that was read, so that no other plan is approved.
    #[schemars(schema_with = "schema::digest")]
    pub plan: Digest,
}

/// `restore`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restore {
    /// The definition, as `Kind/name`.
    pub id: String,
}

/// Files to plan as if they were the source's.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preview {
    /// Contents by path from the root of the source.
    pub files: BTreeMap<String, String>,
}

/// No arguments.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}
