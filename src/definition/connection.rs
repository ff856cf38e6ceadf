//! `Connection`: an authenticated instance of a connector.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Credential;

/// An authenticated instance of a connector. Holds references to secrets, never their values.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionSpec {
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Name of the Connector.
    #[schemars(extend("x-evenkeel-ref" = "Connector"))]
    pub connector: String,
    /// The connector's authentication method; its default where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "AuthMethod"))]
    pub method: Option<String>,
    /// Whose it is; `Organization` unless set.
    #[serde(default)]
    pub scope: ConnectionScope,
    /// The tenant, for the scopes `Tenant` and `User`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Tenant"))]
    pub tenant: Option<String>,
    /// The user's id, for the scope `User`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub user: Option<String>,
    /// Credentials by name: `username`, `password`, `token`, `apiKey`, `accessToken`, `clientId`, `clientSecret`,
    /// `privateKey`, or the fields of a custom method.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "identifier"))]
    pub credentials: BTreeMap<String, Credential>,
    /// What the connector's `settings` schema asks for; templates read it as `connection.settings`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "noTemplate"))]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Values for `get_variable`, over the tenant's and the environment's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "variable", "x-evenkeel-type" = "variables"))]
    pub variables: BTreeMap<String, String>,
    /// May it be used? `true` unless set.
    #[serde(default = "super::common::yes")]
    pub active: bool,
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConnectionScope {
    /// Everybody's: used where a tenant or user has none of its own.
    #[default]
    Organization,
    /// One tenant's.
    Tenant,
    /// One user's.
    User,
}
