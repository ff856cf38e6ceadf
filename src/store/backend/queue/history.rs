//! Reading executions and their steps.

use super::super::super::StoreError;
use super::super::super::limits::MAX_ROWS;
use super::super::super::queue::{
    Execution, ExecutionFilter, ExecutionMatch, ExecutionStatus, ExecutionSummary, MAX_CANDIDATES, Step, StepKind,
    StepStatus,
};
use super::super::super::sql::{Connection, Row, query};
use super::rows::{self, COLUMNS, PAYLOADS, SUMMARY};

/// Number of executions that a list returns by default.
const DEFAULT_ROWS: u32 = 100;
/// Length of the ids, and the least of a prefix that stands for one.
const ID_LENGTHS: std::ops::RangeInclusive<usize> = 8..=26;
/// The condition of a prefix search. A range instead of LIKE, and the environment as an expression: both databases then
/// read the range from the primary key.
const HAS_PREFIX: &str = "id >= $2 AND id < $3 AND environment || '' = $1 ORDER BY id LIMIT $4";
/// Sorts after every character of an id.
const AFTER_IDS: char = '~';

/// The executions that an id or a prefix names; one execution has its payloads.
pub(super) async fn find(
    connection: &mut dyn Connection,
    environment: &str,
    id: &str,
) -> Result<ExecutionMatch, StoreError> {
    if let Some(execution) = get(connection, environment, id).await? {
        return Ok(ExecutionMatch::One(Box::new(execution)));
    }
    if !ID_LENGTHS.contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(ExecutionMatch::None);
    }
    // Payloads may be large, so the ids are read without them.
    let statement = query(format!("SELECT id FROM executions WHERE {HAS_PREFIX}")).bind(environment).bind(id);
    let statement = statement.bind(format!("{id}{AFTER_IDS}")).bind(i64::try_from(MAX_CANDIDATES).unwrap_or(i64::MAX));
    let rows = statement.fetch_all(connection).await?;
    let mut ids = rows.iter().map(|row| row.get("id")).collect::<Result<Vec<String>, StoreError>>()?;
    Ok(match (ids.pop(), ids.is_empty()) {
        (None, _) => ExecutionMatch::None,
        (Some(only), true) => match get(connection, environment, &only).await? {
            Some(execution) => ExecutionMatch::One(Box::new(execution)),
            // It was deleted meanwhile.
            None => ExecutionMatch::None,
        },
        (Some(last), false) => {
            ids.push(last);
            ExecutionMatch::Several(ids)
        }
    })
}

/// One execution with its payloads, by its whole id.
async fn get(connection: &mut dyn Connection, environment: &str, id: &str) -> Result<Option<Execution>, StoreError> {
    let statement = query(format!(
        "SELECT {COLUMNS}, {PAYLOADS} FROM executions JOIN execution_payloads ON execution = id \
         WHERE environment = $1 AND id = $2"
    ));
    let row = statement.bind(environment).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(rows::read_with_payloads).transpose()
}

/// Executions from the newest, without payloads. Those are read only to search a text in them.
pub(super) async fn list(
    connection: &mut dyn Connection,
    environment: &str,
    filter: &ExecutionFilter,
) -> Result<Vec<ExecutionSummary>, StoreError> {
    let mut statement = query(format!("SELECT {SUMMARY} FROM executions"));
    if filter.text.is_some() {
        statement.push(" JOIN execution_payloads ON execution = id");
    }
    statement.push(" WHERE environment = ").push_bind(environment);
    let columns = [
        ("workflow", filter.workflow.as_deref()),
        ("status", filter.status.map(ExecutionStatus::as_str)),
        ("tenant", filter.tenant.as_deref()),
        ("source", filter.trigger.as_deref()),
        ("event", filter.event.as_deref()),
    ];
    for (column, value) in columns {
        if let Some(value) = value {
            statement.push(" AND ").push(column).push(" = ").push_bind(value);
        }
    }
    if filter.open {
        statement.push(" AND finished_at IS NULL");
    }
    if let Some(since) = filter.since {
        statement.push(" AND created_at >= ").push_bind(since);
    }
    if let Some((at, id)) = &filter.before {
        statement.push(" AND (created_at, id) < (").push_bind(*at).push(", ").push_bind(id).push(")");
    }
    if let Some(text) = &filter.text {
        let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        statement.push(" AND (");
        for (at, column) in ["id", "workflow", "tenant", "error", "input", "output"].into_iter().enumerate() {
            statement.push(if at == 0 { "lower(CAST(" } else { " OR lower(CAST(" }).push(column);
            // The database converts both to lower case: SQLite's function knows the letters of ASCII only.
            statement.push(" AS TEXT)) LIKE lower(").push_bind(pattern.clone()).push(") ESCAPE '\\'");
        }
        statement.push(")");
    }
    let limit = if filter.limit == 0 { DEFAULT_ROWS } else { filter.limit.min(MAX_ROWS) };
    statement.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(limit));
    statement.fetch_all(connection).await?.iter().map(rows::read_summary).collect()
}

/// Recorded steps of an execution, in order.
pub(super) async fn steps(connection: &mut dyn Connection, execution: &str) -> Result<Vec<Step>, StoreError> {
    let statement = "SELECT name, position, kind, attempt, status, started_at, finished_at, error, input, output \
                     FROM execution_steps WHERE execution = $1 ORDER BY position, name LIMIT $2";
    let rows = query(statement).bind(execution).bind(i64::from(MAX_ROWS) * 10).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let (input, output, error) = (row.json("input")?, row.json("output")?, row.json("error")?);
            Ok(Step { input, output, error, ..read_step(row)? })
        })
        .collect()
}

/// Steps that wait, without input, output and error, each with its execution.
pub(super) async fn waiting_steps(
    connection: &mut dyn Connection,
    executions: &[String],
) -> Result<Vec<(String, Step)>, StoreError> {
    if executions.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = query(
        "SELECT execution, name, position, kind, attempt, status, started_at, finished_at FROM execution_steps \
         WHERE status = 'Waiting' AND execution IN (",
    );
    for (at, execution) in executions.iter().take(MAX_ROWS as usize).enumerate() {
        statement.push(if at == 0 { "" } else { ", " }).push_bind(execution);
    }
    statement.push(") ORDER BY execution, position, name LIMIT ").push_bind(i64::from(MAX_ROWS) * 10);
    let rows = statement.fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.get("execution")?, read_step(row)?))).collect()
}

/// A step without input, output and error.
fn read_step(row: &Row) -> Result<Step, StoreError> {
    Ok(Step {
        name: row.get("name")?,
        order: row.get("position")?,
        kind: row.name("kind", StepKind::from_name)?,
        attempt: row.get("attempt")?,
        status: row.name("status", StepStatus::from_name)?,
        started_at: row.get("started_at")?,
        finished_at: row.get("finished_at")?,
        ..Step::default()
    })
}
