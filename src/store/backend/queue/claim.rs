//! Claiming executions, and renewing their leases.
//!
//! A claim first makes due executions ready (timers, expired leases), and then reads the index of ready executions only.
//! Its cost depends on the number of ready executions, not on how many executions or tenants wait.

use super::super::super::Micros;
use super::super::super::StoreError;
use super::super::super::queue::{Execution, LostLease};
use super::super::super::sql::{Connection, Query, query};
use super::super::Turns;
use super::rows::{self, COLUMNS};
use super::running::RunningOfTenants;

/// Maximum number of tenants that one claim serves.
const MAX_TENANTS: i64 = 256;
/// Maximum number of due executions that one claim makes ready, of timers and of leases.
const MAX_DUE: i64 = 1_000;
/// Maximum number of leases that one statement renews.
const MAX_RENEWED: usize = 500;

/// Time at which the next execution can be claimed; in the past if one is ready. `None` if no execution waits for a time.
pub(super) async fn next_ready_at(
    connection: &mut dyn Connection,
    environment: &str,
) -> Result<Option<Micros>, StoreError> {
    let statement = "SELECT min(at) AS at FROM (\
                     SELECT ready_since AS at FROM (SELECT ready_since FROM executions WHERE environment = $1 \
                     AND ready_since IS NOT NULL LIMIT 1) AS ready \
                     UNION ALL SELECT min(wake_at) FROM executions WHERE environment = $1 AND wake_at IS NOT NULL \
                     UNION ALL SELECT min(lease_expires_at) FROM executions WHERE environment = $1 \
                     AND lease_expires_at IS NOT NULL) AS next";
    query(statement).bind(environment).fetch_one(connection).await?.get("at")
}

/// A claim of a worker.
#[derive(Clone, Copy)]
pub(super) struct Claiming<'a> {
    pub(super) environment: &'a str,
    pub(super) worker: &'a str,
    pub(super) lease: Micros,
    pub(super) now: Micros,
}

/// Claims at most `limit` ready executions: in the order of priorities, each tenant in its turn and within its limit.
pub(super) async fn claim(
    connection: &mut dyn Connection,
    claiming: &Claiming<'_>,
    limit: u32,
    mut running: Option<RunningOfTenants<'_>>,
    turns: &mut Turns,
) -> Result<Vec<Execution>, StoreError> {
    let Claiming { environment, now, .. } = *claiming;
    make_due_ready(connection, environment, now).await?;
    let mut claimed: Vec<Execution> = Vec::new();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut priority = i64::MIN;
    while claimed.len() < limit {
        let Some(next) = next_priority(connection, environment, priority).await? else { break };
        priority = next;
        let last = turns.get(&priority).map(String::as_str);
        let tenants = ready_tenants(connection, environment, priority, last).await?;
        let mut left = limit - claimed.len();
        let mut share = left.div_ceil(tenants.len().max(1)).max(1);
        // The second round gives the unused shares of small tenants to the others.
        for _ in 0..2 {
            for tenant in &tenants {
                if left == 0 {
                    break;
                }
                let wanted = share.min(left);
                let wanted = running.as_ref().map_or(wanted, |running| running.free(tenant, wanted));
                if wanted == 0 {
                    continue;
                }
                let part = claim_of_tenant(connection, claiming, (priority, tenant.as_str()), wanted).await?;
                if let Some(running) = &mut running {
                    running.add(tenant, part.len());
                }
                if !part.is_empty() {
                    turns.insert(priority, tenant.clone());
                }
                left -= part.len();
                claimed.extend(part);
            }
            share = left;
        }
    }
    rows::load_payloads(connection, &mut claimed).await?;
    Ok(claimed)
}

/// Makes ready the executions whose timer is due or whose lease expired.
async fn make_due_ready(connection: &mut dyn Connection, environment: &str, now: Micros) -> Result<(), StoreError> {
    let lock = connection.dialect().skip_locked;
    for column in ["wake_at", "lease_expires_at"] {
        let statement = format!(
            "WITH due AS MATERIALIZED (SELECT id FROM executions WHERE environment = $1 AND {column} <= $2 \
             ORDER BY {column} LIMIT {MAX_DUE}{lock}) \
             UPDATE executions SET ready_since = {column}, {column} = NULL \
             WHERE id IN (SELECT id FROM due) AND {column} <= $2"
        );
        query(statement).bind(environment).bind(now).execute(connection).await?;
    }
    Ok(())
}

/// The next priority after one that has a ready execution.
async fn next_priority(
    connection: &mut dyn Connection,
    environment: &str,
    after: i64,
) -> Result<Option<i64>, StoreError> {
    let statement = "SELECT priority FROM executions WHERE environment = $1 AND priority > $2 \
                     AND ready_since IS NOT NULL ORDER BY environment, priority LIMIT 1";
    let row = query(statement).bind(environment).bind(after).fetch_optional(connection).await?;
    row.map(|row| row.get("priority")).transpose()
}

/// Tenants with a ready execution of a priority, in turn: first those after the one that was served last.
async fn ready_tenants(
    connection: &mut dyn Connection,
    environment: &str,
    priority: i64,
    last: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let mut tenants = tenants_between(connection, environment, priority, last, None).await?;
    let is_full = tenants.len() >= usize::try_from(MAX_TENANTS).unwrap_or(usize::MAX);
    if last.is_some() && !is_full {
        tenants.extend(tenants_between(connection, environment, priority, None, last).await?);
    }
    Ok(tenants)
}

/// Tenants after one and up to another. Each costs one look into the index, however many ready executions it has.
async fn tenants_between(
    connection: &mut dyn Connection,
    environment: &str,
    priority: i64,
    after: Option<&str>,
    to: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let mut statement =
        query("WITH RECURSIVE tenants (tenant) AS (SELECT tenant FROM (").bind(environment).bind(priority);
    let first = |statement: &mut Query<'_>| {
        statement.push(
            "SELECT executions.tenant FROM executions WHERE executions.environment = $1 AND executions.priority = $2 \
             AND executions.ready_since IS NOT NULL",
        );
    };
    first(&mut statement);
    if let Some(after) = after {
        statement.push(" AND executions.tenant > ").push_bind(after.to_owned());
    }
    if let Some(to) = to {
        statement.push(" AND executions.tenant <= ").push_bind(to.to_owned());
    }
    let order = " ORDER BY executions.environment, executions.priority, executions.tenant LIMIT 1";
    statement.push(order).push(") AS first UNION ALL SELECT (");
    first(&mut statement);
    statement.push(" AND executions.tenant > tenants.tenant");
    if let Some(to) = to {
        statement.push(" AND executions.tenant <= ").push_bind(to.to_owned());
    }
    statement.push(order).push(") FROM tenants WHERE tenants.tenant IS NOT NULL) ");
    statement.push("SELECT tenant FROM tenants WHERE tenant IS NOT NULL LIMIT ").push_bind(MAX_TENANTS);
    statement.fetch_all(connection).await?.iter().map(|row| row.get("tenant")).collect()
}

/// Claims the oldest ready executions of a tenant, without their payloads.
async fn claim_of_tenant(
    connection: &mut dyn Connection,
    claiming: &Claiming<'_>,
    (priority, tenant): (i64, &str),
    limit: usize,
) -> Result<Vec<Execution>, StoreError> {
    let Claiming { environment, worker, lease, now } = *claiming;
    let lock = connection.dialect().skip_locked;
    // The status of an expired lease is still `Running`.
    let statement = format!(
        "WITH next AS MATERIALIZED (SELECT id FROM executions WHERE environment = $1 AND priority = $2 AND tenant = $3 \
         AND ready_since IS NOT NULL ORDER BY ready_since LIMIT $7{lock}) \
         UPDATE executions SET status = 'Running', worker = $5, token = token + 1, ready_since = NULL, \
         lease_expires_at = $6, lease_expirations = lease_expirations + CASE WHEN status = 'Running' THEN 1 ELSE 0 END, \
         started_at = coalesce(started_at, $4) \
         WHERE id IN (SELECT id FROM next) AND ready_since IS NOT NULL RETURNING {COLUMNS}"
    );
    let statement = query(statement).bind(environment).bind(priority).bind(tenant).bind(now).bind(worker);
    let statement = statement.bind(now.saturating_add(lease)).bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = statement.fetch_all(connection).await?;
    let mut executions = rows.iter().map(rows::read).collect::<Result<Vec<_>, _>>()?;
    executions.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    Ok(executions)
}

/// Claims an execution that was unblocked in the same transaction.
pub(super) async fn claim_unblocked(
    connection: &mut dyn Connection,
    id: &str,
    worker: &str,
    lease: Micros,
    now: Micros,
) -> Result<Option<Execution>, StoreError> {
    let statement = format!(
        "UPDATE executions SET status = 'Running', worker = $2, token = token + 1, ready_since = NULL, \
         lease_expires_at = $3, started_at = coalesce(started_at, $4) \
         WHERE id = $1 AND status = 'Queued' AND ready_since IS NOT NULL RETURNING {COLUMNS}"
    );
    let statement = query(statement).bind(id).bind(worker).bind(now.saturating_add(lease)).bind(now);
    let Some(row) = statement.fetch_optional(connection).await? else { return Ok(None) };
    let mut execution = rows::read(&row)?;
    rows::load_payloads(connection, std::slice::from_mut(&mut execution)).await?;
    Ok(Some(execution))
}

/// Renews the leases of a worker until a time. Returns the executions that it must stop.
pub(super) async fn renew(
    connection: &mut dyn Connection,
    worker: &str,
    held: &[(String, i64)],
    until: Micros,
) -> Result<Vec<LostLease>, StoreError> {
    let mut held: Vec<&(String, i64)> = held.iter().collect();
    held.sort();
    let mut lost = Vec::new();
    for part in held.chunks(MAX_RENEWED) {
        let mut statement = query(
            "SELECT id, token, cancel_requested FROM executions WHERE worker = $1 AND status = 'Running' AND id IN ",
        )
        .bind(worker)
        .once();
        statement.push_list(part.iter().map(|(id, _)| id));
        let rows = statement.fetch_all(connection).await?;
        let mut current: std::collections::HashMap<String, (i64, bool)> = std::collections::HashMap::new();
        for row in &rows {
            current.insert(row.get("id")?, (row.get("token")?, row.get("cancel_requested")?));
        }
        let mut renewed = Vec::with_capacity(part.len());
        for (id, token) in part {
            let found = current.get(id).filter(|(current, _)| current == token);
            if found.is_some() {
                renewed.push(id);
            }
            if found.is_none_or(|(_, cancel_requested)| *cancel_requested) {
                lost.push(LostLease { execution: id.clone(), token: *token, cancel_requested: found.is_some() });
            }
        }
        if !renewed.is_empty() {
            let mut statement = query("UPDATE executions SET lease_expires_at = $1, ready_since = NULL WHERE id IN ")
                .bind(until)
                .once();
            statement.push_list(renewed);
            statement.execute(connection).await?;
        }
    }
    Ok(lost)
}
