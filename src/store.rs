//! Durable storage: objects by their digest, generations and the active one of each environment, controls, credentials,
//! and the queue of executions.
//!
//! ```text
//! objects (digest → bytes) ◄── generations (environment, number, root digest) ◄── one active per environment
//!                                        ▲ activate: compare and swap, fenced by a lease
//!
//! events ──► executions (queue rows, payloads) ──► steps, logs, signals, dead letters
//! ```
//!
//! Two traits: [`Store`] and, for everything below the executions, [`queue::Queue`]. One implementation (`backend`) runs on
//! SQLite for a single process and on PostgreSQL for several; both are held to the same tests (`tests/it/store`).
//!
//! | file | contents |
//! |---|---|
//! | `types`, `manifest`, `allowance`, `queue/` | the stored values |
//! | `traits`, `queue` | the operations |
//! | `backend/` | their implementation, over the connections of `sql` |
//! | `sqlite`, `postgres` | the two databases: connections, locks, clocks, notifications |
//! | `migrations` | the schema, one source for both databases |
//! | `keys` | encryption of credentials |
//! | `error`, `limits`, `failpoint` | errors, limits, crash points for tests |

use std::sync::Arc;

pub mod allowance;
pub mod manifest;
pub mod queue;

mod backend;
mod error;
mod failpoint;
mod keys;
mod limits;
mod migrations;
mod postgres;
mod sql;
mod sqlite;
mod traits;
mod types;

pub use error::StoreError;
pub use failpoint::failpoint;
pub use keys::Keys;
pub use traits::Store;
pub use types::{Activation, Audit, Cause, CredentialId, Generation, Lease, Micros, Replica, SecretBytes, Tombstone};

/// Opens a store and migrates its schema.
///
/// `sqlite:PATH` is a file for a single process; the file and its folder are created if they are missing. The database
/// `sqlite::memory:` is dropped with the store. `postgres://…` is a database for several processes.
///
/// # Errors
/// [`StoreError::Newer`] if a newer version wrote the database, [`StoreError::Refused`] if a retry would fail as well
/// (also for a file that another process has open), otherwise [`StoreError::Unavailable`]. No error repeats the URL, which
/// may contain a password.
pub async fn open(url: &str, keys: Keys) -> Result<Arc<dyn Store>, StoreError> {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    match scheme {
        "sqlite" if !rest.trim_start_matches('/').is_empty() => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            Ok(Arc::new(sqlite::open(path, keys).await?))
        }
        "postgres" | "postgresql" => Ok(Arc::new(postgres::open(url, keys).await?)),
        _ => Err(StoreError::Refused(
            "it is not the address of a database; expected `sqlite:PATH` or `postgres://user:password@host/name`"
                .to_owned(),
        )),
    }
}
