//! Counts of the queue.

use super::super::super::queue::QueueDepth;
use super::super::super::sql::{Connection, query};
use super::super::super::{Micros, StoreError};

pub(super) async fn depth(
    connection: &mut dyn Connection,
    environment: &str,
    now: Micros,
) -> Result<QueueDepth, StoreError> {
    // Due timers and expired leases count as ready: the next claim makes them so.
    let statement = "SELECT count(*) AS open, count(CASE WHEN ready_since IS NOT NULL OR wake_at <= $2 \
                     OR lease_expires_at <= $2 THEN 1 END) AS ready, \
                     min(coalesce(ready_since, wake_at, lease_expires_at)) AS oldest \
                     FROM executions WHERE environment = $1 AND finished_at IS NULL";
    let row = query(statement).bind(environment).bind(now).fetch_one(connection).await?;
    let oldest: Option<Micros> = row.get("oldest")?;
    let statement = "SELECT count(*) AS pending FROM dead_letters WHERE environment = $1 AND status = 'Pending'";
    let dead_letters = query(statement).bind(environment).fetch_one(connection).await?.get("pending")?;
    Ok(QueueDepth {
        ready: row.get("ready")?,
        oldest: oldest.map_or(0, |oldest| now.saturating_sub(oldest).max(0)),
        open: row.get("open")?,
        dead_letters,
    })
}
