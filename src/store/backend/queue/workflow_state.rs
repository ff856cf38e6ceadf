//! Values that workflows keep.

use serde_json::Value;

use super::super::super::sql::{Connection, Json, query};
use super::super::super::{Micros, StoreError};

/// A value (environment, scope, key); `None` if it is not set or has expired.
pub(super) async fn get(
    connection: &mut dyn Connection,
    (environment, scope, key): (&str, &str, &str),
    now: Micros,
) -> Result<Option<Value>, StoreError> {
    let statement = "SELECT value FROM workflow_state WHERE environment = $1 AND scope = $2 AND name = $3 \
                     AND (expires_at IS NULL OR expires_at > $4)";
    let row = query(statement).bind(environment).bind(scope).bind(key).bind(now).fetch_optional(connection).await?;
    row.map(|row| row.json("value")).transpose()
}

/// Sets a value, or deletes it if it is null; returns the number of rows changed.
pub(super) async fn put(
    connection: &mut dyn Connection,
    (environment, scope, key): (&str, &str, &str),
    value: &Value,
    expires_at: Option<Micros>,
) -> Result<u64, StoreError> {
    if value.is_null() {
        let statement = "DELETE FROM workflow_state WHERE environment = $1 AND scope = $2 AND name = $3";
        return query(statement).bind(environment).bind(scope).bind(key).execute(connection).await;
    }
    let statement = "INSERT INTO workflow_state (environment, scope, name, expires_at, value) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (environment, scope, name) DO UPDATE SET \
                     expires_at = excluded.expires_at, value = excluded.value";
    let statement = query(statement).bind(environment).bind(scope).bind(key).bind(expires_at);
    statement.bind(Json::of(value)).execute(connection).await
}

/// Number of bytes of the keys and values of a scope.
pub(super) async fn bytes(
    connection: &mut dyn Connection,
    environment: &str,
    scope: &str,
    now: Micros,
) -> Result<u64, StoreError> {
    let statement = "SELECT CAST(coalesce(sum(octet_length(name) + octet_length(CAST(value AS TEXT))), 0) AS BIGINT) \
                     AS bytes FROM workflow_state WHERE environment = $1 AND scope = $2 \
                     AND (expires_at IS NULL OR expires_at > $3)";
    let bytes: i64 =
        query(statement).bind(environment).bind(scope).bind(now).fetch_one(connection).await?.get("bytes")?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}
