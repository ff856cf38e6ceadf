//! The private keys of age that this process holds.

use std::io::Read as _;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::text::Digest;

/// Maximum number of private keys: each is tried on each recipient of a file.
pub(super) const MAX_IDENTITIES: usize = 32;
/// Maximum size of the text that holds them, in bytes.
pub(super) const MAX_IDENTITY_BYTES: usize = 64 << 10;

/// Private keys that decrypt files. Has no `Debug`, so that no key is printed.
pub struct Identities {
    current: RwLock<Arc<Keys>>,
    /// True if the variables of the process name a file with keys, which may change.
    has_file: bool,
}

/// Keys, with the digest of their text.
struct Keys {
    keys: Vec<age::x25519::Identity>,
    digest: Digest,
}

impl Identities {
    /// Parses keys in the format of `age-keygen`: one `AGE-SECRET-KEY-1…` per line; empty lines and lines that start with
    /// `#` are ignored. At most 32 keys in 64 KiB.
    ///
    /// # Errors
    /// Names the line, never its content.
    pub fn parse(text: &str) -> Result<Identities, String> {
        Ok(Identities { current: RwLock::new(Arc::new(Keys::parse(text)?)), has_file: false })
    }

    /// Reads the keys of this process: `EVENKEEL_AGE_KEY` holds keys, `EVENKEEL_AGE_KEY_FILE` is the path of a file with
    /// keys; both may be set. `None` if neither is set.
    ///
    /// # Errors
    /// The cause if the file cannot be read, or a key is invalid.
    pub fn from_environment() -> Result<Option<Identities>, String> {
        let (text, has_file) = text_of_environment()?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(Identities { current: RwLock::new(Arc::new(Keys::parse(&text)?)), has_file }))
    }

    /// Reads the file with keys again, if there is one. The keys of before stay if it cannot be read.
    ///
    /// # Errors
    /// As [`Identities::from_environment`].
    pub fn reload(&self) -> Result<(), String> {
        if !self.has_file {
            return Ok(());
        }
        let (text, _) = text_of_environment()?;
        if Digest::of(text.as_bytes()) != self.version() {
            let keys = Arc::new(Keys::parse(&text)?);
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = keys;
        }
        Ok(())
    }

    /// Digest of the keys, which differs after they changed.
    pub fn version(&self) -> Digest {
        self.keys().digest
    }

    /// Calls `use_keys` with the keys, as age expects them.
    pub(super) fn with<T>(&self, use_keys: impl FnOnce(&mut dyn Iterator<Item = &dyn age::Identity>) -> T) -> T {
        let current = self.keys();
        use_keys(&mut current.keys.iter().map(|identity| identity as &dyn age::Identity))
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The keys in the variables of the process and in the file that they name, and whether they name one.
fn text_of_environment() -> Result<(Zeroizing<String>, bool), String> {
    let mut text = Zeroizing::new(std::env::var("EVENKEEL_AGE_KEY").unwrap_or_default());
    let path = std::env::var_os("EVENKEEL_AGE_KEY_FILE").filter(|path| !path.is_empty());
    if let Some(path) = &path {
        text.push('\n');
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_IDENTITY_BYTES as u64 + 1).read_to_string(&mut text))
            .map_err(|error| format!("EVENKEEL_AGE_KEY_FILE cannot be read: {}", error.kind()))?;
    }
    Ok((text, path.is_some()))
}

impl Keys {
    fn parse(text: &str) -> Result<Keys, String> {
        if text.len() > MAX_IDENTITY_BYTES {
            return Err(format!("the age keys are larger than {} KiB; give fewer", MAX_IDENTITY_BYTES >> 10));
        }
        let mut identities = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity = line.parse().map_err(|_| {
                format!(
                    "line {} of the age keys is not a key; write `AGE-SECRET-KEY-1…` as age-keygen does",
                    number + 1
                )
            })?;
            identities.push(identity);
        }
        match identities.len() {
            0 => Err("there is no age key; write `AGE-SECRET-KEY-1…` as age-keygen does".to_owned()),
            1..=MAX_IDENTITIES => Ok(Keys { keys: identities, digest: Digest::of(text.as_bytes()) }),
            many => Err(format!("there are {many} age keys; give at most {MAX_IDENTITIES}")),
        }
    }
}
