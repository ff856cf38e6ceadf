//! Credentials, options and limits of a fetch.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::net::Tls;
use crate::source::FetchError;

/// Credentials of a fetch. Cleared from memory when dropped.
pub enum Credentials {
    /// No credentials, for a public repository.
    None,
    /// An access token, sent as the password of HTTP Basic authentication.
    Token(Zeroizing<String>),
    /// HTTP Basic authentication.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Zeroizing<String>,
    },
    /// An SSH key without passphrase.
    Ssh {
        /// The private key in PEM or OpenSSH's format.
        private_key: Zeroizing<String>,
    },
}

/// Returns the current credentials. Called for each fetch, so that a rotated secret takes effect.
pub type CredentialsProvider = Arc<dyn Fn() -> Result<Credentials, FetchError> + Send + Sync>;

/// Options of a Git source.
#[derive(Clone, Default)]
pub struct GitOptions {
    /// TLS with the trusted certificate authorities; `https://` is refused without.
    pub tls: Option<Tls>,
    /// Allows `file://`, and `http://` to this machine, for tests and development [default: false].
    pub allow_file: bool,
    /// Limits of the fetch.
    pub budgets: Budgets,
}

/// Limits of a fetch and of the revision that is read. Exceeding one fails the fetch with
/// [`FetchReason::TooLarge`](crate::source::FetchReason::TooLarge).
#[derive(Clone, Debug)]
pub struct Budgets {
    /// Maximum number of bytes that the server may send for the list of references.
    pub listing_bytes: u64,
    /// Maximum number of references in the list.
    pub references: usize,
    /// Maximum number of bytes that the server may send in one fetch, compressed.
    pub received_bytes: u64,
    /// Maximum number of objects that the server may send in one fetch.
    pub objects: usize,
    /// Maximum number of files and folders of the revision.
    pub files: usize,
    /// Maximum depth of nested folders. A deeper folder is a finding, not a failure.
    pub depth: usize,
    /// Maximum size of all definitions together, in bytes.
    pub definition_bytes: usize,
    /// Number of packs after which the local copy is replaced by a new one.
    pub packs: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Budgets {
            listing_bytes: 64 << 20,
            references: 200_000,
            received_bytes: 1 << 30,
            objects: 10_000_000,
            files: 200_000,
            depth: 64,
            definition_bytes: 1 << 30,
            packs: 100,
        }
    }
}
