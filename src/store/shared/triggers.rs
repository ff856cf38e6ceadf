//! What triggers and workflows remember: versions, schedules, subscriptions, pollers, values.

use serde_json::Value;
use sqlx::Row as _;

use super::super::super::common::{MAX_ROWS, unreadable};
use super::super::super::queue::{PollCommit, PollState, ScheduleState, StoredRecord, Subscription, Version};
use super::{Connection, Micros, StoreError};
use crate::text::Digest;

/// Versions of a workflow that are kept beside those that executions are on.
const MAX_VERSIONS: i64 = 10_000;

pub(super) async fn publish(
    connection: &mut Connection,
    environment: &str,
    generation: u64,
    (workflow, digest, content): &(String, Digest, String),
    now: Micros,
) -> Result<Version, StoreError> {
    let generation = i64::try_from(generation).unwrap_or(i64::MAX);
    if let Some(known) = known(connection, environment, workflow, *digest).await? {
        return Ok(known);
    }
    let statement = "INSERT INTO workflow_versions (environment, workflow, version, digest, generation, created_at, \
                     content) SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6 FROM workflow_versions \
                     WHERE environment = $1 AND workflow = $2 ON CONFLICT DO NOTHING";
    let query = sqlx::query(statement).bind(environment).bind(workflow).bind(digest.bytes().as_slice());
    query.bind(generation).bind(now).bind(content).execute(&mut *connection).await?;
    let known = known(connection, environment, workflow, *digest).await?;
    known.ok_or_else(|| StoreError::Unavailable("another process makes versions too".into()))
}

async fn known(
    connection: &mut Connection,
    environment: &str,
    workflow: &str,
    digest: Digest,
) -> Result<Option<Version>, StoreError> {
    let statement = "SELECT workflow, version, digest, generation, created_at FROM workflow_versions \
                     WHERE environment = $1 AND workflow = $2 AND digest = $3 ORDER BY version LIMIT 1";
    let query = sqlx::query(statement).bind(environment).bind(workflow).bind(digest.bytes().as_slice());
    query.fetch_optional(connection).await?.as_ref().map(read_version).transpose()
}

fn read_version(row: &super::Row) -> Result<Version, StoreError> {
    let digest: Vec<u8> = row.try_get("digest")?;
    Ok(Version {
        workflow: row.try_get("workflow")?,
        version: row.try_get("version")?,
        digest: Digest::from_bytes(&digest).ok_or_else(|| unreadable("a digest"))?,
        generation: row.try_get("generation")?,
        at: row.try_get("created_at")?,
    })
}

pub(super) async fn versions(connection: &mut Connection, environment: &str) -> Result<Vec<Version>, StoreError> {
    let statement = "SELECT workflow, version, digest, generation, created_at FROM workflow_versions \
                     WHERE environment = $1 ORDER BY workflow, version LIMIT $2";
    let query = sqlx::query(statement).bind(environment).bind(MAX_VERSIONS);
    query.fetch_all(connection).await?.iter().map(read_version).collect()
}

pub(super) async fn content(
    connection: &mut Connection,
    environment: &str,
    workflow: &str,
    version: i64,
) -> Result<Option<String>, StoreError> {
    let statement = "SELECT content FROM workflow_versions WHERE environment = $1 AND workflow = $2 AND version = $3";
    let query = sqlx::query_scalar(statement).bind(environment).bind(workflow).bind(version);
    Ok(query.fetch_optional(connection).await?)
}

pub(super) async fn schedule(
    connection: &mut Connection,
    environment: &str,
    trigger: &str,
    now: Micros,
) -> Result<ScheduleState, StoreError> {
    for _ in 0..2 {
        let statement = "SELECT until_at, fired, missed, late, last_at, shape FROM schedules \
                         WHERE environment = $1 AND trigger_name = $2";
        let query = sqlx::query(statement).bind(environment).bind(trigger);
        if let Some(row) = query.fetch_optional(&mut *connection).await? {
            return Ok(ScheduleState {
                until: row.try_get("until_at")?,
                fired: row.try_get("fired")?,
                missed: row.try_get("missed")?,
                late: row.try_get("late")?,
                last: row.try_get("last_at")?,
                shape: row.try_get("shape")?,
            });
        }
        let statement = "INSERT INTO schedules (environment, trigger_name, until_at, fired, missed, late, last_at, \
                         shape) VALUES ($1, $2, $3, 0, 0, 0, 0, '') ON CONFLICT DO NOTHING";
        sqlx::query(statement).bind(environment).bind(trigger).bind(now).execute(&mut *connection).await?;
    }
    Err(unreadable("a schedule"))
}

/// Moves a schedule on; gives whether it was where it was expected.
pub(super) async fn tick(
    connection: &mut Connection,
    environment: &str,
    trigger: &str,
    before: &ScheduleState,
    after: &ScheduleState,
) -> Result<bool, StoreError> {
    let statement = "UPDATE schedules SET until_at = $3, fired = $4, missed = $5, late = $6, last_at = $7, \
                     shape = $9 WHERE environment = $1 AND trigger_name = $2 AND until_at = $8 AND shape = $10";
    let query = sqlx::query(statement).bind(environment).bind(trigger).bind(after.until).bind(after.fired);
    let query = query.bind(after.missed).bind(after.late).bind(after.last).bind(before.until);
    let query = query.bind(&after.shape).bind(&before.shape);
    Ok(query.execute(connection).await?.rows_affected() > 0)
}

pub(super) async fn subscriptions(
    connection: &mut Connection,
    environment: &str,
) -> Result<Vec<Subscription>, StoreError> {
    let statement = "SELECT value FROM subscriptions WHERE environment = $1 ORDER BY trigger_name, connection LIMIT $2";
    let query = sqlx::query_scalar(statement).bind(environment).bind(i64::from(MAX_ROWS));
    let values: Vec<String> = query.fetch_all(connection).await?;
    values.iter().map(|text| serde_json::from_str(text).map_err(|_| unreadable("a subscription"))).collect()
}

pub(super) async fn put_subscription(
    connection: &mut Connection,
    environment: &str,
    subscription: &Subscription,
) -> Result<u64, StoreError> {
    let statement = "INSERT INTO subscriptions (environment, trigger_name, connection, value) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (environment, trigger_name, connection) DO UPDATE SET value = excluded.value";
    let value = serde_json::to_string(subscription).map_err(|error| StoreError::Refused(error.to_string()))?;
    let query = sqlx::query(statement).bind(environment).bind(&subscription.trigger).bind(&subscription.connection);
    Ok(query.bind(value).execute(connection).await?.rows_affected())
}

/// Removes what a table has of a trigger and a connection.
pub(super) async fn remove(
    connection: &mut Connection,
    table: &'static str,
    (environment, trigger, name): (&str, &str, &str),
) -> Result<u64, StoreError> {
    let statement = format!("DELETE FROM {table} WHERE environment = $1 AND trigger_name = $2 AND connection = $3");
    let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(environment).bind(trigger).bind(name);
    Ok(query.execute(connection).await?.rows_affected())
}

pub(super) async fn polls(connection: &mut Connection, environment: &str) -> Result<Vec<PollState>, StoreError> {
    let statement =
        "SELECT version, value FROM polls WHERE environment = $1 ORDER BY trigger_name, connection LIMIT $2";
    let query = sqlx::query(statement).bind(environment).bind(i64::from(MAX_ROWS));
    let rows = query.fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let text: String = row.try_get("value")?;
            let mut state: PollState = serde_json::from_str(&text).map_err(|_| unreadable("a poller"))?;
            state.version = row.try_get("version")?;
            Ok(state)
        })
        .collect()
}

pub(super) async fn records(
    connection: &mut Connection,
    environment: &str,
    trigger: &str,
    name: &str,
) -> Result<Vec<StoredRecord>, StoreError> {
    const MAX_RECORDS: i64 = 200_000;
    let statement = "SELECT id, hash, seen_at, fields FROM records WHERE environment = $1 AND trigger_name = $2 \
                     AND connection = $3 LIMIT $4";
    let query = sqlx::query(statement).bind(environment).bind(trigger).bind(name).bind(MAX_RECORDS);
    let rows = query.fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let fields: String = row.try_get("fields")?;
            Ok(StoredRecord {
                id: row.try_get("id")?,
                hash: row.try_get("hash")?,
                fields: serde_json::from_str(&fields).map_err(|_| unreadable("a record"))?,
                seen: row.try_get("seen_at")?,
            })
        })
        .collect()
}

/// Stores where a poller stands; [`StoreError::Fenced`] where it is further by now.
pub(super) async fn polled(connection: &mut Connection, polled: &PollCommit) -> Result<u64, StoreError> {
    let PollCommit { environment, state, upserted: remember, deleted: forget } = polled;
    let value = serde_json::to_string(state).map_err(|error| StoreError::Refused(error.to_string()))?;
    let statement = "INSERT INTO polls (environment, trigger_name, connection, version, value) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (environment, trigger_name, connection) DO UPDATE SET value = excluded.value, \
                     version = excluded.version WHERE polls.version = $6";
    let query = sqlx::query(statement).bind(environment).bind(&state.trigger).bind(&state.connection);
    let query = query.bind(state.version + 1).bind(value).bind(state.version);
    let mut rows = query.execute(&mut *connection).await?.rows_affected();
    if rows == 0 {
        return Err(StoreError::Fenced { lease: format!("poll {}", state.trigger) });
    }
    for record in remember {
        let statement = "INSERT INTO records (environment, trigger_name, connection, id, hash, seen_at, fields) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (environment, trigger_name, connection, id) \
                         DO UPDATE SET hash = excluded.hash, seen_at = excluded.seen_at, fields = excluded.fields";
        let query = sqlx::query(statement).bind(environment).bind(&state.trigger).bind(&state.connection);
        let query = query.bind(&record.id).bind(&record.hash).bind(record.seen).bind(record.fields.to_string());
        rows += query.execute(&mut *connection).await?.rows_affected();
    }
    for id in forget {
        let statement =
            "DELETE FROM records WHERE environment = $1 AND trigger_name = $2 AND connection = $3 AND id = $4";
        let query = sqlx::query(statement).bind(environment).bind(&state.trigger).bind(&state.connection).bind(id);
        rows += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(rows)
}

pub(super) async fn memory(
    connection: &mut Connection,
    (environment, scope, key): (&str, &str, &str),
    now: Micros,
) -> Result<Option<Value>, StoreError> {
    let statement = "SELECT value FROM memories WHERE environment = $1 AND scope = $2 AND name = $3 \
                     AND (expires_at = 0 OR expires_at > $4)";
    let query = sqlx::query_scalar(statement).bind(environment).bind(scope).bind(key).bind(now);
    let found: Option<String> = query.fetch_optional(connection).await?;
    found.map(|text| serde_json::from_str(&text).map_err(|_| unreadable("a value"))).transpose()
}

pub(super) async fn remember(
    connection: &mut Connection,
    (environment, scope, key): (&str, &str, &str),
    value: &Value,
    expires_at: Micros,
) -> Result<u64, StoreError> {
    if value.is_null() {
        let statement = "DELETE FROM memories WHERE environment = $1 AND scope = $2 AND name = $3";
        let query = sqlx::query(statement).bind(environment).bind(scope).bind(key);
        return Ok(query.execute(connection).await?.rows_affected());
    }
    let statement = "INSERT INTO memories (environment, scope, name, expires_at, value) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (environment, scope, name) DO UPDATE SET expires_at = excluded.expires_at, \
                     value = excluded.value";
    let query = sqlx::query(statement).bind(environment).bind(scope).bind(key).bind(expires_at);
    Ok(query.bind(value.to_string()).execute(connection).await?.rows_affected())
}
