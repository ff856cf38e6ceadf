//! Master keys, and the envelopes that credentials are stored in.
//!
//! Each value is encrypted with a data key of its own, and the data key with the newest master key, both by
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): its nonces are long enough to be random. Both are bound to the
//! credential's name, so that a row copied over another cannot be decrypted. Rotation re-wraps the data keys and does not
//! change the values.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::TryRng as _;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::{CredentialId, SecretBytes, StoreError};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// Maximum number of keys.
const MAX_KEYS: usize = 16;
const MAX_ID_BYTES: usize = 64;

/// Master keys, the newest first. `Debug` shows their names only; they are wiped when the last clone is dropped.
#[derive(Clone)]
pub struct Keys(Arc<[Key]>);

struct Key {
    id: String,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

/// A credential as it is stored.
#[derive(Clone)]
pub(super) struct Envelope {
    /// The name of the master key.
    pub key_id: String,
    /// The data key, encrypted with the master key.
    pub wrapped_key: Vec<u8>,
    /// The value, encrypted with the data key.
    pub ciphertext: Vec<u8>,
}

impl Keys {
    /// No keys: credentials can be neither stored nor read.
    pub fn none() -> Keys {
        Keys(Arc::new([]))
    }

    /// Keys from text: lines of the form `id:base64 of 32 bytes`, the newest first. Empty lines and lines that begin with
    /// `#` are ignored. At most 16 keys; an id has up to 64 letters, digits, `-`, `_` or `.`.
    ///
    /// # Errors
    /// A sentence that names the line, never its content.
    pub fn parse(text: &str) -> Result<Keys, String> {
        let mut keys: Vec<Key> = Vec::new();
        let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let wrong = |what: &str| Err(format!("master keys, line {number}: {what}"));
            let Some((id, encoded)) = line.split_once(':') else {
                return wrong("expected `id:key`, as `evenkeel secrets keygen` writes it");
            };
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if id.is_empty() || id.len() > MAX_ID_BYTES || !id.bytes().all(is_part) {
                return wrong("the name before `:` must be up to 64 letters, digits, `-`, `_` or `.`");
            }
            if keys.iter().any(|known| known.id == id) {
                return wrong("another key has the same name");
            }
            if keys.len() == MAX_KEYS {
                return wrong("at most 16 keys are read; remove the oldest after `evenkeel secrets rotate`");
            }
            let Some(bytes) = decoded(encoded.trim()) else {
                return wrong("the key after `:` must be 32 bytes in base64");
            };
            keys.push(Key { id: id.to_owned(), bytes });
        }
        match keys.is_empty() {
            true => Err("master keys: the file contains none; `evenkeel secrets keygen` creates one".to_owned()),
            false => Ok(Keys(keys.into())),
        }
    }

    /// A new key as a line for [`Keys::parse`], from the operating system's random source.
    ///
    /// # Errors
    /// [`StoreError::Key`] where that source fails.
    pub fn generate() -> Result<Zeroizing<String>, StoreError> {
        let id: [u8; 4] = *random()?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = random::<KEY_BYTES>()?;
        let encoded = Zeroizing::new(STANDARD.encode(*key));
        Ok(Zeroizing::new(format!("k{id}:{}", *encoded)))
    }

    /// True if there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the newest key.
    pub(super) fn newest(&self) -> Result<&str, StoreError> {
        Ok(&self.master()?.id)
    }

    /// Encrypts a value.
    pub(super) fn encrypt(&self, id: &CredentialId, value: &SecretBytes) -> Result<Envelope, StoreError> {
        let master = self.master()?;
        let data_key = random::<KEY_BYTES>()?;
        let ciphertext = encrypt(&data_key, &bound_to(id, "value"), &value.0)?;
        let wrapped_key = encrypt(&master.bytes, &bound_to(id, &master.id), &*data_key)?;
        Ok(Envelope { key_id: master.id.clone(), wrapped_key, ciphertext })
    }

    /// Decrypts a value.
    pub(super) fn decrypt(&self, id: &CredentialId, envelope: &Envelope) -> Result<SecretBytes, StoreError> {
        let data_key = self.unwrap_key(id, envelope)?;
        decrypt(&data_key, &bound_to(id, "value"), &envelope.ciphertext).map(SecretBytes).ok_or_else(|| damaged(id))
    }

    /// The data key, wrapped with the newest master key; `None` if it is wrapped with that already.
    pub(super) fn rewrap(&self, id: &CredentialId, envelope: &Envelope) -> Result<Option<Envelope>, StoreError> {
        let master = self.master()?;
        if envelope.key_id == master.id {
            return Ok(None);
        }
        let data_key = self.unwrap_key(id, envelope)?;
        let wrapped_key = encrypt(&master.bytes, &bound_to(id, &master.id), &*data_key)?;
        Ok(Some(Envelope { key_id: master.id.clone(), wrapped_key, ciphertext: envelope.ciphertext.clone() }))
    }

    fn master(&self) -> Result<&Key, StoreError> {
        let none =
            "there is no master key; set EVENKEEL_MASTER_KEY_FILE to a file that `evenkeel secrets keygen` writes";
        self.0.first().ok_or_else(|| StoreError::Key(none.to_owned()))
    }

    fn unwrap_key(&self, id: &CredentialId, envelope: &Envelope) -> Result<Zeroizing<[u8; KEY_BYTES]>, StoreError> {
        self.master()?;
        let Some(key) = self.0.iter().find(|key| key.id == envelope.key_id) else {
            let missing = &envelope.key_id;
            return Err(StoreError::Key(format!("the master key `{missing}` is missing; add its line")));
        };
        let bytes = decrypt(&key.bytes, &bound_to(id, &key.id), &envelope.wrapped_key).ok_or_else(|| damaged(id))?;
        let mut data_key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return Err(damaged(id));
        }
        data_key.copy_from_slice(&bytes);
        Ok(data_key)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

/// Random bytes from the operating system.
fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, StoreError> {
    let mut bytes = Zeroizing::new([0; N]);
    match SysRng.try_fill_bytes(&mut *bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(StoreError::Key("the operating system returned no random numbers".to_owned())),
    }
}

fn decoded(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    // The decoder needs space for the longest key that the text could encode.
    let mut buffer = Zeroizing::new([0; KEY_BYTES + 4]);
    let length = STANDARD.decode_slice(text, &mut *buffer).ok()?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    bytes.copy_from_slice(buffer.get(..length).filter(|decoded| decoded.len() == KEY_BYTES)?);
    Some(bytes)
}

/// The associated data of an encryption: the credential's name and a label, each preceded by its length.
fn bound_to(id: &CredentialId, label: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in ["evenkeel credential 1", &id.environment, &id.tenant, &id.name, label] {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// The nonce, then the ciphertext with its tag.
fn encrypt(key: &[u8; KEY_BYTES], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let nonce = random::<NONCE_BYTES>()?;
    let cipher = XChaCha20Poly1305::new(key.into());
    let Ok(ciphertext) = cipher.encrypt(&XNonce::from(*nonce), Payload { msg: plain, aad }) else {
        return Err(StoreError::Key("the value is too long to be encrypted".to_owned()));
    };
    Ok([&nonce[..], &ciphertext].concat())
}

fn decrypt(key: &[u8; KEY_BYTES], aad: &[u8], stored: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = stored.split_first_chunk::<NONCE_BYTES>()?;
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad }).ok().map(Zeroizing::new)
}

fn damaged(id: &CredentialId) -> StoreError {
    let name = &id.name;
    StoreError::Key(format!(
        "`{name}` is damaged, or its master key has the name of another one; store the credential again"
    ))
}

#[cfg(test)]
mod tests;
