//! Files that are encrypted in the repository: age (<https://age-encryption.org/v1>) and SOPS with age recipients.
//!
//! ```text
//! secrets.age  ──open_age──────────────────────────────► the file, or one value of it
//! secrets.yaml ──open_sops──► data key (age) ──► values (AES-256-GCM) ──► MAC over all of them ──► one value
//! ```
//!
//! Everything here works on bytes in memory. Errors say what to do, and never hold content: neither of the file nor of a key.

mod sops;
#[cfg(test)]
mod tests;
mod tree;

use std::io::Read as _;

use zeroize::Zeroizing;

use crate::text::ReadLimits;

pub use sops::open_sops;
use tree::Plain;

/// Largest encrypted file, in bytes. What is in it is never larger.
pub const MAX_SEALED_BYTES: usize = 1 << 20;
/// Most private keys: each is tried on each recipient of a file.
const MAX_IDENTITIES: usize = 32;
/// Largest text that holds them, in bytes.
const MAX_IDENTITY_BYTES: usize = 64 << 10;

/// Private keys that files are opened with. Has no `Debug`, and shows no key.
#[derive(Clone)]
pub struct Identities(Vec<age::x25519::Identity>);

impl Identities {
    /// Reads keys as `age-keygen` writes them: one `AGE-SECRET-KEY-1…` a line; empty lines and lines that start with `#`
    /// are passed over. At most 32 keys in 64 KiB.
    ///
    /// # Errors
    /// Names the line, never what is on it.
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
                format!("line {} of the age keys is no key; write `AGE-SECRET-KEY-1…` as age-keygen does", number + 1)
            })?;
            identities.push(identity);
        }
        match identities.len() {
            0 => Err("there is no age key; write `AGE-SECRET-KEY-1…` as age-keygen does".to_owned()),
            1..=MAX_IDENTITIES => Ok(Identities(identities)),
            many => Err(format!("there are {many} age keys; give at most {MAX_IDENTITIES}")),
        }
    }

    /// The keys that this process was given: `EVENKEEL_AGE_KEY` holds them, `EVENKEEL_AGE_KEY_FILE` names a file that does;
    /// both may be given. `None` where neither is.
    ///
    /// # Errors
    /// Where the file cannot be read, or holds something else.
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

    fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| identity as &dyn age::Identity)
    }
}

/// How the inside of a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedFormat {
    /// A map in YAML.
    Yaml,
    /// A map in JSON; SOPS writes files that it does not know the same way, as one value `data`.
    Json,
    /// `NAME=value` lines.
    Dotenv,
}

impl SealedFormat {
    /// The format of a file's name, as SOPS tells it: `.yaml` and `.yml`, `.env`, and JSON for all others. An ending
    /// `.age` is passed over.
    pub fn of(path: &str) -> SealedFormat {
        let path = path.strip_suffix(".age").unwrap_or(path);
        match path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
            Some("yaml" | "yml") => SealedFormat::Yaml,
            Some("env") => SealedFormat::Dotenv,
            _ => SealedFormat::Json,
        }
    }
}

/// The content of a file that is encrypted with age, binary or armored.
///
/// # Errors
/// One sentence: too large, not encrypted with age, for other keys, or damaged.
pub fn open_age(bytes: &[u8], identities: &Identities) -> Result<Zeroizing<Vec<u8>>, String> {
    fits(bytes)?;
    // Editors leave empty lines before an armored file; a binary one starts with its version.
    let bytes = bytes.trim_ascii_start();
    if !bytes.starts_with(b"age-encryption.org/") && !bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        return Err("it is not encrypted with age; encrypt it, and replace what it held".to_owned());
    }
    let sealed = age::Decryptor::new_buffered(age::armor::ArmoredReader::new(bytes)).map_err(age_error)?;
    let reader = sealed.decrypt(identities.iter()).map_err(age_error)?;
    // Reserved at once, so that no half of it is left behind by a buffer that had to grow.
    let mut content = Zeroizing::new(Vec::with_capacity(bytes.len()));
    reader
        .take(MAX_SEALED_BYTES as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|_| "it is damaged; encrypt it again".to_owned())?;
    Ok(content)
}

/// One value of a file that is encrypted as a whole: as [`open_age`], then the value at a dotted path.
///
/// # Errors
/// As of [`open_age`]; and where the content is not of its format, or has no such value.
pub fn open_age_value(
    bytes: &[u8],
    format: SealedFormat,
    key: Option<&str>,
    identities: &Identities,
) -> Result<Zeroizing<Vec<u8>>, String> {
    let content = open_age(bytes, identities)?;
    match key {
        None => Ok(content),
        Some(key) => Plain::of(&tree::read(&content, format)?).value(key),
    }
}

fn fits(bytes: &[u8]) -> Result<(), String> {
    match bytes.len() {
        0..=MAX_SEALED_BYTES => Ok(()),
        _ => Err(format!("it is larger than {} MiB; keep secrets in small files", MAX_SEALED_BYTES >> 20)),
    }
}

fn limits() -> ReadLimits {
    ReadLimits {
        file_bytes: MAX_SEALED_BYTES,
        nodes: 50_000,
        depth: 32,
        documents: 2,
        string_bytes: 2 * MAX_SEALED_BYTES,
    }
}

/// age's errors in our words: theirs may quote what they read.
fn age_error(error: age::DecryptError) -> String {
    match error {
        age::DecryptError::NoMatchingKeys => {
            "it is encrypted for other age keys than those of this process; add this one's recipient and encrypt it again"
        }
        age::DecryptError::UnknownFormat => "it is written by a newer version of age; encrypt it as age v1",
        _ => "it is damaged; encrypt it again",
    }
    .to_owned()
}
