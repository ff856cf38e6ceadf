//! `Environment`: a named place where definitions run, where they come from, and what they are given.

use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::common::Duration;

/// A named place where definitions run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
    #[schemars(extend("x-evenkeel-keys" = "secret"))]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Nothing is applied until this is removed. `false` unless set.
    #[serde(default)]
    pub suspend: bool,
    /// The environment whose active generation may be promoted to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Environment"))]
    pub promote_from: Option<String>,
    /// What connectors may reach.
    #[serde(default)]
    pub egress: Egress,
    /// Limits of each tenant, unless the tenant sets its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotas: Option<super::tenant::Quotas>,
}

/// Where definitions come from: exactly one of `git`, `directory`, `cluster`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["git"]}, {"required": ["directory"]}, {"required": ["cluster"]}]))]
pub struct Source {
    /// A Git repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
    /// A folder of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectorySource>,
    /// Custom resources of a Kubernetes cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterSource>,
}

/// A Git repository, at most one of `branch`, `tag`, `semver`, `commit`; the default branch where none is given.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["branch", "tag", "semver", "commit"]))]
pub struct GitSource {
    /// `https://`, `ssh://` or `user@host:path`.
    #[schemars(length(min = 1, max = 2048), extend("x-evenkeel-type" = "gitUrl"))]
    pub url: String,
    /// A branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "gitRef"))]
    pub branch: Option<String>,
    /// A tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "gitRef"))]
    pub tag: Option<String>,
    /// The highest tag in a range of versions, such as `>=1.2.0 <2.0.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// One commit, 40 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{40}$"))]
    pub commit: Option<String>,
    /// The folder in the repository; its root where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "relativePath"))]
    pub path: Option<String>,
    /// Credentials for the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<GitAuth>,
    /// Only commits that are signed by one of these keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_keys: Vec<String>,
}

/// Credentials for a repository: exactly one of `token`, `basic`, `ssh`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["token"]}, {"required": ["basic"]}, {"required": ["ssh"]}]))]
pub struct GitAuth {
    /// An access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<super::common::SecretRef>,
    /// User name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<GitBasic>,
    /// A private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<GitSsh>,
}

/// User name and password.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitBasic {
    /// User name.
    pub username: String,
    /// Password.
    pub password: super::common::SecretRef,
}

/// A private key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSsh {
    /// The private key.
    pub private_key: super::common::SecretRef,
    /// Host keys that are accepted, as in a `known_hosts` file.
    #[schemars(length(min = 1))]
    pub known_hosts: Vec<String>,
}

/// A folder of this machine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DirectorySource {
    /// Its path.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,
}

/// Custom resources of a Kubernetes cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSource {
    /// Namespaces; the controller's own where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub namespaces: Vec<String>,
    /// Only resources with these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
}

/// How changes are applied.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sync {
    /// What happens when the environment differs from its definitions; `Heal` unless set.
    #[serde(default)]
    pub mode: SyncMode,
    /// Does one broken definition hold back the others? `Atomic` unless set.
    #[serde(default)]
    pub apply: ApplyMode,
    /// What happens to definitions that are gone from the source.
    #[serde(default)]
    pub prune: Prune,
}

/// What happens on a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SyncMode {
    /// It is corrected.
    #[default]
    Heal,
    /// It is reported.
    Report,
    /// It waits for `evenkeel apply`.
    Manual,
}

/// Does one broken definition hold back the others?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApplyMode {
    /// All or nothing.
    #[default]
    Atomic,
    /// Broken ones keep their last good version, the others go live.
    Isolate,
}

/// What happens to definitions that are gone from the source.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prune {
    /// Are they removed? `true` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Most that one apply removes: a number, or a share such as `10%`; more waits for approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// A number of definitions or a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// A number.
    Count(u32),
    /// Per cent.
    Percent(u8),
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Budget, String> {
        let percent =
            text.strip_suffix('%').and_then(|digits| digits.parse::<u8>().ok()).filter(|percent| *percent <= 100);
        percent
            .map(Budget::Percent)
            .ok_or_else(|| format!("`{text}` is no budget; write a number, or a share such as `10%`"))
    }
}

impl Serialize for Budget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Budget::Count(count) => serializer.serialize_u32(*count),
            Budget::Percent(percent) => serializer.collect_str(&format_args!("{percent}%")),
        }
    }
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Budget, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Count(u32),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Count(count) => Ok(Budget::Count(count)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for Budget {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Budget".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of definitions, or a share of them such as `10%`.",
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": 1_000_000},
                {"type": "string", "pattern": "^(100|[0-9]{1,2})%$"}
            ],
            "x-kubernetes-int-or-string": true
        })
    }
}

/// Where a secret comes from: exactly one of `env`, `file`, `kubernetes`, `age`, `sops`, `vault`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["env"]}, {"required": ["file"]}, {"required": ["kubernetes"]}, {"required": ["age"]},
    {"required": ["sops"]}, {"required": ["vault"]}
], "x-evenkeel-oneOfCode" = "EK0802"))]
pub struct SecretSource {
    /// Name of an environment variable of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub env: Option<String>,
    /// Path of a file that holds the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub file: Option<String>,
    /// A key of a Kubernetes Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesSecret>,
    /// A file encrypted with age, beside the definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<EncryptedFile>,
    /// A file encrypted with SOPS, beside the definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sops: Option<EncryptedFile>,
    /// A key of a Vault or OpenBao secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultSecret>,
}

/// A key of a Kubernetes Secret.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A value in an encrypted file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncryptedFile {
    /// The file, beside the definition.
    #[schemars(extend("x-evenkeel-ref" = "File"))]
    pub file: String,
    /// Dotted path of the value in it; the whole file where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A key of a Vault or OpenBao secret (KV version 2).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VaultSecret {
    /// Mount of the secrets engine; `secret` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// Path of the secret.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// Key in it.
    #[schemars(length(min = 1, max = 255))]
    pub key: String,
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
