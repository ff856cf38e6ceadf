//! `Role`: what people and keys may do.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A set of permissions, by what they are about. Six roles are always there: `owner`, `admin`, `developer`, `operator`,
/// `viewer` and `end-user`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleSpec {
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A role whose permissions it has too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Role"))]
    pub extends: Option<String>,
    /// What may be done.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub permissions: BTreeMap<Resource, Vec<Permission>>,
    /// The environments it is for; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Environment"))]
    pub environments: Vec<String>,
}

/// What a permission is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Resource {
    Connectors,
    Connections,
    Workflows,
    Triggers,
    Widgets,
    Tenants,
    Environments,
    Executions,
    Roles,
    Alerts,
    Agents,
    Tools,
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Permission {
    Create,
    Read,
    Update,
    Delete,
    Execute,
    Share,
    DeployTest,
    DeployProduction,
}

/// The roles that are always there.
pub const SYSTEM_ROLES: [&str; 6] = ["owner", "admin", "developer", "operator", "viewer", "end-user"];
