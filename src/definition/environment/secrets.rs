//! Where an environment's secrets come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
