//! `Connector`: an application with its authentication, actions, entities and events.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::auth::Auth;
use super::common::{Duration, Image, Param, Retry, SchemaValue};
use super::entity::ConnectorEntity;
use super::event::Event;

/// An application with its actions, entities and events.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorSpec {
    /// Display name.
    #[schemars(length(min = 1, max = 255))]
    pub display_name: String,
    /// Description of one or two sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Images, at most one per theme.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub images: Vec<Image>,
    /// URL of the application's API documentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "httpsUrl"))]
    pub documentation_url: Option<String>,
    /// Domain of the application, such as `github.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub domain: Option<String>,
    /// States if the application is external or one of your own systems. Default: `External`.
    #[serde(default)]
    pub resource_type: ResourceType,
    /// Audience of the connector. Default: `Workspace`.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "every caller with a connection may use the connector", "remedy": "limit the use with the scopes of Connections"}))]
    #[serde(default)]
    pub scope: Scope,
    /// Listing of the connector in public catalogs. Default: `Private`.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "no public catalog lists connectors", "remedy": "remove the field until then"}))]
    #[serde(default)]
    pub visibility: ConnectorVisibility,
    /// Offers the connector to end users for activation. Default: `true`.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "no hub offers connectors, and calls are not refused", "remedy": "remove the field until then"}))]
    #[serde(default = "super::common::yes")]
    pub activation: bool,
    /// Base URL to which the paths of actions are appended: a template. Its host may contain literal text and variables
    /// only. Example: `https://api.example.com/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), extend("x-evenkeel-template" = "baseUrl"))]
    pub base_url: Option<String>,
    /// Authentication of calls. If omitted, calls are not authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// JSON Schema of `connection.settings`, the settings that a connection must provide besides its credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<SchemaValue>,
    /// Defaults for all actions.
    #[serde(default, skip_serializing_if = "Defaults::is_empty")]
    pub defaults: Defaults,
    /// Rate limit of the application, for all tenants, connections and processes of the environment together. Requests
    /// beyond it wait in their order, until the timeout of their action at most. A request whose wait would be longer fails
    /// at once with the code `RATE_LIMITED`, status 429 and `Retry-After`. Mocks are not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Probe of the application. A server that serves the connector calls an action on an interval; commands that run without
    /// a server never do. If omitted, the application is not probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"action": "list-contacts", "interval": "1m"}]))]
    pub health: Option<HealthProbe>,
    /// Actions by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1000, "x-evenkeel-keys" = "name"))]
    pub actions: BTreeMap<String, Arc<Action>>,
    /// Records of the application and their mapping to canonical entities, by name. Outputs of actions and events hold
    /// records with the transformed values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "identifier"))]
    pub entities: BTreeMap<String, Box<ConnectorEntity>>,
    /// Events of the application, received by webhook or found by polling, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "name"))]
    pub events: BTreeMap<String, Box<Event>>,
    /// Declared capabilities. If omitted, they are derived from actions and events; if set, they are validated against
    /// them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"entities": ["contact"], "actions": {"contact": ["Create", "List"]}, "events": {"contact": ["Created"]}}]))]
    pub capabilities: Option<Capabilities>,
    /// Names and descriptions in other languages, by locale (BCP 47).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "locale"))]
    pub localization: BTreeMap<String, Box<ConnectorTexts>>,
}

/// A probe of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthProbe {
    /// Action of this connector that is called without input. It should read, change nothing and cost little.
    #[schemars(extend("x-evenkeel-ref" = "LocalAction"))]
    pub action: String,
    /// Interval between two calls, from `10s` to `24h`. Default: `1m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "10s", "x-evenkeel-max" = "24h"))]
    pub interval: Option<Duration>,
}

/// The operator of an application: a third party or yourself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum ResourceType {
    #[default]
    External,
    Internal,
}

/// The audience of a connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// Everyone.
    Community,
    /// All members of the organization.
    Organization,
    /// Members of this workspace only.
    #[default]
    Workspace,
}

/// The listing of a connector in public catalogs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum ConnectorVisibility {
    Public,
    #[default]
    Private,
}

/// Defaults for all actions of a connector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Defaults {
    /// Maximum duration of a call, from `100ms` to `5m`. Default: `15s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "100ms", "x-evenkeel-max" = "5m"))]
    pub timeout: Option<Duration>,
    /// Retries after transient failures. Default: no retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Headers of every call.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header", "x-evenkeel-template" = "header"))]
    pub headers: BTreeMap<String, Param>,
    /// Query parameters of every call.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "query"))]
    pub query: BTreeMap<String, Param>,
    /// Maximum size of a response in bytes, at most 64 MiB. Default: `8388608` (8 MiB).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub max_response_bytes: Option<u64>,
    /// Maximum number of redirects to follow. Default: `5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub max_redirects: Option<u8>,
}

impl Defaults {
    fn is_empty(&self) -> bool {
        *self == Defaults::default()
    }
}

/// A rate limit. Each request counts: every step, page and retry, except redirects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Maximum number of requests in any time as long as the period.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: u32,
    /// Length of the period, such as `1m`.
    #[schemars(extend("x-evenkeel-min" = "100ms", "x-evenkeel-max" = "31d"))]
    pub per: Duration,
    /// Maximum number of concurrent requests of each process. Default: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrency: Option<u32>,
}

/// The declared capabilities of a connector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capabilities {
    /// Supported entities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "LocalEntity"))]
    pub entities: Vec<String>,
    /// Supported operations by entity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, Vec<super::action::Operation>>,
    /// Changes that events report, by entity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, Vec<super::event::Change>>,
}

/// The texts of a connector in one language.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorTexts {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Description of one or two sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Titles of actions, by action name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "connectorAction"))]
    pub actions: BTreeMap<String, String>,
}
