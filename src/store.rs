//! What must outlive the process: objects by their digest, generations, which one is active, what was asked for, and
//! credentials.
//!
//! ```text
//! objects (digest → bytes) ◄── generations (environment, number, root digest) ◄── one active per environment
//!                                        ▲ activate: compare and swap, fenced by a lease
//! ```
//!
//! Beside them the work: events, executions and what they did ([`queue`]).
//!
//! One trait, [`Store`]; SQLite for one process, PostgreSQL for many. Both are held to the same tests (`tests/it`).

pub mod manifest;
pub mod queue;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::Id;
use crate::text::Digest;

mod common;
mod error;
mod failpoint;
mod keys;
mod postgres;
mod sqlite;

pub use failpoint::failpoint;
pub use keys::Keys;

/// Opens a store and brings its schema up to date.
///
/// `sqlite:PATH` is a file for one process, made where it is missing, with its folder; `sqlite::memory:` is gone with
/// the store. `postgres://…` is a database for many processes.
///
/// # Errors
/// [`StoreError::Newer`] where a newer version wrote it, [`StoreError::Refused`] where trying again is of no use (also
/// for a file that another process has open), else [`StoreError::Unavailable`]. None repeats the URL, which may hold a
/// password.
pub async fn open(url: &str, keys: Keys) -> Result<Arc<dyn Store>, StoreError> {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    match scheme {
        "sqlite" if !rest.trim_start_matches('/').is_empty() => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            Ok(Arc::new(sqlite::Backend::open(path, keys).await?))
        }
        "postgres" | "postgresql" => Ok(Arc::new(postgres::Backend::open(url, keys).await?)),
        _ => Err(StoreError::Refused(
            "this is no database; write `sqlite:PATH` or `postgres://user:password@host/name`".to_owned(),
        )),
    }
}

/// Microseconds since 1970, UTC.
pub type Micros = i64;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another generation is active than the one that this one was made from: look again and plan anew.
    #[error("generation {expected} is not active any more, {active} is")]
    Stale {
        /// The generation that was expected to be active; 0 for none.
        expected: u64,
        /// The one that is; 0 for none.
        active: u64,
    },
    /// The lease that this writer held is another's now: whatever it was doing is out of date.
    #[error("the lease `{lease}` is held by another process")]
    Fenced {
        /// The name of the lease.
        lease: String,
    },
    /// What is stored is not what was written.
    #[error("stored object {digest} is {problem}")]
    Corrupt {
        /// The object.
        digest: Digest,
        /// `missing` or `damaged`.
        problem: &'static str,
    },
    /// A stored credential cannot be read with the keys that were given.
    #[error("a credential cannot be decrypted: {0}")]
    Key(String),
    /// The schema was written by a newer version.
    #[error("the database was written by a newer version of Evenkeel ({0}); use that version")]
    Newer(String),
    /// The database cannot be reached or does not answer: worth another try.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Anything else.
    #[error("the database refuses: {0}")]
    Refused(String),
}

/// One generation of an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// The environment.
    pub environment: String,
    /// Counts up from 1 in each environment.
    pub number: u64,
    /// The digest of its root object, and so of everything in it.
    pub digest: Digest,
    /// The revision of each source, by the source's name.
    pub revisions: BTreeMap<String, String>,
    /// Why it came to be.
    pub cause: Cause,
    /// Who: `reconciler`, or the name of the one who asked.
    pub actor: String,
    /// When it was activated, by the store's clock.
    pub at: Micros,
    /// The digest of the plan that led to it.
    pub plan: Option<Digest>,
    /// Counts of what the plan did, for histories.
    pub summary: Value,
}

/// Why a generation came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The source changed.
    Source,
    /// What was active was not what is declared.
    Heal,
    /// An earlier generation was asked for.
    Rollback,
    /// Another environment's generation was asked for.
    Promotion,
    /// A definition was written or removed through the API.
    #[serde(rename = "Hand")]
    Override,
}

impl Cause {
    /// Its word, as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Source => "Source",
            Cause::Heal => "Heal",
            Cause::Rollback => "Rollback",
            Cause::Promotion => "Promotion",
            Cause::Override => "Hand",
        }
    }

    /// The cause of a word; `None` where it is none.
    pub fn from_name(name: &str) -> Option<Cause> {
        let all = [Cause::Source, Cause::Heal, Cause::Rollback, Cause::Promotion, Cause::Override];
        all.into_iter().find(|cause| cause.as_str() == name)
    }
}

/// What is to become active.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The environment.
    pub environment: String,
    /// The generation that must still be active; 0 where there must be none.
    pub expected: u64,
    /// The digest of the root object, which is stored already.
    pub digest: Digest,
    /// The revision of each source.
    pub revisions: BTreeMap<String, String>,
    /// Why.
    pub cause: Cause,
    /// Who.
    pub actor: String,
    /// The digest of the plan.
    pub plan: Option<Digest>,
    /// Counts, for histories.
    pub summary: Value,
    /// Definitions that this removes, kept for a while.
    pub tombstones: Vec<Tombstone>,
    /// Definitions that this brings back or replaces: their tombstones go.
    pub restored: Vec<Id>,
}

/// A definition that was removed, kept so that it can come back as what it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// Its kind and name, as `Kind/name`.
    pub id: String,
    /// What the generation's manifest said of it (an item, with its identity and its content's digest).
    pub item: Value,
    /// The last generation that had it.
    pub generation: u64,
    /// When it was removed, by the store's clock; set by the store.
    pub at: Micros,
    /// How long it is kept, in microseconds.
    pub window: Micros,
}

/// A lease on doing something alone, with the token that fences out earlier holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Grows with each new holder; writes with an older one are refused.
    pub token: i64,
}

/// What a process serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replica {
    /// The process.
    pub replica: String,
    /// The environment.
    pub environment: String,
    /// The generation's number.
    pub number: u64,
    /// The generation's digest, as loaded and verified.
    pub digest: Digest,
    /// When it was last heard of.
    pub at: Micros,
}

/// A line of the record of who did what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// When, by the store's clock; set by the store.
    pub at: Micros,
    /// The environment; empty where none.
    pub environment: String,
    /// Who.
    pub actor: String,
    /// What, in one word such as `Rollback`.
    pub action: String,
    /// More about it. Never a secret.
    pub details: Value,
}

/// The name of a stored credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CredentialId {
    /// The environment it belongs to.
    pub environment: String,
    /// The tenant; empty where none.
    pub tenant: String,
    /// Its name.
    pub name: String,
}

/// A secret value; it has no `Debug` that shows it, no `Serialize`, and is wiped when dropped.
#[derive(Clone)]
pub struct SecretBytes(pub zeroize::Zeroizing<Vec<u8>>);

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What must outlive the process. Everything here may be called from several tasks, and by several processes where the
/// implementation says so. Times are the store's own.
#[async_trait]
pub trait Store: queue::Queue + fmt::Debug + Send + Sync {
    /// Stores objects by their digest; those that are there stay as they are, unless they are damaged: then they are
    /// written anew. In one transaction. Gives how many were written.
    async fn put_objects(&self, objects: &[(Digest, Vec<u8>)]) -> Result<u64, StoreError>;

    /// Objects in the order of their digests, each verified.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for the first that is missing or damaged.
    async fn objects(&self, digests: &[Digest]) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Makes a generation active, with its tombstones and a line of the audit, in one transaction; gives it as stored.
    ///
    /// # Errors
    /// [`StoreError::Stale`] unless `expected` is active, [`StoreError::Fenced`] unless `lease` is still held by its
    /// holder: nothing is changed then.
    async fn activate(&self, activation: &Activation, lease: Option<&Lease>) -> Result<Generation, StoreError>;

    /// The active generation; `None` where there is none.
    async fn active(&self, environment: &str) -> Result<Option<Generation>, StoreError>;

    /// Names of environments that have generations, sorted.
    async fn environments(&self) -> Result<Vec<String>, StoreError>;

    /// One generation; `None` where there is none, or it was forgotten.
    async fn generation(&self, environment: &str, number: u64) -> Result<Option<Generation>, StoreError>;

    /// Generations from the newest, at most `most`, below a number where one is given.
    async fn history(&self, environment: &str, below: Option<u64>, limit: u32) -> Result<Vec<Generation>, StoreError>;

    /// Tombstones whose window is still open, by id.
    async fn tombstones(&self, environment: &str) -> Result<Vec<Tombstone>, StoreError>;

    /// Forgets generations that are neither active nor among the `keep` newest nor younger than `age`, tombstones whose
    /// window has passed, and audit lines beyond 10,000 for each environment. Gives how many generations were forgotten.
    async fn delete_old_generations(&self, environment: &str, keep: u32, age: Micros) -> Result<u64, StoreError>;

    /// Removes an environment: its generations, tombstones and states. Its record stays, and so does the highest number that
    /// it ever had. Answers how many rows were removed or changed.
    async fn remove_environment(&self, environment: &str) -> Result<u64, StoreError>;

    /// Removes objects that are not among these. The caller has listed everything that all generations need, after
    /// [`Store::all_roots`]; objects written since `before` are kept whatever is listed. `before` must lie so far before
    /// the time that [`Store::all_roots`] gave that no build can still be on its way from [`Store::put_objects`] to
    /// [`Store::activate`]: an hour.
    async fn sweep_objects(&self, needed: &[Digest], before: Micros) -> Result<u64, StoreError>;

    /// The root digests of all generations of all environments, and the store's time.
    async fn all_roots(&self) -> Result<(Vec<Digest>, Micros), StoreError>;

    /// What is remembered of an environment under a name (`status`, `controls`, …); `None` where nothing is.
    async fn state(&self, environment: &str, name: &str) -> Result<Option<Value>, StoreError>;

    /// Remembers something, where it differs from what is there. Gives whether anything was written; writing wakes
    /// [`Store::changes`] of every process.
    async fn put_state(&self, environment: &str, name: &str, value: &Value) -> Result<bool, StoreError>;

    /// Takes or renews a lease for a while; `None` while another holds it. A renewal keeps the token, a new holder gets
    /// a higher one than any before.
    async fn acquire_lease(&self, name: &str, holder: &str, seconds: u32) -> Result<Option<Lease>, StoreError>;

    /// Gives a lease back, where it is still held.
    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Who holds a lease now.
    async fn lease_holder(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Tells what this process serves. Unchanged reports are written only often enough to count as alive
    /// ([`Store::replicas`]): never on a store of one process.
    async fn report_replica(&self, replica: &str, environment: &str, generation: &Generation)
    -> Result<(), StoreError>;

    /// What living processes serve: those that were heard of within 30 seconds; all on a store of one process.
    async fn replicas(&self, environment: &str) -> Result<Vec<Replica>, StoreError>;

    /// Adds a line to the record.
    async fn append_audit(&self, line: &Audit) -> Result<(), StoreError>;

    /// Lines of the record from the newest, at most `most`.
    async fn audit_log(&self, environment: &str, limit: u32) -> Result<Vec<Audit>, StoreError>;

    /// A number that changes whenever an environment was activated or a state was written, by any process: waiting on
    /// it is waiting for news. Hints only: news may be late (at most a few seconds) or doubled.
    fn changes(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Stores a credential, encrypted.
    async fn put_credential(&self, id: &CredentialId, value: &SecretBytes) -> Result<(), StoreError>;

    /// A stored credential.
    async fn credential(&self, id: &CredentialId) -> Result<Option<SecretBytes>, StoreError>;

    /// Removes a credential; gives whether it was there.
    async fn remove_credential(&self, id: &CredentialId) -> Result<bool, StoreError>;

    /// Wraps every credential's data key with the newest master key; gives how many were wrapped anew.
    async fn rotate_credentials(&self) -> Result<u64, StoreError>;

    /// A key for fingerprints of secret values, always the same for a database: made of the oldest master key, or random
    /// and stored where there are none.
    async fn fingerprint_key(&self) -> Result<[u8; 32], StoreError>;

    /// Rows written by this process since it started, of every table: what "a no-op writes nothing" is counted by.
    fn writes(&self) -> u64;
}
