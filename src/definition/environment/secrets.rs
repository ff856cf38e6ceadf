//! Sources of an environment's secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The source of a secret. Set exactly one of `env`, `file`, `kubernetes`, `age`, `sops`, `vault`.
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
    /// Path of a file that contains the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub file: Option<String>,
    /// Key of a Kubernetes Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesSecret>,
    /// File encrypted with age.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"file": "secrets/orbit.age"}]))]
    pub age: Option<EncryptedFile>,
    /// File encrypted with SOPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"file": "secrets.enc.yaml", "key": "orbit.token"}]))]
    pub sops: Option<EncryptedFile>,
    /// Key of a Vault or OpenBao secret.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "the secret cannot be read, and what needs it fails", "remedy": "use `env`, `file`, `kubernetes`, `age` or `sops`"}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultSecret>,
}

impl SecretSource {
    /// The name of its provider, as the field is named.
    pub fn provider(&self) -> &'static str {
        match self {
            SecretSource { env: Some(_), .. } => "env",
            SecretSource { file: Some(_), .. } => "file",
            SecretSource { kubernetes: Some(_), .. } => "kubernetes",
            SecretSource { age: Some(_), .. } => "age",
            SecretSource { sops: Some(_), .. } => "sops",
            _ => "vault",
        }
    }
}

/// Key of a Kubernetes Secret.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key within the secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A value in an encrypted file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncryptedFile {
    /// Path of the file, relative to the definition.
    #[schemars(extend("x-evenkeel-ref" = "File"))]
    pub file: String,
    /// Dotted path of the value, such as `orbit.token`. Default: the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A key of a Vault or OpenBao secret (KV version 2).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VaultSecret {
    /// Mount path of the secrets engine. Default: `secret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// Path of the secret within the mount.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// Key within the secret.
    #[schemars(length(min = 1, max = 255))]
    pub key: String,
}
