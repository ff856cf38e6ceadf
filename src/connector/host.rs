//! What templates may ask of the environment: variables, secrets and the time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;
use std::sync::Arc;

use crate::definition::environment::SecretSource;
use crate::source::encrypted::{self, Identities, SealedFormat};
use crate::template;

/// Looks secrets up. Values are handed out for one use and never kept.
pub trait Secrets: Send + Sync {
    /// The value of a secret.
    ///
    /// # Errors
    /// Why it is not available, without its value.
    fn get(&self, name: &str) -> Result<String, String>;

    /// Are the values placeholders, so that a credential which is missing may be one too?
    fn masked(&self) -> bool {
        false
    }
}

/// Values of Kubernetes Secrets, as they are now.
pub trait ClusterSecrets: Send + Sync {
    /// The value of a key of a Secret.
    ///
    /// # Errors
    /// Why it is not available, without its value.
    fn get(&self, name: &str, key: &str) -> Result<String, String>;
}

/// The encrypted files of a generation, still encrypted, and the keys that open them; and where the Secrets of a cluster
/// are looked up.
#[derive(Clone, Default)]
pub struct Vault {
    /// Secrets of the cluster that the environment may read; `None` where there is no cluster.
    pub cluster: Option<Arc<dyn ClusterSecrets>>,
    /// The keys of this process; `None` where it was given none.
    pub identities: Option<Arc<Identities>>,
    /// The files that secrets are in, by their path from the source's root.
    pub files: BTreeMap<String, Arc<[u8]>>,
}

impl Vault {
    /// The files that the secrets of an environment are in, as [`Runtime::secrets`](super::Runtime::secrets) names them.
    pub fn wanted(sources: &BTreeMap<String, SecretSource>) -> BTreeSet<&str> {
        let sealed = sources.values().filter_map(|source| source.age.as_ref().or(source.sops.as_ref()));
        sealed.map(|sealed| sealed.file.as_str()).collect()
    }

    /// A vault with the files that secrets are in, each got by `read` from its path. One that cannot be had is left out:
    /// the secrets in it say so when they are needed.
    pub fn of(
        sources: &BTreeMap<String, SecretSource>,
        identities: Option<Arc<Identities>>,
        read: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Vault {
        let files = Vault::wanted(sources).into_iter();
        let files = files.filter_map(|path| Some((path.to_owned(), read(path)?.into())));
        Vault { cluster: None, identities, files: files.collect() }
    }

    /// The value in a file.
    fn open(
        &self,
        path: &str,
        open: impl FnOnce(&[u8], &Identities) -> Result<zeroize::Zeroizing<Vec<u8>>, String>,
    ) -> Result<String, String> {
        let bytes = self.files.get(path).ok_or_else(|| format!("{path} is not in the source; commit it"))?;
        let identities = self.identities.as_deref().ok_or_else(|| {
            format!("{path} is encrypted, and this process has no key; set EVENKEEL_AGE_KEY or EVENKEEL_AGE_KEY_FILE")
        })?;
        let value = open(bytes, identities).map_err(|error| format!("{path}: {error}"))?;
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

/// Secrets from where the environment says they come from, read anew for each use so that a rotated one is taken up.
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
        let source = self.sources.get(name).ok_or_else(|| format!("the environment provides no secret `{name}`"))?;
        resolve_secret(name, source, &self.vault)
    }
}

/// The value of a secret from its source. Paths of encrypted files are those of the vault: from the source's root.
///
/// # Errors
/// Why it is not available.
pub fn resolve_secret(name: &str, source: &SecretSource, vault: &Vault) -> Result<String, String> {
    const MOST: u64 = 1 << 20;
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
            .and_then(|file| file.take(MOST).read_to_string(&mut value))
            .map_err(|error| format!("secret `{name}`: {path} cannot be read: {error}"))?;
        let value = without_last_break(&value);
        return match value.is_empty() {
            true => Err(format!("secret `{name}`: {path} is empty")),
            false => Ok(value.to_owned()),
        };
    }
    let sealed = match (&source.age, &source.sops) {
        (Some(age), _) => Some(vault.open(&age.file, |bytes, identities| {
            let mut value =
                encrypted::open_age_value(bytes, SealedFormat::of(&age.file), age.key.as_deref(), identities)?;
            if let (None, Ok(text)) = (&age.key, std::str::from_utf8(&value)) {
                let length = without_last_break(text).len();
                value.truncate(length);
            }
            Ok(value)
        })),
        (_, Some(sops)) => Some(vault.open(&sops.file, |bytes, identities| {
            encrypted::open_sops(bytes, SealedFormat::of(&sops.file), sops.key.as_deref(), identities)
        })),
        _ => None,
    };
    if let Some(sealed) = sealed {
        return sealed.map_err(|error| format!("secret `{name}`: {error}"));
    }
    if let Some(wanted) = &source.kubernetes {
        let cluster = vault.cluster.as_ref().ok_or_else(|| {
            format!(
                "secret `{name}`: Secrets of Kubernetes are read by `evenkeel operator` only; use `env` or `file` here"
            )
        })?;
        return cluster.get(&wanted.name, &wanted.key).map_err(|error| format!("secret `{name}`: {error}"));
    }
    Err(format!(
        "secret `{name}`: this version reads secrets from `env`, `file`, `age`, `sops` and `kubernetes`, not from `vault`"
    ))
}

/// Editors and `kubectl create secret --from-file` leave a line break that is not part of the value.
fn without_last_break(value: &str) -> &str {
    let value = value.strip_suffix('\n').unwrap_or(value);
    value.strip_suffix('\r').unwrap_or(value)
}

/// Placeholders that say where a value would come from: what `render` shows and tests compare.
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

/// The environment as one call's templates see it.
pub(super) struct CallHost {
    /// Layers of variables; the first that has a name wins.
    pub(super) variables: Vec<Arc<BTreeMap<String, String>>>,
    pub(super) secrets: Arc<dyn Secrets>,
    pub(super) now: i64,
}

impl template::Host for CallHost {
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
