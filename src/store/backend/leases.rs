//! Leases and their fencing tokens, which only grow.

use super::super::limits::MAX_LEASE_SECONDS;
use super::super::sql::{Connection, query};
use super::super::{Lease, Micros, StoreError};

/// Acquires or renews a lease; `None` while another holder has it.
pub(super) async fn acquire(
    connection: &mut dyn Connection,
    name: &str,
    holder: &str,
    seconds: u32,
) -> Result<Option<Lease>, StoreError> {
    let now = connection.now().await?;
    let until = now.saturating_add(i64::from(seconds.min(MAX_LEASE_SECONDS)) * 1_000_000);
    // An expired holder that acquires again keeps its token, unless another holder came in between.
    let statement = "INSERT INTO leases (name, holder, token, expires_at) VALUES ($1, $2, 1, $3) \
                     ON CONFLICT (name) DO UPDATE SET \
                     token = CASE WHEN leases.holder = excluded.holder THEN leases.token ELSE leases.token + 1 END, \
                     holder = excluded.holder, expires_at = excluded.expires_at \
                     WHERE leases.holder IS NULL OR leases.holder = excluded.holder OR leases.expires_at < $4 \
                     RETURNING token";
    let query = query(statement).bind(name).bind(holder).bind(until).bind(now);
    let row = query.fetch_optional(connection).await?;
    let lease = |token| Lease { name: name.to_owned(), holder: holder.to_owned(), token };
    Ok(row.map(|row| row.get("token")).transpose()?.map(lease))
}

pub(super) async fn release(connection: &mut dyn Connection, lease: &Lease) -> Result<u64, StoreError> {
    let statement = "UPDATE leases SET holder = NULL, expires_at = NULL WHERE name = $1 AND holder = $2 AND token = $3";
    query(statement).bind(&lease.name).bind(&lease.holder).bind(lease.token).execute(connection).await
}

pub(super) async fn holder(connection: &mut dyn Connection, name: &str) -> Result<Option<String>, StoreError> {
    let now = connection.now().await?;
    let statement = "SELECT holder FROM leases WHERE name = $1 AND holder IS NOT NULL AND expires_at >= $2";
    let row = query(statement).bind(name).bind(now).fetch_optional(connection).await?;
    row.map(|row| row.get("holder")).transpose()
}

/// Refuses a writer whose lease expired or has another holder. The lease stays locked until the transaction ends.
pub(super) async fn fence(connection: &mut dyn Connection, lease: &Lease) -> Result<(), StoreError> {
    let lock = connection.dialect().for_update;
    let statement = format!("SELECT holder, token, expires_at FROM leases WHERE name = $1{lock}");
    let row = query(statement).bind(&lease.name).fetch_optional(connection).await?;
    // The clock is read after the wait for the lock.
    let now = connection.now().await?;
    let is_held = match row {
        Some(row) => {
            row.text("holder")? == lease.holder
                && row.get::<i64>("token")? == lease.token
                && row.get::<Option<Micros>>("expires_at")?.is_some_and(|expires_at| expires_at >= now)
        }
        None => false,
    };
    if is_held { Ok(()) } else { Err(StoreError::Fenced { lease: lease.name.clone() }) }
}
