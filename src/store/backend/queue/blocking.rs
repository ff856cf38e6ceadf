//! Executions that wait for each other: in the order of an ordering key, or within the limit of a concurrency group.
//!
//! The functions that decide which execution is next run under a lock of the key's or group's name ([`lock_names`]), so
//! that one transaction at a time decides.

use super::super::super::queue::Claim;
use super::super::super::sql::{Connection, Row, query};
use super::super::super::{Micros, StoreError};

/// Maximum number of executions that one end unblocks.
const MAX_UNBLOCKED: i64 = 8;
/// Maximum number of blocked executions that one repair looks at.
const MAX_REPAIRED: i64 = 50;

/// True if no earlier execution of the same ordering key is open.
const IS_FIRST: &str = "(ordering_key IS NULL OR NOT EXISTS (SELECT 1 FROM executions AS earlier \
     WHERE earlier.environment = executions.environment AND earlier.ordering_key = executions.ordering_key \
     AND earlier.ordering_key IS NOT NULL AND earlier.finished_at IS NULL AND (earlier.created_at < executions.created_at \
     OR (earlier.created_at = executions.created_at AND earlier.id < executions.id))))";

/// Names to lock for executions (environment, ordering key, concurrency group), sorted.
pub(super) fn lock_names<'a>(executions: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Vec<String> {
    let names = executions
        .flat_map(|(environment, key, group)| [(environment, "ordering-key", key), (environment, "group", group)]);
    let mut names: Vec<String> =
        names.filter(|name| !name.2.is_empty()).map(|name| format!("{}/{}/{}", name.0, name.1, name.2)).collect();
    names.sort();
    names.dedup();
    names
}

/// Time of acceptance of the last open execution of an ordering key.
pub(super) async fn last_of_key(
    connection: &mut dyn Connection,
    environment: &str,
    key: &str,
) -> Result<Option<Micros>, StoreError> {
    if key.is_empty() {
        return Ok(None);
    }
    let statement = "SELECT created_at FROM executions WHERE environment = $1 AND ordering_key = $2 \
                     AND ordering_key IS NOT NULL AND finished_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 1";
    let row = query(statement).bind(environment).bind(key).fetch_optional(connection).await?;
    row.map(|row| row.get("created_at")).transpose()
}

/// True if another open execution of an ordering key precedes this one.
async fn is_preceded(
    connection: &mut dyn Connection,
    environment: &str,
    key: &str,
    id: &str,
) -> Result<bool, StoreError> {
    if key.is_empty() {
        return Ok(false);
    }
    let statement = "SELECT id FROM executions WHERE environment = $1 AND ordering_key = $2 \
                     AND ordering_key IS NOT NULL AND finished_at IS NULL ORDER BY created_at, id LIMIT 1";
    let row = query(statement).bind(environment).bind(key).fetch_optional(connection).await?;
    Ok(row.map(|row| row.get::<String>("id")).transpose()?.is_some_and(|first| first != id))
}

/// True if a concurrency group has reached its limit.
pub(super) async fn is_full(
    connection: &mut dyn Connection,
    environment: &str,
    group: &str,
    limit: i64,
) -> Result<bool, StoreError> {
    if group.is_empty() {
        return Ok(false);
    }
    let statement = "SELECT count(*) AS used FROM executions WHERE environment = $1 AND concurrency_group = $2 \
                     AND concurrency_group IS NOT NULL AND finished_at IS NULL AND NOT is_blocked";
    let row = query(statement).bind(environment).bind(group).fetch_one(connection).await?;
    Ok(row.get::<i64>("used")? >= limit)
}

/// Unblocks the executions that are next after one that ended; returns their ids.
pub(super) async fn unblock_next(
    connection: &mut dyn Connection,
    environment: &str,
    claim: &Claim,
    now: Micros,
) -> Result<Vec<String>, StoreError> {
    let mut unblocked = Vec::new();
    for (column, name) in [("ordering_key", &claim.ordering_key), ("concurrency_group", &claim.concurrency_group)] {
        if name.is_empty() {
            continue;
        }
        let statement = format!(
            "SELECT id FROM executions WHERE environment = $1 AND {column} = $2 AND {column} IS NOT NULL \
             AND finished_at IS NULL AND is_blocked AND {IS_FIRST} ORDER BY created_at, id LIMIT {MAX_UNBLOCKED}"
        );
        let rows = query(statement).bind(environment).bind(name).fetch_all(connection).await?;
        for row in rows {
            let id: String = row.get("id")?;
            if unblock(connection, &id, now).await? > 0 {
                unblocked.push(id);
            }
        }
    }
    Ok(unblocked)
}

/// Unblocks an execution, unless it must still wait; returns the number of rows changed.
pub(super) async fn unblock(connection: &mut dyn Connection, id: &str, now: Micros) -> Result<u64, StoreError> {
    let statement = "SELECT environment, ordering_key, concurrency_group, concurrency_limit FROM executions \
                     WHERE id = $1 AND is_blocked";
    let Some(row) = query(statement).bind(id).fetch_optional(connection).await? else { return Ok(0) };
    let environment: String = row.get("environment")?;
    let (key, group) = (row.text("ordering_key")?, row.text("concurrency_group")?);
    let limit = row.get::<Option<i64>>("concurrency_limit")?.unwrap_or(0);
    if is_preceded(connection, &environment, &key, id).await?
        || is_full(connection, &environment, &group, limit).await?
    {
        return Ok(0);
    }
    let statement = "UPDATE executions SET is_blocked = FALSE, ready_since = $2 WHERE id = $1 AND is_blocked";
    query(statement).bind(id).bind(now).execute(connection).await
}

/// Blocked executions that no other precedes, the oldest first, as claims without a token.
pub(super) async fn blocked_first(
    connection: &mut dyn Connection,
    environment: &str,
) -> Result<Vec<Claim>, StoreError> {
    let statement = format!(
        "SELECT id, ordering_key, concurrency_group FROM executions WHERE environment = $1 AND is_blocked \
         AND {IS_FIRST} ORDER BY created_at, id LIMIT {MAX_REPAIRED}"
    );
    let rows = query(statement).bind(environment).fetch_all(connection).await?;
    let claim = |row: &Row| {
        Ok(Claim {
            execution: row.get("id")?,
            environment: environment.to_owned(),
            token: 0,
            ordering_key: row.text("ordering_key")?,
            concurrency_group: row.text("concurrency_group")?,
        })
    };
    rows.iter().map(claim).collect()
}
