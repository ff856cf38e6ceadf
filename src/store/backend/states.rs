//! Named documents of environments, and the fingerprint key.

use serde_json::Value;

use super::super::sql::{Connection, Json, query};
use super::super::{StoreError, limits};

const FINGERPRINT_KEY: &str = "fingerprint-key";

pub(super) async fn get(
    connection: &mut dyn Connection,
    environment: &str,
    name: &str,
) -> Result<Option<Value>, StoreError> {
    let statement = "SELECT value FROM states WHERE environment = $1 AND name = $2";
    let row = query(statement).bind(environment).bind(name).fetch_optional(connection).await?;
    row.map(|row| row.json("value")).transpose()
}

/// Writes a document if its text differs; returns the number of rows written.
pub(super) async fn put(
    connection: &mut dyn Connection,
    environment: &str,
    name: &str,
    text: &str,
) -> Result<u64, StoreError> {
    let statement = "INSERT INTO states (environment, name, version, value) VALUES ($1, $2, 1, $3) \
                     ON CONFLICT (environment, name) DO UPDATE SET \
                     value = excluded.value, version = states.version + 1 \
                     WHERE CAST(states.value AS TEXT) <> CAST(excluded.value AS TEXT)";
    query(statement).bind(environment).bind(name).bind(Json(text.to_owned())).execute(connection).await
}

pub(super) async fn fingerprint_key(connection: &mut dyn Connection) -> Result<Option<[u8; 32]>, StoreError> {
    let statement = "SELECT value FROM meta WHERE name = $1";
    let Some(row) = query(statement).bind(FINGERPRINT_KEY).fetch_optional(connection).await? else { return Ok(None) };
    let bytes: Vec<u8> = row.get("value")?;
    bytes.try_into().map(Some).map_err(|_| limits::unreadable("the fingerprint key"))
}

/// Stores a fingerprint key, unless there is one.
pub(super) async fn put_fingerprint_key(connection: &mut dyn Connection, key: &[u8]) -> Result<u64, StoreError> {
    let statement = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    query(statement).bind(FINGERPRINT_KEY).bind(key).execute(connection).await
}
