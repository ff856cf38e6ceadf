//! Signals to executions: from outside, and the results of children.

use serde_json::{Value, json};

use super::super::super::queue::ExecutionStatus;
use super::super::super::sql::{Connection, Json, query};
use super::super::super::{Micros, StoreError};

/// Stores a signal from outside and wakes the execution; returns false if it does not exist or has ended. Repeated
/// signals of one name are numbered (`name #2`): each is for the next step that waits for the name.
pub(super) async fn send(
    connection: &mut dyn Connection,
    environment: &str,
    execution: &str,
    name: &str,
    payload: &Value,
    now: Micros,
) -> Result<bool, StoreError> {
    let statement = "SELECT id FROM executions WHERE environment = $1 AND id = $2 AND finished_at IS NULL";
    let found = query(statement).bind(environment).bind(execution).fetch_optional(connection).await?;
    if found.is_none() || !lock_open(connection, execution).await? {
        return Ok(false);
    }
    // The number follows the signals received so far, and the steps that ended without one: a wait that timed out has used
    // its number.
    let statement = "SELECT max(used) AS used FROM (SELECT count(*) AS used FROM execution_signals \
                     WHERE execution = $1 AND (name = $2 OR name LIKE $3 ESCAPE '!') UNION ALL \
                     SELECT count(*) AS used FROM execution_steps WHERE execution = $1 AND \
                     (name = $2 OR name LIKE $3 ESCAPE '!') AND status <> 'Waiting') AS counts";
    let pattern = format!("{} #%", name.replace('!', "!!").replace('%', "!%").replace('_', "!_"));
    let used = query(statement).bind(execution).bind(name).bind(pattern).fetch_one(connection).await?;
    let used: i64 = used.get("used")?;
    let name = if used == 0 { name.to_owned() } else { format!("{name} #{}", used + 1) };
    insert(connection, execution, &name, payload, now).await?;
    Ok(true)
}

/// The payload of a received signal.
pub(super) async fn received(
    connection: &mut dyn Connection,
    execution: &str,
    name: &str,
) -> Result<Option<Value>, StoreError> {
    let statement = "SELECT payload FROM execution_signals WHERE execution = $1 AND name = $2";
    let row = query(statement).bind(execution).bind(name).fetch_optional(connection).await?;
    row.map(|row| row.json("payload")).transpose()
}

/// True if an execution has received a signal that one of its steps waits for. A child's result is for one attempt of the
/// step: its name ends with ` @` and the attempt.
pub(super) async fn is_pending(connection: &mut dyn Connection, execution: &str) -> Result<bool, StoreError> {
    let statement = "SELECT 1 AS found FROM execution_signals AS signals JOIN execution_steps AS steps \
                     ON steps.execution = signals.execution AND steps.status = 'Waiting' AND (steps.name = signals.name \
                     OR signals.name = steps.name || ' @' || CAST(steps.attempt AS TEXT)) \
                     WHERE signals.execution = $1 LIMIT 1";
    Ok(query(statement).bind(execution).fetch_optional(connection).await?.is_some())
}

/// Sends the result of a child to the parent that waits for it, if one does. (Execution, parent and signal.)
pub(super) async fn send_result(
    connection: &mut dyn Connection,
    (execution, parent, signal): (&str, &str, &str),
    status: ExecutionStatus,
    output: &Value,
    error: &Value,
    now: Micros,
) -> Result<(), StoreError> {
    if parent.is_empty() || signal.is_empty() || !lock_open(connection, parent).await? {
        return Ok(());
    }
    let payload = json!({"run": execution, "status": status.as_str(), "output": output, "error": error});
    insert(connection, parent, signal, &payload, now).await
}

/// Locks an execution, so that one that is about to wait does not miss a signal; returns false if it does not exist or
/// has ended.
async fn lock_open(connection: &mut dyn Connection, execution: &str) -> Result<bool, StoreError> {
    let lock = connection.dialect().for_update;
    let statement = format!("SELECT id FROM executions WHERE id = $1 AND finished_at IS NULL{lock}");
    Ok(query(statement).bind(execution).fetch_optional(connection).await?.is_some())
}

/// Stores a signal and wakes the execution. The first signal of a name counts.
async fn insert(
    connection: &mut dyn Connection,
    execution: &str,
    name: &str,
    payload: &Value,
    now: Micros,
) -> Result<(), StoreError> {
    let statement = "INSERT INTO execution_signals (execution, name, payload) VALUES ($1, $2, $3) \
                     ON CONFLICT (execution, name) DO NOTHING";
    query(statement).bind(execution).bind(name).bind(Json::of(payload)).execute(connection).await?;
    let statement = "UPDATE executions SET ready_since = $2, wake_at = NULL WHERE id = $1 AND status = 'Waiting' \
                     AND ready_since IS NULL";
    query(statement).bind(execution).bind(now).execute(connection).await?;
    Ok(())
}
