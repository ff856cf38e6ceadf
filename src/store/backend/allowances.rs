//! Allowances and their usage.

use super::super::StoreError;
use super::super::allowance::{Allowance, Grant, Reservation, Usage};
use super::super::sql::{Connection, Json, query};

/// Reserves units; returns the grant and the number of rows written.
pub(super) async fn reserve(
    connection: &mut dyn Connection,
    allowance: &Allowance,
    request: &Reservation,
) -> Result<(Grant, u64), StoreError> {
    connection.lock_names(&[format!("{}/allowance/{}", allowance.environment, allowance.name)]).await?;
    let statement = "SELECT usage FROM allowances WHERE environment = $1 AND name = $2";
    let statement = query(statement).bind(&allowance.environment).bind(&allowance.name);
    let mut usage: Usage = match statement.fetch_optional(connection).await? {
        Some(row) => row.get::<Json>("usage")?.parse("an allowance")?,
        None => Usage::default(),
    };
    // The clock is read after the wait for the lock.
    let now = connection.now().await?;
    let (grant, changed) = usage.reserve(allowance, request, now);
    if !changed {
        return Ok((grant, 0));
    }
    let statement = "INSERT INTO allowances (environment, name, expires_at, usage) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (environment, name) DO UPDATE SET \
                     expires_at = excluded.expires_at, usage = excluded.usage";
    let statement = query(statement).bind(&allowance.environment).bind(&allowance.name).bind(usage.until());
    let rows = statement.bind(Json::document(&usage)?).execute(connection).await?;
    Ok((grant, rows))
}
