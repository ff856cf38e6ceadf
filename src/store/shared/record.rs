//! The record of executions, events and dead letters: read, and forgotten after a while.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Row as _};

use super::super::super::common::{MAX_ROWS, unreadable};
use super::super::super::queue::{
    DeadLetter, DeadLetterReason, DeadLetterStatus, Event, EventOutcome, EventSummary, Execution, ExecutionFilter,
    ExecutionSummary, LogLevel, LogLine, PARKED, QueueDepth, Step, StepKind, StepStatus, TriggeredBy,
};
use super::{Connection, Micros, Row, StoreError, runs};

/// Rows that one call of forgetting removes of each table.
const MAX_FORGOTTEN: i64 = 5_000;
/// Log lines that one list gives.
const MAX_LINES: i64 = 10_000;

fn json(row: &Row, column: &str) -> Result<Value, StoreError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|_| unreadable("a record of an execution"))
}

pub(super) async fn run(
    connection: &mut Connection,
    environment: &str,
    id: &str,
) -> Result<Option<Execution>, StoreError> {
    let columns = runs::COLUMNS;
    let statement = format!("SELECT {columns} FROM runs WHERE environment = $1 AND id = $2");
    let query = sqlx::query(AssertSqlSafe(statement)).bind(environment).bind(id);
    if let Some(row) = query.fetch_optional(&mut *connection).await? {
        return runs::read(&row).map(Some);
    }
    if id.len() < 8 || id.len() > 26 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    let statement = format!("SELECT {columns} FROM runs WHERE environment = $1 AND id LIKE $2 LIMIT 2");
    let query = sqlx::query(AssertSqlSafe(statement)).bind(environment).bind(format!("{id}%"));
    match query.fetch_all(connection).await?.as_slice() {
        [row] => runs::read(row).map(Some),
        _ => Ok(None),
    }
}

pub(super) async fn runs(
    connection: &mut Connection,
    environment: &str,
    filter: &ExecutionFilter,
) -> Result<Vec<ExecutionSummary>, StoreError> {
    let mut query = sqlx::QueryBuilder::<super::Database>::new(format!("SELECT {} FROM runs", runs::SUMMARY));
    query.push(" WHERE environment = ").push_bind(environment.to_owned());
    let texts = [
        ("workflow", filter.workflow.clone()),
        ("status", filter.status.map(|status| status.as_str().to_owned())),
        ("tenant", filter.tenant.clone()),
        ("source", filter.trigger.clone()),
        ("event", filter.event.clone()),
    ];
    for (column, value) in texts {
        if let Some(value) = value {
            query.push(" AND ").push(column).push(" = ").push_bind(value);
        }
    }
    if filter.open {
        query.push(" AND ready_at IS NOT NULL");
    }
    if let Some(since) = filter.since {
        query.push(" AND created_at >= ").push_bind(since);
    }
    if let Some((at, id)) = &filter.before {
        query.push(" AND (created_at < ").push_bind(*at).push(" OR (created_at = ").push_bind(*at);
        query.push(" AND id < ").push_bind(id.clone()).push("))");
    }
    if let Some(text) = &filter.text {
        let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        query.push(" AND (");
        for (at, column) in ["id", "workflow", "tenant", "error", "input", "output"].into_iter().enumerate() {
            query.push(if at == 0 { "lower(" } else { " OR lower(" }).push(column).push(") LIKE ");
            // The database makes both small: SQLite knows only the letters of ASCII.
            query.push("lower(").push_bind(pattern.clone()).push(") ESCAPE '\\'");
        }
        query.push(")");
    }
    let most = if filter.limit == 0 { 100 } else { filter.limit.min(MAX_ROWS) };
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(most));
    query.build().fetch_all(connection).await?.iter().map(runs::summary).collect()
}

pub(super) async fn steps(connection: &mut Connection, run: &str) -> Result<Vec<Step>, StoreError> {
    let statement = "SELECT name, position, kind, attempt, status, started_at, finished_at, error, input, output \
                     FROM steps WHERE run = $1 ORDER BY position, name LIMIT $2";
    let query = sqlx::query(statement).bind(run).bind(i64::from(MAX_ROWS) * 10);
    let rows = query.fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Step {
                name: row.try_get("name")?,
                order: row.try_get("position")?,
                kind: runs::word(row, "kind", StepKind::from_name)?,
                attempt: row.try_get("attempt")?,
                status: runs::word(row, "status", StepStatus::from_name)?,
                input: json(row, "input")?,
                output: json(row, "output")?,
                error: json(row, "error")?,
                started_at: row.try_get("started_at")?,
                finished_at: row.try_get("finished_at")?,
            })
        })
        .collect()
}

pub(super) async fn logs(connection: &mut Connection, run: &str) -> Result<Vec<LogLine>, StoreError> {
    let statement = "SELECT written_at, level, message FROM run_logs WHERE run = $1 ORDER BY id LIMIT $2";
    let rows = sqlx::query(statement).bind(run).bind(MAX_LINES).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(LogLine {
                at: row.try_get("written_at")?,
                level: runs::word(row, "level", LogLevel::from_name)?,
                message: row.try_get("message")?,
            })
        })
        .collect()
}

const EVENT: &str = "id, environment, trigger_name, kind, received_at, outcome, request, trace, headers, payload";

const EVENT_SUMMARY: &str = "id, environment, trigger_name, kind, received_at, outcome, request, trace";

fn read_event_summary(row: &Row) -> Result<EventSummary, StoreError> {
    Ok(EventSummary {
        id: row.try_get("id")?,
        environment: row.try_get("environment")?,
        trigger: row.try_get("trigger_name")?,
        kind: runs::word(row, "kind", TriggeredBy::from_name)?,
        at: row.try_get("received_at")?,
        outcome: runs::word(row, "outcome", EventOutcome::from_name)?,
        request: row.try_get("request")?,
        trace: row.try_get("trace")?,
    })
}

fn read_event(row: &Row) -> Result<Event, StoreError> {
    Ok(Event {
        id: row.try_get("id")?,
        environment: row.try_get("environment")?,
        trigger: row.try_get("trigger_name")?,
        kind: runs::word(row, "kind", TriggeredBy::from_name)?,
        at: row.try_get("received_at")?,
        headers: json(row, "headers")?,
        payload: json(row, "payload")?,
        outcome: runs::word(row, "outcome", EventOutcome::from_name)?,
        request: row.try_get("request")?,
        trace: row.try_get("trace")?,
    })
}

pub(super) async fn events(
    connection: &mut Connection,
    environment: &str,
    trigger: Option<&str>,
    most: u32,
) -> Result<Vec<EventSummary>, StoreError> {
    let statement = format!(
        "SELECT {EVENT_SUMMARY} FROM events WHERE environment = $1 AND ($2 = '' OR trigger_name = $2) \
         ORDER BY received_at DESC, id DESC LIMIT $3"
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(environment).bind(trigger.unwrap_or_default());
    query.bind(i64::from(most.min(MAX_ROWS))).fetch_all(connection).await?.iter().map(read_event_summary).collect()
}

pub(super) async fn event(
    connection: &mut Connection,
    environment: &str,
    id: &str,
) -> Result<Option<Event>, StoreError> {
    let statement = format!("SELECT {EVENT} FROM events WHERE environment = $1 AND id = $2");
    let query = sqlx::query(AssertSqlSafe(statement)).bind(environment).bind(id);
    query.fetch_optional(connection).await?.as_ref().map(read_event).transpose()
}

const LETTER: &str = "id, environment, trigger_name, workflow, event, run, tenant, reason, message, status, replays, \
     created_at, kept_for, headers, payload";

fn read_letter(row: &Row) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        id: row.try_get("id")?,
        environment: row.try_get("environment")?,
        trigger: row.try_get("trigger_name")?,
        workflow: row.try_get("workflow")?,
        event: row.try_get("event")?,
        execution: row.try_get("run")?,
        tenant: row.try_get("tenant")?,
        reason: runs::word(row, "reason", DeadLetterReason::from_name)?,
        message: row.try_get("message")?,
        payload: json(row, "payload")?,
        headers: json(row, "headers")?,
        status: runs::word(row, "status", DeadLetterStatus::from_name)?,
        replays: row.try_get("replays")?,
        at: row.try_get("created_at")?,
        retention: row.try_get("kept_for")?,
    })
}

pub(super) async fn dead_letters(
    connection: &mut Connection,
    environment: &str,
    status: Option<DeadLetterStatus>,
    most: u32,
) -> Result<Vec<DeadLetter>, StoreError> {
    let statement = format!(
        "SELECT {LETTER} FROM dead_letters WHERE environment = $1 AND ($2 = '' OR status = $2) \
         ORDER BY created_at DESC, id DESC LIMIT $3"
    );
    let query =
        sqlx::query(AssertSqlSafe(statement)).bind(environment).bind(status.map_or("", DeadLetterStatus::as_str));
    query.bind(i64::from(most.min(MAX_ROWS))).fetch_all(connection).await?.iter().map(read_letter).collect()
}

pub(super) async fn dead_letter(
    connection: &mut Connection,
    environment: &str,
    id: &str,
) -> Result<Option<DeadLetter>, StoreError> {
    let statement = format!("SELECT {LETTER} FROM dead_letters WHERE environment = $1 AND id = $2");
    let query = sqlx::query(AssertSqlSafe(statement)).bind(environment).bind(id);
    query.fetch_optional(connection).await?.as_ref().map(read_letter).transpose()
}

pub(super) async fn replayed(connection: &mut Connection, environment: &str, id: &str) -> Result<bool, StoreError> {
    let statement = "UPDATE dead_letters SET status = 'Replayed', replays = replays + 1 \
                     WHERE environment = $1 AND id = $2 AND status = 'Pending'";
    Ok(sqlx::query(statement).bind(environment).bind(id).execute(connection).await?.rows_affected() > 0)
}

/// Forgets what is over; at most so much at a time. Dead letters whose time is over are marked first, and go as long after
/// it again.
pub(super) async fn forget(
    connection: &mut Connection,
    environment: &str,
    retention: Micros,
    now: Micros,
) -> Result<u64, StoreError> {
    let before = now.saturating_sub(retention);
    let statement = "SELECT id FROM runs WHERE environment = $1 AND finished_at > 0 AND finished_at < $2 \
                     ORDER BY finished_at LIMIT $3";
    let query = sqlx::query_scalar(statement).bind(environment).bind(before).bind(MAX_FORGOTTEN);
    let old: Vec<String> = query.fetch_all(&mut *connection).await?;
    let mut rows = 0;
    for some in old.chunks(500) {
        for (table, column) in [("steps", "run"), ("run_logs", "run"), ("signals", "run"), ("runs", "id")] {
            let mut query =
                sqlx::QueryBuilder::<super::Database>::new(format!("DELETE FROM {table} WHERE {column} IN ("));
            let mut list = query.separated(", ");
            for id in some {
                list.push_bind(id.clone());
            }
            query.push(")");
            rows += query.build().execute(&mut *connection).await?.rows_affected();
        }
        for id in some {
            let statement = "DELETE FROM memories WHERE environment = $1 AND scope = $2";
            let query = sqlx::query(statement).bind(environment).bind(format!("run/{id}"));
            rows += query.execute(&mut *connection).await?.rows_affected();
        }
    }
    let removals = [
        (
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE environment = $1 AND received_at < $2 LIMIT $3)",
            before,
        ),
        ("DELETE FROM event_keys WHERE environment = $1 AND expires_at < $2 AND $3 > 0", now),
        ("DELETE FROM memories WHERE environment = $1 AND expires_at > 0 AND expires_at < $2 AND $3 > 0", now),
        (
            "UPDATE dead_letters SET status = 'Expired' WHERE environment = $1 AND status = 'Pending' AND kept_until < $2 \
             AND $3 > 0",
            now,
        ),
        ("DELETE FROM dead_letters WHERE environment = $1 AND kept_until + kept_for < $2 AND $3 > 0", now),
    ];
    for (statement, limit) in removals {
        let query = sqlx::query(statement).bind(environment).bind(limit).bind(MAX_FORGOTTEN);
        rows += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(rows)
}

pub(super) async fn depth(
    connection: &mut Connection,
    environment: &str,
    now: Micros,
) -> Result<QueueDepth, StoreError> {
    let statement = "SELECT count(*) AS open, count(CASE WHEN ready_at <= $2 THEN 1 END) AS ready, \
                     min(ready_at) AS oldest FROM runs WHERE environment = $1 AND ready_at IS NOT NULL";
    let row = sqlx::query(statement).bind(environment).bind(now).fetch_one(&mut *connection).await?;
    let oldest: Option<Micros> = row.try_get("oldest")?;
    let statement = "SELECT count(*) FROM dead_letters WHERE environment = $1 AND status = 'Pending'";
    let dead = sqlx::query_scalar(statement).bind(environment).fetch_one(connection).await?;
    Ok(QueueDepth {
        ready: row.try_get("ready")?,
        oldest: oldest.map_or(0, |oldest| now.saturating_sub(oldest).max(0)),
        open: row.try_get("open")?,
        dead_letters: dead,
    })
}

pub(super) async fn next_ready(connection: &mut Connection, environment: &str) -> Result<Option<Micros>, StoreError> {
    let statement = "SELECT ready_at FROM runs WHERE environment = $1 AND ready_at IS NOT NULL AND ready_at < $2 \
                     ORDER BY environment, ready_at LIMIT 1";
    let query = sqlx::query_scalar(statement).bind(environment).bind(PARKED);
    Ok(query.fetch_optional(connection).await?)
}
