//! Writes of workers: progress of executions, and their release.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::super::queue::{Change, Claim, CommitResult, Disposition, Execution, ExecutionStatus};
use super::super::super::sql::{Connection, Json, query};
use super::super::super::{Micros, StoreError};
use super::parts::parts;
use super::{admit, blocking, claim, dead_letters, insert, logs, signals};

/// Maximum length of the error message in a queue row, in bytes: lists show it.
const MAX_MESSAGE_BYTES: usize = 1_000;

/// The columns of a leased execution that its release needs.
#[derive(Clone)]
struct Leased {
    parent: String,
    parent_signal: String,
    cancel_requested: bool,
}

/// Applies workers' changes (with their places among all changes); returns the result of each.
pub(super) async fn write(
    connection: &mut dyn Connection,
    writes: &[(usize, &Claim, &Change)],
    now: Micros,
) -> Result<Vec<(usize, CommitResult)>, StoreError> {
    let claims: Vec<&Claim> = writes.iter().map(|(_, claim, _)| *claim).collect();
    let mut leased = leased(connection, &claims).await?;
    let mut results = Vec::with_capacity(writes.len());
    let (mut steps, mut valid) = (Vec::new(), Vec::new());
    for (at, claim, change) in writes {
        let (Change::Progress { steps: recorded, logs, .. } | Change::Release { steps: recorded, logs, .. }) = change
        else {
            continue;
        };
        let Some((_, row)) = leased.get(&claim.execution).filter(|(token, _)| *token == claim.token) else {
            results.push((*at, CommitResult::Fenced));
            continue;
        };
        steps.extend(recorded.iter().map(|step| (claim.execution.as_str(), step)));
        logs::append(connection, claim, logs).await?;
        let row = Leased::clone(row);
        // After its release an execution accepts no write with the same claim.
        if matches!(change, Change::Release { .. }) {
            leased.remove(&claim.execution);
        }
        valid.push((*at, *claim, *change, row));
    }
    insert::steps(connection, &steps).await?;
    for (at, claim, change, row) in valid {
        let mut claimed = Vec::new();
        let (Change::Progress { follow_ups, .. } | Change::Release { follow_ups, .. }) = change else { continue };
        if let Change::Release { disposition, claim_next, .. } = change {
            claimed = release(connection, claim, &row, disposition, claim_next.as_ref(), now).await?;
        }
        for execution in follow_ups {
            admit::admit(connection, execution, now, None).await?;
        }
        if let Change::Release { dead_letter: Some(letter), .. } = change {
            dead_letters::insert(connection, letter, now).await?;
        }
        results.push((at, CommitResult::Stored(claimed)));
    }
    Ok(results)
}

/// Locks the rows of claims. Returns, by execution, the running ones with their current tokens.
async fn leased(
    connection: &mut dyn Connection,
    claims: &[&Claim],
) -> Result<BTreeMap<String, (i64, Leased)>, StoreError> {
    let ids: BTreeSet<&str> = claims.iter().map(|claim| claim.execution.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let lock = connection.dialect().for_update;
    let mut leased = BTreeMap::new();
    for part in parts(&ids) {
        let mut statement = query(
            "SELECT id, parent, parent_signal, token, cancel_requested FROM executions WHERE status = 'Running' \
             AND id IN ",
        );
        statement.push_list(part.iter().copied()).push(" ORDER BY id").push(lock);
        for row in statement.fetch_all(connection).await? {
            let found = Leased {
                parent: row.text("parent")?,
                parent_signal: row.text("parent_signal")?,
                cancel_requested: row.get("cancel_requested")?,
            };
            leased.insert(row.get("id")?, (row.get("token")?, found));
        }
    }
    Ok(leased)
}

/// Releases an execution. Returns the next one of its ordering key or group, if it is to be claimed.
async fn release(
    connection: &mut dyn Connection,
    claim: &Claim,
    row: &Leased,
    disposition: &Disposition,
    claim_next: Option<&(String, Micros)>,
    now: Micros,
) -> Result<Vec<Execution>, StoreError> {
    // An execution whose cancellation was requested does not continue.
    let cancelled = Disposition::Ended(
        ExecutionStatus::Cancelled,
        Value::Null,
        json!({"code": "CANCELLED", "message": "it was cancelled while it ran"}),
    );
    let disposition = match disposition {
        Disposition::Ended(..) => disposition,
        _ if row.cancel_requested => &cancelled,
        other => other,
    };
    set_state(connection, &claim.execution, disposition, now).await?;
    let mut claimed = Vec::new();
    if let Disposition::Ended(status, output, error) = disposition {
        let unblocked = blocking::unblock_next(connection, &claim.environment, claim, now).await?;
        if let (Some(id), Some((worker, lease))) = (unblocked.first(), claim_next) {
            claimed.extend(claim::claim_unblocked(connection, id, worker, *lease, now).await?);
        }
        let child = (claim.execution.as_str(), row.parent.as_str(), row.parent_signal.as_str());
        signals::send_result(connection, child, *status, output, error, now).await?;
    }
    Ok(claimed)
}

async fn set_state(
    connection: &mut dyn Connection,
    id: &str,
    disposition: &Disposition,
    now: Micros,
) -> Result<(), StoreError> {
    match disposition {
        Disposition::Ended(status, output, error) => end(connection, id, *status, output, error, now).await,
        Disposition::Retry(at, error) => {
            let (ready_since, wake_at) = ready_or_wake(*at, now);
            let statement = "UPDATE executions SET status = 'Queued', ready_since = $2, wake_at = $3, \
                             lease_expires_at = NULL, attempt = attempt + 1, deadline_at = NULL, error_message = $4 \
                             WHERE id = $1";
            let statement = query(statement).bind(id).bind(ready_since).bind(wake_at).bind(message(error));
            statement.execute(connection).await?;
            let statement = "UPDATE execution_payloads SET error = $2 WHERE execution = $1";
            query(statement).bind(id).bind(Json::unless_null(error)).execute(connection).await?;
            Ok(())
        }
        Disposition::Suspend(until, deadline) => {
            // The signal may have arrived after the worker read the signals.
            let (ready_since, wake_at) = match signals::is_pending(connection, id).await? {
                true => (Some(now), None),
                false => ready_or_wake(*until, now),
            };
            let statement = "UPDATE executions SET status = 'Waiting', ready_since = $2, wake_at = $3, \
                             lease_expires_at = NULL, deadline_at = $4 WHERE id = $1";
            let statement = query(statement).bind(id).bind(ready_since).bind(wake_at);
            statement.bind((*deadline != 0).then_some(*deadline)).execute(connection).await?;
            Ok(())
        }
        Disposition::Hold(until, error) => {
            // An execution that had not begun has no deadline yet.
            let statement = "UPDATE executions SET status = CASE WHEN deadline_at IS NULL THEN 'Queued' ELSE 'Waiting' END, \
                             ready_since = NULL, wake_at = $2, lease_expires_at = NULL, error_message = $3, \
                             deadline_at = deadline_at + $4 WHERE id = $1";
            let statement = query(statement).bind(id).bind(*until).bind(message(error));
            statement.bind(until.saturating_sub(now).max(0)).execute(connection).await?;
            Ok(())
        }
        Disposition::Requeue => {
            let statement = "UPDATE executions SET status = 'Queued', ready_since = $2, lease_expires_at = NULL \
                             WHERE id = $1";
            query(statement).bind(id).bind(now).execute(connection).await?;
            Ok(())
        }
    }
}

/// Ends an execution.
pub(super) async fn end(
    connection: &mut dyn Connection,
    id: &str,
    status: ExecutionStatus,
    output: &Value,
    error: &Value,
    now: Micros,
) -> Result<(), StoreError> {
    let statement = "UPDATE executions SET status = $2, finished_at = $3, ready_since = NULL, wake_at = NULL, \
                     lease_expires_at = NULL, is_blocked = FALSE, error_message = $4 WHERE id = $1";
    let statement = query(statement).bind(id).bind(status.as_str()).bind(now).bind(message(error));
    statement.execute(connection).await?;
    let statement = "UPDATE execution_payloads SET output = $2, error = $3 WHERE execution = $1";
    let statement = query(statement).bind(id).bind(Json::unless_null(output)).bind(Json::unless_null(error));
    statement.execute(connection).await?;
    Ok(())
}

/// `ready_since` and `wake_at` of an execution that continues at a time; at [`Micros::MAX`] only a signal wakes it.
fn ready_or_wake(at: Micros, now: Micros) -> (Option<Micros>, Option<Micros>) {
    match at {
        Micros::MAX => (None, None),
        at if at <= now => (Some(at), None),
        at => (None, Some(at)),
    }
}

/// The message of an error, shortened for the queue row.
fn message(error: &Value) -> Option<String> {
    // PostgreSQL stores no zero bytes in a text.
    let mut message = error.get("message")?.as_str()?.replace('\0', "\u{fffd}");
    if message.len() > MAX_MESSAGE_BYTES {
        let end = (0..=MAX_MESSAGE_BYTES).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_queue_rows_are_short() {
        assert_eq!(message(&json!({"message": "a\0b"})).as_deref(), Some("a\u{fffd}b"));
        assert_eq!(message(&json!({"message": "é".repeat(600)})).map(|text| text.len()), Some(1_000 + '…'.len_utf8()));
        assert_eq!(message(&Value::Null), None);
        assert_eq!(message(&json!({"message": 1})), None);
    }

    #[test]
    fn an_execution_is_ready_at_once_later_or_by_a_signal_only() {
        assert_eq!(ready_or_wake(5, 7), (Some(5), None));
        assert_eq!(ready_or_wake(7, 7), (Some(7), None));
        assert_eq!(ready_or_wake(9, 7), (None, Some(9)));
        assert_eq!(ready_or_wake(Micros::MAX, 7), (None, None));
    }
}
