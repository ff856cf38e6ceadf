//! Dead letters.

use super::super::super::limits::MAX_ROWS;
use super::super::super::queue::{DeadLetter, DeadLetterReason, DeadLetterStatus, DeadLetterSummary, RowRange};
use super::super::super::sql::{Connection, Json, Row, optional, query};
use super::super::super::{Micros, StoreError};

const SUMMARY: &str = "id, environment, trigger_name, workflow, event, execution, tenant, reason, message, status, \
     replays, created_at, retention";
const PAYLOADS: &str = "headers, payload";

/// Stores a dead letter, pending for its retention and kept as long again.
pub(super) async fn insert(
    connection: &mut dyn Connection,
    letter: &DeadLetter,
    now: Micros,
) -> Result<(), StoreError> {
    let statement = format!(
        "INSERT INTO dead_letters ({SUMMARY}, {PAYLOADS}, expires_at, delete_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
    );
    let expires_at = now.saturating_add(letter.retention);
    query(statement)
        .bind(&letter.id)
        .bind(&letter.environment)
        .bind(optional(&letter.trigger))
        .bind(optional(&letter.workflow))
        .bind(optional(&letter.event))
        .bind(optional(&letter.execution))
        .bind(optional(&letter.tenant))
        .bind(letter.reason.as_str())
        // PostgreSQL stores no zero bytes in a text.
        .bind(letter.message.replace('\0', "\u{fffd}"))
        .bind(DeadLetterStatus::Pending.as_str())
        .bind(letter.replays)
        .bind(now)
        .bind(letter.retention)
        .bind(Json::of(&letter.headers))
        .bind(Json::of(&letter.payload))
        .bind(expires_at)
        .bind(expires_at.saturating_add(letter.retention))
        .execute(connection)
        .await?;
    Ok(())
}

/// Dead letters from the newest, without headers and payload.
pub(super) async fn list(
    connection: &mut dyn Connection,
    environment: &str,
    status: Option<DeadLetterStatus>,
    range: &RowRange,
) -> Result<Vec<DeadLetterSummary>, StoreError> {
    let mut statement = query(format!("SELECT {SUMMARY} FROM dead_letters WHERE environment = $1")).bind(environment);
    if let Some(status) = status {
        statement.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some((at, id)) = &range.before {
        statement.push(" AND (created_at, id) < (").push_bind(*at).push(", ").push_bind(id).push(")");
    }
    statement.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(range.limit.min(MAX_ROWS)));
    statement.fetch_all(connection).await?.iter().map(read_summary).collect()
}

/// One dead letter.
pub(super) async fn get(
    connection: &mut dyn Connection,
    environment: &str,
    id: &str,
) -> Result<Option<DeadLetter>, StoreError> {
    let statement = format!("SELECT {SUMMARY}, {PAYLOADS} FROM dead_letters WHERE environment = $1 AND id = $2");
    let row = query(statement).bind(environment).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

/// Marks a dead letter as replayed; returns false if it is not pending.
pub(super) async fn mark_replayed(
    connection: &mut dyn Connection,
    environment: &str,
    id: &str,
) -> Result<bool, StoreError> {
    let statement = "UPDATE dead_letters SET status = 'Replayed', replays = replays + 1 \
                     WHERE environment = $1 AND id = $2 AND status = 'Pending'";
    Ok(query(statement).bind(environment).bind(id).execute(connection).await? > 0)
}

fn read(row: &Row) -> Result<DeadLetter, StoreError> {
    let summary = read_summary(row)?;
    Ok(summary.with_payload(row.json("headers")?, row.json("payload")?))
}

fn read_summary(row: &Row) -> Result<DeadLetterSummary, StoreError> {
    Ok(DeadLetterSummary {
        id: row.get("id")?,
        environment: row.get("environment")?,
        trigger: row.text("trigger_name")?,
        workflow: row.text("workflow")?,
        event: row.text("event")?,
        execution: row.text("execution")?,
        tenant: row.text("tenant")?,
        reason: row.name("reason", DeadLetterReason::from_name)?,
        message: row.get("message")?,
        status: row.name("status", DeadLetterStatus::from_name)?,
        replays: row.get("replays")?,
        at: row.get("created_at")?,
        retention: row.get("retention")?,
    })
}
