//! `Tenant`: a customer of the product that embeds Evenkeel.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A customer of the embedding product, isolated from every other.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantSpec {
    /// Name shown to people.
    #[schemars(length(min = 1, max = 255))]
    pub display_name: String,
    /// The customer's id in the embedding product, where it is not the definition's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub external_id: Option<String>,
    /// May it use anything? `Active` unless set.
    #[serde(default)]
    pub status: TenantStatus,
    /// Where its data is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The customer's plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// E-mail address of the customer's administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "email"))]
    pub admin: Option<String>,
    /// Limits, where not the environment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Quotas>,
    /// Values for `get_variable`, over the environment's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "variable", "x-evenkeel-type" = "variables"))]
    pub variables: BTreeMap<String, String>,
}

/// May a tenant use anything?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum TenantStatus {
    #[default]
    Active,
    Pending,
    Suspended,
}

/// Where data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Region {
    US,
    EU,
    APAC,
}

/// Limits of a tenant.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quotas {
    /// Connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub connections: Option<u32>,
    /// Executions a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executions_per_day: Option<u64>,
    /// Executions at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrent_executions: Option<u32>,
    /// Calls of actions a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
    /// Bytes of stored state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<u64>,
}
