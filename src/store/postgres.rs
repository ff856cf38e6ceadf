//! PostgreSQL: the store of many processes. Times are the database's clock.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Postgres, Row as _, Transaction};
use tokio::time::Instant;

use super::common::{ACQUIRE, ALIVE, Common, MAX_ROWS, signed, unreadable};
use super::{Generation, Keys, Micros, Replica, StoreError};
use crate::text::Digest;

#[allow(clippy::duplicate_mod, reason = "compiled once for each database")]
#[path = "shared/backend.rs"]
mod backend;
mod listen;

type Database = Postgres;
type Connection = PgConnection;
type Row = sqlx::postgres::PgRow;

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/postgres");

const CONNECTIONS: u32 = 12;
/// How long connections are kept that nobody uses.
const IDLE: Duration = Duration::from_mins(5);
/// How long migrating may take, waiting for other processes that migrate included.
const MIGRATING: Duration = Duration::from_mins(5);
/// Limits that the server keeps for us. A process that was paused in a transaction loses it, and its locks, before
/// others that wait for those give up.
const LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "60s"), ("lock_timeout", "20s"), ("idle_in_transaction_session_timeout", "15s")];

/// `evenkeel` in ASCII: the advisory lock of those who store or sweep objects, who would else deadlock on rows that
/// they lock in different orders.
const OBJECTS_LOCK: i64 = 0x6576_656e_6b65_656c;
/// How often a process says that it serves what it served before.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// Reports of processes that have been silent for a day are forgotten.
const SILENT: Micros = 86_400_000_000;

const LOCK_ENVIRONMENT: &str = "SELECT active, last FROM environments WHERE name = $1 FOR UPDATE";
const LOCK_LEASE: &str = "SELECT holder, token, expires_at FROM leases WHERE name = $1 FOR UPDATE";
const SKIP_LOCKED: &str = " FOR UPDATE SKIP LOCKED";
const FOR_UPDATE: &str = " FOR UPDATE";

/// What was last reported, and when, by environment and process.
type Reports = HashMap<(String, String), (u64, Digest, Instant)>;

/// A store in a database that several processes share.
pub(super) struct Backend {
    common: Common,
    pool: PgPool,
    reported: Mutex<Reports>,
    _listener: listen::Listener,
}

impl Backend {
    /// Opens a database and brings its schema up to date.
    pub(super) async fn open(url: &str, keys: Keys) -> Result<Backend, StoreError> {
        let options = PgConnectOptions::from_str(url)?.application_name("evenkeel").disable_statement_logging();
        migrate(&options).await?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(IDLE)
            .connect_with(options.options(LIMITS))
            .await?;
        let common = Common::new(keys);
        let listener = listen::Listener::start(pool.clone(), common.changes().clone());
        Ok(Backend { common, pool, reported: Mutex::default(), _listener: listener })
    }

    fn common(&self) -> &Common {
        &self.common
    }

    async fn read(&self) -> Result<PoolConnection<Database>, StoreError> {
        Ok(self.pool.acquire().await?)
    }

    /// A transaction that writes. Each of its statements sees what was committed before it began, whatever the
    /// server's default: rows that must not change are locked.
    async fn begin(&self) -> Result<Transaction<'static, Database>, StoreError> {
        Ok(self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?)
    }

    async fn reported(&self, replica: &str, environment: &str, generation: &Generation) -> Result<(), StoreError> {
        let key = (environment.to_owned(), replica.to_owned());
        let (number, digest) = (generation.number, generation.digest);
        {
            let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            let known = reported.get(&key);
            if known.is_some_and(|last| (last.0, last.1) == (number, digest) && last.2.elapsed() < REPORT_EVERY) {
                return Ok(());
            }
        }
        let statement = "INSERT INTO replicas (environment, replica, number, digest, heard_at) \
                         VALUES ($1, $2, $3, $4, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) \
                         ON CONFLICT (environment, replica) DO UPDATE SET \
                         number = excluded.number, digest = excluded.digest, heard_at = excluded.heard_at";
        let query = sqlx::query(statement).bind(environment).bind(replica).bind(signed(number)?);
        let rows = query.bind(digest.bytes().as_slice()).execute(&self.pool).await?.rows_affected();
        self.common.wrote(rows);
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.insert(key, (number, digest, Instant::now()));
        Ok(())
    }

    async fn living(&self, environment: &str) -> Result<Vec<Replica>, StoreError> {
        let mut connection = self.read().await?;
        let since = now(&mut connection).await? - ALIVE;
        let statement = "SELECT environment, replica, number, digest, heard_at FROM replicas \
                         WHERE environment = $1 AND heard_at >= $2 LIMIT $3";
        let query = sqlx::query(statement).bind(environment).bind(since).bind(i64::from(MAX_ROWS));
        let rows = query.fetch_all(&mut *connection).await?;
        let mut living = rows.iter().map(replica).collect::<Result<Vec<_>, _>>()?;
        living.sort_unstable_by(|one, other| one.replica.cmp(&other.replica));
        Ok(living)
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("common", &self.common).finish_non_exhaustive()
    }
}

/// On a connection of its own: migrations may take longer than anything else, and its errors come at once, where a
/// pool would try again until its time is over. Several processes that start at once wait here for each other: sqlx
/// takes an advisory lock.
async fn migrate(options: &PgConnectOptions) -> Result<(), StoreError> {
    let slow = || StoreError::from(sqlx::Error::PoolTimedOut);
    let limit = MIGRATING.as_secs().to_string() + "s";
    let options = options.clone().options([("statement_timeout", &limit)]);
    let connecting = tokio::time::timeout(ACQUIRE, PgConnection::connect_with(&options));
    let mut connection = connecting.await.map_err(|_| slow())??;
    let migrating = tokio::time::timeout(MIGRATING, MIGRATIONS.run_direct(None, &mut connection, false));
    let migrated = migrating.await.map_err(|_| slow())?.map_err(super::error::of_migration);
    // Closing gives the lock back, whatever happened.
    let _ = tokio::time::timeout(ACQUIRE, connection.close()).await;
    migrated
}

async fn now(connection: &mut Connection) -> Result<Micros, StoreError> {
    let statement = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    Ok(sqlx::query_scalar(statement).fetch_one(connection).await?)
}

/// Told to everybody when the transaction is committed, and only then.
async fn notify(connection: &mut Connection, environment: &str) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_notify($1, $2)").bind(listen::CHANNEL).bind(environment).execute(connection).await?;
    Ok(())
}

async fn lock_objects(connection: &mut Connection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(OBJECTS_LOCK).execute(connection).await?;
    Ok(())
}

/// Advisory locks of names, until the transaction ends, always taken in the same order. Names share 1024 numbers, so that
/// however many there are, PostgreSQL's table of locks holds them; two that share one wait for no reason, and nothing else.
async fn lock_keys(connection: &mut Connection, names: &[String]) -> Result<(), StoreError> {
    const BASE: i64 = 0x6576_656e_0000_0000;
    let number = |name: &String| {
        let bytes = Digest::of(name.as_bytes()).bytes().first_chunk::<2>().copied().unwrap_or_default();
        BASE + i64::from(u16::from_be_bytes(bytes) & 1023)
    };
    let mut numbers: Vec<i64> = names.iter().map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    if !numbers.is_empty() {
        let statement =
            "SELECT pg_advisory_xact_lock(number) FROM (SELECT unnest($1::bigint[]) AS number ORDER BY 1) AS all_of";
        sqlx::query(statement).bind(numbers).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Locks executions, and those that wait for their answers, in an order that is everybody's.
async fn lock_runs(connection: &mut Connection, runs: &[&str]) -> Result<(), StoreError> {
    if runs.is_empty() {
        return Ok(());
    }
    let statement = "SELECT id FROM runs WHERE id IN (SELECT unnest($1::text[]) UNION SELECT parent FROM runs \
                     WHERE id = ANY($1) AND answers <> '') ORDER BY id FOR UPDATE";
    sqlx::query(statement).bind(runs).fetch_all(connection).await?;
    Ok(())
}

async fn forget_replicas(connection: &mut Connection, environment: &str, now: Micros) -> Result<u64, StoreError> {
    let statement = "DELETE FROM replicas WHERE environment = $1 AND heard_at < $2";
    let query = sqlx::query(statement).bind(environment).bind(now.saturating_sub(SILENT));
    Ok(query.execute(connection).await?.rows_affected())
}

fn replica(row: &Row) -> Result<Replica, StoreError> {
    let digest: Vec<u8> = row.try_get("digest")?;
    Ok(Replica {
        replica: row.try_get("replica")?,
        environment: row.try_get("environment")?,
        number: row.try_get::<i64, _>("number")?.unsigned_abs(),
        digest: Digest::from_bytes(&digest).ok_or_else(|| unreadable("a digest"))?,
        at: row.try_get("heard_at")?,
    })
}
