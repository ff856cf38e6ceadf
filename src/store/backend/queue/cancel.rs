//! Requests to cancel an execution.

use serde_json::{Value, json};

use super::super::super::queue::{Claim, ExecutionStatus};
use super::super::super::sql::{Connection, query};
use super::super::super::{Micros, StoreError};
use super::{blocking, release, signals};

/// Cancels an execution: at once unless a worker holds it. Returns its status before; `None` if it does not exist.
pub(super) async fn cancel(
    connection: &mut dyn Connection,
    environment: &str,
    id: &str,
    now: Micros,
) -> Result<Option<ExecutionStatus>, StoreError> {
    let statement = "SELECT ordering_key, concurrency_group, parent, parent_signal FROM executions \
                     WHERE environment = $1 AND id = $2";
    let found = query(statement).bind(environment).bind(id).fetch_optional(connection).await?;
    let Some(row) = found else { return Ok(None) };
    let claim = Claim {
        execution: id.to_owned(),
        environment: environment.to_owned(),
        token: 0,
        ordering_key: row.text("ordering_key")?,
        concurrency_group: row.text("concurrency_group")?,
    };
    let names = [(environment, claim.ordering_key.as_str(), claim.concurrency_group.as_str())];
    connection.lock_names(&blocking::lock_names(names.into_iter())).await?;
    let lock = connection.dialect().for_update;
    let statement = format!("SELECT status FROM executions WHERE id = $1{lock}");
    let current = query(statement).bind(id).fetch_one(connection).await?;
    let status = current.name("status", ExecutionStatus::from_name)?;
    match status {
        ExecutionStatus::Queued | ExecutionStatus::Waiting => {
            let error = json!({"code": "CANCELLED", "message": "it was cancelled before it went on"});
            let statement = "UPDATE executions SET cancel_requested = TRUE, token = token + 1 WHERE id = $1";
            query(statement).bind(id).execute(connection).await?;
            release::end(connection, id, ExecutionStatus::Cancelled, &Value::Null, &error, now).await?;
            blocking::unblock_next(connection, environment, &claim, now).await?;
            let (parent, signal) = (row.text("parent")?, row.text("parent_signal")?);
            let child = (id, parent.as_str(), signal.as_str());
            signals::send_result(connection, child, ExecutionStatus::Cancelled, &Value::Null, &error, now).await?;
        }
        ExecutionStatus::Running => {
            let statement = "UPDATE executions SET cancel_requested = TRUE WHERE id = $1";
            query(statement).bind(id).execute(connection).await?;
        }
        _ => {}
    }
    Ok(Some(status))
}
