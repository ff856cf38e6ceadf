//! Leases: who may do something alone, with tokens that only grow.

use sqlx::Row as _;

use super::super::super::common::MAX_LEASE_SECONDS;
use super::super::LOCK_LEASE;
use super::{Connection, Lease, Micros, StoreError, now};

pub(super) async fn take(
    connection: &mut Connection,
    name: &str,
    holder: &str,
    seconds: u32,
) -> Result<Option<Lease>, StoreError> {
    let now = now(connection).await?;
    let until = now.saturating_add(i64::from(seconds.min(MAX_LEASE_SECONDS)) * 1_000_000);
    // The holder keeps its token even after the time is over, as long as nobody else came.
    let statement = "INSERT INTO leases (name, holder, token, expires_at) VALUES ($1, $2, 1, $3) \
                     ON CONFLICT (name) DO UPDATE SET \
                     token = CASE WHEN leases.holder = excluded.holder THEN leases.token ELSE leases.token + 1 END, \
                     holder = excluded.holder, expires_at = excluded.expires_at \
                     WHERE leases.holder = excluded.holder OR leases.holder = '' OR leases.expires_at < $4 \
                     RETURNING token";
    let query = sqlx::query(statement).bind(name).bind(holder).bind(until).bind(now);
    let row = query.fetch_optional(connection).await?;
    let lease = |token| Lease { name: name.to_owned(), holder: holder.to_owned(), token };
    Ok(row.map(|row| row.try_get("token")).transpose()?.map(lease))
}

pub(super) async fn release(connection: &mut Connection, lease: &Lease) -> Result<u64, StoreError> {
    let statement = "UPDATE leases SET holder = '', expires_at = 0 WHERE name = $1 AND holder = $2 AND token = $3";
    let query = sqlx::query(statement).bind(&lease.name).bind(&lease.holder).bind(lease.token);
    Ok(query.execute(connection).await?.rows_affected())
}

pub(super) async fn holder(connection: &mut Connection, name: &str) -> Result<Option<String>, StoreError> {
    let now = now(connection).await?;
    let statement = "SELECT holder FROM leases WHERE name = $1 AND holder <> '' AND expires_at >= $2";
    Ok(sqlx::query_scalar(statement).bind(name).bind(now).fetch_optional(connection).await?)
}

/// Refuses a writer whose lease is another's, or whose time is over. Nobody can take the lease from then on until the
/// transaction ends.
pub(super) async fn fence(connection: &mut Connection, lease: &Lease) -> Result<(), StoreError> {
    let row = sqlx::query(LOCK_LEASE).bind(&lease.name).fetch_optional(&mut *connection).await?;
    // The clock is read after the lock was waited for.
    let now = now(connection).await?;
    let held = match row {
        Some(row) => {
            row.try_get::<String, _>("holder")? == lease.holder
                && row.try_get::<i64, _>("token")? == lease.token
                && row.try_get::<Micros, _>("expires_at")? >= now
        }
        None => false,
    };
    if held { Ok(()) } else { Err(StoreError::Fenced { lease: lease.name.clone() }) }
}
