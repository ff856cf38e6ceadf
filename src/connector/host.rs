//! What templates may ask of the environment: variables, secrets and the time.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use crate::definition::environment::SecretSource;
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

/// Secrets from where the environment says they come from, read anew for each use so that a rotated one is taken up.
#[derive(Debug)]
pub struct ProvidedSecrets {
    sources: BTreeMap<String, SecretSource>,
}

impl ProvidedSecrets {
    /// Secrets of an environment.
    pub fn new(sources: BTreeMap<String, SecretSource>) -> ProvidedSecrets {
        ProvidedSecrets { sources }
    }
}

impl Secrets for ProvidedSecrets {
    fn get(&self, name: &str) -> Result<String, String> {
        let source = self.sources.get(name).ok_or_else(|| format!("the environment provides no secret `{name}`"))?;
        resolve_secret(name, source)
    }
}

/// The value of a secret from its source.
///
/// # Errors
/// Why it is not available.
pub fn resolve_secret(name: &str, source: &SecretSource) -> Result<String, String> {
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
        // Editors and `kubectl create secret --from-file` leave a line break that is not part of the value.
        let value = value.strip_suffix('\n').unwrap_or(&value);
        let value = value.strip_suffix('\r').unwrap_or(value);
        return match value.is_empty() {
            true => Err(format!("secret `{name}`: {path} is empty")),
            false => Ok(value.to_owned()),
        };
    }
    let provider = [
        (source.kubernetes.is_some(), "kubernetes"),
        (source.age.is_some(), "age"),
        (source.sops.is_some(), "sops"),
        (source.vault.is_some(), "vault"),
    ];
    let provider = provider.into_iter().find(|(used, _)| *used).map_or("its provider", |(_, provider)| provider);
    Err(format!("secret `{name}`: this version reads secrets from `env` and `file`, not from `{provider}`"))
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
