//! SQLite: the store of one process.
//!
//! `synchronous=FULL`: every commit is on the disk before it is answered, so that not even a loss of power takes an
//! activation back. It costs one flush for each commit, and commits are few: a no-op writes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Sqlite, SqlitePool, Transaction};

use super::common::{ACQUIRE, Common};
use super::{Generation, Keys, Micros, Replica, StoreError};

#[allow(clippy::duplicate_mod, reason = "compiled once for each database")]
#[path = "shared/backend.rs"]
mod backend;

type Database = Sqlite;
type Connection = sqlx::SqliteConnection;
type Row = sqlx::sqlite::SqliteRow;

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/sqlite");

const READERS: u32 = 4;
/// How long to wait for another program that has the file locked, such as a backup.
const BUSY: Duration = Duration::from_secs(10);

/// A writer has the whole database for itself, so nothing more is to be locked.
const LOCK_ENVIRONMENT: &str = "SELECT active, last FROM environments WHERE name = $1";
const LOCK_LEASE: &str = "SELECT holder, token, expires_at FROM leases WHERE name = $1";
const SKIP_LOCKED: &str = "";
const FOR_UPDATE: &str = "";

/// A store in one file.
pub(super) struct Backend {
    common: Common,
    /// One connection: writers wait here for each other, in order, instead of polling SQLite's lock.
    writer: SqlitePool,
    readers: SqlitePool,
    /// By environment and process.
    replicas: Mutex<BTreeMap<(String, String), Replica>>,
    /// Locked as long as this lives. After the pools: what is first declared is first dropped.
    _lock: Option<File>,
}

impl Backend {
    /// Opens a file, or makes it; `:memory:` is a database that is gone with the store.
    pub(super) async fn open(path: &str, keys: Keys) -> Result<Backend, StoreError> {
        let options = SqliteConnectOptions::new()
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .pragma("trusted_schema", "OFF")
            .disable_statement_logging();
        if path == ":memory:" {
            let pool = pool(1, options.in_memory(true)).await?;
            return Backend::on(keys, pool.clone(), pool, None).await;
        }
        let file = PathBuf::from(path);
        let lock = prepare(&file)?;
        let options = options
            .filename(&file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", "67108864");
        let writer = pool(1, options.clone()).await?;
        let readers = pool(READERS, options.pragma("query_only", "ON")).await?;
        Backend::on(keys, writer, readers, Some(lock)).await
    }

    async fn on(
        keys: Keys,
        writer: SqlitePool,
        readers: SqlitePool,
        lock: Option<File>,
    ) -> Result<Backend, StoreError> {
        let mut connection = writer.acquire().await?;
        MIGRATIONS.run_direct(None, &mut *connection, false).await.map_err(super::error::of_migration)?;
        // We are the only process, so whoever held a lease is gone.
        let statement = "UPDATE leases SET holder = '', expires_at = 0 WHERE holder <> ''";
        sqlx::query(statement).execute(&mut *connection).await?;
        // And whoever had executions, too.
        let statement = "UPDATE runs SET ready_at = 0 WHERE status = 'Running'";
        sqlx::query(statement).execute(&mut *connection).await?;
        drop(connection);
        Ok(Backend { common: Common::new(keys), writer, readers, replicas: Mutex::default(), _lock: lock })
    }

    fn common(&self) -> &Common {
        &self.common
    }

    async fn read(&self) -> Result<PoolConnection<Database>, StoreError> {
        Ok(self.readers.acquire().await?)
    }

    /// A transaction that writes. `IMMEDIATE`: one that begins by reading and then writes could be refused in the
    /// middle, without waiting.
    async fn begin(&self) -> Result<Transaction<'static, Database>, StoreError> {
        match self.writer.begin_with("BEGIN IMMEDIATE").await {
            // SQLite ends a transaction by itself where the disk is full, and the connection does not learn of it: it would
            // refuse every transaction from then on.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            begun => Ok(begun?),
        }
    }

    #[allow(clippy::unused_async, reason = "PostgreSQL's waits")]
    async fn reported(&self, replica: &str, environment: &str, generation: &Generation) -> Result<(), StoreError> {
        let report = Replica {
            replica: replica.to_owned(),
            environment: environment.to_owned(),
            number: generation.number,
            digest: generation.digest,
            at: clock(),
        };
        let mut replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        replicas.insert((environment.to_owned(), replica.to_owned()), report);
        Ok(())
    }

    #[allow(clippy::unused_async, reason = "PostgreSQL's waits")]
    async fn living(&self, environment: &str) -> Result<Vec<Replica>, StoreError> {
        let replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(replicas.values().filter(|replica| replica.environment == environment).cloned().collect())
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("common", &self.common).finish_non_exhaustive()
    }
}

async fn pool(connections: u32, options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        // A file's connections do not go stale; a database in memory is gone with its only one.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false);
    Ok(pool.connect_with(options).await?)
}

/// Makes the folder and the file, for the owner only, and locks out other processes.
fn prepare(file: &Path) -> Result<File, StoreError> {
    let refused = |what: &str, error: &std::io::Error| {
        StoreError::Refused(format!(
            "the database file's {what}: {}; check the path and who may write there",
            error.kind()
        ))
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_folder(folder).map_err(|error| refused("folder cannot be made", &error))?;
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let lock = private_file(Path::new(&name)).map_err(|error| refused("lock cannot be written", &error))?;
    match patiently(&lock) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = "the database file is in use by another process; use PostgreSQL for several";
            return Err(StoreError::Refused(text.to_owned()));
        }
        Err(TryLockError::Error(error)) => return Err(refused("lock cannot be taken", &error)),
    }
    // SQLite gives its other files (`-wal`, `-shm`) the mode of this one.
    private_file(file).map_err(|error| refused("content cannot be written", &error))?;
    Ok(lock)
}

/// Takes a lock, for which a process that is just ending may have to be waited: at most two seconds, once at the start.
fn patiently(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..40 {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            taken => return taken,
        }
    }
    lock.try_lock()
}

#[cfg(unix)]
fn private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn private_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// Opens a file for reading and writing, made where it is missing, for the owner only in any case.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        let file = options.mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}

fn clock() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

#[allow(clippy::unused_async, reason = "PostgreSQL's waits")]
async fn now(_: &mut Connection) -> Result<Micros, StoreError> {
    Ok(clock())
}

/// One process: it wakes its own tasks, after the commit.
#[allow(clippy::unused_async, reason = "PostgreSQL's waits")]
async fn notify(_: &mut Connection, _: &str) -> Result<(), StoreError> {
    Ok(())
}

#[allow(clippy::unused_async, reason = "PostgreSQL's waits")]
async fn lock_objects(_: &mut Connection) -> Result<(), StoreError> {
    Ok(())
}

#[allow(clippy::unused_async, reason = "PostgreSQL's waits")]
async fn lock_keys(_: &mut Connection, _: &[String]) -> Result<(), StoreError> {
    Ok(())
}

#[allow(clippy::unused_async, reason = "PostgreSQL's waits")]
async fn lock_runs(_: &mut Connection, _: &[&str]) -> Result<(), StoreError> {
    Ok(())
}

#[allow(clippy::unused_async, reason = "PostgreSQL's waits")]
async fn forget_replicas(_: &mut Connection, _: &str, _: Micros) -> Result<u64, StoreError> {
    Ok(0)
}
