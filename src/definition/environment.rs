//! `Environment`: where definitions run, the sources they come from, and their variables and secrets.

mod notification;
mod secrets;
mod source;
mod sync;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Duration;

pub use notification::{Notification, NotificationEvent, SlackTarget, WebhookTarget};
pub use secrets::{EncryptedFile, KubernetesSecret, SecretSource, VaultSecret};
pub use source::{
    ClusterSource, CommitStatus, DirectorySource, GitAuth, GitBasic, GitSource, GitSsh, GitWebhook, NamedSource,
    Provider, Source, Verify, WebhookProvider,
};
pub use sync::{ApplyMode, Budget, History, Prune, SecretPolicy, Sync, SyncMode};

/// A named environment in which definitions run. Set at most one of `source`, `sources`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["source", "sources"]))]
pub struct EnvironmentSpec {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Source of the definitions. Default: the folder of this document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Several sources whose definitions are combined, instead of `source`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub sources: Vec<NamedSource>,
    /// Interval of reconciliation, from `5s` to `24h`. Default: `1m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "5s", "x-evenkeel-max" = "24h"))]
    pub interval: Option<Duration>,
    /// Application of changes.
    #[serde(default)]
    pub sync: Sync,
    /// Overlay folders, in order: each is below a folder named `overlays`. Their documents are merged into the definitions of
    /// the same kind and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Folder"))]
    #[schemars(extend("examples" = [["overlays/live"]]))]
    pub overlays: Vec<String>,
    /// Labels that a definition must have to be used. If omitted, all definitions are used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// Variables for `get_variable`, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "variable", "x-evenkeel-type" = "variables"))]
    pub variables: BTreeMap<String, String>,
    /// Secrets by name, with their sources.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 10_000, "x-evenkeel-keys" = "secret"))]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Suspends reconciliation: no change is applied. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
    /// Retention of earlier generations.
    #[serde(default)]
    pub history: History,
    /// Recipients of notifications about activations, failures and drift.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub notifications: Vec<Notification>,
    /// Environment whose active generation may be promoted to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Environment"))]
    pub promote_from: Option<String>,
    /// Network destinations that connectors may reach.
    #[serde(default)]
    pub egress: Egress,
    /// On Kubernetes: handling of the stored state when the resource is deleted. Default: `Delete`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// On Kubernetes: service account in the Environment's namespace with whose permissions definitions and Secrets are
    /// read. Default: the permissions of the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Quotas of each tenant. A quota that the tenant sets itself takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotas: Option<super::tenant::Quotas>,
}

/// The handling of an environment's stored state when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Removes the generations and their history. A finalizer delays the deletion until this is done.
    #[default]
    Delete,
    /// Keeps the state, which is used again if the resource is recreated. The deletion is not delayed.
    Orphan,
}

/// The network destinations that connectors may reach. Private, loopback and metadata addresses are blocked unless
/// allowed here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Egress {
    /// Allowed hosts, such as `api.example.com` or `*.example.com`. Default: every public host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "hostPattern"))]
    pub hosts: Vec<String>,
    /// Allowed private networks, such as `10.1.0.0/16`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "cidr"))]
    pub private_networks: Vec<String>,
}
