//! The store: one suite for SQLite and PostgreSQL, and tests of the particulars of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel::store::{Activation, Cause, CredentialId, Keys, SecretBytes, Store, open};
use evenkeel::text::Digest;
use serde_json::json;
use sqlx::AssertSqlSafe;

mod allowances;
mod conformance;
mod credentials;
#[cfg(debug_assertions)]
mod failpoints;
mod leases;
mod migrations;
mod model;
mod on_postgres;
mod on_sqlite;
mod queue;

/// The store of one test, with direct access to its database.
pub struct Fixture {
    pub store: Arc<dyn Store>,
    pub url: String,
    raw: Raw,
    _folder: Option<tempfile::TempDir>,
}

enum Raw {
    Sqlite(sqlx::SqlitePool),
    Postgres(sqlx::PgPool),
}

impl Fixture {
    pub async fn sqlite(keys: Keys) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/evenkeel.db");
        let url = format!("sqlite:{}", path.display());
        let store = open(&url, keys).await.unwrap();
        let raw = Raw::Sqlite(sqlx::SqlitePool::connect(&url).await.unwrap());
        Fixture { store, url, raw, _folder: Some(folder) }
    }

    /// `None` if PostgreSQL is not installed, which is a failure when `CI` is set.
    pub async fn postgres(keys: Keys) -> Fixture {
        let url = crate::postgres::database().await;
        let store = open(&url, keys).await.unwrap();
        let raw = Raw::Postgres(sqlx::PgPool::connect(&url).await.unwrap());
        Fixture { store, url, raw, _folder: None }
    }

    /// Changes the database directly; returns the number of rows.
    pub async fn sql(&self, statement: &str) -> u64 {
        let query = AssertSqlSafe(statement.to_owned());
        match &self.raw {
            Raw::Sqlite(pool) => sqlx::query(query).execute(pool).await.unwrap().rows_affected(),
            Raw::Postgres(pool) => sqlx::query(query).execute(pool).await.unwrap().rows_affected(),
        }
    }

    /// The number that a statement returns.
    pub async fn number(&self, statement: &str) -> i64 {
        let query = AssertSqlSafe(statement.to_owned());
        match &self.raw {
            Raw::Sqlite(pool) => sqlx::query_scalar(query).fetch_one(pool).await.unwrap(),
            Raw::Postgres(pool) => sqlx::query_scalar(query).fetch_one(pool).await.unwrap(),
        }
    }

    /// The plan of a query, as the database prints it.
    pub async fn plan(&self, query: &str) -> String {
        use sqlx::Row as _;
        match &self.raw {
            Raw::Sqlite(pool) => {
                let query = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
                let rows = sqlx::query(query).fetch_all(pool).await.unwrap();
                rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("\n")
            }
            Raw::Postgres(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                sqlx::query("ANALYZE").execute(&mut *connection).await.unwrap();
                let query = AssertSqlSafe(format!("EXPLAIN {query}"));
                sqlx::query_scalar::<_, String>(query).fetch_all(&mut *connection).await.unwrap().join("\n")
            }
        }
    }

    /// Bytes as a literal of the database.
    pub fn bytes(&self, bytes: &[u8]) -> String {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match &self.raw {
            Raw::Sqlite(_) => format!("x'{hex}'"),
            Raw::Postgres(_) => format!("'\\x{hex}'::bytea"),
        }
    }

    /// The store of another process on the same database; SQLite has one process, so its own.
    pub async fn another(&self) -> Arc<dyn Store> {
        match &self.raw {
            Raw::Sqlite(_) => Arc::clone(&self.store),
            Raw::Postgres(_) => open(&self.url, Keys::none()).await.unwrap(),
        }
    }

    /// The same database after a restart with other keys.
    pub async fn reopened(mut self, keys: Keys) -> Fixture {
        // The lock on the file is released with the store.
        self.store = open("sqlite::memory:", Keys::none()).await.unwrap();
        self.store = open(&self.url, keys).await.unwrap();
        self
    }

    /// All stored bytes of credentials.
    pub async fn stored_bytes(&self) -> Vec<u8> {
        match &self.raw {
            Raw::Sqlite(_) => {
                let path = std::path::Path::new(self.url.strip_prefix("sqlite:").unwrap());
                let files = std::fs::read_dir(path.parent().unwrap()).unwrap();
                files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
            }
            Raw::Postgres(pool) => {
                let rows: Vec<(String, Vec<u8>, Vec<u8>)> = sqlx::query_as(
                    "SELECT environment || tenant || name || key_id, wrapped_key, ciphertext FROM credentials",
                )
                .fetch_all(pool)
                .await
                .unwrap();
                rows.into_iter().flat_map(|(text, one, other)| [text.into_bytes(), one, other].concat()).collect()
            }
        }
    }
}

/// Runs functions that take a [`Fixture`] on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::store::Fixture::sqlite(evenkeel::store::Keys::none()).await).await;
            })*
        }
        mod postgres {
            $(#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::store::Fixture::postgres(evenkeel::store::Keys::none()).await).await;
            })*
        }
    };
}
use on_both;

/// The object of a text.
pub fn object(text: &str) -> (Digest, Vec<u8>) {
    (Digest::of(text.as_bytes()), text.as_bytes().to_vec())
}

/// Stores a root object and returns an activation of it.
pub async fn activation(store: &dyn Store, environment: &str, expected: u64, root: &str) -> Activation {
    let object = object(root);
    let digest = object.0;
    store.put_objects(&[object]).await.unwrap();
    Activation {
        environment: environment.to_owned(),
        expected,
        digest,
        revisions: BTreeMap::from([("main".to_owned(), format!("revision of {root}"))]),
        cause: Cause::Source,
        actor: "reconciler".to_owned(),
        plan: Some(Digest::of(b"plan")),
        summary: json!({ "created": 1 }),
        tombstones: Vec::new(),
        restored: Vec::new(),
    }
}

pub fn credential(name: &str) -> CredentialId {
    CredentialId { environment: "live".to_owned(), tenant: "acme".to_owned(), name: name.to_owned() }
}

pub fn secret(text: &str) -> SecretBytes {
    SecretBytes(zeroize::Zeroizing::new(text.as_bytes().to_vec()))
}
