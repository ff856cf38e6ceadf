//! `Role`: permissions of people and keys.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A set of permissions by resource. Six roles are built in: `owner`, `admin`, `developer`, `operator`, `viewer` and
/// `end-user`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-planned" = {"instead": "only its name has an effect, in the `roles` of approvals; it grants and refuses nothing else", "remedy": "give rights with the tokens of the server until then"}))]
pub struct RoleSpec {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Role whose permissions are included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Role"))]
    pub extends: Option<String>,
    /// Granted permissions by resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = describe_resources)]
    pub permissions: BTreeMap<Resource, Vec<Permission>>,
    /// Environments to which the role applies. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Environment"))]
    pub environments: Vec<String>,
}

/// A resource that permissions apply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are self-explanatory")]
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

/// Describes the permissions of each resource in the schema of [`RoleSpec::permissions`].
fn describe_resources(schema: &mut Schema) {
    let resources = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (resource, schema) in resources.into_iter().flatten() {
        schema["description"] = format!("Permissions on {resource}.").into();
    }
}

/// A permission on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
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

/// The built-in roles.
pub const SYSTEM_ROLES: [&str; 6] = ["owner", "admin", "developer", "operator", "viewer", "end-user"];
