//! Generations, which one is active, and what was removed.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::{QueryBuilder, Row as _};

use super::super::super::common::{self, BATCH_ROWS, MAX_ROWS, signed, unreadable};
use super::super::LOCK_ENVIRONMENT;
use super::{Activation, Audit, Connection, Database, Generation, Lease, Micros, Row, StoreError, Tombstone};
use super::{audits, leases, now, objects};
use crate::store::Cause;
use crate::text::Digest;

/// A statement that gives generations.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT environment, number, digest, revisions, cause, actor, activated_at, plan_digest, summary ",
            "FROM generations ",
            $rest
        )
    };
}

/// Makes a generation active, inside of a transaction that the caller commits; gives it, and the rows written.
pub(super) async fn activate(
    connection: &mut Connection,
    activation: &Activation,
    lease: Option<&Lease>,
) -> Result<(Generation, u64), StoreError> {
    let environment = &activation.environment;
    let statement = "INSERT INTO environments (name, active, last) VALUES ($1, 0, 0) ON CONFLICT (name) DO NOTHING";
    sqlx::query(statement).bind(environment).execute(&mut *connection).await?;
    // From here on nobody else activates in this environment until we are done.
    let row = sqlx::query(LOCK_ENVIRONMENT).bind(environment).fetch_one(&mut *connection).await?;
    if let Some(lease) = lease {
        leases::fence(connection, lease).await?;
    }
    let (active, last): (i64, i64) = (row.try_get("active")?, row.try_get("last")?);
    if active.unsigned_abs() != activation.expected {
        return Err(StoreError::Stale { expected: activation.expected, active: active.unsigned_abs() });
    }
    if !objects::is_there(connection, &activation.digest).await? {
        return Err(StoreError::Corrupt { digest: activation.digest, problem: "missing" });
    }
    let number = last.checked_add(1).ok_or_else(|| unreadable("the number of the last generation"))?;
    let generation = Generation {
        environment: environment.clone(),
        number: number.unsigned_abs(),
        digest: activation.digest,
        revisions: activation.revisions.clone(),
        cause: activation.cause,
        actor: activation.actor.clone(),
        at: now(connection).await?,
        plan: activation.plan,
        summary: activation.summary.clone(),
    };
    insert(connection, &generation).await?;
    let mut rows = 2 + raise(connection, activation).await?;
    rows += bury(connection, activation, generation.at).await?;
    rows += audits::add(connection, &line(&generation)).await?;
    let statement = "UPDATE environments SET active = $2, last = $2 WHERE name = $1";
    sqlx::query(statement).bind(environment).bind(number).execute(connection).await?;
    Ok((generation, rows))
}

pub(super) async fn active(connection: &mut Connection, environment: &str) -> Result<Option<Generation>, StoreError> {
    let statement = select!("WHERE environment = $1 AND number = (SELECT active FROM environments WHERE name = $1)");
    sqlx::query(statement).bind(environment).fetch_optional(connection).await?.map(|row| read(&row)).transpose()
}

pub(super) async fn environments(connection: &mut Connection) -> Result<Vec<String>, StoreError> {
    let statement = "SELECT name FROM environments WHERE active > 0";
    let mut names: Vec<String> = sqlx::query_scalar(statement).fetch_all(connection).await?;
    // Sorted here: databases sort by their locale.
    names.sort_unstable();
    Ok(names)
}

pub(super) async fn one(
    connection: &mut Connection,
    environment: &str,
    number: u64,
) -> Result<Option<Generation>, StoreError> {
    let Ok(number) = signed(number) else { return Ok(None) };
    let query = sqlx::query(select!("WHERE environment = $1 AND number = $2")).bind(environment).bind(number);
    query.fetch_optional(connection).await?.map(|row| read(&row)).transpose()
}

pub(super) async fn history(
    connection: &mut Connection,
    environment: &str,
    below: Option<u64>,
    most: u32,
) -> Result<Vec<Generation>, StoreError> {
    let below = below.and_then(|below| signed(below).ok()).unwrap_or(i64::MAX);
    let statement = select!("WHERE environment = $1 AND number < $2 ORDER BY number DESC LIMIT $3");
    let query = sqlx::query(statement).bind(environment).bind(below).bind(i64::from(most.min(MAX_ROWS)));
    query.fetch_all(connection).await?.iter().map(read).collect()
}

pub(super) async fn tombstones(connection: &mut Connection, environment: &str) -> Result<Vec<Tombstone>, StoreError> {
    let now = now(connection).await?;
    let statement = "SELECT id, item, generation, removed_at, kept_for FROM tombstones \
                     WHERE environment = $1 AND kept_until > $2";
    let rows = sqlx::query(statement).bind(environment).bind(now).fetch_all(connection).await?;
    let mut stones = rows.iter().map(stone).collect::<Result<Vec<_>, _>>()?;
    stones.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(stones)
}

/// Removes generations from before a time that are neither active nor among the newest.
pub(super) async fn forget(
    connection: &mut Connection,
    environment: &str,
    keep: u32,
    before: Micros,
) -> Result<u64, StoreError> {
    let statement = "DELETE FROM generations WHERE environment = $1 AND activated_at < $2 \
                     AND number <> (SELECT active FROM environments WHERE name = $1) \
                     AND number NOT IN \
                     (SELECT number FROM generations WHERE environment = $1 ORDER BY number DESC LIMIT $3)";
    let query = sqlx::query(statement).bind(environment).bind(before).bind(i64::from(keep));
    Ok(query.execute(connection).await?.rows_affected())
}

/// Removes an environment with everything but its record and the highest number that it ever had: numbers only grow, so
/// that whoever still speaks of an old generation is refused.
pub(super) async fn remove(connection: &mut Connection, environment: &str) -> Result<u64, StoreError> {
    let mut removed = 0;
    for statement in [
        "UPDATE environments SET active = 0 WHERE name = $1",
        "DELETE FROM tombstones WHERE environment = $1",
        "DELETE FROM generations WHERE environment = $1",
        "DELETE FROM states WHERE environment = $1",
    ] {
        let query = sqlx::query(statement).bind(environment);
        removed += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(removed)
}

/// Removes tombstones whose window has passed.
pub(super) async fn forget_tombstones(
    connection: &mut Connection,
    environment: &str,
    now: Micros,
) -> Result<u64, StoreError> {
    let statement = "DELETE FROM tombstones WHERE environment = $1 AND kept_until <= $2";
    Ok(sqlx::query(statement).bind(environment).bind(now).execute(connection).await?.rows_affected())
}

pub(super) async fn roots(connection: &mut Connection) -> Result<Vec<Digest>, StoreError> {
    let stored: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT DISTINCT digest FROM generations").fetch_all(connection).await?;
    let mut roots = stored.iter().map(|bytes| digest(bytes)).collect::<Result<Vec<_>, _>>()?;
    roots.sort_unstable();
    Ok(roots)
}

async fn insert(connection: &mut Connection, generation: &Generation) -> Result<(), StoreError> {
    let statement = "INSERT INTO generations \
                     (environment, number, digest, revisions, cause, actor, activated_at, plan_digest, summary) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let query = sqlx::query(statement)
        .bind(&generation.environment)
        .bind(signed(generation.number)?)
        .bind(generation.digest.bytes().as_slice())
        .bind(json!(generation.revisions).to_string())
        .bind(generation.cause.as_str())
        .bind(&generation.actor)
        .bind(generation.at)
        .bind(generation.plan.as_ref().map(|plan| plan.bytes().as_slice()))
        .bind(common::details(&generation.summary)?);
    query.execute(connection).await?;
    Ok(())
}

/// Takes away the tombstones of what is there again.
async fn raise(connection: &mut Connection, activation: &Activation) -> Result<u64, StoreError> {
    let mut rows = 0;
    for batch in activation.restored.chunks(BATCH_ROWS) {
        let mut query = QueryBuilder::<Database>::new("DELETE FROM tombstones WHERE environment = ");
        query.push_bind(&activation.environment).push(" AND id IN (");
        let mut list = query.separated(", ");
        for id in batch {
            list.push_bind(id.to_string());
        }
        query.push(")");
        rows += query.build().persistent(false).execute(&mut *connection).await?.rows_affected();
    }
    Ok(rows)
}

async fn bury(connection: &mut Connection, activation: &Activation, now: Micros) -> Result<u64, StoreError> {
    // Once each: a statement may not change one row twice.
    let stones: BTreeMap<&str, &Tombstone> =
        activation.tombstones.iter().map(|stone| (stone.id.as_str(), stone)).collect();
    let mut stored = Vec::with_capacity(stones.len());
    for (id, stone) in stones {
        stored.push((id, stone.item.to_string(), signed(stone.generation)?, stone.window));
    }
    for batch in stored.chunks(BATCH_ROWS) {
        let mut query = QueryBuilder::<Database>::new(
            "INSERT INTO tombstones (environment, id, item, generation, removed_at, kept_for, kept_until) ",
        );
        query.push_values(batch, |mut row, (id, item, generation, window)| {
            row.push_bind(&activation.environment).push_bind(*id).push_bind(item).push_bind(*generation);
            row.push_bind(now).push_bind(*window).push_bind(now.saturating_add(*window));
        });
        query.push(
            " ON CONFLICT (environment, id) DO UPDATE SET item = excluded.item, generation = excluded.generation, \
             removed_at = excluded.removed_at, kept_for = excluded.kept_for, kept_until = excluded.kept_until",
        );
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(stored.len() as u64)
}

/// The line of the record for an activation.
fn line(generation: &Generation) -> Audit {
    Audit {
        at: generation.at,
        environment: generation.environment.clone(),
        actor: generation.actor.clone(),
        action: generation.cause.as_str().to_owned(),
        details: json!({
            "generation": generation.number,
            "digest": generation.digest,
            "plan": generation.plan,
            "revisions": generation.revisions,
        }),
    }
}

fn read(row: &Row) -> Result<Generation, StoreError> {
    let plan: Option<Vec<u8>> = row.try_get("plan_digest")?;
    let wrong = |_| unreadable("a generation");
    let cause: String = row.try_get("cause")?;
    Ok(Generation {
        environment: row.try_get("environment")?,
        number: row.try_get::<i64, _>("number")?.unsigned_abs(),
        digest: digest(&row.try_get::<Vec<u8>, _>("digest")?)?,
        revisions: serde_json::from_str(&row.try_get::<String, _>("revisions")?).map_err(wrong)?,
        cause: Cause::from_name(&cause).ok_or_else(|| unreadable("the cause of a generation"))?,
        actor: row.try_get("actor")?,
        at: row.try_get("activated_at")?,
        plan: plan.map(|bytes| digest(&bytes)).transpose()?,
        summary: serde_json::from_str(&row.try_get::<String, _>("summary")?).map_err(wrong)?,
    })
}

fn stone(row: &Row) -> Result<Tombstone, StoreError> {
    Ok(Tombstone {
        id: row.try_get("id")?,
        item: serde_json::from_str(&row.try_get::<String, _>("item")?).map_err(|_| unreadable("a tombstone"))?,
        generation: row.try_get::<i64, _>("generation")?.unsigned_abs(),
        at: row.try_get("removed_at")?,
        window: row.try_get("kept_for")?,
    })
}

fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    Digest::from_bytes(bytes).ok_or_else(|| unreadable("a digest"))
}
