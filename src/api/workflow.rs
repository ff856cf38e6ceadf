//! Workflows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::workflow::Tier;

/// A workflow that is live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workflow {
    /// Name.
    pub name: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// Tier.
    pub tier: Tier,
    /// False if it starts no executions.
    pub active: bool,
    /// Version that is live; null before its first execution or if versions are not counted.
    pub version: Option<u64>,
    /// Newest version.
    pub latest: Option<u64>,
    /// True if executions need a tenant.
    pub requires_tenant: bool,
    /// JSON Schema of the input.
    pub input: Option<serde_json::Value>,
    /// File and line of the definition.
    pub source: String,
}
