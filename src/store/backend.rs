//! The store on top of a database: one implementation for both, over [`Connection`](super::sql::Connection).

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::sql::Connection;
use super::{Generation, Keys, Replica, StoreError};

mod allowances;
mod audits;
mod credentials;
mod generations;
mod leases;
mod objects;
mod queue;
mod states;
mod store;

/// A database: its connections, and what the two databases do differently as a whole.
#[async_trait]
pub(super) trait Database: Send + Sync {
    /// A connection for reading.
    async fn read(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// A transaction for writing. It is rolled back when it is dropped.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError>;

    /// Records the generation that a process serves; returns the number of rows written.
    async fn report_replica(
        &self,
        replica: &str,
        environment: &str,
        generation: &Generation,
    ) -> Result<u64, StoreError>;

    /// The generations that live processes serve.
    async fn replicas(&self, environment: &str) -> Result<Vec<Replica>, StoreError>;
}

/// A connection taken from a pool.
pub(super) trait Reader: Send {
    /// The connection.
    fn connection(&mut self) -> &mut dyn Connection;
}

/// A transaction.
#[async_trait]
pub(super) trait Transaction: Send {
    /// The connection.
    fn connection(&mut self) -> &mut dyn Connection;

    /// Commits it.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// The tenant of each priority that was served last, in one environment.
type Turns = HashMap<i64, String>;

/// An open store.
pub(super) struct Backend {
    database: Box<dyn Database>,
    keys: Keys,
    writes: AtomicU64,
    turns: Mutex<HashMap<String, Turns>>,
    changes: watch::Sender<u64>,
}

impl Backend {
    /// A store on a database; `changes` wakes its waiters.
    pub(super) fn new(database: Box<dyn Database>, keys: Keys, changes: watch::Sender<u64>) -> Backend {
        Backend { database, keys, writes: AtomicU64::new(0), turns: Mutex::default(), changes }
    }

    async fn read(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.database.read().await
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.database.begin().await
    }

    /// Counts written rows. To be called after the commit.
    fn wrote(&self, rows: u64) {
        self.writes.fetch_add(rows, Ordering::Relaxed);
    }

    /// Wakes the waiters of this process. To be called after the commit.
    fn changed(&self) {
        bump(&self.changes);
    }

    /// Takes the turns of an environment; [`put_turns`](Self::put_turns) puts them back.
    fn take_turns(&self, environment: &str) -> Turns {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(environment).unwrap_or_default()
    }

    fn put_turns(&self, environment: &str, turns: Turns) {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).insert(environment.to_owned(), turns);
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("keys", &self.keys).field("writes", &self.writes).finish_non_exhaustive()
    }
}

/// Wakes the waiters for changes.
pub(super) fn bump(changes: &watch::Sender<u64>) {
    changes.send_modify(|count| *count = count.wrapping_add(1));
}
