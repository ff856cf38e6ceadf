//! Admitting new executions: into a batch, behind others, or ready at once.

use super::super::super::limits::unreadable;
use super::super::super::queue::{Execution, MAX_BATCHED, MAX_VALUE_BYTES, NewExecution};
use super::super::super::sql::{Connection, Json, query};
use super::super::super::{Micros, StoreError};
use super::blocking;
use super::insert::{self, NewRow};

/// The row of an execution that depends on no other one; `None` if the store must be queried for others.
pub(super) fn independent<'a>(
    new: &'a NewExecution,
    now: Micros,
    claimed_by: Option<(&'a str, Micros)>,
) -> Option<NewRow<'a>> {
    let is_independent = new.batch_key.is_empty() && new.ordering_key.is_empty() && new.concurrency_group.is_empty();
    is_independent.then(|| NewRow::new(new, now, now, false, claimed_by))
}

/// Stores an execution; claims it at once for `claimed_by` if nothing blocks it. Returns it if it was claimed.
pub(super) async fn admit(
    connection: &mut dyn Connection,
    new: &NewExecution,
    now: Micros,
    claimed_by: Option<(&str, Micros)>,
) -> Result<Option<Execution>, StoreError> {
    if !new.batch_key.is_empty() && join_batch(connection, new).await? {
        return Ok(None);
    }
    let last = blocking::last_of_key(connection, &new.environment, &new.ordering_key).await?;
    // After the one before it, even if both come in one call or the clock was set back.
    let created_at = last.map_or(now, |last| now.max(last.saturating_add(1)));
    let is_blocked = last.is_some()
        || blocking::is_full(connection, &new.environment, &new.concurrency_group, new.concurrency_limit).await?;
    let row = NewRow::new(new, created_at, now, is_blocked, claimed_by);
    insert::executions(connection, std::slice::from_ref(&row)).await?;
    Ok(row.claimed())
}

/// Adds an event to an execution that collects a batch and has not started; returns false if no such execution exists.
async fn join_batch(connection: &mut dyn Connection, new: &NewExecution) -> Result<bool, StoreError> {
    // Locked, so that no worker claims it between this statement and the next one.
    let lock = connection.dialect().for_update;
    let statement = format!(
        "SELECT id FROM executions WHERE environment = $1 AND batch_key = $2 AND batch_key IS NOT NULL \
         AND started_at IS NULL AND finished_at IS NULL ORDER BY created_at DESC LIMIT 1{lock}"
    );
    let found = query(statement).bind(&new.environment).bind(&new.batch_key).fetch_optional(connection).await?;
    let Some(row) = found else { return Ok(false) };
    let id: String = row.get("id")?;
    let statement = "SELECT input FROM execution_payloads WHERE execution = $1";
    let input: Json = query(statement).bind(&id).fetch_one(connection).await?.get("input")?;
    let Ok(serde_json::Value::Array(mut items)) = input.parse("a batch") else { return Err(unreadable("a batch")) };
    if items.len() >= MAX_BATCHED || input.0.len() > MAX_VALUE_BYTES / 2 {
        return Ok(false);
    }
    items.push(new.input.clone());
    let statement = "UPDATE execution_payloads SET input = $2 WHERE execution = $1";
    let items = Json::of(&serde_json::Value::Array(items));
    Ok(query(statement).bind(&id).bind(items).execute(connection).await? > 0)
}
