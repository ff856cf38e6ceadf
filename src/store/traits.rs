//! Operations of the store.

use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

use super::allowance::{Allowance, Grant, Reservation};
use super::queue::Queue;
use super::{Activation, Audit, CredentialId, Generation, Lease, Micros, Replica, SecretBytes, StoreError, Tombstone};
use crate::text::Digest;

/// The durable state of all environments. It may be used by several tasks, and by several processes if the database
/// supports that. Times are the store's own.
#[async_trait]
pub trait Store: Queue + fmt::Debug + Send + Sync {
    /// Stores objects by their digest, in one transaction. Objects that are stored already stay as they are, unless they
    /// are damaged: then they are written again. Returns the number of objects written.
    async fn put_objects(&self, objects: &[(Digest, Vec<u8>)]) -> Result<u64, StoreError>;

    /// Objects in the order of their digests, each verified.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for the first that is missing or damaged.
    async fn objects(&self, digests: &[Digest]) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Makes a generation active, with its tombstones and an audit line, in one transaction. Returns it as stored.
    ///
    /// # Errors
    /// [`StoreError::Stale`] unless `expected` is active, [`StoreError::Fenced`] unless `lease` is still held by its
    /// holder. Nothing is changed then.
    async fn activate(&self, activation: &Activation, lease: Option<&Lease>) -> Result<Generation, StoreError>;

    /// The active generation; `None` if the environment has none.
    async fn active(&self, environment: &str) -> Result<Option<Generation>, StoreError>;

    /// Names of the environments with an active generation, sorted.
    async fn environments(&self) -> Result<Vec<String>, StoreError>;

    /// One generation; `None` if it does not exist or was deleted.
    async fn generation(&self, environment: &str, number: u64) -> Result<Option<Generation>, StoreError>;

    /// At most `limit` generations from the newest, optionally below a number.
    async fn history(&self, environment: &str, below: Option<u64>, limit: u32) -> Result<Vec<Generation>, StoreError>;

    /// Tombstones of definitions that can still be restored, by id.
    async fn tombstones(&self, environment: &str) -> Result<Vec<Tombstone>, StoreError>;

    /// Deletes generations that are neither active nor among the `keep` newest nor younger than `age`, expired
    /// tombstones, and audit lines beyond 10,000 for each environment; at most 5,000 rows of each. Returns the number of
    /// deleted generations.
    async fn delete_old_generations(&self, environment: &str, keep: u32, age: Micros) -> Result<u64, StoreError>;

    /// Removes an environment: its generations, tombstones and states. Its audit log and the highest number that it ever
    /// had stay. Returns the number of rows removed or changed.
    async fn remove_environment(&self, environment: &str) -> Result<u64, StoreError>;

    /// Removes objects that are not needed. The caller has listed all objects of all generations, after
    /// [`Store::all_roots`]; objects stored since `before` are kept in any case. `before` must precede the time returned by
    /// [`Store::all_roots`] by more than any build takes from [`Store::put_objects`] to [`Store::activate`]: an hour.
    async fn sweep_objects(&self, needed: &[Digest], before: Micros) -> Result<u64, StoreError>;

    /// Root digests of all generations of all environments, and the store's time.
    async fn all_roots(&self) -> Result<(Vec<Digest>, Micros), StoreError>;

    /// A named document of an environment (`status`, `controls`, …); `None` if it is not set.
    async fn state(&self, environment: &str, name: &str) -> Result<Option<Value>, StoreError>;

    /// Stores a named document if it differs from the stored one. Returns true if it was written; a write wakes
    /// [`Store::changes`] of every process.
    async fn put_state(&self, environment: &str, name: &str, value: &Value) -> Result<bool, StoreError>;

    /// Acquires or renews a lease; `None` while another holder has it. A renewal keeps the token, a new holder gets a
    /// higher one than any before.
    async fn acquire_lease(&self, name: &str, holder: &str, seconds: u32) -> Result<Option<Lease>, StoreError>;

    /// Releases a lease, if it is still held.
    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError>;

    /// The current holder of a lease.
    async fn lease_holder(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Reserves units of an allowance, for this process to use within the validity of the grant.
    async fn reserve(&self, allowance: &Allowance, request: &Reservation) -> Result<Grant, StoreError>;

    /// Reports the generation that this process serves. Unchanged reports are written only as often as needed to count as
    /// alive ([`Store::replicas`]): never on a store of a single process.
    async fn report_replica(&self, replica: &str, environment: &str, generation: &Generation)
    -> Result<(), StoreError>;

    /// The generations that live processes serve: those that reported within 30 seconds; all on a store of a single
    /// process.
    async fn replicas(&self, environment: &str) -> Result<Vec<Replica>, StoreError>;

    /// Appends a line to the audit log.
    async fn append_audit(&self, line: &Audit) -> Result<(), StoreError>;

    /// At most `limit` lines of the audit log from the newest.
    async fn audit_log(&self, environment: &str, limit: u32) -> Result<Vec<Audit>, StoreError>;

    /// A number that changes whenever an environment was activated or a state was written, by any process. It is a hint:
    /// it may change late (by a few seconds at most) or twice.
    fn changes(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Stores a credential, encrypted.
    async fn put_credential(&self, id: &CredentialId, value: &SecretBytes) -> Result<(), StoreError>;

    /// A stored credential.
    async fn credential(&self, id: &CredentialId) -> Result<Option<SecretBytes>, StoreError>;

    /// Removes a credential; returns true if it was stored.
    async fn remove_credential(&self, id: &CredentialId) -> Result<bool, StoreError>;

    /// Wraps the data key of every credential with the newest master key; returns the number of keys wrapped.
    async fn rotate_credentials(&self) -> Result<u64, StoreError>;

    /// Number of rows that this process wrote to any table since it started. Tests use it to show that a no-op writes
    /// nothing.
    fn writes(&self) -> u64;
}
