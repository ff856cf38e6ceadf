//! Executions: taken, kept, left, and woken where they wait for each other.

use sqlx::{AssertSqlSafe, Row as _};

use super::super::super::common::unreadable;
use super::super::super::queue::{
    Claim, Execution, ExecutionStatus, ExecutionSummary, LostLease, MAX_BATCHED, NewExecution, PARKED, TriggeredBy,
};
use super::super::lock_keys;
use super::{Connection, Micros, Row, StoreError, bulk};
use crate::definition::workflow::Tier;

/// Most tenants that one claim looks at.
const MAX_TENANTS: usize = 256;

pub(super) const COLUMNS: &str = "id, environment, workflow, version, generation, tier, priority, tenant, status, \
     triggered_by, source, event, parent, answers, lane, gate, attempt, lost, created_at, started_at, finished_at, \
     deadline_at, worker, token, cancelled, trace, headers, error, input, output";

pub(super) fn word<T>(row: &Row, column: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    read(&text).ok_or_else(|| unreadable("an execution"))
}

pub(super) const SUMMARY: &str = "id, workflow, version, generation, tier, priority, tenant, status, triggered_by, source, event, \
     parent, attempt, error, created_at, started_at, finished_at, trace";

pub(super) fn summary(row: &Row) -> Result<ExecutionSummary, StoreError> {
    let error: String = row.try_get("error")?;
    let error: serde_json::Value = serde_json::from_str(&error).map_err(|_| unreadable("an execution"))?;
    Ok(ExecutionSummary {
        id: row.try_get("id")?,
        workflow: row.try_get("workflow")?,
        version: row.try_get("version")?,
        generation: row.try_get("generation")?,
        tier: word(row, "tier", Tier::from_name)?,
        priority: row.try_get("priority")?,
        tenant: row.try_get("tenant")?,
        status: word(row, "status", ExecutionStatus::from_name)?,
        triggered_by: word(row, "triggered_by", TriggeredBy::from_name)?,
        source: row.try_get("source")?,
        event: row.try_get("event")?,
        parent: row.try_get("parent")?,
        attempt: row.try_get("attempt")?,
        error_message: error.get("message").and_then(serde_json::Value::as_str).map(str::to_owned),
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        trace: row.try_get("trace")?,
    })
}

pub(super) fn read(row: &Row) -> Result<Execution, StoreError> {
    let json = |column: &str| -> Result<serde_json::Value, StoreError> {
        let text: String = row.try_get(column)?;
        serde_json::from_str(&text).map_err(|_| unreadable("an execution"))
    };
    Ok(Execution {
        id: row.try_get("id")?,
        environment: row.try_get("environment")?,
        workflow: row.try_get("workflow")?,
        version: row.try_get("version")?,
        generation: row.try_get("generation")?,
        tier: word(row, "tier", Tier::from_name)?,
        priority: row.try_get("priority")?,
        tenant: row.try_get("tenant")?,
        status: word(row, "status", ExecutionStatus::from_name)?,
        triggered_by: word(row, "triggered_by", TriggeredBy::from_name)?,
        source: row.try_get("source")?,
        event: row.try_get("event")?,
        parent: row.try_get("parent")?,
        parent_signal: row.try_get("answers")?,
        ordering_key: row.try_get("lane")?,
        concurrency_group: row.try_get("gate")?,
        attempt: row.try_get("attempt")?,
        lease_expirations: row.try_get("lost")?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        deadline_at: row.try_get("deadline_at")?,
        worker: row.try_get("worker")?,
        token: row.try_get("token")?,
        cancel_requested: row.try_get::<i64, _>("cancelled")? != 0,
        trace: row.try_get("trace")?,
        headers: json("headers")?,
        error: json("error")?,
        input: json("input")?,
        output: json("output")?,
    })
}

/// Names under which executions wait for each other, so that only one transaction at a time decides who is next.
pub(super) fn lock_names<'a>(runs: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Vec<String> {
    let names = runs.flat_map(|(environment, lane, gate)| [(environment, "lane", lane), (environment, "gate", gate)]);
    let mut names: Vec<String> =
        names.filter(|name| !name.2.is_empty()).map(|name| format!("{}/{}/{}", name.0, name.1, name.2)).collect();
    names.sort();
    names.dedup();
    names
}

/// An execution as it is stored.
pub(super) struct Admitted<'a> {
    pub(super) run: &'a NewExecution,
    pub(super) status: ExecutionStatus,
    pub(super) worker: &'a str,
    pub(super) token: i64,
    pub(super) created_at: Micros,
    pub(super) started_at: Micros,
    pub(super) ready_at: Micros,
}

impl<'a> Admitted<'a> {
    /// One that waits for no other, nor others for it; `None` where the store must be asked for that.
    pub(super) fn freely(
        run: &'a NewExecution,
        now: Micros,
        taken_by: Option<(&'a str, Micros)>,
    ) -> Option<Admitted<'a>> {
        let is_free = run.batch_key.is_empty() && run.ordering_key.is_empty() && run.concurrency_group.is_empty();
        is_free.then(|| Admitted::new(run, now, now, false, taken_by))
    }

    fn new(
        run: &'a NewExecution,
        created_at: Micros,
        now: Micros,
        is_blocked: bool,
        taken_by: Option<(&'a str, Micros)>,
    ) -> Admitted<'a> {
        let taken = taken_by.filter(|_| !is_blocked && run.delay <= 0);
        let (status, worker, token, ready_at, started_at) = match taken {
            Some((worker, lease)) => (ExecutionStatus::Running, worker, 1, now.saturating_add(lease), now),
            None if is_blocked => (ExecutionStatus::Queued, "", 0, PARKED, 0),
            None => (ExecutionStatus::Queued, "", 0, now.saturating_add(run.delay.max(0)), 0),
        };
        Admitted { run, status, worker, token, created_at, started_at, ready_at }
    }

    /// What it is started with.
    pub(super) fn input(&self) -> serde_json::Value {
        match self.run.batch_key.is_empty() {
            true => self.run.input.clone(),
            false => serde_json::Value::Array(vec![self.run.input.clone()]),
        }
    }

    /// The execution, where it was taken at once.
    pub(super) fn taken(&self) -> Option<Execution> {
        let run = self.run;
        (self.status == ExecutionStatus::Running).then(|| Execution {
            id: run.id.clone(),
            environment: run.environment.clone(),
            workflow: run.workflow.clone(),
            version: run.version,
            generation: i64::try_from(run.generation).unwrap_or(i64::MAX),
            tier: run.tier,
            priority: run.priority,
            tenant: run.tenant.clone(),
            status: self.status,
            triggered_by: run.triggered_by,
            source: run.source.clone(),
            event: run.event.clone(),
            parent: run.parent.clone(),
            ordering_key: run.ordering_key.clone(),
            concurrency_group: run.concurrency_group.clone(),
            attempt: 1,
            input: self.input(),
            headers: run.headers.clone(),
            created_at: self.created_at,
            started_at: self.started_at,
            trace: run.trace.clone(),
            parent_signal: run.parent_signal.clone(),
            worker: self.worker.to_owned(),
            token: self.token,
            ..Execution::default()
        })
    }
}

/// Stores an execution; taken at once where a worker asks and nothing is before it. Gives it where it was taken.
pub(super) async fn insert(
    connection: &mut Connection,
    run: &NewExecution,
    now: Micros,
    taken_by: Option<(&str, Micros)>,
) -> Result<Option<Execution>, StoreError> {
    if !run.batch_key.is_empty() && join_batch(connection, run).await? {
        return Ok(None);
    }
    let last = last_in_lane(connection, &run.environment, &run.ordering_key).await?;
    // After the one before it, also where both come in one call, or the clock went back.
    let created_at = last.map_or(now, |last| now.max(last.saturating_add(1)));
    let is_blocked =
        last.is_some() || is_full(connection, &run.environment, &run.concurrency_group, run.concurrency_limit).await?;
    let admitted = Admitted::new(run, created_at, now, is_blocked, taken_by);
    bulk::runs(connection, std::slice::from_ref(&admitted)).await?;
    Ok(admitted.taken())
}

/// Adds an event to an execution that collects, where one has not started yet.
async fn join_batch(connection: &mut Connection, run: &NewExecution) -> Result<bool, StoreError> {
    let statement = "SELECT id, input FROM runs WHERE environment = $1 AND batch = $2 AND ready_at IS NOT NULL \
                     AND status = 'Queued' AND started_at = 0 ORDER BY created_at DESC LIMIT 1";
    let query = sqlx::query(statement).bind(&run.environment).bind(&run.batch_key);
    let Some(row) = query.fetch_optional(&mut *connection).await? else { return Ok(false) };
    let (id, input): (String, String) = (row.try_get("id")?, row.try_get("input")?);
    let Ok(serde_json::Value::Array(mut items)) = serde_json::from_str(&input) else {
        return Err(unreadable("a batch"));
    };
    if items.len() >= MAX_BATCHED || input.len() > super::super::super::queue::MAX_VALUE_BYTES / 2 {
        return Ok(false);
    }
    items.push(run.input.clone());
    // A worker that took it meanwhile does not see this event: then it begins the next batch.
    let statement = "UPDATE runs SET input = $2 WHERE id = $1 AND status = 'Queued' AND started_at = 0";
    let query = sqlx::query(statement).bind(&id).bind(serde_json::Value::Array(items).to_string());
    Ok(query.execute(connection).await?.rows_affected() > 0)
}

/// When the last one in the lane was accepted that has not ended.
async fn last_in_lane(
    connection: &mut Connection,
    environment: &str,
    lane: &str,
) -> Result<Option<Micros>, StoreError> {
    if lane.is_empty() {
        return Ok(None);
    }
    let statement = "SELECT created_at FROM runs WHERE environment = $1 AND lane = $2 AND ready_at IS NOT NULL \
                     AND lane <> '' ORDER BY created_at DESC, id DESC LIMIT 1";
    Ok(sqlx::query_scalar(statement).bind(environment).bind(lane).fetch_optional(connection).await?)
}

/// Is there another in the lane that has not ended, before this one?
async fn is_blocked(connection: &mut Connection, environment: &str, lane: &str, id: &str) -> Result<bool, StoreError> {
    if lane.is_empty() {
        return Ok(false);
    }
    let statement = "SELECT id FROM runs WHERE environment = $1 AND lane = $2 AND ready_at IS NOT NULL AND lane <> '' \
                     ORDER BY created_at, id LIMIT 1";
    let query = sqlx::query_scalar(statement).bind(environment).bind(lane);
    let first: Option<String> = query.fetch_optional(connection).await?;
    Ok(first.is_some_and(|first| first != id))
}

/// Are as many of a gate on their way as may be?
async fn is_full(connection: &mut Connection, environment: &str, gate: &str, limit: i64) -> Result<bool, StoreError> {
    if gate.is_empty() {
        return Ok(false);
    }
    let statement = "SELECT count(*) FROM runs WHERE environment = $1 AND gate = $2 AND ready_at IS NOT NULL \
                     AND gate <> '' AND NOT (status = 'Queued' AND ready_at = $3)";
    let query = sqlx::query_scalar(statement).bind(environment).bind(gate).bind(PARKED);
    let count: i64 = query.fetch_one(connection).await?;
    Ok(count >= limit)
}

/// Lets the next ones go that waited for one that ended.
pub(super) async fn wake_next(
    connection: &mut Connection,
    environment: &str,
    claim: &Claim,
    now: Micros,
) -> Result<Vec<String>, StoreError> {
    let mut woken = Vec::new();
    for (column, name) in [("lane", &claim.ordering_key), ("gate", &claim.concurrency_group)] {
        if name.is_empty() {
            continue;
        }
        let statement = format!(
            "SELECT id FROM runs WHERE environment = $1 AND {column} = $2 AND ready_at IS NOT NULL AND {column} <> '' \
             AND ready_at = $3 AND status = 'Queued' AND {IS_HEAD} ORDER BY created_at, id LIMIT 8"
        );
        let query = sqlx::query_scalar(AssertSqlSafe(statement)).bind(environment).bind(name).bind(PARKED);
        let next: Vec<String> = query.fetch_all(&mut *connection).await?;
        for id in next {
            if unpark(connection, &id, now).await? > 0 {
                woken.push(id);
            }
        }
    }
    Ok(woken)
}

/// Takes one that was just let go.
pub(super) async fn take_one(
    connection: &mut Connection,
    id: &str,
    worker: &str,
    lease: Micros,
    now: Micros,
) -> Result<Option<Execution>, StoreError> {
    let statement = format!(
        "UPDATE runs SET status = 'Running', worker = $2, token = token + 1, ready_at = $3, \
         started_at = CASE WHEN started_at = 0 THEN $4 ELSE started_at END \
         WHERE id = $1 AND status = 'Queued' RETURNING {COLUMNS}"
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(id).bind(worker).bind(now.saturating_add(lease)).bind(now);
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Is nothing before it in its lane?
const IS_HEAD: &str = "(lane = '' OR NOT EXISTS (SELECT 1 FROM runs AS earlier WHERE earlier.environment = \
     runs.environment AND earlier.lane = runs.lane AND earlier.lane <> '' AND earlier.ready_at IS NOT NULL AND \
     (earlier.created_at < runs.created_at OR (earlier.created_at = runs.created_at AND earlier.id < runs.id))))";

/// Lets one go that is parked, unless it still has to wait.
pub(super) async fn unpark(connection: &mut Connection, id: &str, now: Micros) -> Result<u64, StoreError> {
    let statement = "SELECT environment, lane, gate, gate_limit FROM runs WHERE id = $1 AND ready_at = $2 \
                     AND status = 'Queued'";
    let query = sqlx::query(statement).bind(id).bind(PARKED);
    let Some(row) = query.fetch_optional(&mut *connection).await? else { return Ok(0) };
    let (environment, lane, gate): (String, String, String) =
        (row.try_get("environment")?, row.try_get("lane")?, row.try_get("gate")?);
    let limit: i64 = row.try_get("gate_limit")?;
    let waits = is_blocked(connection, &environment, &lane, id).await?
        || is_full(connection, &environment, &gate, limit).await?;
    if waits {
        return Ok(0);
    }
    let statement = "UPDATE runs SET ready_at = $2 WHERE id = $1 AND ready_at = $3 AND status = 'Queued'";
    let query = sqlx::query(statement).bind(id).bind(now).bind(PARKED);
    Ok(query.execute(connection).await?.rows_affected())
}

/// Parked ones with nothing before them, the oldest first; some of them.
pub(super) async fn parked_heads(connection: &mut Connection, environment: &str) -> Result<Vec<Claim>, StoreError> {
    let statement = format!(
        "SELECT id, lane, gate FROM runs WHERE environment = $1 AND ready_at = $2 AND status = 'Queued' AND {IS_HEAD} \
         ORDER BY created_at, id LIMIT 50"
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(environment).bind(PARKED);
    let rows = query.fetch_all(connection).await?;
    let claim = |row: &Row| {
        Ok(Claim {
            execution: row.try_get("id")?,
            environment: environment.to_owned(),
            token: 0,
            ordering_key: row.try_get("lane")?,
            concurrency_group: row.try_get("gate")?,
        })
    };
    rows.iter().map(claim).collect()
}

/// The tenant of each priority that was served last, in one environment.
pub(in super::super::super) type Turns = std::collections::HashMap<i64, String>;

/// Takes what is ready.
pub(super) async fn claim(
    connection: &mut Connection,
    environment: &str,
    worker: &str,
    most: u32,
    lease: Micros,
    now: Micros,
    turns: &mut Turns,
) -> Result<Vec<Execution>, StoreError> {
    let mut taken: Vec<Execution> = Vec::new();
    for priority in 1..=4_i64 {
        let last = turns.get(&priority).map(String::as_str);
        let tenants = tenants(connection, environment, priority, now, last).await?;
        let mut left = usize::try_from(most).unwrap_or(0).saturating_sub(taken.len());
        let mut share = left.div_ceil(tenants.len().max(1)).max(1);
        // A second round gives what tenants with little left over to those with much.
        for _ in 0..2 {
            for tenant in &tenants {
                if left == 0 {
                    return Ok(taken);
                }
                let some =
                    take(connection, (environment, priority, tenant), worker, share.min(left), lease, now).await?;
                if !some.is_empty() {
                    turns.insert(priority, tenant.clone());
                }
                left = left.saturating_sub(some.len());
                taken.extend(some);
            }
            share = left;
        }
    }
    Ok(taken)
}

/// Tenants with something ready of a priority, each in its turn: those after the one that was served last come first.
async fn tenants(
    connection: &mut Connection,
    environment: &str,
    priority: i64,
    now: Micros,
    last: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let mut found: Vec<String> = Vec::new();
    // One look into the index for each tenant, however many executions it has; from the last one to the end, and then
    // from the front to it.
    for (mut after, end) in [(last.map(str::to_owned), None), (None, last)] {
        let is_second = end.is_some();
        while found.len() < MAX_TENANTS {
            let statement = "SELECT tenant, ready_at FROM runs WHERE environment = $1 AND priority = $2 \
                             AND ready_at IS NOT NULL AND ($3 = 0 OR tenant > $4) \
                             ORDER BY environment, priority, tenant, ready_at LIMIT 1";
            let query = sqlx::query(statement).bind(environment).bind(priority);
            let query = query.bind(i64::from(after.is_some())).bind(after.clone().unwrap_or_default());
            let Some(row) = query.fetch_optional(&mut *connection).await? else { break };
            let (tenant, ready): (String, Micros) = (row.try_get("tenant")?, row.try_get("ready_at")?);
            if is_second && found.contains(&tenant) {
                break;
            }
            after = Some(tenant.clone());
            if ready <= now {
                found.push(tenant);
            }
            if is_second && after.as_deref() == end {
                break;
            }
        }
        if last.is_none() {
            break;
        }
    }
    Ok(found)
}

async fn take(
    connection: &mut Connection,
    (environment, priority, tenant): (&str, i64, &str),
    worker: &str,
    most: usize,
    lease: Micros,
    now: Micros,
) -> Result<Vec<Execution>, StoreError> {
    // A lease that ran out is a worker that was lost.
    let statement = format!(
        "WITH next AS MATERIALIZED (SELECT id FROM runs WHERE environment = $1 AND priority = $2 AND tenant = $3 \
         AND ready_at IS NOT NULL AND ready_at <= $4 ORDER BY ready_at LIMIT $7{}) \
         UPDATE runs SET status = 'Running', worker = $5, token = token + 1, ready_at = $6, \
         lost = lost + CASE WHEN status = 'Running' THEN 1 ELSE 0 END, \
         started_at = CASE WHEN started_at = 0 THEN $4 ELSE started_at END \
         WHERE id IN (SELECT id FROM next) AND ready_at <= $4 \
         RETURNING {COLUMNS}",
        super::super::SKIP_LOCKED
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(environment).bind(priority).bind(tenant).bind(now);
    let query = query.bind(worker).bind(now.saturating_add(lease)).bind(i64::try_from(most).unwrap_or(1));
    let mut runs = query.fetch_all(connection).await?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    runs.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    Ok(runs)
}

/// An execution, whoever has it.
pub(super) async fn one(connection: &mut Connection, id: &str) -> Result<Option<Execution>, StoreError> {
    let statement = format!("SELECT {COLUMNS} FROM runs WHERE id = $1");
    sqlx::query(AssertSqlSafe(statement)).bind(id).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Keeps what a worker has; gives what it must end, and whether somebody asked for that.
pub(super) async fn renew(
    connection: &mut Connection,
    worker: &str,
    runs: &[(String, i64)],
    until: Micros,
) -> Result<Vec<LostLease>, StoreError> {
    let mut lost = Vec::new();
    let mut runs: Vec<&(String, i64)> = runs.iter().collect();
    runs.sort();
    for (id, token) in runs {
        let statement = "UPDATE runs SET ready_at = $4 WHERE id = $1 AND worker = $2 AND token = $3 \
                         AND status = 'Running' RETURNING cancelled";
        let query = sqlx::query_scalar(statement).bind(id).bind(worker).bind(token).bind(until);
        let cancelled: Option<i64> = query.fetch_optional(&mut *connection).await?;
        if cancelled != Some(0) {
            lost.push(LostLease { execution: id.clone(), token: *token, cancel_requested: cancelled.is_some() });
        }
    }
    Ok(lost)
}

/// Locks names, in an order that is everybody's.
pub(super) async fn lock(connection: &mut Connection, names: &[String]) -> Result<(), StoreError> {
    lock_keys(connection, names).await
}
