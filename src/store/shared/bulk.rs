//! Many rows by one statement: what comes at the same moment is written together, and each statement costs a trip to the
//! database.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{QueryBuilder, Row as _};

use super::super::super::queue::{Claim, Event, Step};
use super::super::{Database, FOR_UPDATE};
use super::runs::Admitted;
use super::{Connection, Micros, StoreError};

/// Most rows of one statement. A power of two, as all of them are, so that few statements are prepared.
const MAX_ROWS: usize = 16;

/// An execution that a worker may write for.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) environment: String,
    pub(super) parent: String,
    pub(super) answers: String,
    pub(super) cancelled: bool,
}

/// Stores events; gives the ids of those that were not there.
pub(super) async fn events(
    connection: &mut Connection,
    events: &[&Event],
    now: Micros,
) -> Result<BTreeSet<String>, StoreError> {
    let mut new = BTreeSet::new();
    for some in parts(events) {
        let mut query = QueryBuilder::<Database>::new(
            "INSERT INTO events (id, environment, trigger_name, kind, received_at, outcome, request, trace, headers, \
             payload) ",
        );
        query.push_values(some, |mut row, event| {
            row.push_bind(&event.id)
                .push_bind(&event.environment)
                .push_bind(&event.trigger)
                .push_bind(event.kind.as_str())
                .push_bind(now)
                .push_bind(event.outcome.as_str())
                .push_bind(&event.request)
                .push_bind(&event.trace)
                .push_bind(event.headers.to_string())
                .push_bind(event.payload.to_string());
        });
        query.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
        new.extend(query.build_query_scalar::<String>().fetch_all(&mut *connection).await?);
    }
    Ok(new)
}

/// Stores executions.
pub(super) async fn runs(connection: &mut Connection, admitted: &[Admitted<'_>]) -> Result<(), StoreError> {
    for some in parts(admitted) {
        let mut query = QueryBuilder::<Database>::new(
            "INSERT INTO runs (id, environment, workflow, version, generation, tier, priority, tenant, status, \
             triggered_by, source, event, parent, answers, lane, gate, gate_limit, batch, attempt, lost, created_at, \
             started_at, finished_at, deadline_at, ready_at, worker, token, cancelled, trace, headers, error, input, \
             output) ",
        );
        query.push_values(some, |mut row, one| {
            let run = one.run;
            row.push_bind(&run.id)
                .push_bind(&run.environment)
                .push_bind(&run.workflow)
                .push_bind(run.version)
                .push_bind(i64::try_from(run.generation).unwrap_or(i64::MAX))
                .push_bind(run.tier.as_str())
                .push_bind(run.priority)
                .push_bind(&run.tenant)
                .push_bind(one.status.as_str())
                .push_bind(run.triggered_by.as_str())
                .push_bind(&run.source)
                .push_bind(&run.event)
                .push_bind(&run.parent)
                .push_bind(&run.parent_signal)
                .push_bind(&run.ordering_key)
                .push_bind(&run.concurrency_group)
                .push_bind(run.concurrency_limit)
                .push_bind(&run.batch_key)
                .push("1, 0")
                .push_bind(one.created_at)
                .push_bind(one.started_at)
                .push("0, 0")
                .push_bind(one.ready_at)
                .push_bind(one.worker)
                .push_bind(one.token)
                .push("0")
                .push_bind(&run.trace)
                .push_bind(run.headers.to_string())
                .push("'null'")
                .push_bind(one.input().to_string())
                .push("'null'");
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Stores steps of executions, over what was stored under their names.
pub(super) async fn steps(connection: &mut Connection, steps: &[(&str, &Step)]) -> Result<(), StoreError> {
    // One statement cannot write a row twice: the last one counts.
    let last: BTreeMap<(&str, &str), &Step> =
        steps.iter().map(|(run, step)| ((*run, step.name.as_str()), *step)).collect();
    let last: Vec<(&str, &Step)> = last.into_iter().map(|((run, _), step)| (run, step)).collect();
    for some in parts(&last) {
        let mut query = QueryBuilder::<Database>::new(
            "INSERT INTO steps (run, name, position, kind, attempt, status, started_at, finished_at, error, input, \
             output) ",
        );
        query.push_values(some, |mut row, (run, step)| {
            row.push_bind(*run)
                .push_bind(&step.name)
                .push_bind(step.order)
                .push_bind(step.kind.as_str())
                .push_bind(step.attempt)
                .push_bind(step.status.as_str())
                .push_bind(step.started_at)
                .push_bind(step.finished_at)
                .push_bind(step.error.to_string())
                .push_bind(step.input.to_string())
                .push_bind(step.output.to_string());
        });
        query.push(
            " ON CONFLICT (run, name) DO UPDATE SET position = excluded.position, kind = excluded.kind, attempt = \
             excluded.attempt, status = excluded.status, started_at = excluded.started_at, finished_at = \
             excluded.finished_at, error = excluded.error, input = excluded.input, output = excluded.output",
        );
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Locks the rows of claims, and gives by execution those whose claim is the last one, with its token.
pub(super) async fn held(
    connection: &mut Connection,
    claims: &[&Claim],
) -> Result<BTreeMap<String, (i64, Held)>, StoreError> {
    let ids: BTreeSet<&str> = claims.iter().map(|claim| claim.execution.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let mut held = BTreeMap::new();
    for some in parts(&ids) {
        let mut query = QueryBuilder::<Database>::new(
            "SELECT id, environment, parent, answers, token, cancelled FROM runs WHERE status = 'Running' AND id IN (",
        );
        let mut list = query.separated(", ");
        for id in some {
            list.push_bind(*id);
        }
        query.push(") ORDER BY id").push(FOR_UPDATE);
        for row in query.build().fetch_all(&mut *connection).await? {
            let one = Held {
                environment: row.try_get("environment")?,
                parent: row.try_get("parent")?,
                answers: row.try_get("answers")?,
                cancelled: row.try_get::<i64, _>("cancelled")? != 0,
            };
            held.insert(row.try_get("id")?, (row.try_get("token")?, one));
        }
    }
    Ok(held)
}

/// Rows in parts of 16, 8, 4, 2 and 1.
fn parts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut size = MAX_ROWS;
    std::iter::from_fn(move || {
        while size > rows.len() {
            size /= 2;
        }
        let (some, rest) = rows.split_at_checked(size).filter(|(some, _)| !some.is_empty())?;
        rows = rest;
        Some(some)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn rows_come_in_parts_of_few_sizes_and_none_is_left_out() {
        for count in 0..100 {
            let rows: Vec<usize> = (0..count).collect();
            let parts: Vec<&[usize]> = super::parts(&rows).collect();
            assert!(parts.iter().all(|part| part.len().is_power_of_two() && part.len() <= super::MAX_ROWS));
            assert_eq!(parts.concat(), rows);
        }
    }
}
