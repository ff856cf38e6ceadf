//! Sources of an environment's definitions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::common::SecretRef;

/// A source of definitions. Set exactly one of `git`, `directory`, `cluster`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["git"]}, {"required": ["directory"]}, {"required": ["cluster"]}]))]
pub struct Source {
    /// Git repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
    /// Local folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectorySource>,
    /// Custom resources of a Kubernetes cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterSource>,
}

/// A Git repository. Set at most one of `branch`, `tag`, `semver`, `commit`. Default: the default branch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["branch", "tag", "semver", "commit"]))]
pub struct GitSource {
    /// URL of the repository: `https://…`, `ssh://…` or `user@host:path`.
    #[schemars(length(min = 1, max = 2048), extend("x-evenkeel-type" = "gitUrl"))]
    pub url: String,
    /// Branch to follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "gitRef"))]
    pub branch: Option<String>,
    /// Tag to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "gitRef"))]
    #[schemars(extend("examples" = ["v1.2.0"]))]
    pub tag: Option<String>,
    /// Version range. The highest matching tag is used. Example: `>=1.2.0 <2.0.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "versionRange", "examples" = [">=1.2.0 <2.0.0"]))]
    pub semver: Option<String>,
    /// Commit to use: 40 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{40}$"))]
    #[schemars(extend("examples" = ["0123456789abcdef0123456789abcdef01234567"]))]
    pub commit: Option<String>,
    /// Folder within the repository. Default: the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "relativePath"))]
    pub path: Option<String>,
    /// Files and folders to exclude: patterns as in `.gitignore`, relative to the folder that is read. They are applied
    /// after those of the file `.evenkeelignore` in that folder. Excluded definitions are removed like deleted ones.
    /// Example: `schemas/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 256)), extend("x-evenkeel-type" = "ignorePattern"))]
    pub exclude: Vec<String>,
    /// Credentials of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<GitAuth>,
    /// Public keys of trusted signers. If set, unsigned commits and tags are rejected, see `verify`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_keys: Vec<String>,
    /// Objects that must be signed by one of the `trustedKeys`. Default: `Head`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// Webhook of the Git host that triggers an immediate reconciliation after a push:
    /// `POST /v1/environments/{environment}/webhook`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<GitWebhook>,
    /// Reports the commits that were activated to the Git host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_status: Option<CommitStatus>,
}

/// The objects that must be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verify {
    /// The commit.
    #[default]
    Head,
    /// The tag, which must be annotated.
    Tag,
    /// The tag and the commit.
    TagAndHead,
}

/// A webhook of the Git host. Its content is not trusted: it only triggers a reconciliation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitWebhook {
    /// Sender of the webhook, which determines the signature scheme.
    pub provider: WebhookProvider,
    /// Secret that verifies the signature.
    pub secret: SecretRef,
}

/// The signature scheme of a webhook: HMAC-SHA256 of the raw body, unless noted otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WebhookProvider {
    /// Header `X-Hub-Signature-256: sha256=…`.
    GitHub,
    /// Header `X-Gitlab-Token`, which contains the secret itself.
    GitLab,
    /// Header `X-Gitea-Signature` (Gitea and Forgejo).
    Gitea,
    /// Header `X-Hub-Signature: sha256=…`.
    Bitbucket,
    /// Header `X-Evenkeel-Signature: sha256=…`.
    Generic,
}

/// The destination of commit statuses.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitStatus {
    /// Type of the Git host.
    pub provider: Provider,
    /// Repository on the Git host, such as `acme/integrations`.
    #[schemars(length(min = 3, max = 255), regex(pattern = "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+$"))]
    pub repository: String,
    /// Base URL of the Git host's API, such as `https://git.example/api/v1`. Default: the public API of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048))]
    pub api_url: Option<String>,
    /// Token with permission to write commit statuses.
    pub token: SecretRef,
}

/// A Git host that accepts commit statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Provider {
    GitHub,
    GitLab,
    Gitea,
}

/// One of several sources. Set exactly one of `git`, `directory`, `cluster`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["git"]}, {"required": ["directory"]}, {"required": ["cluster"]}]))]
pub struct NamedSource {
    /// Name of the source. It is displayed as the folder of its files.
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub name: String,
    /// Git repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
    /// Local folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectorySource>,
    /// Custom resources of a Kubernetes cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterSource>,
}

/// Credentials of a repository. Set exactly one of `token`, `basic`, `ssh`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["token"]}, {"required": ["basic"]}, {"required": ["ssh"]}]))]
pub struct GitAuth {
    /// Access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// User name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"username": "reader", "password": {"secretRef": "git-token"}}]))]
    pub basic: Option<GitBasic>,
    /// SSH private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"privateKey": {"secretRef": "git-token"}, "knownHosts": ["git.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMaLvQIRZ7TyoIhPVsLkLgZ4w8rQvQy8eF8l3XrTzZpE"]}]))]
    pub ssh: Option<GitSsh>,
}

/// User name and password.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitBasic {
    /// User name.
    pub username: String,
    /// Password.
    pub password: SecretRef,
}

/// SSH private key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSsh {
    /// Private key.
    pub private_key: SecretRef,
    /// Accepted host keys, in the format of a `known_hosts` file.
    #[schemars(length(min = 1))]
    pub known_hosts: Vec<String>,
}

/// Local folder.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DirectorySource {
    /// Path of the folder.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,
    /// Files and folders to exclude: patterns as in `.gitignore`, relative to the folder that is read. They are applied
    /// after those of the file `.evenkeelignore` in that folder. Excluded definitions are removed like deleted ones.
    /// Example: `schemas/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 256)), extend("x-evenkeel-type" = "ignorePattern"))]
    pub exclude: Vec<String>,
}

/// Custom resources of a Kubernetes cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSource {
    /// Namespaces to read. Default: the namespace of the Environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub namespaces: Vec<String>,
    /// Labels that a resource must have. Default: all resources.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
}
