//! SQLite: the store of a single process.
//!
//! `synchronous=FULL`: every commit is on disk before the call returns, so that not even a loss of power undoes an
//! activation. It costs one flush for each commit, and commits are few: a no-op writes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Sqlite, SqlitePool};
use tokio::sync::watch;

use super::backend::{Backend, Database, Reader, Transaction};
use super::limits::ACQUIRE;
use super::sql::{Connection, Dialect, Json, Query, Row, Value, arguments};
use super::{Generation, Keys, Micros, Replica, StoreError, error, migrations};

mod file;

const READERS: u32 = 4;
/// Maximum wait for another program that has locked the file, such as a backup.
const BUSY: Duration = Duration::from_secs(10);

/// A writer has the whole database to itself: rows need no locks.
static DIALECT: Dialect = Dialect { for_update: "", skip_locked: "" };

/// A database in one file.
struct SqliteDatabase {
    /// One connection: writers wait for it in order, instead of polling SQLite's lock.
    writer: SqlitePool,
    readers: SqlitePool,
    /// By environment and process.
    replicas: Mutex<BTreeMap<(String, String), Replica>>,
    /// The lock on the file, held as long as this value lives. After the pools, because fields are dropped in order.
    _lock: Option<File>,
}

/// Opens a file, or creates it; `:memory:` is a database that is dropped with the store.
pub(super) async fn open(path: &str, keys: Keys) -> Result<Backend, StoreError> {
    let options = SqliteConnectOptions::new()
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging();
    let (writer, readers, lock) = if path == ":memory:" {
        let pool = pool(1, options.in_memory(true)).await?;
        (pool.clone(), pool, None)
    } else {
        let path = PathBuf::from(path);
        let lock = file::prepare(&path)?;
        let options = options
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", "67108864");
        let writer = pool(1, options.clone()).await?;
        (writer, pool(READERS, options.pragma("query_only", "ON")).await?, Some(lock))
    };
    let mut connection = writer.acquire().await?;
    migrations::sqlite().run_direct(None, &mut *connection, false).await.map_err(error::of_migration)?;
    // This is the only process, so the holders of leases are gone, and so are the workers.
    let statement = "UPDATE leases SET holder = NULL, expires_at = NULL WHERE holder IS NOT NULL";
    sqlx::query(statement).execute(&mut *connection).await?;
    let statement = "UPDATE executions SET lease_expires_at = 0 WHERE lease_expires_at IS NOT NULL";
    sqlx::query(statement).execute(&mut *connection).await?;
    drop(connection);
    let database = SqliteDatabase { writer, readers, replicas: Mutex::default(), _lock: lock };
    Ok(Backend::new(Box::new(database), keys, watch::Sender::new(0)))
}

#[async_trait]
impl Database for SqliteDatabase {
    async fn read(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(self.readers.acquire().await?))
    }

    /// `IMMEDIATE`: a transaction that begins by reading and then writes could be refused in the middle, without waiting.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        match self.writer.begin_with("BEGIN IMMEDIATE").await {
            // SQLite ends a transaction by itself when the disk is full. The connection does not notice, and would refuse
            // every transaction from then on.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                Ok(Box::new(self.writer.begin_with("BEGIN IMMEDIATE").await?))
            }
            begun => Ok(Box::new(begun?)),
        }
    }

    async fn report_replica(
        &self,
        replica: &str,
        environment: &str,
        generation: &Generation,
    ) -> Result<u64, StoreError> {
        let report = Replica {
            replica: replica.to_owned(),
            environment: environment.to_owned(),
            number: generation.number,
            digest: generation.digest,
            at: clock(),
        };
        let mut replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        replicas.insert((environment.to_owned(), replica.to_owned()), report);
        Ok(0)
    }

    async fn replicas(&self, environment: &str) -> Result<Vec<Replica>, StoreError> {
        let replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(replicas.values().filter(|replica| replica.environment == environment).cloned().collect())
    }
}

impl Reader for PoolConnection<Sqlite> {
    fn connection(&mut self) -> &mut dyn Connection {
        &mut **self
    }
}

#[async_trait]
impl Transaction for sqlx::Transaction<'static, Sqlite> {
    fn connection(&mut self) -> &mut dyn Connection {
        &mut **self
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(sqlx::Transaction::commit(*self).await?)
    }
}

#[async_trait]
impl Connection for SqliteConnection {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    async fn execute(&mut self, query: Query<'_>) -> Result<u64, StoreError> {
        let arguments = arguments!(SqliteArguments, query.values);
        let statement = sqlx::query_with(AssertSqlSafe(query.text), arguments).persistent(query.is_prepared);
        Ok(statement.execute(self).await?.rows_affected())
    }

    async fn fetch(&mut self, query: Query<'_>) -> Result<Vec<Row>, StoreError> {
        let arguments = arguments!(SqliteArguments, query.values);
        let statement = sqlx::query_with(AssertSqlSafe(query.text), arguments).persistent(query.is_prepared);
        Ok(statement.fetch_all(self).await?.into_iter().map(Row::Sqlite).collect())
    }

    async fn now(&mut self) -> Result<Micros, StoreError> {
        Ok(clock())
    }

    /// There is no other process.
    async fn notify(&mut self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lock_objects(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lock_names(&mut self, _: &[String]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lock_executions(&mut self, _: &[&str]) -> Result<(), StoreError> {
        Ok(())
    }
}

async fn pool(connections: u32, options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        // A file's connections do not go stale; a database in memory is dropped with its only connection.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false);
    Ok(pool.connect_with(options).await?)
}

fn clock() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}
