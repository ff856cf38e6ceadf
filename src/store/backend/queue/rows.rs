//! Reading executions from their rows.

use std::collections::HashMap;

use super::super::super::StoreError;
use super::super::super::queue::{Execution, ExecutionStatus, ExecutionSummary, TriggeredBy};
use super::super::super::sql::{Connection, Row, query};
use super::parts::parts;
use crate::definition::workflow::Tier;

/// Columns of the queue row.
pub(super) const COLUMNS: &str = "id, environment, workflow, version, generation, tier, priority, tenant, status, \
     triggered_by, source, event, parent, parent_signal, ordering_key, concurrency_group, attempt, lease_expirations, \
     created_at, started_at, finished_at, deadline_at, worker, token, cancel_requested, trace";

/// Columns of the payloads.
pub(super) const PAYLOADS: &str = "headers, input, output, error";

/// Columns of a summary.
pub(super) const SUMMARY: &str = "id, workflow, version, generation, tier, priority, tenant, status, triggered_by, \
     source, event, parent, attempt, error_message, created_at, started_at, finished_at, trace";

/// An execution of a queue row; its payloads are null.
pub(super) fn read(row: &Row) -> Result<Execution, StoreError> {
    Ok(Execution {
        id: row.get("id")?,
        environment: row.get("environment")?,
        workflow: row.get("workflow")?,
        version: row.get("version")?,
        generation: row.get("generation")?,
        tier: row.name("tier", Tier::from_name)?,
        priority: row.get("priority")?,
        tenant: row.get("tenant")?,
        status: row.name("status", ExecutionStatus::from_name)?,
        triggered_by: row.name("triggered_by", TriggeredBy::from_name)?,
        source: row.get("source")?,
        event: row.text("event")?,
        parent: row.text("parent")?,
        parent_signal: row.text("parent_signal")?,
        ordering_key: row.text("ordering_key")?,
        concurrency_group: row.text("concurrency_group")?,
        attempt: row.get("attempt")?,
        lease_expirations: row.get("lease_expirations")?,
        created_at: row.get("created_at")?,
        started_at: row.time("started_at")?,
        finished_at: row.time("finished_at")?,
        deadline_at: row.time("deadline_at")?,
        worker: row.text("worker")?,
        token: row.get("token")?,
        cancel_requested: row.get("cancel_requested")?,
        trace: row.text("trace")?,
        ..Execution::default()
    })
}

/// An execution of a row with its payloads.
pub(super) fn read_with_payloads(row: &Row) -> Result<Execution, StoreError> {
    let mut execution = read(row)?;
    read_payloads(row, &mut execution)?;
    Ok(execution)
}

fn read_payloads(row: &Row, execution: &mut Execution) -> Result<(), StoreError> {
    execution.headers = row.json("headers")?;
    execution.input = row.json("input")?;
    execution.output = row.json("output")?;
    execution.error = row.json("error")?;
    Ok(())
}

/// Reads the payloads of executions that were read without.
pub(super) async fn load_payloads(
    connection: &mut dyn Connection,
    executions: &mut [Execution],
) -> Result<(), StoreError> {
    let ids: Vec<String> = executions.iter().map(|execution| execution.id.clone()).collect();
    let mut by_id: HashMap<&str, &mut Execution> = ids.iter().map(String::as_str).zip(executions.iter_mut()).collect();
    for part in parts(&ids) {
        let mut statement = query(format!("SELECT execution, {PAYLOADS} FROM execution_payloads WHERE execution IN "));
        statement.push_list(part);
        for row in statement.fetch_all(connection).await? {
            let id: String = row.get("execution")?;
            if let Some(execution) = by_id.get_mut(id.as_str()) {
                read_payloads(&row, execution)?;
            }
        }
    }
    Ok(())
}

pub(super) fn read_summary(row: &Row) -> Result<ExecutionSummary, StoreError> {
    Ok(ExecutionSummary {
        id: row.get("id")?,
        workflow: row.get("workflow")?,
        version: row.get("version")?,
        generation: row.get("generation")?,
        tier: row.name("tier", Tier::from_name)?,
        priority: row.get("priority")?,
        tenant: row.get("tenant")?,
        status: row.name("status", ExecutionStatus::from_name)?,
        triggered_by: row.name("triggered_by", TriggeredBy::from_name)?,
        source: row.get("source")?,
        event: row.text("event")?,
        parent: row.text("parent")?,
        attempt: row.get("attempt")?,
        error_message: row.get("error_message")?,
        created_at: row.get("created_at")?,
        started_at: row.time("started_at")?,
        finished_at: row.time("finished_at")?,
        trace: row.text("trace")?,
    })
}
