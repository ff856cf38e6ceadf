//! Writes of the queue, each as a whole.

use super::super::super::queue::{
    Change, Claim, CommitResult, DeadLetter, Disposition, EnqueueRequest, Event, Execution, ExecutionStatus, LogLine,
    NewExecution, PARKED,
};
use super::bulk::{self, Held};
use super::{Connection, Micros, StoreError, runs, triggers};

/// Names that changes lock, sorted: all at once, before anything else, so that no two transactions wait for each other.
pub(super) fn names(changes: &[Change]) -> Vec<String> {
    let mut names = Vec::new();
    for change in changes {
        let claim = |claim: &Claim, follow_ups: &[NewExecution]| {
            let own = [(claim.environment.as_str(), claim.ordering_key.as_str(), claim.concurrency_group.as_str())];
            runs::lock_names(own.into_iter().chain(follow_ups.iter().map(of_run)))
        };
        match change {
            Change::Accept(intake) => {
                names.extend(runs::lock_names(intake.executions.iter().map(of_run)));
                names.extend(
                    intake
                        .dedup_key
                        .iter()
                        .zip(&intake.event)
                        .map(|(key, event)| format!("{}/key/{}/{}", event.environment, event.trigger, key.key)),
                );
                let batches = intake.executions.iter().filter(|run| !run.batch_key.is_empty());
                names.extend(batches.map(|run| format!("{}/batch/{}", run.environment, run.batch_key)));
            }
            Change::Release { claim: own, follow_ups, .. } => names.extend(claim(own, follow_ups)),
            Change::Progress { follow_ups, .. } => names.extend(runs::lock_names(follow_ups.iter().map(of_run))),
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
        Change::Progress { claim, .. } | Change::Release { claim, .. } => Some(claim.execution.as_str()),
    });
    let rows: Vec<&str> = rows.collect();
    let ends = |change: &Change| matches!(change, Change::Release { disposition: Disposition::Ended(..), .. });
    if rows.len() > 1 || changes.iter().any(ends) { rows } else { Vec::new() }
}

fn of_run(run: &NewExecution) -> (&str, &str, &str) {
    (&run.environment, &run.ordering_key, &run.concurrency_group)
}

/// Applies changes: what comes in first, in its order; then executions in the order of their ids, as all transactions
/// lock them.
pub(super) async fn apply(
    connection: &mut Connection,
    all: &[Change],
    now: Micros,
) -> Result<Vec<CommitResult>, StoreError> {
    let mut done: Vec<Option<CommitResult>> = vec![None; all.len()];
    let (mut intakes, mut writes) = (Vec::new(), Vec::new());
    for (at, change) in all.iter().enumerate() {
        match change {
            Change::Accept(intake) => intakes.push((at, &**intake)),
            Change::Progress { claim, .. } | Change::Release { claim, .. } => writes.push((at, claim, change)),
        }
    }
    writes.sort_by_key(|(_, claim, _)| claim.execution.as_str());
    for (at, result) in accept(connection, &intakes, now).await? {
        done[at] = Some(result);
    }
    for (at, result) in write(connection, &writes, now).await? {
        done[at] = Some(result);
    }
    Ok(done.into_iter().flatten().collect())
}

/// Takes in what comes.
async fn accept(
    connection: &mut Connection,
    intakes: &[(usize, &EnqueueRequest)],
    now: Micros,
) -> Result<Vec<(usize, CommitResult)>, StoreError> {
    let mut done = Vec::with_capacity(intakes.len());
    let mut wanted = Vec::with_capacity(intakes.len());
    for (at, intake) in intakes {
        match known(connection, intake, now).await? {
            Some(known) => done.push((*at, known)),
            None => wanted.push((*at, *intake)),
        }
    }
    let events: Vec<&Event> = wanted.iter().filter_map(|(_, intake)| intake.event.as_ref()).collect();
    let new = bulk::events(connection, &events, now).await?;
    let mut free = Vec::new();
    for (at, intake) in wanted {
        let mut taken = Vec::new();
        // A try whose answer was lost stored it, with everything that it starts.
        if intake.event.as_ref().is_none_or(|event| new.contains(&event.id)) {
            let worker = intake.claimed_by.as_ref().map(|(worker, lease)| (worker.as_str(), *lease));
            for (place, run) in (0..).zip(&intake.executions) {
                // What comes together has an order too.
                let now = now + place;
                match runs::Admitted::freely(run, now, worker) {
                    Some(admitted) => free.push((done.len(), admitted)),
                    None => taken.extend(runs::insert(connection, run, now, worker).await?),
                }
            }
            for dead in &intake.dead_letters {
                bury(connection, dead, now).await?;
            }
        }
        done.push((at, CommitResult::Stored(taken)));
    }
    let (places, free): (Vec<usize>, Vec<runs::Admitted<'_>>) = free.into_iter().unzip();
    bulk::runs(connection, &free).await?;
    for (place, admitted) in places.into_iter().zip(free) {
        if let Some((_, CommitResult::Stored(taken))) = done.get_mut(place) {
            taken.extend(admitted.taken());
        }
    }
    Ok(done)
}

/// Was this fired, replayed or received before?
async fn known(
    connection: &mut Connection,
    intake: &EnqueueRequest,
    now: Micros,
) -> Result<Option<CommitResult>, StoreError> {
    if let Some((environment, trigger, before, after)) = &intake.tick
        && !triggers::tick(connection, environment, trigger, before, after).await?
    {
        return Ok(Some(CommitResult::Fenced));
    }
    if let Some((environment, letter)) = &intake.replays
        && !super::record::replayed(connection, environment, letter).await?
    {
        return Ok(Some(CommitResult::Fenced));
    }
    let (Some(key), Some(event)) = (&intake.dedup_key, &intake.event) else { return Ok(None) };
    let statement = "INSERT INTO event_keys (environment, trigger_name, key, event, expires_at) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (environment, trigger_name, key) DO UPDATE SET \
                     event = excluded.event, expires_at = excluded.expires_at WHERE event_keys.expires_at <= $6";
    let query = sqlx::query(statement).bind(&event.environment).bind(&event.trigger).bind(&key.key);
    let query = query.bind(&event.id).bind(now.saturating_add(key.window)).bind(now);
    if query.execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(None);
    }
    let statement = "SELECT event FROM event_keys WHERE environment = $1 AND trigger_name = $2 AND key = $3";
    let query = sqlx::query_scalar(statement).bind(&event.environment).bind(&event.trigger).bind(&key.key);
    Ok(Some(CommitResult::Duplicate(query.fetch_one(connection).await?)))
}

/// Writes what workers did.
async fn write(
    connection: &mut Connection,
    writes: &[(usize, &Claim, &Change)],
    now: Micros,
) -> Result<Vec<(usize, CommitResult)>, StoreError> {
    let claims: Vec<&Claim> = writes.iter().map(|(_, claim, _)| *claim).collect();
    let mut held = bulk::held(connection, &claims).await?;
    let mut done = Vec::with_capacity(writes.len());
    let (mut steps, mut going) = (Vec::new(), Vec::new());
    for (at, claim, change) in writes {
        let (Change::Progress { steps: own, logs, .. } | Change::Release { steps: own, logs, .. }) = change else {
            continue;
        };
        let Some((_, row)) = held.get(&claim.execution).filter(|(token, _)| *token == claim.token) else {
            done.push((*at, CommitResult::Fenced));
            continue;
        };
        steps.extend(own.iter().map(|step| (claim.execution.as_str(), step)));
        record(connection, claim, logs).await?;
        let row = Held::clone(row);
        // Whoever left it writes no more.
        if matches!(change, Change::Release { .. }) {
            held.remove(&claim.execution);
        }
        going.push((*at, *claim, *change, row));
    }
    bulk::steps(connection, &steps).await?;
    for (at, claim, change, row) in going {
        let mut taken = Vec::new();
        let (Change::Progress { follow_ups, .. } | Change::Release { follow_ups, .. }) = change else { continue };
        if let Change::Release { disposition: outcome, claim_next: next, .. } = change {
            taken = leave(connection, claim, &row, outcome, next.as_ref(), now).await?;
        }
        for run in follow_ups {
            runs::insert(connection, run, now, None).await?;
        }
        if let Change::Release { dead_letter: Some(dead), .. } = change {
            bury(connection, dead, now).await?;
        }
        done.push((at, CommitResult::Stored(taken)));
    }
    Ok(done)
}

/// Leaves an execution as it is to be; gives the next of its lane, where that is wanted.
async fn leave(
    connection: &mut Connection,
    claim: &Claim,
    row: &Held,
    outcome: &Disposition,
    next: Option<&(String, Micros)>,
    now: Micros,
) -> Result<Vec<Execution>, StoreError> {
    // Who asked it to end is not to find it going on.
    let cancelled = Disposition::Ended(
        ExecutionStatus::Cancelled,
        serde_json::Value::Null,
        serde_json::json!({"code": "CANCELLED", "message": "it was cancelled while it ran"}),
    );
    let outcome = match outcome {
        Disposition::Ended(..) => outcome,
        _ if row.cancelled => &cancelled,
        other => other,
    };
    put_down(connection, &claim.execution, outcome, now).await?;
    let mut taken = Vec::new();
    if let Disposition::Ended(status, output, error) = outcome {
        let woken = runs::wake_next(connection, &row.environment, claim, now).await?;
        if let (Some(id), Some((worker, lease))) = (woken.first(), next) {
            taken.extend(runs::take_one(connection, id, worker, *lease, now).await?);
        }
        answer(connection, (&claim.execution, &row.parent, &row.answers), *status, output, error, now).await?;
    }
    Ok(taken)
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
        .bind(&dead.execution)
        .bind(&dead.tenant)
        .bind(dead.reason.as_str())
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

async fn record(connection: &mut Connection, claim: &Claim, logs: &[LogLine]) -> Result<(), StoreError> {
    // Lines of the same moment may be there already.
    let mut place = match logs.first() {
        Some(first) => {
            let statement = "SELECT count(*) FROM run_logs WHERE run = $1 AND id >= $2";
            let query = sqlx::query_scalar(statement).bind(&claim.execution).bind(format!("{:016x}", first.at));
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
        let query = sqlx::query(statement).bind(&claim.execution).bind(id).bind(line.at).bind(line.level.as_str());
        // PostgreSQL stores no zero bytes.
        query.bind(line.message.replace('\0', "\u{fffd}")).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn put_down(
    connection: &mut Connection,
    run: &str,
    outcome: &Disposition,
    now: Micros,
) -> Result<(), StoreError> {
    let query = match outcome {
        Disposition::Ended(status, output, error) => {
            let statement = "UPDATE runs SET status = $2, output = $3, error = $4, finished_at = $5, ready_at = NULL \
                             WHERE id = $1";
            let query = sqlx::query(statement).bind(run).bind(status.as_str()).bind(output.to_string());
            query.bind(error.to_string()).bind(now)
        }
        Disposition::Retry(at, error) => {
            let statement = "UPDATE runs SET status = 'Queued', error = $2, ready_at = $3, attempt = attempt + 1, \
                             deadline_at = 0 WHERE id = $1";
            sqlx::query(statement).bind(run).bind(error.to_string()).bind(*at)
        }
        Disposition::Suspend(until, deadline) => {
            // What it waits for may have come between its look and this.
            let statement = "UPDATE runs SET status = 'Waiting', ready_at = CASE WHEN EXISTS (SELECT 1 FROM signals \
                             JOIN steps ON steps.run = signals.run AND steps.status = 'Waiting' AND (steps.name = \
                             signals.name OR signals.name = steps.name || ' @' || CAST(steps.attempt AS TEXT)) \
                             WHERE signals.run = runs.id) THEN $3 ELSE $2 END, deadline_at = $4 WHERE id = $1";
            sqlx::query(statement).bind(run).bind(*until).bind(now).bind(*deadline)
        }
        Disposition::Requeue => {
            let statement = "UPDATE runs SET status = 'Queued', ready_at = $2 WHERE id = $1";
            sqlx::query(statement).bind(run).bind(now)
        }
    };
    query.execute(connection).await?;
    Ok(())
}

/// Tells the execution that started this one and waits for it.
async fn answer(
    connection: &mut Connection,
    (run, parent, answers): (&str, &str, &str),
    status: ExecutionStatus,
    output: &serde_json::Value,
    error: &serde_json::Value,
    now: Micros,
) -> Result<(), StoreError> {
    if answers.is_empty() || parent.is_empty() {
        return Ok(());
    }
    let payload = serde_json::json!({"run": run, "status": status.as_str(), "output": output, "error": error});
    signal(connection, parent, answers, &payload, now).await
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
) -> Result<Option<ExecutionStatus>, StoreError> {
    let statement = "SELECT status, lane, gate FROM runs WHERE environment = $1 AND id = $2";
    let found: Option<(String, String, String)> =
        sqlx::query_as(statement).bind(environment).bind(id).fetch_optional(&mut *connection).await?;
    let Some((_, lane, gate)) = found else { return Ok(None) };
    runs::lock(connection, &runs::lock_names([(environment, lane.as_str(), gate.as_str())].into_iter())).await?;
    let statement = format!("SELECT status FROM runs WHERE id = $1{}", super::super::FOR_UPDATE);
    let status: String =
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(id).fetch_one(&mut *connection).await?;
    let Some(status) = ExecutionStatus::from_name(&status) else {
        return Err(super::super::super::common::unreadable("an execution"));
    };
    match status {
        ExecutionStatus::Queued | ExecutionStatus::Waiting => {
            let error = serde_json::json!({"code": "CANCELLED", "message": "it was cancelled before it went on"});
            let statement = "UPDATE runs SET status = 'Cancelled', cancelled = 1, finished_at = $2, ready_at = NULL, \
                             error = $3, token = token + 1 WHERE id = $1";
            sqlx::query(statement).bind(id).bind(now).bind(error.to_string()).execute(&mut *connection).await?;
            let claim = Claim {
                execution: id.to_owned(),
                environment: environment.to_owned(),
                token: 0,
                ordering_key: lane,
                concurrency_group: gate,
            };
            runs::wake_next(connection, environment, &claim, now).await?;
            if let Some(run) = runs::one(connection, id).await? {
                let of = (run.id.as_str(), run.parent.as_str(), run.parent_signal.as_str());
                answer(connection, of, ExecutionStatus::Cancelled, &serde_json::Value::Null, &error, now).await?;
            }
        }
        ExecutionStatus::Running => {
            sqlx::query("UPDATE runs SET cancelled = 1 WHERE id = $1").bind(id).execute(connection).await?;
        }
        _ => {}
    }
    Ok(Some(status))
}

/// Everything that is parked is far in the future.
const _: () = assert!(PARKED > 1 << 60);
