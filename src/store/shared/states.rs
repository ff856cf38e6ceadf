//! What is remembered under a name, and the key of fingerprints.

use serde_json::Value;

use super::super::super::common;
use super::{Connection, StoreError};

const FINGERPRINT_KEY: &str = "fingerprint-key";

pub(super) async fn get(
    connection: &mut Connection,
    environment: &str,
    name: &str,
) -> Result<Option<Value>, StoreError> {
    let statement = "SELECT value FROM states WHERE environment = $1 AND name = $2";
    let text: Option<String> =
        sqlx::query_scalar(statement).bind(environment).bind(name).fetch_optional(connection).await?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| common::unreadable("a state"))).transpose()
}

/// Writes it where it differs; gives how many rows were written.
pub(super) async fn put(
    connection: &mut Connection,
    environment: &str,
    name: &str,
    text: &str,
) -> Result<u64, StoreError> {
    let statement = "INSERT INTO states (environment, name, version, value) VALUES ($1, $2, 1, $3) \
                     ON CONFLICT (environment, name) DO UPDATE SET \
                     value = excluded.value, version = states.version + 1 WHERE states.value <> excluded.value";
    Ok(sqlx::query(statement).bind(environment).bind(name).bind(text).execute(connection).await?.rows_affected())
}

pub(super) async fn fingerprint_key(connection: &mut Connection) -> Result<Option<[u8; 32]>, StoreError> {
    let statement = "SELECT value FROM meta WHERE name = $1";
    let stored: Option<Vec<u8>> =
        sqlx::query_scalar(statement).bind(FINGERPRINT_KEY).fetch_optional(connection).await?;
    stored.map(|bytes| bytes.try_into().map_err(|_| common::unreadable("the key of fingerprints"))).transpose()
}

/// Stores a key, unless there is one.
pub(super) async fn put_fingerprint_key(connection: &mut Connection, key: &[u8]) -> Result<u64, StoreError> {
    let statement = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    Ok(sqlx::query(statement).bind(FINGERPRINT_KEY).bind(key).execute(connection).await?.rows_affected())
}
