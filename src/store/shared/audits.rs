//! The record of who did what.

use sqlx::Row as _;

use super::super::super::common::{self, KEPT_AUDITS, MAX_ROWS};
use super::{Audit, Connection, Row, StoreError};

pub(super) async fn add(connection: &mut Connection, line: &Audit) -> Result<u64, StoreError> {
    let statement = "INSERT INTO audits (environment, written_at, actor, action, details) VALUES ($1, $2, $3, $4, $5)";
    let query = sqlx::query(statement).bind(&line.environment).bind(line.at).bind(&line.actor).bind(&line.action);
    Ok(query.bind(common::details(&line.details)?).execute(connection).await?.rows_affected())
}

pub(super) async fn list(connection: &mut Connection, environment: &str, most: u32) -> Result<Vec<Audit>, StoreError> {
    let statement = "SELECT environment, written_at, actor, action, details FROM audits \
                     WHERE environment = $1 ORDER BY id DESC LIMIT $2";
    let query = sqlx::query(statement).bind(environment).bind(i64::from(most.min(MAX_ROWS)));
    query.fetch_all(connection).await?.iter().map(read).collect()
}

/// Keeps the newest lines of an environment.
pub(super) async fn forget(connection: &mut Connection, environment: &str) -> Result<u64, StoreError> {
    let statement = "DELETE FROM audits WHERE environment = $1 AND id <= \
                     (SELECT id FROM audits WHERE environment = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
    Ok(sqlx::query(statement).bind(environment).bind(KEPT_AUDITS).execute(connection).await?.rows_affected())
}

fn read(row: &Row) -> Result<Audit, StoreError> {
    let details: String = row.try_get("details")?;
    Ok(Audit {
        at: row.try_get("written_at")?,
        environment: row.try_get("environment")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        details: serde_json::from_str(&details).map_err(|_| common::unreadable("a line of the record"))?,
    })
}
