//! Where an environment's definitions come from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::common::SecretRef;

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
    /// What must be signed where keys are given: `Head` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// The forge tells of pushes, so that they go live at once: `POST /v1/environments/{environment}/webhook`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<GitWebhook>,
    /// The forge is told which commits went live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_status: Option<CommitStatus>,
}

/// What must be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verify {
    /// The commit that is taken.
    #[default]
    Head,
    /// The tag that names it, which must be an annotated one.
    Tag,
    /// Both.
    TagAndHead,
}

/// A webhook of the forge. What it says is only a hint to look.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitWebhook {
    /// Who sends it, and so how it is signed.
    pub provider: WebhookProvider,
    /// The secret it is signed with.
    pub secret: SecretRef,
}

/// How a webhook is signed: each over the raw body, with HMAC-SHA256 unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WebhookProvider {
    /// `X-Hub-Signature-256: sha256=…`.
    GitHub,
    /// `X-Gitlab-Token`, the secret itself.
    GitLab,
    /// `X-Gitea-Signature` (Gitea and Forgejo).
    Gitea,
    /// `X-Hub-Signature: sha256=…`.
    Bitbucket,
    /// `X-Evenkeel-Signature: sha256=…`.
    Generic,
}

/// Where commit statuses are written.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitStatus {
    /// The forge's kind.
    pub provider: Provider,
    /// The repository there, such as `acme/integrations`.
    #[schemars(length(min = 3, max = 255), regex(pattern = "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+$"))]
    pub repository: String,
    /// The forge's API, such as `https://git.example/api/v1`; the public one of the provider where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048))]
    pub api_url: Option<String>,
    /// A token that may write statuses.
    pub token: SecretRef,
}

/// A forge whose commit statuses can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Provider {
    GitHub,
    GitLab,
    Gitea,
}

/// One of several sources.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["git"]}, {"required": ["directory"]}, {"required": ["cluster"]}]))]
pub struct NamedSource {
    /// Its name: the folder that its files are shown in.
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub name: String,
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

/// Credentials for a repository: exactly one of `token`, `basic`, `ssh`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["token"]}, {"required": ["basic"]}, {"required": ["ssh"]}]))]
pub struct GitAuth {
    /// An access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
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
    pub password: SecretRef,
}

/// A private key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSsh {
    /// The private key.
    pub private_key: SecretRef,
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
    /// Namespaces; the Environment's own where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub namespaces: Vec<String>,
    /// Only resources with these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
}
