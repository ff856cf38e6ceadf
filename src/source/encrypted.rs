//! Encrypted files of a repository: age (<https://age-encryption.org/v1>) and SOPS with age recipients.
//!
//! ```text
//! secrets.age  ──decrypt_age──────────────────────────────► the file, or one value of it
//! secrets.yaml ──decrypt_sops──► data key (age) ──► values (AES-256-GCM) ──► MAC over all of them ──► one value
//! ```
//!
//! All functions work on bytes in memory. Errors name the remedy, and never hold content of a file or a key.

mod age_file;
mod format;
mod identities;
mod sops;
#[cfg(test)]
mod tests;
mod tree;

pub use age_file::{decrypt_age, decrypt_age_value};
pub use format::{EncryptedFormat, MAX_ENCRYPTED_BYTES};
pub use identities::Identities;
pub use sops::decrypt_sops;
