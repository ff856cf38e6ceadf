//! Log lines of executions.

use super::super::super::StoreError;
use super::super::super::queue::{Claim, LogLevel, LogLine};
use super::super::super::sql::{Connection, Value, query};
use super::parts::parts;

/// Maximum number of log lines that one list returns.
const MAX_LINES: i64 = 10_000;

/// Appends log lines of a claimed execution.
pub(super) async fn append(
    connection: &mut dyn Connection,
    claim: &Claim,
    lines: &[LogLine],
) -> Result<(), StoreError> {
    let Some(first) = lines.first() else { return Ok(()) };
    // Lines of the same microsecond may be stored already: the count continues after them.
    let statement = "SELECT count(*) AS lines FROM execution_logs WHERE execution = $1 AND id >= $2";
    let statement = query(statement).bind(&claim.execution).bind(format!("{:016x}", first.at));
    let before: i64 = statement.fetch_one(connection).await?.get("lines")?;
    let lines: Vec<(i64, &LogLine)> = (before..).zip(lines).collect();
    for part in parts(&lines) {
        let mut statement = query("INSERT INTO execution_logs (execution, id, written_at, level, message) ");
        statement.push_rows(part.iter().map(|(count, line)| {
            [
                Value::from(&claim.execution),
                // Time and token make the id unique among claims; the count separates lines of the same microsecond and
                // keeps their order.
                format!("{:016x}-{:06}-{count:06}", line.at, claim.token).into(),
                line.at.into(),
                line.level.as_str().into(),
                // PostgreSQL stores no zero bytes in a text.
                line.message.replace('\0', "\u{fffd}").into(),
            ]
        }));
        statement.push(" ON CONFLICT (execution, id) DO NOTHING");
        statement.execute(connection).await?;
    }
    Ok(())
}

/// Log lines of an execution, the oldest first.
pub(super) async fn list(connection: &mut dyn Connection, execution: &str) -> Result<Vec<LogLine>, StoreError> {
    let statement = "SELECT written_at, level, message FROM execution_logs WHERE execution = $1 ORDER BY id LIMIT $2";
    let rows = query(statement).bind(execution).bind(MAX_LINES).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(LogLine {
                at: row.get("written_at")?,
                level: row.name("level", LogLevel::from_name)?,
                message: row.get("message")?,
            })
        })
        .collect()
}
