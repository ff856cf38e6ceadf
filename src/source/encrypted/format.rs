//! The formats of the content of encrypted files, and its limits.

use crate::text::ReadLimits;

/// Maximum size of an encrypted file, in bytes. Its content is never larger.
pub const MAX_ENCRYPTED_BYTES: usize = 1 << 20;

/// The format of the content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptedFormat {
    /// A map in YAML.
    Yaml,
    /// A map in JSON. SOPS writes files of unknown formats the same way, as one value `data`.
    Json,
    /// `NAME=value` lines.
    Dotenv,
}

impl EncryptedFormat {
    /// The format by the name of a file, as SOPS determines it: `.yaml` and `.yml`, `.env`, and JSON for all others. The
    /// extension `.age` is ignored.
    pub fn of(path: &str) -> EncryptedFormat {
        let path = path.strip_suffix(".age").unwrap_or(path);
        match path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
            Some("yaml" | "yml") => EncryptedFormat::Yaml,
            Some("env") => EncryptedFormat::Dotenv,
            _ => EncryptedFormat::Json,
        }
    }
}

/// Checks the size of an encrypted file.
///
/// # Errors
/// The cause and the remedy.
pub(super) fn check_size(bytes: &[u8]) -> Result<(), String> {
    match bytes.len() {
        0..=MAX_ENCRYPTED_BYTES => Ok(()),
        _ => Err(format!("it is larger than {} MiB; keep secrets in small files", MAX_ENCRYPTED_BYTES >> 20)),
    }
}

/// The limits of parsing decrypted content.
pub(super) fn limits() -> ReadLimits {
    ReadLimits {
        file_bytes: MAX_ENCRYPTED_BYTES,
        nodes: 50_000,
        depth: 32,
        documents: 2,
        string_bytes: 2 * MAX_ENCRYPTED_BYTES,
    }
}
