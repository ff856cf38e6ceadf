//! `Tenant`: a customer of the product that embeds Evenkeel.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A customer of the embedding product, isolated from all others.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantSpec {
    /// Display name.
    #[schemars(length(min = 1, max = 255))]
    pub display_name: String,
    /// Id of the customer in the embedding product. Default: the name of the definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub external_id: Option<String>,
    /// Status of the tenant: any other than `Active` refuses its calls, executions and events. Default: `Active`.
    #[serde(default)]
    pub status: TenantStatus,
    /// Region of the customer. Templates read it as `tenant.region`; all data is in the store of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Subscription plan of the customer. Templates read it as `tenant.plan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// E-mail address of the customer's administrator.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "no message is sent to it", "remedy": "remove the field until then"}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "email"))]
    pub admin: Option<String>,
    /// Quotas of the tenant. This version validates them and does not act on them. Default: the quotas of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Quotas>,
    /// Variables for `get_variable`. They take precedence over those of the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "variable", "x-evenkeel-type" = "variables"))]
    pub variables: BTreeMap<String, String>,
}

/// The status of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum TenantStatus {
    #[default]
    Active,
    Pending,
    Suspended,
}

/// The region of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Region {
    US,
    EU,
    APAC,
}

/// The quotas of a tenant.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quotas {
    /// Maximum number of connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub connections: Option<u32>,
    /// Maximum number of executions per day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executions_per_day: Option<u64>,
    /// Maximum number of concurrent executions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrent_executions: Option<u32>,
    /// Maximum number of action calls per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
    /// Maximum size of stored state, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<u64>,
}
