//! The state of triggers: schedules, subscriptions, pollers.

use super::super::super::limits::{MAX_ROWS, unreadable};
use super::super::super::queue::{PollCommit, PollState, ScheduleState, StoredRecord, Subscription};
use super::super::super::sql::{Connection, Json, optional, optional_time, query};
use super::super::super::{Micros, StoreError};

/// Maximum number of records of a poller.
const MAX_RECORDS: i64 = 200_000;

/// The state of a schedule; created with all times until now processed.
pub(super) async fn schedule(
    connection: &mut dyn Connection,
    environment: &str,
    trigger: &str,
    now: Micros,
) -> Result<ScheduleState, StoreError> {
    for _ in 0..2 {
        let statement = "SELECT until_at, fired, missed, late, last_at, error, shape FROM schedules \
                         WHERE environment = $1 AND trigger_name = $2";
        if let Some(row) = query(statement).bind(environment).bind(trigger).fetch_optional(connection).await? {
            return Ok(ScheduleState {
                until: row.get("until_at")?,
                fired: row.get("fired")?,
                missed: row.get("missed")?,
                late: row.get("late")?,
                last: row.time("last_at")?,
                error: row.text("error")?,
                shape: row.get("shape")?,
            });
        }
        let statement = "INSERT INTO schedules (environment, trigger_name, until_at, fired, missed, late, shape) \
                         VALUES ($1, $2, $3, 0, 0, 0, '') ON CONFLICT DO NOTHING";
        query(statement).bind(environment).bind(trigger).bind(now).execute(connection).await?;
    }
    Err(unreadable("a schedule"))
}

/// Moves a schedule on; returns false if it is not in the expected state.
pub(super) async fn tick(
    connection: &mut dyn Connection,
    environment: &str,
    trigger: &str,
    before: &ScheduleState,
    after: &ScheduleState,
) -> Result<bool, StoreError> {
    let statement = "UPDATE schedules SET until_at = $3, fired = $4, missed = $5, late = $6, last_at = $7, \
                     shape = $8, error = $11 WHERE environment = $1 AND trigger_name = $2 AND until_at = $9 AND shape = $10";
    let statement = query(statement).bind(environment).bind(trigger).bind(after.until).bind(after.fired);
    let statement = statement.bind(after.missed).bind(after.late).bind(optional_time(after.last)).bind(&after.shape);
    let statement = statement.bind(before.until).bind(&before.shape).bind(optional(&after.error));
    Ok(statement.execute(connection).await? > 0)
}

pub(super) async fn subscriptions(
    connection: &mut dyn Connection,
    environment: &str,
) -> Result<Vec<Subscription>, StoreError> {
    let statement = "SELECT value FROM subscriptions WHERE environment = $1 ORDER BY trigger_name, connection LIMIT $2";
    let rows = query(statement).bind(environment).bind(i64::from(MAX_ROWS)).fetch_all(connection).await?;
    rows.iter().map(|row| row.get::<Json>("value")?.parse("a subscription")).collect()
}

pub(super) async fn put_subscription(
    connection: &mut dyn Connection,
    environment: &str,
    subscription: &Subscription,
) -> Result<u64, StoreError> {
    let statement = "INSERT INTO subscriptions (environment, trigger_name, connection, value) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (environment, trigger_name, connection) DO UPDATE SET value = excluded.value";
    let statement = query(statement).bind(environment).bind(&subscription.trigger).bind(&subscription.connection);
    statement.bind(Json::document(subscription)?).execute(connection).await
}

pub(super) async fn remove_subscription(
    connection: &mut dyn Connection,
    environment: &str,
    trigger: &str,
    name: &str,
) -> Result<u64, StoreError> {
    let statement = "DELETE FROM subscriptions WHERE environment = $1 AND trigger_name = $2 AND connection = $3";
    query(statement).bind(environment).bind(trigger).bind(name).execute(connection).await
}

pub(super) async fn polls(connection: &mut dyn Connection, environment: &str) -> Result<Vec<PollState>, StoreError> {
    let statement =
        "SELECT version, value FROM polls WHERE environment = $1 ORDER BY trigger_name, connection LIMIT $2";
    let rows = query(statement).bind(environment).bind(i64::from(MAX_ROWS)).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let state: PollState = row.get::<Json>("value")?.parse("a poller")?;
            Ok(PollState { version: row.get("version")?, ..state })
        })
        .collect()
}

pub(super) async fn records(
    connection: &mut dyn Connection,
    environment: &str,
    trigger: &str,
    name: &str,
) -> Result<Vec<StoredRecord>, StoreError> {
    let statement = "SELECT id, hash, seen_at, fields FROM poll_records WHERE environment = $1 AND trigger_name = $2 \
                     AND connection = $3 LIMIT $4";
    let rows = query(statement).bind(environment).bind(trigger).bind(name).bind(MAX_RECORDS);
    let rows = rows.fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let (id, hash, seen) = (row.get("id")?, row.get("hash")?, row.get("seen_at")?);
            Ok(StoredRecord { id, hash, fields: row.json("fields")?, seen })
        })
        .collect()
}

/// Stores the result of a poll; [`StoreError::Fenced`] if another poll was stored since its version was read.
pub(super) async fn commit_poll(connection: &mut dyn Connection, poll: &PollCommit) -> Result<u64, StoreError> {
    let PollCommit { environment, state, upserted, deleted } = poll;
    let statement = "INSERT INTO polls (environment, trigger_name, connection, version, value) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (environment, trigger_name, connection) DO UPDATE SET value = excluded.value, \
                     version = excluded.version WHERE polls.version = $6";
    let statement = query(statement).bind(environment).bind(&state.trigger).bind(&state.connection);
    let statement = statement.bind(state.version + 1).bind(Json::document(state)?).bind(state.version);
    let mut rows = statement.execute(connection).await?;
    if rows == 0 {
        return Err(StoreError::Fenced { lease: format!("poll {}", state.trigger) });
    }
    for record in upserted {
        let statement = "INSERT INTO poll_records (environment, trigger_name, connection, id, hash, seen_at, fields) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (environment, trigger_name, connection, id) \
                         DO UPDATE SET hash = excluded.hash, seen_at = excluded.seen_at, fields = excluded.fields";
        let statement = query(statement).bind(environment).bind(&state.trigger).bind(&state.connection);
        let statement = statement.bind(&record.id).bind(&record.hash).bind(record.seen);
        rows += statement.bind(Json::of(&record.fields)).execute(connection).await?;
    }
    for id in deleted {
        let statement =
            "DELETE FROM poll_records WHERE environment = $1 AND trigger_name = $2 AND connection = $3 AND id = $4";
        let statement = query(statement).bind(environment).bind(&state.trigger).bind(&state.connection).bind(id);
        rows += statement.execute(connection).await?;
    }
    Ok(rows)
}

/// Deletes a poller; its records are deleted with it.
pub(super) async fn remove_poll(
    connection: &mut dyn Connection,
    environment: &str,
    trigger: &str,
    name: &str,
) -> Result<u64, StoreError> {
    let statement = "DELETE FROM polls WHERE environment = $1 AND trigger_name = $2 AND connection = $3";
    query(statement).bind(environment).bind(trigger).bind(name).execute(connection).await
}
