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
    /// Quotas of the tenant. Each that is omitted is that of the environment.
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

/// The quotas of a tenant, counted over all processes of the environment. Calls, executions and state without a tenant count
/// together, like those of one more tenant. Default of each quota: unlimited.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quotas {
    /// Maximum number of declared connections of the tenant. `validate` reports more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub connections: Option<u32>,
    /// Maximum number of executions that start per day, from midnight to midnight UTC. Beyond it, starts through the API, by
    /// workflows and of webhooks that wait for an output fail with the code `EXECUTIONS_PER_DAY_EXCEEDED`, status 429 and
    /// `Retry-After`; schedules and polls are skipped; executions of other webhooks start on the next day with executions
    /// left, at most 30 days later. Retried attempts and `onFailure` workflows do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executions_per_day: Option<u64>,
    /// Maximum number of executions that run at the same time; others stay queued. Waiting executions do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrent_executions: Option<u32>,
    /// Maximum number of calls of actions in any minute, by the API, workflows and polls. A call beyond it fails at once with
    /// the code `CALLS_PER_MINUTE_EXCEEDED`, status 429 and `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
    /// Maximum size of keys and values that workflows keep by `ctx.state`, in bytes. Setting a value beyond it fails with the
    /// code `STATE_BYTES_EXCEEDED`. State of the scope `invocation` does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<u64>,
}

impl Quotas {
    /// These quotas, and `defaults` for those that are not set.
    #[must_use]
    pub fn or(&self, defaults: &Quotas) -> Quotas {
        Quotas {
            connections: self.connections.or(defaults.connections),
            executions_per_day: self.executions_per_day.or(defaults.executions_per_day),
            concurrent_executions: self.concurrent_executions.or(defaults.concurrent_executions),
            calls_per_minute: self.calls_per_minute.or(defaults.calls_per_minute),
            state_bytes: self.state_bytes.or(defaults.state_bytes),
        }
    }
}
