//! `Connection`: an authenticated instance of a connector.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Credential;

/// An authenticated instance of a connector. It references secrets and never contains their values.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionSpec {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Name of the Connector.
    #[schemars(extend("x-evenkeel-ref" = "Connector"))]
    pub connector: String,
    /// Authentication method of the connector. Default: the connector's default method.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "AuthMethod"))]
    pub method: Option<String>,
    /// Owner of the connection. Default: `Organization`.
    #[serde(default)]
    pub scope: ConnectionScope,
    /// Tenant, for the scopes `Tenant` and `User`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Tenant"))]
    pub tenant: Option<String>,
    /// Id of the user, for the scope `User`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub user: Option<String>,
    /// Credentials by name: `username`, `password`, `token`, `apiKey`, `accessToken`, `clientId`, `clientSecret`,
    /// `privateKey`, or the fields of a custom authentication method.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "identifier"))]
    pub credentials: BTreeMap<String, Credential>,
    /// Settings that the connector's `settings` schema requires. Templates read them as `connection.settings`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "noTemplate"))]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Variables for `get_variable`. They take precedence over those of the tenant and the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "variable", "x-evenkeel-type" = "variables"))]
    pub variables: BTreeMap<String, String>,
    /// Enables the connection. Default: `true`.
    #[serde(default = "super::common::yes")]
    pub active: bool,
}

/// The owner of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConnectionScope {
    /// Shared: used if a tenant or user has no connection of its own.
    #[default]
    Organization,
    /// Owned by a tenant.
    Tenant,
    /// Owned by a user.
    User,
}
