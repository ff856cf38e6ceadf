//! Reading events.

use super::super::super::StoreError;
use super::super::super::limits::MAX_ROWS;
use super::super::super::queue::{Event, EventOutcome, EventSummary, RowRange, TriggeredBy};
use super::super::super::sql::{Connection, Row, query};

const SUMMARY: &str = "id, environment, trigger_name, kind, received_at, outcome, request, trace";

/// Events from the newest, without headers and payload.
pub(super) async fn list(
    connection: &mut dyn Connection,
    environment: &str,
    trigger: Option<&str>,
    range: &RowRange,
) -> Result<Vec<EventSummary>, StoreError> {
    let mut statement = query(format!("SELECT {SUMMARY} FROM events WHERE environment = $1")).bind(environment);
    if let Some(trigger) = trigger {
        statement.push(" AND trigger_name = ").push_bind(trigger);
    }
    if let Some((at, id)) = &range.before {
        statement.push(" AND (received_at, id) < (").push_bind(*at).push(", ").push_bind(id).push(")");
    }
    statement.push(" ORDER BY received_at DESC, id DESC LIMIT ").push_bind(i64::from(range.limit.min(MAX_ROWS)));
    statement.fetch_all(connection).await?.iter().map(read_summary).collect()
}

/// One event.
pub(super) async fn get(
    connection: &mut dyn Connection,
    environment: &str,
    id: &str,
) -> Result<Option<Event>, StoreError> {
    let statement = format!("SELECT {SUMMARY}, headers, payload FROM events WHERE environment = $1 AND id = $2");
    let row = query(statement).bind(environment).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

fn read_summary(row: &Row) -> Result<EventSummary, StoreError> {
    Ok(EventSummary {
        id: row.get("id")?,
        environment: row.get("environment")?,
        trigger: row.get("trigger_name")?,
        kind: row.name("kind", TriggeredBy::from_name)?,
        at: row.get("received_at")?,
        outcome: row.name("outcome", EventOutcome::from_name)?,
        request: row.text("request")?,
        trace: row.text("trace")?,
    })
}

fn read(row: &Row) -> Result<Event, StoreError> {
    let EventSummary { id, environment, trigger, kind, at, outcome, request, trace } = read_summary(row)?;
    let (headers, payload) = (row.json("headers")?, row.json("payload")?);
    Ok(Event { id, environment, trigger, kind, at, headers, payload, outcome, request, trace })
}
