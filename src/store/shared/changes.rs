//! Writes of the queue, each as a whole.

use super::super::super::queue::{Change, Claim, DeadLetter, Done, Event, Intake, LogLine, NewRun, Outcome, Step};
use super::super::super::queue::{PARKED, RunStatus};
use super::{Connection, Micros, StoreError, runs, triggers};

/// Names that changes lock, sorted: all at once, before anything else, so that no two transactions wait for each other.
pub(super) fn names(changes: &[Change]) -> Vec<String> {
    let mut names = Vec::new();
    for change in changes {
        let claim = |claim: &Claim, follow: &[NewRun]| {
            let own = [(claim.environment.as_str(), claim.lane.as_str(), claim.gate.as_str())];
            runs::lock_names(own.into_iter().chain(follow.iter().map(of_run)))
        };
        match change {
            Change::Accept(intake) => {
                names.extend(runs::lock_names(intake.runs.iter().map(of_run)));
                names.extend(
                    intake
                        .key
                        .iter()
                        .zip(&intake.event)
                        .map(|(key, event)| format!("{}/key/{}/{}", event.environment, event.trigger, key.key)),
                );
                let batches = intake.runs.iter().filter(|run| !run.batch.is_empty());
                names.extend(batches.map(|run| format!("{}/batch/{}", run.environment, run.batch)));
            }
            Change::Leave { claim: own, follow, .. } => names.extend(claim(own, follow)),
            Change::Progress { follow, .. } => names.extend(runs::lock_names(follow.iter().map(of_run))),
        }
    }
    names.sort();
    names.dedup();
    names
}

/// Executions that changes write, which are locked in one order before the first is written: two who hold one and wait for
/// the other's would wait for good. One alone that answers nobody needs no more than its own lock.
pub(super) fn rows(changes: &[Change]) -> Vec<&str> {
    let rows = changes.iter().filter_map(|change| match change {
        Change::Accept(_) => None,
        Change::Progress { claim, .. } | Change::Leave { claim, .. } => Some(claim.run.as_str()),
    });
    let rows: Vec<&str> = rows.collect();
    let ends = |change: &Change| matches!(change, Change::Leave { outcome: Outcome::Ended(..), .. });
    if rows.len() > 1 || changes.iter().any(ends) { rows } else { Vec::new() }
}

fn of_run(run: &NewRun) -> (&str, &str, &str) {
    (&run.environment, &run.lane, &run.gate)
}

pub(super) async fn apply(connection: &mut Connection, change: &Change, now: Micros) -> Result<Done, StoreError> {
    match change {
        Change::Accept(intake) => accept(connection, intake, now).await,
        Change::Progress { claim, steps, logs, follow } => {
            if runs::hold(connection, claim).await?.is_none() {
                return Ok(Done::Fenced);
            }
            record(connection, claim, steps, logs).await?;
            for run in follow {
                runs::insert(connection, run, now, None).await?;
            }
            Ok(Done::Stored(Vec::new()))
        }
        Change::Leave { claim, outcome, steps, logs, follow, dead, next } => {
            let Some(run) = runs::hold(connection, claim).await? else { return Ok(Done::Fenced) };
            record(connection, claim, steps, logs).await?;
            // Who asked it to end is not to find it going on.
            let cancelled = Outcome::Ended(
                RunStatus::Cancelled,
                serde_json::Value::Null,
                serde_json::json!({"code": "CANCELLED", "message": "it was cancelled while it ran"}),
            );
            let outcome = match outcome {
                Outcome::Ended(..) => outcome,
                _ if run.cancelled => &cancelled,
                other => other,
            };
            leave(connection, &run, outcome, now).await?;
            let mut taken = Vec::new();
            if let Outcome::Ended(status, output, error) = outcome {
                let woken = runs::wake_next(connection, &run.environment, claim, now).await?;
                if let (Some(id), Some((worker, lease))) = (woken.first(), next) {
                    taken.extend(runs::take_one(connection, id, worker, *lease, now).await?);
                }
                answer(connection, &run, *status, output, error, now).await?;
            }
            for run in follow {
                runs::insert(connection, run, now, None).await?;
            }
            if let Some(dead) = dead {
                bury(connection, dead, now).await?;
            }
            Ok(Done::Stored(taken))
        }
    }
}

pub(super) async fn accept(connection: &mut Connection, intake: &Intake, now: Micros) -> Result<Done, StoreError> {
    if let Some((environment, trigger, before, after)) = &intake.tick
        && !triggers::tick(connection, environment, trigger, before, after).await?
    {
        return Ok(Done::Fenced);
    }
    if let Some((environment, letter)) = &intake.replays
        && !super::record::replayed(connection, environment, letter).await?
    {
        return Ok(Done::Fenced);
    }
    if let (Some(key), Some(event)) = (&intake.key, &intake.event) {
        let statement = "INSERT INTO event_keys (environment, trigger_name, key, event, expires_at) \
                         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (environment, trigger_name, key) DO UPDATE SET \
                         event = excluded.event, expires_at = excluded.expires_at WHERE event_keys.expires_at <= $6";
        let query = sqlx::query(statement).bind(&event.environment).bind(&event.trigger).bind(&key.key);
        let query = query.bind(&event.id).bind(now.saturating_add(key.window)).bind(now);
        if query.execute(&mut *connection).await?.rows_affected() == 0 {
            let statement = "SELECT event FROM event_keys WHERE environment = $1 AND trigger_name = $2 AND key = $3";
            let query = sqlx::query_scalar(statement).bind(&event.environment).bind(&event.trigger).bind(&key.key);
            return Ok(Done::Duplicate(query.fetch_one(connection).await?));
        }
    }
    if let Some(event) = &intake.event {
        insert_event(connection, event, now).await?;
    }
    let mut taken = Vec::new();
    let worker = intake.claimed_by.as_ref().map(|(worker, lease)| (worker.as_str(), *lease));
    for (at, run) in (0..).zip(&intake.runs) {
        // What comes together has an order too.
        taken.extend(runs::insert(connection, run, now + at, worker).await?);
    }
    for dead in &intake.dead {
        bury(connection, dead, now).await?;
    }
    Ok(Done::Stored(taken))
}

async fn insert_event(connection: &mut Connection, event: &Event, now: Micros) -> Result<(), StoreError> {
    let statement = "INSERT INTO events (id, environment, trigger_name, kind, received_at, outcome, request, trace, \
                     headers, payload) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING";
    sqlx::query(statement)
        .bind(&event.id)
        .bind(&event.environment)
        .bind(&event.trigger)
        .bind(&event.kind)
        .bind(now)
        .bind(&event.outcome)
        .bind(&event.request)
        .bind(&event.trace)
        .bind(event.headers.to_string())
        .bind(event.payload.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn bury(connection: &mut Connection, dead: &DeadLetter, now: Micros) -> Result<(), StoreError> {
    let statement = "INSERT INTO dead_letters (id, environment, trigger_name, workflow, event, run, tenant, reason, \
                     message, status, replays, created_at, kept_for, kept_until, headers, payload) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'Pending', $10, $11, $12, $13, $14, $15)";
    sqlx::query(statement)
        .bind(&dead.id)
        .bind(&dead.environment)
        .bind(&dead.trigger)
        .bind(&dead.workflow)
        .bind(&dead.event)
        .bind(&dead.run)
        .bind(&dead.tenant)
        .bind(&dead.reason)
        // PostgreSQL stores no zero bytes.
        .bind(dead.message.replace('\0', "\u{fffd}"))
        .bind(dead.replays)
        .bind(now)
        .bind(dead.retention)
        .bind(now.saturating_add(dead.retention))
        .bind(dead.headers.to_string())
        .bind(dead.payload.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

async fn record(
    connection: &mut Connection,
    claim: &Claim,
    steps: &[Step],
    logs: &[LogLine],
) -> Result<(), StoreError> {
    for step in steps {
        let statement = "INSERT INTO steps (run, name, position, kind, attempt, status, started_at, finished_at, error, \
                         input, output) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                         ON CONFLICT (run, name) DO UPDATE SET position = excluded.position, kind = excluded.kind, \
                         attempt = excluded.attempt, status = excluded.status, started_at = excluded.started_at, \
                         finished_at = excluded.finished_at, error = excluded.error, input = excluded.input, \
                         output = excluded.output";
        sqlx::query(statement)
            .bind(&claim.run)
            .bind(&step.name)
            .bind(step.order)
            .bind(&step.kind)
            .bind(step.attempt)
            .bind(&step.status)
            .bind(step.started_at)
            .bind(step.finished_at)
            .bind(step.error.to_string())
            .bind(step.input.to_string())
            .bind(step.output.to_string())
            .execute(&mut *connection)
            .await?;
    }
    // Lines of the same moment may be there already.
    let mut place = match logs.first() {
        Some(first) => {
            let statement = "SELECT count(*) FROM run_logs WHERE run = $1 AND id >= $2";
            let query = sqlx::query_scalar(statement).bind(&claim.run).bind(format!("{:016x}", first.at));
            query.fetch_one(&mut *connection).await?
        }
        None => 0_i64,
    };
    for line in logs {
        let statement = "INSERT INTO run_logs (run, id, written_at, level, message) VALUES ($1, $2, $3, $4, $5) \
                         ON CONFLICT (run, id) DO NOTHING";
        // The claim and the time make it unique; the count keeps lines of one moment apart, and in order.
        let id = format!("{:016x}-{:06}-{place:06}", line.at, claim.token);
        place += 1;
        let query = sqlx::query(statement).bind(&claim.run).bind(id).bind(line.at).bind(&line.level);
        // PostgreSQL stores no zero bytes.
        query.bind(line.message.replace('\0', "\u{fffd}")).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn leave(
    connection: &mut Connection,
    run: &super::super::super::queue::Run,
    outcome: &Outcome,
    now: Micros,
) -> Result<(), StoreError> {
    let query = match outcome {
        Outcome::Ended(status, output, error) => {
            let statement = "UPDATE runs SET status = $2, output = $3, error = $4, finished_at = $5, ready_at = NULL \
                             WHERE id = $1";
            let query = sqlx::query(statement).bind(&run.id).bind(status.as_str()).bind(output.to_string());
            query.bind(error.to_string()).bind(now)
        }
        Outcome::Again(at, error) => {
            let statement = "UPDATE runs SET status = 'Queued', error = $2, ready_at = $3, attempt = attempt + 1, \
                             deadline_at = 0 WHERE id = $1";
            sqlx::query(statement).bind(&run.id).bind(error.to_string()).bind(*at)
        }
        Outcome::Waits(until, deadline) => {
            // What it waits for may have come between its look and this.
            let statement = "UPDATE runs SET status = 'Waiting', ready_at = CASE WHEN EXISTS (SELECT 1 FROM signals \
                             JOIN steps ON steps.run = signals.run AND steps.status = 'Waiting' AND (steps.name = \
                             signals.name OR signals.name = steps.name || ' @' || CAST(steps.attempt AS TEXT)) \
                             WHERE signals.run = runs.id) THEN $3 ELSE $2 END, deadline_at = $4 WHERE id = $1";
            sqlx::query(statement).bind(&run.id).bind(*until).bind(now).bind(*deadline)
        }
        Outcome::GivenBack => {
            let statement = "UPDATE runs SET status = 'Queued', ready_at = $2 WHERE id = $1";
            sqlx::query(statement).bind(&run.id).bind(now)
        }
    };
    query.execute(connection).await?;
    Ok(())
}

/// Tells the execution that started this one and waits for it.
async fn answer(
    connection: &mut Connection,
    run: &super::super::super::queue::Run,
    status: RunStatus,
    output: &serde_json::Value,
    error: &serde_json::Value,
    now: Micros,
) -> Result<(), StoreError> {
    if run.answers.is_empty() || run.parent.is_empty() {
        return Ok(());
    }
    let payload = serde_json::json!({"run": run.id, "status": status.as_str(), "output": output, "error": error});
    signal(connection, &run.parent, &run.answers, &payload, now).await
}

/// Keeps others from changing an execution: one that is about to wait must not miss what it waits for.
/// Gives whether it has not ended.
pub(super) async fn hold_row(connection: &mut Connection, run: &str) -> Result<bool, StoreError> {
    let statement = format!("SELECT id FROM runs WHERE id = $1 AND ready_at IS NOT NULL{}", super::super::FOR_UPDATE);
    Ok(sqlx::query(sqlx::AssertSqlSafe(statement)).bind(run).fetch_optional(connection).await?.is_some())
}

/// Stores what an execution is told, and wakes it. The first word counts.
pub(super) async fn signal(
    connection: &mut Connection,
    run: &str,
    name: &str,
    payload: &serde_json::Value,
    now: Micros,
) -> Result<(), StoreError> {
    if !hold_row(connection, run).await? {
        return Ok(());
    }
    let statement = "INSERT INTO signals (run, name, payload) VALUES ($1, $2, $3) ON CONFLICT (run, name) DO NOTHING";
    sqlx::query(statement).bind(run).bind(name).bind(payload.to_string()).execute(&mut *connection).await?;
    let statement = "UPDATE runs SET ready_at = $2 WHERE id = $1 AND status = 'Waiting' AND ready_at > $2";
    sqlx::query(statement).bind(run).bind(now).execute(connection).await?;
    Ok(())
}

/// Asks an execution to end: at once where no worker has it.
pub(super) async fn cancel(
    connection: &mut Connection,
    environment: &str,
    id: &str,
    now: Micros,
) -> Result<Option<RunStatus>, StoreError> {
    let statement = "SELECT status, lane, gate FROM runs WHERE environment = $1 AND id = $2";
    let found: Option<(String, String, String)> =
        sqlx::query_as(statement).bind(environment).bind(id).fetch_optional(&mut *connection).await?;
    let Some((_, lane, gate)) = found else { return Ok(None) };
    runs::lock(connection, &runs::lock_names([(environment, lane.as_str(), gate.as_str())].into_iter())).await?;
    let statement = format!("SELECT status FROM runs WHERE id = $1{}", super::super::FOR_UPDATE);
    let status: String =
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(id).fetch_one(&mut *connection).await?;
    let Some(status) = RunStatus::from_word(&status) else {
        return Err(super::super::super::common::unreadable("an execution"));
    };
    match status {
        RunStatus::Queued | RunStatus::Waiting => {
            let error = serde_json::json!({"code": "CANCELLED", "message": "it was cancelled before it went on"});
            let statement = "UPDATE runs SET status = 'Cancelled', cancelled = 1, finished_at = $2, ready_at = NULL, \
                             error = $3, token = token + 1 WHERE id = $1";
            sqlx::query(statement).bind(id).bind(now).bind(error.to_string()).execute(&mut *connection).await?;
            let claim = Claim { run: id.to_owned(), environment: environment.to_owned(), token: 0, lane, gate };
            runs::wake_next(connection, environment, &claim, now).await?;
            if let Some(run) = runs::one(connection, id).await? {
                answer(connection, &run, RunStatus::Cancelled, &serde_json::Value::Null, &error, now).await?;
            }
        }
        RunStatus::Running => {
            sqlx::query("UPDATE runs SET cancelled = 1 WHERE id = $1").bind(id).execute(connection).await?;
        }
        _ => {}
    }
    Ok(Some(status))
}

/// Everything that is parked is far in the future.
const _: () = assert!(PARKED > 1 << 60);
