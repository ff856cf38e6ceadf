//! PostgreSQL: the store of several processes. Times are the database server's clock.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, Postgres};
use tokio::sync::watch;
use tokio::time::Instant;

use super::backend::{Backend, Database, Reader, Transaction};
use super::limits::{ACQUIRE, ALIVE, MAX_ROWS, signed, unreadable};
use super::sql::{Connection, Dialect, Json, Query, Row, Value, arguments, query};
use super::{Generation, Keys, Micros, Replica, StoreError, error, migrations};
use crate::text::Digest;

mod listen;

const CONNECTIONS: u32 = 12;
/// Time after which an unused connection is closed.
const IDLE: Duration = Duration::from_mins(5);
/// Maximum duration of the migration, including the wait for other processes that migrate.
const MIGRATING: Duration = Duration::from_mins(5);
/// Limits that the server enforces. A process that is paused inside of a transaction loses the transaction and its locks
/// before others that wait for the locks give up.
const LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "60s"), ("lock_timeout", "20s"), ("idle_in_transaction_session_timeout", "15s")];

/// `evenkeel` in ASCII: the advisory lock of writers and sweepers of objects. Without it they would deadlock on rows that
/// they lock in different orders.
const OBJECTS_LOCK: i64 = 0x6576_656e_6b65_656c;
/// Interval of reports of an unchanged generation.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// `NO KEY`: rows that reference a locked row can still be inserted by others.
static DIALECT: Dialect = Dialect { for_update: " FOR NO KEY UPDATE", skip_locked: " FOR NO KEY UPDATE SKIP LOCKED" };

/// The last report and its time, by environment and process.
type Reports = HashMap<(String, String), (u64, Digest, Instant)>;

/// A database that several processes share.
struct PostgresDatabase {
    pool: PgPool,
    reported: Mutex<Reports>,
    _listener: listen::Listener,
}

/// Opens a database and migrates its schema.
pub(super) async fn open(url: &str, keys: Keys) -> Result<Backend, StoreError> {
    let options = PgConnectOptions::from_str(url)?.application_name("evenkeel").disable_statement_logging();
    migrate(&options).await?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE)
        .connect_with(options.options(LIMITS))
        .await?;
    let changes = watch::Sender::new(0);
    let listener = listen::Listener::start(pool.clone(), changes.clone());
    let database = PostgresDatabase { pool, reported: Mutex::default(), _listener: listener };
    Ok(Backend::new(Box::new(database), keys, changes))
}

#[async_trait]
impl Database for PostgresDatabase {
    async fn read(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(self.pool.acquire().await?))
    }

    /// Each statement sees all transactions committed before it began, independent of the server's default. Rows that must not
    /// change are locked.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Ok(Box::new(self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?))
    }

    async fn report_replica(
        &self,
        replica: &str,
        environment: &str,
        generation: &Generation,
    ) -> Result<u64, StoreError> {
        let key = (environment.to_owned(), replica.to_owned());
        let (number, digest) = (generation.number, generation.digest);
        {
            let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            let last = reported.get(&key);
            if last.is_some_and(|last| (last.0, last.1) == (number, digest) && last.2.elapsed() < REPORT_EVERY) {
                return Ok(0);
            }
        }
        let statement = "INSERT INTO replicas (environment, replica, number, digest, reported_at) \
                         VALUES ($1, $2, $3, $4, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) \
                         ON CONFLICT (environment, replica) DO UPDATE SET \
                         number = excluded.number, digest = excluded.digest, reported_at = excluded.reported_at";
        let query = query(statement).bind(environment).bind(replica).bind(signed(number)?);
        let rows = query.bind(digest.bytes().as_slice()).execute(&mut *self.pool.acquire().await?).await?;
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.insert(key, (number, digest, Instant::now()));
        Ok(rows)
    }

    async fn replicas(&self, environment: &str) -> Result<Vec<Replica>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let since = connection.now().await? - ALIVE;
        let statement = "SELECT environment, replica, number, digest, reported_at FROM replicas \
                         WHERE environment = $1 AND reported_at >= $2 LIMIT $3";
        let query = query(statement).bind(environment).bind(since).bind(i64::from(MAX_ROWS));
        let rows = query.fetch_all(&mut *connection).await?;
        let mut alive = rows.iter().map(read_replica).collect::<Result<Vec<_>, _>>()?;
        alive.sort_unstable_by(|one, other| one.replica.cmp(&other.replica));
        Ok(alive)
    }
}

impl Reader for PoolConnection<Postgres> {
    fn connection(&mut self) -> &mut dyn Connection {
        &mut **self
    }
}

#[async_trait]
impl Transaction for sqlx::Transaction<'static, Postgres> {
    fn connection(&mut self) -> &mut dyn Connection {
        &mut **self
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(sqlx::Transaction::commit(*self).await?)
    }
}

#[async_trait]
impl Connection for PgConnection {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    async fn execute(&mut self, query: Query<'_>) -> Result<u64, StoreError> {
        let arguments = arguments!(PgArguments, query.values);
        let statement = sqlx::query_with(AssertSqlSafe(query.text), arguments).persistent(query.is_prepared);
        Ok(statement.execute(self).await?.rows_affected())
    }

    async fn fetch(&mut self, query: Query<'_>) -> Result<Vec<Row>, StoreError> {
        let arguments = arguments!(PgArguments, query.values);
        let statement = sqlx::query_with(AssertSqlSafe(query.text), arguments).persistent(query.is_prepared);
        Ok(statement.fetch_all(self).await?.into_iter().map(Row::Postgres).collect())
    }

    async fn now(&mut self) -> Result<Micros, StoreError> {
        let statement = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        Ok(sqlx::query_scalar(statement).fetch_one(self).await?)
    }

    /// Delivered when the transaction is committed, and only then.
    async fn notify(&mut self, environment: &str) -> Result<(), StoreError> {
        sqlx::query("SELECT pg_notify($1, $2)").bind(listen::CHANNEL).bind(environment).execute(self).await?;
        Ok(())
    }

    async fn lock_objects(&mut self) -> Result<(), StoreError> {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(OBJECTS_LOCK).execute(self).await?;
        Ok(())
    }

    /// Advisory locks. Names share 1024 numbers, so that PostgreSQL's lock table holds any number of names; two names
    /// with the same number wait for each other without need, which is harmless.
    async fn lock_names(&mut self, names: &[String]) -> Result<(), StoreError> {
        const BASE: i64 = 0x6576_656e_0000_0000;
        let number = |name: &String| {
            let bytes = Digest::of(name.as_bytes()).bytes().first_chunk::<2>().copied().unwrap_or_default();
            BASE + i64::from(u16::from_be_bytes(bytes) & 1023)
        };
        let mut numbers: Vec<i64> = names.iter().map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if !numbers.is_empty() {
            let statement = "SELECT pg_advisory_xact_lock(number) FROM (SELECT unnest($1::bigint[]) AS number ORDER BY 1) AS numbers";
            sqlx::query(statement).bind(numbers).execute(self).await?;
        }
        Ok(())
    }

    async fn lock_executions(&mut self, ids: &[&str]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let statement = "SELECT id FROM executions WHERE id IN (SELECT unnest($1::text[]) UNION SELECT parent \
                         FROM executions WHERE id = ANY($1) AND parent_signal IS NOT NULL) ORDER BY id \
                         FOR NO KEY UPDATE";
        sqlx::query(statement).bind(ids).fetch_all(self).await?;
        Ok(())
    }
}

/// Migrates on a connection of its own: migrations may take longer than anything else, and their errors are reported at
/// once, while a pool would retry until its time is over. Processes that start at the same time wait here for each
/// other: sqlx takes an advisory lock.
async fn migrate(options: &PgConnectOptions) -> Result<(), StoreError> {
    let slow = || StoreError::from(sqlx::Error::PoolTimedOut);
    let limit = MIGRATING.as_secs().to_string() + "s";
    let options = options.clone().options([("statement_timeout", &limit)]);
    let connecting = tokio::time::timeout(ACQUIRE, PgConnection::connect_with(&options));
    let mut connection = connecting.await.map_err(|_| slow())??;
    let migrations = migrations::postgres();
    let migrating = tokio::time::timeout(MIGRATING, migrations.run_direct(None, &mut connection, false));
    let migrated = migrating.await.map_err(|_| slow())?.map_err(error::of_migration);
    // Closing releases the lock in any case.
    let _ = tokio::time::timeout(ACQUIRE, connection.close()).await;
    migrated
}

fn read_replica(row: &Row) -> Result<Replica, StoreError> {
    let digest: Vec<u8> = row.get("digest")?;
    Ok(Replica {
        replica: row.get("replica")?,
        environment: row.get("environment")?,
        number: row.get::<i64>("number")?.unsigned_abs(),
        digest: Digest::from_bytes(&digest).ok_or_else(|| unreadable("a digest"))?,
        at: row.get("reported_at")?,
    })
}
