//! `Connector`: an application that actions call, with its authentication, entities and events.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::auth::Auth;
use super::common::{ByLocale, Duration, Image, Param, Retry, SchemaValue};
use super::entity::ConnectorEntity;
use super::event::Event;

/// A connector: one application, its actions, entities and events.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorSpec {
    /// Name shown to people.
    #[schemars(length(min = 1, max = 255))]
    pub display_name: String,
    /// One or two sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Images by theme, at most one each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub images: Vec<Image>,
    /// Where the application's API is documented.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "httpsUrl"))]
    pub documentation_url: Option<String>,
    /// The application's domain, such as `github.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub domain: Option<String>,
    /// Is the application outside or part of one's own systems? `External` unless set.
    #[serde(default)]
    pub resource_type: ResourceType,
    /// Who may use the connector; `Workspace` unless set.
    #[serde(default)]
    pub scope: Scope,
    /// Is it listed for everybody? `Private` unless set.
    #[serde(default)]
    pub visibility: ConnectorVisibility,
    /// Is it offered to end users for activation? `true` unless set.
    #[serde(default = "super::common::yes")]
    pub activation: bool,
    /// The URL that action paths are appended to; its host is literal text and variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), extend("x-evenkeel-template" = "baseUrl"))]
    pub base_url: Option<String>,
    /// How calls are authenticated. None where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// JSON Schema of `connection.settings`: what a connection must tell besides its credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<SchemaValue>,
    /// What every action has unless it sets its own.
    #[serde(default, skip_serializing_if = "Defaults::is_empty")]
    pub defaults: Defaults,
    /// Calls that the application allows; more than that waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// What can be done, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1000, "x-evenkeel-keys" = "name"))]
    pub actions: BTreeMap<String, Arc<Action>>,
    /// The application's records and how their fields map to the canonical entities, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "identifier"))]
    pub entities: BTreeMap<String, Box<ConnectorEntity>>,
    /// What the application tells about, by webhook or by polling, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "name"))]
    pub events: BTreeMap<String, Box<Event>>,
    /// What the connector claims to support. Derived from actions and events where left out, compared with them where set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Names and descriptions in other languages.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub localization: BTreeMap<String, Box<ConnectorTexts>>,
}

/// Outside or one's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ResourceType {
    #[default]
    External,
    Internal,
}

/// Who may use a connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// Everybody.
    Community,
    /// All members of the organization.
    Organization,
    /// This workspace only.
    #[default]
    Workspace,
}

/// Listed or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ConnectorVisibility {
    Public,
    #[default]
    Private,
}

/// What every action of a connector has unless it sets its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Defaults {
    /// Longest wait for the whole answer, `15s` unless set, at most `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "100ms", "x-evenkeel-max" = "5m"))]
    pub timeout: Option<Duration>,
    /// When to try again.
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
    /// Largest answer in bytes, 8 MiB unless set, at most 64 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub max_response_bytes: Option<u64>,
    /// Redirects that are followed, 5 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub max_redirects: Option<u8>,
}

impl Defaults {
    fn is_empty(&self) -> bool {
        *self == Defaults::default()
    }
}

/// Calls that are allowed in a length of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Calls.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: u32,
    /// Length of time.
    pub per: Duration,
    /// Calls at the same moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrency: Option<u32>,
}

/// What a connector claims to support.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capabilities {
    /// Entities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "LocalEntity"))]
    pub entities: Vec<String>,
    /// Operations by entity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, Vec<super::action::Operation>>,
    /// Changes by entity that events tell about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, Vec<super::event::Change>>,
}

/// Texts of a connector in one language.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorTexts {
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// One or two sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Titles of actions, by action name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: ByLocale,
}
