//! Inserting many rows by one statement: changes that are committed together are written together, because each statement
//! costs a round trip to the database.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::queue::{Event, Execution, ExecutionStatus, NewExecution, Step};
use super::super::super::sql::{Connection, Json, Value, optional, query};
use super::super::super::{Micros, StoreError};
use super::parts::parts;

/// The state of an execution when it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Initial<'a> {
    /// Ready to be claimed, since a time.
    Ready(Micros),
    /// Becomes ready at a time.
    Delayed(Micros),
    /// Its ordering key or concurrency group is in use.
    Blocked,
    /// Claimed at once by a worker, at a time, until the end of its lease.
    Claimed(&'a str, Micros, Micros),
}

/// An execution to be inserted.
pub(super) struct NewRow<'a> {
    pub(super) new: &'a NewExecution,
    pub(super) created_at: Micros,
    pub(super) initial: Initial<'a>,
}

impl<'a> NewRow<'a> {
    /// The row of a new execution.
    pub(super) fn new(
        new: &'a NewExecution,
        created_at: Micros,
        now: Micros,
        is_blocked: bool,
        claimed_by: Option<(&'a str, Micros)>,
    ) -> NewRow<'a> {
        let initial = match claimed_by {
            _ if is_blocked => Initial::Blocked,
            _ if new.delay > 0 => Initial::Delayed(now.saturating_add(new.delay)),
            Some((worker, lease)) => Initial::Claimed(worker, now, now.saturating_add(lease)),
            None => Initial::Ready(now),
        };
        NewRow { new, created_at, initial }
    }

    fn status(&self) -> ExecutionStatus {
        match self.initial {
            Initial::Claimed(..) => ExecutionStatus::Running,
            _ => ExecutionStatus::Queued,
        }
    }

    /// The input: that of a batch is the list of its events' inputs.
    fn input(&self) -> serde_json::Value {
        match self.new.batch_key.is_empty() {
            true => self.new.input.clone(),
            false => serde_json::Value::Array(vec![self.new.input.clone()]),
        }
    }

    /// The execution, if it was claimed at once.
    pub(super) fn claimed(&self) -> Option<Execution> {
        let Initial::Claimed(worker, started_at, _) = self.initial else { return None };
        let new = self.new;
        Some(Execution {
            id: new.id.clone(),
            environment: new.environment.clone(),
            workflow: new.workflow.clone(),
            version: new.version,
            generation: i64::try_from(new.generation).unwrap_or(i64::MAX),
            tier: new.tier,
            priority: new.priority,
            tenant: new.tenant.clone(),
            status: ExecutionStatus::Running,
            triggered_by: new.triggered_by,
            source: new.source.clone(),
            event: new.event.clone(),
            parent: new.parent.clone(),
            parent_signal: new.parent_signal.clone(),
            ordering_key: new.ordering_key.clone(),
            concurrency_group: new.concurrency_group.clone(),
            attempt: 1,
            input: self.input(),
            headers: new.headers.clone(),
            created_at: self.created_at,
            started_at,
            trace: new.trace.clone(),
            worker: worker.to_owned(),
            token: 1,
            ..Execution::default()
        })
    }

    fn queue_row(&self) -> [Value<'_>; 30] {
        let new = self.new;
        let (mut started_at, mut ready_since, mut wake_at, mut lease_expires_at) = (None, None, None, None);
        let mut holder = "";
        match self.initial {
            Initial::Ready(at) => ready_since = Some(at),
            Initial::Delayed(at) => wake_at = Some(at),
            Initial::Blocked => {}
            Initial::Claimed(worker, at, until) => {
                (started_at, lease_expires_at, holder) = (Some(at), Some(until), worker);
            }
        }
        [
            (&new.id).into(),
            (&new.environment).into(),
            (&new.workflow).into(),
            new.version.into(),
            i64::try_from(new.generation).unwrap_or(i64::MAX).into(),
            new.tier.as_str().into(),
            new.priority.into(),
            (&new.tenant).into(),
            self.status().as_str().into(),
            new.triggered_by.as_str().into(),
            (&new.source).into(),
            optional(&new.event),
            optional(&new.parent),
            optional(&new.parent_signal),
            optional(&new.ordering_key),
            optional(&new.concurrency_group),
            (!new.concurrency_group.is_empty()).then_some(new.concurrency_limit).into(),
            optional(&new.batch_key),
            1.into(),
            0.into(),
            self.created_at.into(),
            started_at.into(),
            ready_since.into(),
            wake_at.into(),
            lease_expires_at.into(),
            (self.initial == Initial::Blocked).into(),
            optional(holder),
            i64::from(started_at.is_some()).into(),
            false.into(),
            optional(&new.trace),
        ]
    }
}

/// Inserts events; returns the ids of those that were not stored before.
pub(super) async fn events(
    connection: &mut dyn Connection,
    events: &[&Event],
    now: Micros,
) -> Result<BTreeSet<String>, StoreError> {
    let mut new = BTreeSet::new();
    for part in parts(events) {
        let mut statement = query(
            "INSERT INTO events (id, environment, trigger_name, kind, received_at, outcome, request, trace, headers, \
             payload) ",
        );
        statement.push_rows(part.iter().map(|event| {
            [
                Value::from(&event.id),
                (&event.environment).into(),
                (&event.trigger).into(),
                event.kind.as_str().into(),
                now.into(),
                event.outcome.as_str().into(),
                optional(&event.request),
                optional(&event.trace),
                Json::of(&event.headers).into(),
                Json::of(&event.payload).into(),
            ]
        }));
        statement.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
        for row in statement.fetch_all(connection).await? {
            new.insert(row.get("id")?);
        }
    }
    Ok(new)
}

/// Inserts executions with their payloads.
pub(super) async fn executions(connection: &mut dyn Connection, rows: &[NewRow<'_>]) -> Result<(), StoreError> {
    for part in parts(rows) {
        let mut statement = query(
            "INSERT INTO executions (id, environment, workflow, version, generation, tier, priority, tenant, status, \
             triggered_by, source, event, parent, parent_signal, ordering_key, concurrency_group, concurrency_limit, \
             batch_key, attempt, lease_expirations, created_at, started_at, ready_since, wake_at, lease_expires_at, \
             is_blocked, worker, token, cancel_requested, trace) ",
        );
        statement.push_rows(part.iter().map(NewRow::queue_row));
        statement.execute(connection).await?;
        let mut statement = query("INSERT INTO execution_payloads (execution, headers, input) ");
        statement.push_rows(
            part.iter().map(|row| {
                [Value::from(&row.new.id), Json::of(&row.new.headers).into(), Json::of(&row.input()).into()]
            }),
        );
        statement.execute(connection).await?;
    }
    Ok(())
}

/// Writes steps of executions, over earlier ones of the same name.
pub(super) async fn steps(connection: &mut dyn Connection, steps: &[(&str, &Step)]) -> Result<(), StoreError> {
    // A statement cannot write a row twice: the last step of a name counts.
    let last: BTreeMap<(&str, &str), &Step> =
        steps.iter().map(|(execution, step)| ((*execution, step.name.as_str()), *step)).collect();
    let last: Vec<(&str, &Step)> = last.into_iter().map(|((execution, _), step)| (execution, step)).collect();
    for part in parts(&last) {
        let mut statement = query(
            "INSERT INTO execution_steps (execution, name, position, kind, attempt, status, started_at, finished_at, \
             error, input, output) ",
        );
        statement.push_rows(part.iter().map(|(execution, step)| {
            [
                Value::from(*execution),
                (&step.name).into(),
                step.order.into(),
                step.kind.as_str().into(),
                step.attempt.into(),
                step.status.as_str().into(),
                step.started_at.into(),
                step.finished_at.into(),
                Json::unless_null(&step.error).into(),
                Json::of(&step.input).into(),
                Json::of(&step.output).into(),
            ]
        }));
        statement.push(
            " ON CONFLICT (execution, name) DO UPDATE SET position = excluded.position, kind = excluded.kind, attempt = \
             excluded.attempt, status = excluded.status, started_at = excluded.started_at, finished_at = \
             excluded.finished_at, error = excluded.error, input = excluded.input, output = excluded.output",
        );
        statement.execute(connection).await?;
    }
    Ok(())
}
