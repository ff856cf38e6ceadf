//! Variables, secrets and the time for templates.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::definition::environment::SecretSource;
use crate::source::encrypted::{self, EncryptedFormat, Identities};
use crate::template;

/// Looks up secrets. Callers use a value once and do not keep it.
pub trait Secrets: Send + Sync {
    /// The value of a secret.
    ///
    /// # Errors
    /// The reason why it is not available, without its value.
    fn get(&self, name: &str) -> Result<String, String>;

    /// True if the values are placeholders. Missing credentials are then replaced by placeholders too.
    fn masked(&self) -> bool {
        false
    }
}

/// Current values of Kubernetes Secrets.
pub trait ClusterSecrets: Send + Sync {
    /// The value of a key of a Secret.
    ///
    /// # Errors
    /// The reason why it is not available, without its value.
    fn get(&self, name: &str, key: &str) -> Result<String, String>;

    /// True once the Secret was read, or is known not to exist.
    fn is_read(&self, _name: &str) -> bool {
        true
    }
}

/// The sources of encrypted and cluster secrets of a generation: encrypted files, the keys that decrypt them, and the
/// Secrets of the cluster.
#[derive(Clone, Default)]
pub struct Vault {
    /// Secrets of the cluster that the environment may read; `None` outside of a cluster.
    pub cluster: Option<Arc<dyn ClusterSecrets>>,
    /// The keys of this process, if configured.
    pub identities: Option<Arc<Identities>>,
    /// The encrypted files, by their path from the root of the source.
    pub files: BTreeMap<String, Arc<[u8]>>,
    /// Notified when a call needs a secret that cannot be resolved.
    pub failed: Option<Arc<Notify>>,
}

impl Vault {
    /// Paths of the encrypted files that hold secrets of an environment, as [`Runtime::secrets`](super::Runtime::secrets)
    /// names them.
    pub fn paths(sources: &BTreeMap<String, SecretSource>) -> BTreeSet<&str> {
        let encrypted = sources.values().filter_map(|source| source.age.as_ref().or(source.sops.as_ref()));
        encrypted.map(|secret| secret.file.as_str()).collect()
    }

    /// A vault with the encrypted files of an environment. `read` returns the content of a path. Files that it does not
    /// return are omitted: looking up a secret in them fails.
    pub fn load(
        sources: &BTreeMap<String, SecretSource>,
        identities: Option<Arc<Identities>>,
        read: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Vault {
        let files = Vault::paths(sources).into_iter();
        let files = files.filter_map(|path| Some((path.to_owned(), read(path)?.into())));
        Vault { identities, files: files.collect(), ..Vault::default() }
    }

    /// Decrypts a value of a file.
    fn decrypt(
        &self,
        path: &str,
        decrypt: impl FnOnce(&[u8], &Identities) -> Result<zeroize::Zeroizing<Vec<u8>>, String>,
    ) -> Result<String, String> {
        let bytes = self.files.get(path).ok_or_else(|| format!("{path} is not in the source; commit it"))?;
        let identities = self.identities.as_deref().ok_or_else(|| {
            format!("{path} is encrypted, and this process has no key; set EVENKEEL_AGE_KEY or EVENKEEL_AGE_KEY_FILE")
        })?;
        let value = decrypt(bytes, identities).map_err(|error| format!("{path}: {error}"))?;
        match std::str::from_utf8(&value) {
            Ok("") => Err(format!("{path}: the value is empty")),
            Ok(value) => Ok(value.to_owned()),
            Err(_) => Err(format!("{path}: the value is not UTF-8")),
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<&String> = self.files.keys().collect();
        f.debug_struct("Vault")
            .field("has_keys", &self.identities.is_some())
            .field("files", &files)
            .finish_non_exhaustive()
    }
}

/// Secrets from the sources that the environment declares. Each use reads the source again, so that a rotated secret takes
/// effect.
#[derive(Debug)]
pub struct ProvidedSecrets {
    sources: BTreeMap<String, SecretSource>,
    vault: Arc<Vault>,
}

impl ProvidedSecrets {
    /// Secrets of an environment.
    pub fn new(sources: BTreeMap<String, SecretSource>, vault: Arc<Vault>) -> ProvidedSecrets {
        ProvidedSecrets { sources, vault }
    }
}

impl Secrets for ProvidedSecrets {
    fn get(&self, name: &str) -> Result<String, String> {
        let value = match self.sources.get(name) {
            Some(source) => resolve_secret(name, source, &self.vault),
            None => Err(format!("the environment provides no secret `{name}`")),
        };
        if let (Err(_), Some(failed)) = (&value, &self.vault.failed) {
            failed.notify_one();
        }
        value
    }
}

/// The value of a secret. Paths of encrypted files are relative to the root of the source, as in the vault.
///
/// # Errors
/// The reason why it is not available.
pub fn resolve_secret(name: &str, source: &SecretSource, vault: &Vault) -> Result<String, String> {
    const MAX_SECRET_BYTES: u64 = 1 << 20;
    if let Some(variable) = &source.env {
        return match std::env::var(variable) {
            Ok(value) if !value.is_empty() => Ok(value),
            Ok(_) => Err(format!("secret `{name}`: the environment variable {variable} is empty")),
            Err(_) => Err(format!("secret `{name}`: the environment variable {variable} is not set")),
        };
    }
    if let Some(path) = &source.file {
        let mut value = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_SECRET_BYTES).read_to_string(&mut value))
            .map_err(|error| format!("secret `{name}`: {path} cannot be read: {error}"))?;
        let value = without_last_break(&value);
        return match value.is_empty() {
            true => Err(format!("secret `{name}`: {path} is empty")),
            false => Ok(value.to_owned()),
        };
    }
    let decrypted = match (&source.age, &source.sops) {
        (Some(age), _) => Some(vault.decrypt(&age.file, |bytes, identities| {
            let mut value =
                encrypted::decrypt_age_value(bytes, EncryptedFormat::of(&age.file), age.key.as_deref(), identities)?;
            if let (None, Ok(text)) = (&age.key, std::str::from_utf8(&value)) {
                let length = without_last_break(text).len();
                value.truncate(length);
            }
            Ok(value)
        })),
        (_, Some(sops)) => Some(vault.decrypt(&sops.file, |bytes, identities| {
            encrypted::decrypt_sops(bytes, EncryptedFormat::of(&sops.file), sops.key.as_deref(), identities)
        })),
        _ => None,
    };
    if let Some(decrypted) = decrypted {
        return decrypted.map_err(|error| format!("secret `{name}`: {error}"));
    }
    if let Some(secret) = &source.kubernetes {
        let cluster = vault.cluster.as_ref().ok_or_else(|| {
            format!(
                "secret `{name}`: Secrets of Kubernetes are read by `evenkeel operator` only; use `env` or `file` here"
            )
        })?;
        return cluster.get(&secret.name, &secret.key).map_err(|error| format!("secret `{name}`: {error}"));
    }
    Err(format!(
        "secret `{name}`: this version reads secrets from `env`, `file`, `age`, `sops` and `kubernetes`, and not from `vault`"
    ))
}

/// The value without the trailing line break that editors and `kubectl create secret --from-file` add.
fn without_last_break(value: &str) -> &str {
    let value = value.strip_suffix('\n').unwrap_or(value);
    value.strip_suffix('\r').unwrap_or(value)
}

/// Placeholders that name the source of a value. `render` shows them and tests compare them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MaskedSecrets;

impl Secrets for MaskedSecrets {
    fn get(&self, name: &str) -> Result<String, String> {
        Ok(format!("[secret {name}]"))
    }

    fn masked(&self) -> bool {
        true
    }
}

/// Variables, secrets and the time for the templates of one call.
pub(super) struct CallHost {
    /// Layers of variables. The first layer that sets a variable wins.
    pub(super) variables: Vec<Arc<BTreeMap<String, String>>>,
    pub(super) secrets: Arc<dyn Secrets>,
    pub(super) now: i64,
}

impl template::TemplateHost for CallHost {
    fn secret(&self, name: &str) -> Result<String, String> {
        self.secrets.get(name)
    }

    fn masked(&self) -> bool {
        self.secrets.masked()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.iter().find_map(|layer| layer.get(name)).cloned()
    }

    fn now(&self) -> i64 {
        self.now
    }
}
