//! Deleting expired rows in batches.

use super::super::super::limits::MAX_DELETED_ROWS;
use super::super::super::sql::{Connection, query};
use super::super::super::{Micros, StoreError};

/// Maximum number of executions that one call deletes. Their payloads, steps, logs and signals are deleted with them.
const MAX_EXECUTIONS: i64 = 1_000;
/// Maximum number of ids of one statement.
const IDS: usize = 250;

/// Deletes one batch of expired rows of each kind. Returns their number, without the rows that depend on executions.
/// Dead letters that expire are marked first, and deleted after the same time again.
pub(super) async fn delete_expired(
    connection: &mut dyn Connection,
    environment: &str,
    retention: Micros,
    now: Micros,
) -> Result<u64, StoreError> {
    let before = now.saturating_sub(retention);
    let mut rows = delete_executions(connection, environment, before).await?;
    let deletions = [
        (
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE environment = $1 AND received_at < $2 \
             ORDER BY received_at LIMIT $3)",
            before,
        ),
        (
            "DELETE FROM event_keys WHERE environment = $1 AND (trigger_name, key) IN (SELECT trigger_name, key \
             FROM event_keys WHERE environment = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3)",
            now,
        ),
        (
            "DELETE FROM workflow_state WHERE environment = $1 AND (scope, name) IN (SELECT scope, name \
             FROM workflow_state WHERE environment = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3)",
            now,
        ),
        (
            "DELETE FROM allowances WHERE environment = $1 AND name IN (SELECT name FROM allowances \
             WHERE environment = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3)",
            now,
        ),
        (
            "UPDATE dead_letters SET status = 'Expired' WHERE id IN (SELECT id FROM dead_letters \
             WHERE environment = $1 AND status = 'Pending' AND expires_at < $2 ORDER BY expires_at LIMIT $3)",
            now,
        ),
        (
            "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE environment = $1 \
             AND delete_at < $2 ORDER BY delete_at LIMIT $3)",
            now,
        ),
    ];
    for (statement, limit) in deletions {
        rows += query(statement).bind(environment).bind(limit).bind(MAX_DELETED_ROWS).execute(connection).await?;
    }
    Ok(rows)
}

/// Deletes executions that ended before a time, with their workflow state.
async fn delete_executions(
    connection: &mut dyn Connection,
    environment: &str,
    before: Micros,
) -> Result<u64, StoreError> {
    // Skips the rows that another process is deleting.
    let lock = connection.dialect().skip_locked;
    let statement = format!(
        "SELECT id FROM executions WHERE environment = $1 AND finished_at < $2 ORDER BY finished_at LIMIT $3{lock}"
    );
    let found = query(statement).bind(environment).bind(before).bind(MAX_EXECUTIONS).fetch_all(connection).await?;
    let ids = found.iter().map(|row| row.get("id")).collect::<Result<Vec<String>, _>>()?;
    let mut rows = 0;
    for part in ids.chunks(IDS) {
        let mut statement = query("DELETE FROM executions WHERE id IN ").once();
        statement.push_list(part);
        rows += statement.execute(connection).await?;
        let mut statement =
            query("DELETE FROM workflow_state WHERE environment = $1 AND scope IN ").bind(environment).once();
        statement.push_list(part.iter().map(|id| format!("run/{id}")));
        rows += statement.execute(connection).await?;
    }
    Ok(rows)
}
