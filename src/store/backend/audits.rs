//! The audit log.

use super::super::limits::{self, KEPT_AUDITS, MAX_DELETED_ROWS, MAX_ROWS};
use super::super::sql::{Connection, Json, Row, query};
use super::super::{Audit, StoreError};

pub(super) async fn add(connection: &mut dyn Connection, line: &Audit) -> Result<u64, StoreError> {
    let statement = "INSERT INTO audits (environment, written_at, actor, action, details) VALUES ($1, $2, $3, $4, $5)";
    let query = query(statement).bind(&line.environment).bind(line.at).bind(&line.actor).bind(&line.action);
    query.bind(Json(limits::details(&line.details)?)).execute(connection).await
}

pub(super) async fn list(
    connection: &mut dyn Connection,
    environment: &str,
    limit: u32,
) -> Result<Vec<Audit>, StoreError> {
    let statement = "SELECT environment, written_at, actor, action, details FROM audits \
                     WHERE environment = $1 ORDER BY id DESC LIMIT $2";
    let query = query(statement).bind(environment).bind(i64::from(limit.min(MAX_ROWS)));
    query.fetch_all(connection).await?.iter().map(read).collect()
}

/// Deletes one batch of the lines beyond the newest ones of an environment.
pub(super) async fn delete_old(connection: &mut dyn Connection, environment: &str) -> Result<u64, StoreError> {
    let statement = "DELETE FROM audits WHERE id IN (SELECT id FROM audits WHERE environment = $1 AND id <= \
                     (SELECT id FROM audits WHERE environment = $1 ORDER BY id DESC LIMIT 1 OFFSET $2) \
                     ORDER BY id LIMIT $3)";
    query(statement).bind(environment).bind(KEPT_AUDITS).bind(MAX_DELETED_ROWS).execute(connection).await
}

fn read(row: &Row) -> Result<Audit, StoreError> {
    Ok(Audit {
        at: row.get("written_at")?,
        environment: row.get("environment")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        details: row.json("details")?,
    })
}
