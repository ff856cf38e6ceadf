//! Files that are encrypted with age as a whole, binary or armored.

use std::io::Read as _;

use zeroize::Zeroizing;

use super::format::{EncryptedFormat, MAX_ENCRYPTED_BYTES, check_size};
use super::identities::Identities;
use super::tree::{self, Plain};

/// Decrypts a file, binary or armored.
///
/// # Errors
/// One sentence: the file is too large, not encrypted with age, encrypted for other keys, or damaged.
pub fn decrypt_age(bytes: &[u8], identities: &Identities) -> Result<Zeroizing<Vec<u8>>, String> {
    check_size(bytes)?;
    // Editors leave empty lines before an armored file; a binary one starts with its version.
    let bytes = bytes.trim_ascii_start();
    if !bytes.starts_with(b"age-encryption.org/") && !bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        return Err("it is not encrypted with age; encrypt it, and replace the secrets that it held".to_owned());
    }
    let decryptor = age::Decryptor::new_buffered(age::armor::ArmoredReader::new(bytes)).map_err(age_error)?;
    let reader = identities.with(|keys| decryptor.decrypt(keys)).map_err(age_error)?;
    // Reserved in advance: a buffer that grows would leave a copy behind.
    let mut content = Zeroizing::new(Vec::with_capacity(bytes.len()));
    reader
        .take(MAX_ENCRYPTED_BYTES as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|_| "it is damaged; encrypt it again".to_owned())?;
    Ok(content)
}

/// Decrypts a file and returns the value at a dotted path; without a path, the whole file.
///
/// # Errors
/// Those of [`decrypt_age`]; also if the content does not have the format, or has no such value.
pub fn decrypt_age_value(
    bytes: &[u8],
    format: EncryptedFormat,
    key: Option<&str>,
    identities: &Identities,
) -> Result<Zeroizing<Vec<u8>>, String> {
    let content = decrypt_age(bytes, identities)?;
    match key {
        None => Ok(content),
        Some(key) => Plain::of(&tree::read(&content, format)?).value(key),
    }
}

/// Converts an error of age, whose own text may quote content.
fn age_error(error: age::DecryptError) -> String {
    match error {
        age::DecryptError::NoMatchingKeys => {
            "it is encrypted for other age keys than those of this process; add the recipient of this process and encrypt it again"
        }
        age::DecryptError::UnknownFormat => "it is written by a newer version of age; encrypt it as age v1",
        _ => "it is damaged; encrypt it again",
    }
    .to_owned()
}
