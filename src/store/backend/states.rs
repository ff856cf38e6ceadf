//! Named documents of environments.

use serde_json::Value;

use super::super::StoreError;
use super::super::sql::{Connection, Json, query};

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
