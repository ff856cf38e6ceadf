//! `Environment`: a named place where definitions run, where they come from, and what they are given.

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
pub use sync::{ApplyMode, Budget, History, Prune, Sync, SyncMode};

/// A named place where definitions run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["source", "sources"]))]
pub struct EnvironmentSpec {
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where definitions come from; this folder where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Several sources instead of one, whose definitions are taken together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub sources: Vec<NamedSource>,
    /// How often the source is looked at, `1m` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "5s", "x-evenkeel-max" = "24h"))]
    pub interval: Option<Duration>,
    /// How changes are applied.
    #[serde(default)]
    pub sync: Sync,
    /// Folders whose documents are merged over those of the same kind and name, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Folder"))]
    pub overlays: Vec<String>,
    /// Only definitions with these labels; all where left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// Values for `get_variable`, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "variable", "x-evenkeel-type" = "variables"))]
    pub variables: BTreeMap<String, String>,
    /// Where secrets come from, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 10_000, "x-evenkeel-keys" = "secret"))]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Nothing is applied until this is removed. `false` unless set.
    #[serde(default)]
    pub suspend: bool,
    /// How long earlier generations are kept.
    #[serde(default)]
    pub history: History,
    /// Who is told when something goes live, breaks or drifts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub notifications: Vec<Notification>,
    /// The environment whose active generation may be promoted to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Environment"))]
    pub promote_from: Option<String>,
    /// What connectors may reach.
    #[serde(default)]
    pub egress: Egress,
    /// On Kubernetes: what happens to what is stored of it when its resource is deleted; `Delete` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// On Kubernetes: the service account of its namespace in whose name definitions and Secrets are read; the operator's own
    /// rights count where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Limits of each tenant, unless the tenant sets its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotas: Option<super::tenant::Quotas>,
}

/// What happens to what is stored of an environment when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Its generations and their history are removed; a finalizer sees to it.
    #[default]
    Delete,
    /// All of it stays, and is taken up again when the resource comes back. Nothing holds up the deletion.
    Orphan,
}

/// What connectors may reach. Private, loopback and metadata addresses are refused unless they are allowed here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Egress {
    /// Hosts that may be reached, such as `api.example.com` or `*.example.com`; every public one where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "hostPattern"))]
    pub hosts: Vec<String>,
    /// Private networks that may be reached, such as `10.1.0.0/16`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "cidr"))]
    pub private_networks: Vec<String>,
}
