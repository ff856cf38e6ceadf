//! The private keys of age that this process holds.

use std::io::Read as _;

use zeroize::Zeroizing;

/// Maximum number of private keys: each is tried on each recipient of a file.
pub(super) const MAX_IDENTITIES: usize = 32;
/// Maximum size of the text that holds them, in bytes.
pub(super) const MAX_IDENTITY_BYTES: usize = 64 << 10;

/// Private keys that decrypt files. Has no `Debug`, so that no key is printed.
#[derive(Clone)]
pub struct Identities(Vec<age::x25519::Identity>);

impl Identities {
    /// Parses keys in the format of `age-keygen`: one `AGE-SECRET-KEY-1…` per line; empty lines and lines that start with
    /// `#` are ignored. At most 32 keys in 64 KiB.
    ///
    /// # Errors
    /// Names the line, never its content.
    pub fn parse(text: &str) -> Result<Identities, String> {
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
            1..=MAX_IDENTITIES => Ok(Identities(identities)),
            many => Err(format!("there are {many} age keys; give at most {MAX_IDENTITIES}")),
        }
    }

    /// Reads the keys of this process: `EVENKEEL_AGE_KEY` holds keys, `EVENKEEL_AGE_KEY_FILE` is the path of a file with
    /// keys; both may be set. `None` if neither is set.
    ///
    /// # Errors
    /// The cause if the file cannot be read, or a key is invalid.
    pub fn from_environment() -> Result<Option<Identities>, String> {
        let mut text = Zeroizing::new(std::env::var("EVENKEEL_AGE_KEY").unwrap_or_default());
        if let Some(path) = std::env::var_os("EVENKEEL_AGE_KEY_FILE").filter(|path| !path.is_empty()) {
            text.push('\n');
            std::fs::File::open(&path)
                .and_then(|file| file.take(MAX_IDENTITY_BYTES as u64 + 1).read_to_string(&mut text))
                .map_err(|error| format!("EVENKEEL_AGE_KEY_FILE cannot be read: {}", error.kind()))?;
        }
        if text.trim().is_empty() { Ok(None) } else { Identities::parse(&text).map(Some) }
    }

    /// The keys, as age expects them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| identity as &dyn age::Identity)
    }
}
