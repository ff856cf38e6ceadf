//! Generations, the active one of each environment, and tombstones.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::limits::{self, BATCH_ROWS, MAX_DELETED_ROWS, MAX_ROWS, signed, unreadable};
use super::super::sql::{Connection, Json, Row, Value, query};
use super::super::{Activation, Audit, Cause, Generation, Lease, Micros, StoreError, Tombstone};
use super::{audits, leases, objects};
use crate::text::Digest;

/// Time after its last report at which a process's report is deleted: a day.
const SILENT: Micros = 86_400_000_000;

const COLUMNS: &str = "environment, number, digest, revisions, cause, actor, activated_at, plan_digest, summary";

/// Makes a generation active, inside of a transaction that the caller commits. Returns it with the number of rows
/// written.
pub(super) async fn activate(
    connection: &mut dyn Connection,
    activation: &Activation,
    lease: Option<&Lease>,
) -> Result<(Generation, u64), StoreError> {
    let environment = &activation.environment;
    let statement = "INSERT INTO environments (name, last) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING";
    query(statement).bind(environment).execute(connection).await?;
    // Locks out other activations of this environment until the transaction ends.
    let lock = connection.dialect().for_update;
    let statement = format!("SELECT active, last FROM environments WHERE name = $1{lock}");
    let row = query(statement).bind(environment).fetch_one(connection).await?;
    if let Some(lease) = lease {
        leases::fence(connection, lease).await?;
    }
    let active = row.get::<Option<i64>>("active")?.unwrap_or_default().unsigned_abs();
    if active != activation.expected {
        return Err(StoreError::Stale { expected: activation.expected, active });
    }
    if !objects::exists(connection, &activation.digest).await? {
        return Err(StoreError::Corrupt { digest: activation.digest, problem: "missing" });
    }
    let last: i64 = row.get("last")?;
    let number = last.checked_add(1).ok_or_else(|| unreadable("the number of the last generation"))?;
    let generation = Generation {
        environment: environment.clone(),
        number: number.unsigned_abs(),
        digest: activation.digest,
        revisions: activation.revisions.clone(),
        cause: activation.cause,
        actor: activation.actor.clone(),
        at: connection.now().await?,
        plan: activation.plan,
        summary: activation.summary.clone(),
    };
    insert(connection, &generation).await?;
    let mut rows = 2 + remove_restored(connection, activation).await?;
    rows += put_tombstones(connection, activation, generation.at).await?;
    rows += audits::add(connection, &audit(&generation)).await?;
    let statement = "UPDATE environments SET active = $2, last = $2 WHERE name = $1";
    query(statement).bind(environment).bind(number).execute(connection).await?;
    Ok((generation, rows))
}

pub(super) async fn active(
    connection: &mut dyn Connection,
    environment: &str,
) -> Result<Option<Generation>, StoreError> {
    let statement = format!(
        "SELECT {COLUMNS} FROM generations WHERE environment = $1 AND number = \
         (SELECT active FROM environments WHERE name = $1)"
    );
    query(statement).bind(environment).fetch_optional(connection).await?.map(|row| read(&row)).transpose()
}

pub(super) async fn environments(connection: &mut dyn Connection) -> Result<Vec<String>, StoreError> {
    let rows = query("SELECT name FROM environments WHERE active IS NOT NULL").fetch_all(connection).await?;
    let mut names = rows.iter().map(|row| row.get("name")).collect::<Result<Vec<String>, _>>()?;
    // Sorted here: the database sorts by its locale.
    names.sort_unstable();
    Ok(names)
}

pub(super) async fn get(
    connection: &mut dyn Connection,
    environment: &str,
    number: u64,
) -> Result<Option<Generation>, StoreError> {
    let Ok(number) = signed(number) else { return Ok(None) };
    let statement = format!("SELECT {COLUMNS} FROM generations WHERE environment = $1 AND number = $2");
    let query = query(statement).bind(environment).bind(number);
    query.fetch_optional(connection).await?.map(|row| read(&row)).transpose()
}

pub(super) async fn history(
    connection: &mut dyn Connection,
    environment: &str,
    below: Option<u64>,
    limit: u32,
) -> Result<Vec<Generation>, StoreError> {
    let below = below.and_then(|below| signed(below).ok()).unwrap_or(i64::MAX);
    let statement = format!(
        "SELECT {COLUMNS} FROM generations WHERE environment = $1 AND number < $2 ORDER BY number DESC LIMIT $3"
    );
    let query = query(statement).bind(environment).bind(below).bind(i64::from(limit.min(MAX_ROWS)));
    query.fetch_all(connection).await?.iter().map(read).collect()
}

pub(super) async fn tombstones(
    connection: &mut dyn Connection,
    environment: &str,
) -> Result<Vec<Tombstone>, StoreError> {
    let now = connection.now().await?;
    let statement = "SELECT id, item, generation, removed_at, retention FROM tombstones \
                     WHERE environment = $1 AND expires_at > $2";
    let rows = query(statement).bind(environment).bind(now).fetch_all(connection).await?;
    let mut tombstones = rows.iter().map(read_tombstone).collect::<Result<Vec<_>, _>>()?;
    tombstones.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(tombstones)
}

/// Deletes one batch of the generations from before a time that are neither active nor among the newest.
pub(super) async fn delete_old(
    connection: &mut dyn Connection,
    environment: &str,
    keep: u32,
    before: Micros,
) -> Result<u64, StoreError> {
    let statement = "DELETE FROM generations WHERE environment = $1 AND number IN \
                     (SELECT number FROM generations WHERE environment = $1 AND activated_at < $2 \
                     AND number <> (SELECT coalesce(active, 0) FROM environments WHERE name = $1) \
                     AND number NOT IN \
                     (SELECT number FROM generations WHERE environment = $1 ORDER BY number DESC LIMIT $3) \
                     ORDER BY number LIMIT $4)";
    let query = query(statement).bind(environment).bind(before).bind(i64::from(keep)).bind(MAX_DELETED_ROWS);
    query.execute(connection).await
}

/// Removes an environment with everything but its audit log and the highest number that it ever had: numbers only grow,
/// so that writers that still refer to an old generation are refused.
pub(super) async fn remove(connection: &mut dyn Connection, environment: &str) -> Result<u64, StoreError> {
    let mut removed = 0;
    for statement in [
        "UPDATE environments SET active = NULL WHERE name = $1",
        "DELETE FROM tombstones WHERE environment = $1",
        "DELETE FROM generations WHERE environment = $1",
        "DELETE FROM states WHERE environment = $1",
    ] {
        removed += query(statement).bind(environment).execute(connection).await?;
    }
    Ok(removed)
}

/// Deletes one batch of the tombstones whose retention passed.
pub(super) async fn delete_expired_tombstones(
    connection: &mut dyn Connection,
    environment: &str,
    now: Micros,
) -> Result<u64, StoreError> {
    let statement = "DELETE FROM tombstones WHERE environment = $1 AND id IN (SELECT id FROM tombstones \
                     WHERE environment = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3)";
    query(statement).bind(environment).bind(now).bind(MAX_DELETED_ROWS).execute(connection).await
}

/// Deletes the reports of processes that have been silent for a day. (An environment has few: no batches.)
pub(super) async fn delete_silent_replicas(
    connection: &mut dyn Connection,
    environment: &str,
    now: Micros,
) -> Result<u64, StoreError> {
    let statement = "DELETE FROM replicas WHERE environment = $1 AND reported_at < $2";
    query(statement).bind(environment).bind(now.saturating_sub(SILENT)).execute(connection).await
}

pub(super) async fn roots(connection: &mut dyn Connection) -> Result<Vec<Digest>, StoreError> {
    let rows = query("SELECT DISTINCT digest FROM generations").fetch_all(connection).await?;
    let mut roots = rows.iter().map(|row| digest(&row.get::<Vec<u8>>("digest")?)).collect::<Result<Vec<_>, _>>()?;
    roots.sort_unstable();
    Ok(roots)
}

async fn insert(connection: &mut dyn Connection, generation: &Generation) -> Result<(), StoreError> {
    let statement = format!("INSERT INTO generations ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    let query = query(statement)
        .bind(&generation.environment)
        .bind(signed(generation.number)?)
        .bind(generation.digest.bytes().as_slice())
        .bind(Json::document(&generation.revisions)?)
        .bind(generation.cause.as_str())
        .bind(&generation.actor)
        .bind(generation.at)
        .bind(generation.plan.as_ref().map(|plan| plan.bytes().as_slice()))
        .bind(Json(limits::details(&generation.summary)?));
    query.execute(connection).await?;
    Ok(())
}

/// Removes the tombstones of restored definitions.
async fn remove_restored(connection: &mut dyn Connection, activation: &Activation) -> Result<u64, StoreError> {
    let mut rows = 0;
    for batch in activation.restored.chunks(BATCH_ROWS) {
        let mut statement =
            query("DELETE FROM tombstones WHERE environment = $1 AND id IN ").bind(&activation.environment).once();
        statement.push_list(batch.iter().map(ToString::to_string));
        rows += statement.execute(connection).await?;
    }
    Ok(rows)
}

async fn put_tombstones(
    connection: &mut dyn Connection,
    activation: &Activation,
    now: Micros,
) -> Result<u64, StoreError> {
    // Each once: a statement cannot change a row twice.
    let tombstones: BTreeMap<&str, &Tombstone> =
        activation.tombstones.iter().map(|tombstone| (tombstone.id.as_str(), tombstone)).collect();
    let tombstones: Vec<&Tombstone> = tombstones.into_values().collect();
    for batch in tombstones.chunks(BATCH_ROWS) {
        let mut rows = Vec::with_capacity(batch.len());
        for tombstone in batch {
            rows.push([
                Value::from(&activation.environment),
                Value::from(&tombstone.id),
                Json::of(&tombstone.item).into(),
                signed(tombstone.generation)?.into(),
                now.into(),
                tombstone.window.into(),
                now.saturating_add(tombstone.window).into(),
            ]);
        }
        let mut statement =
            query("INSERT INTO tombstones (environment, id, item, generation, removed_at, retention, expires_at) ")
                .once();
        statement.push_rows(rows).push(
            " ON CONFLICT (environment, id) DO UPDATE SET item = excluded.item, generation = excluded.generation, \
             removed_at = excluded.removed_at, retention = excluded.retention, expires_at = excluded.expires_at",
        );
        statement.execute(connection).await?;
    }
    Ok(tombstones.len() as u64)
}

/// The audit line of an activation.
fn audit(generation: &Generation) -> Audit {
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
    let plan: Option<Vec<u8>> = row.get("plan_digest")?;
    Ok(Generation {
        environment: row.get("environment")?,
        number: row.get::<i64>("number")?.unsigned_abs(),
        digest: digest(&row.get::<Vec<u8>>("digest")?)?,
        revisions: row.get::<Json>("revisions")?.parse("the revisions of a generation")?,
        cause: row.name("cause", Cause::from_name)?,
        actor: row.get("actor")?,
        at: row.get("activated_at")?,
        plan: plan.map(|bytes| digest(&bytes)).transpose()?,
        summary: row.json("summary")?,
    })
}

fn read_tombstone(row: &Row) -> Result<Tombstone, StoreError> {
    Ok(Tombstone {
        id: row.get("id")?,
        item: row.json("item")?,
        generation: row.get::<i64>("generation")?.unsigned_abs(),
        at: row.get("removed_at")?,
        window: row.get("retention")?,
    })
}

fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    Digest::from_bytes(bytes).ok_or_else(|| unreadable("a digest"))
}
