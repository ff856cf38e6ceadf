//! [`Queue`] on top of a database.

use async_trait::async_trait;
use serde_json::Value;

use super::super::failpoint::failpoint;
use super::super::limits::{self, bounded};
use super::super::queue::{
    Change, CommitResult, DeadLetter, DeadLetterStatus, DeadLetterSummary, EnqueueRequest, Event, EventSummary,
    Execution, ExecutionFilter, ExecutionMatch, ExecutionStatus, ExecutionSummary, LogLine, LostLease, PollCommit,
    PollState, Queue, QueueDepth, RowRange, ScheduleState, SignalKind, Step, StoredRecord, Subscription, TenantLimits,
    Version,
};
use super::super::{Micros, StoreError};
use super::Backend;
use crate::text::Digest;

mod accept;
mod admit;
mod blocking;
mod cancel;
mod claim;
mod commit;
mod dead_letters;
mod depth;
mod events;
mod history;
mod insert;
mod locks;
mod logs;
mod parts;
mod release;
mod retention;
mod rows;
mod running;
mod signals;
mod triggers;
mod versions;
mod workflow_state;

#[async_trait]
impl Queue for Backend {
    async fn commit(&self, changes: &[Change]) -> Result<Vec<CommitResult>, StoreError> {
        commit::commit(self, changes).await
    }

    async fn claim_within(
        &self,
        environment: &str,
        worker: &str,
        limit: u32,
        lease: Micros,
        limits: Option<&TenantLimits<'_>>,
    ) -> Result<Vec<Execution>, StoreError> {
        bounded(async {
            // Most claims find nothing; those need no transaction.
            let now = self.time().await?;
            match claim::next_ready_at(self.read().await?.connection(), environment).await? {
                Some(next) if next <= now => {}
                _ => return Ok(Vec::new()),
            }
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let running = match limits {
                Some(limits) => Some(running::of_tenants(connection, environment, limits).await?),
                None => None,
            };
            let now = connection.now().await?;
            let mut turns = self.take_turns(environment);
            let claim = claim::Claiming { environment, worker, lease, now };
            let claimed = claim::claim(connection, &claim, limit, running, &mut turns).await;
            self.put_turns(environment, turns);
            let claimed = claimed?;
            transaction.commit().await?;
            self.wrote(claimed.len() as u64);
            Ok(claimed)
        })
        .await
    }

    async fn renew(
        &self,
        worker: &str,
        executions: &[(String, i64)],
        lease: Micros,
    ) -> Result<Vec<LostLease>, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let ids: Vec<&str> = executions.iter().map(|(id, _)| id.as_str()).collect();
            connection.lock_executions(&ids).await?;
            let until = connection.now().await?.saturating_add(lease);
            let lost = claim::renew(connection, worker, executions, until).await?;
            transaction.commit().await?;
            self.wrote(executions.len() as u64);
            Ok(lost)
        })
        .await
    }

    async fn unblock(&self, environment: &str) -> Result<u64, StoreError> {
        bounded(async {
            let blocked = blocking::blocked_first(self.read().await?.connection(), environment).await?;
            let mut unblocked = 0;
            for claim in blocked {
                let mut transaction = self.begin().await?;
                let connection = transaction.connection();
                let names = (&*claim.environment, &*claim.ordering_key, &*claim.concurrency_group);
                connection.lock_names(&blocking::lock_names(std::iter::once(names))).await?;
                let now = connection.now().await?;
                unblocked += blocking::unblock(connection, &claim.execution, now).await?;
                transaction.commit().await?;
            }
            self.wrote(unblocked);
            Ok(unblocked)
        })
        .await
    }

    async fn next_ready_at(&self, environment: &str) -> Result<Option<Micros>, StoreError> {
        bounded(async { claim::next_ready_at(self.read().await?.connection(), environment).await }).await
    }

    async fn steps(&self, execution: &str) -> Result<Vec<Step>, StoreError> {
        bounded(async { history::steps(self.read().await?.connection(), execution).await }).await
    }

    async fn waiting_steps(&self, executions: &[String]) -> Result<Vec<(String, Step)>, StoreError> {
        bounded(async { history::waiting_steps(self.read().await?.connection(), executions).await }).await
    }

    async fn logs(&self, execution: &str) -> Result<Vec<LogLine>, StoreError> {
        bounded(async { logs::list(self.read().await?.connection(), execution).await }).await
    }

    async fn find_execution(&self, environment: &str, id: &str) -> Result<ExecutionMatch, StoreError> {
        bounded(async { history::find(self.read().await?.connection(), environment, id).await }).await
    }

    async fn executions(
        &self,
        environment: &str,
        filter: &ExecutionFilter,
    ) -> Result<Vec<ExecutionSummary>, StoreError> {
        bounded(async { history::list(self.read().await?.connection(), environment, filter).await }).await
    }

    async fn cancel(&self, environment: &str, id: &str) -> Result<Option<ExecutionStatus>, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let now = connection.now().await?;
            let before = cancel::cancel(connection, environment, id, now).await?;
            connection.notify(environment).await?;
            transaction.commit().await?;
            self.wrote(u64::from(before.is_some()));
            self.changed();
            Ok(before)
        })
        .await
    }

    async fn signal(
        &self,
        environment: &str,
        id: &str,
        kind: SignalKind,
        name: &str,
        payload: &Value,
    ) -> Result<bool, StoreError> {
        limits::names(&[name])?;
        let name = kind.step_name(name);
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let now = connection.now().await?;
            if !signals::send(connection, environment, id, &name, payload, now).await? {
                return Ok(false);
            }
            connection.notify(environment).await?;
            transaction.commit().await?;
            self.wrote(2);
            self.changed();
            Ok(true)
        })
        .await
    }

    async fn received_signal(&self, execution: &str, step_name: &str) -> Result<Option<Value>, StoreError> {
        bounded(async { signals::received(self.read().await?.connection(), execution, step_name).await }).await
    }

    async fn publish(
        &self,
        environment: &str,
        generation: u64,
        workflows: &[(String, Digest, String)],
    ) -> Result<Vec<Version>, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            connection.lock_names(&[format!("{environment}/versions")]).await?;
            let now = connection.now().await?;
            let mut versions = Vec::with_capacity(workflows.len());
            for workflow in workflows {
                versions.push(versions::publish(connection, environment, generation, workflow, now).await?);
            }
            transaction.commit().await?;
            let new = versions.iter().filter(|version| version.at == now).count();
            self.wrote(new as u64);
            Ok(versions)
        })
        .await
    }

    async fn version(&self, environment: &str, workflow: &str, version: i64) -> Result<Option<String>, StoreError> {
        bounded(async { versions::content(self.read().await?.connection(), environment, workflow, version).await })
            .await
    }

    async fn versions(&self, environment: &str) -> Result<Vec<Version>, StoreError> {
        bounded(async { versions::list(self.read().await?.connection(), environment).await }).await
    }

    async fn events(
        &self,
        environment: &str,
        trigger: Option<&str>,
        range: &RowRange,
    ) -> Result<Vec<EventSummary>, StoreError> {
        bounded(async { events::list(self.read().await?.connection(), environment, trigger, range).await }).await
    }

    async fn event(&self, environment: &str, id: &str) -> Result<Option<Event>, StoreError> {
        bounded(async { events::get(self.read().await?.connection(), environment, id).await }).await
    }

    async fn dead_letters(
        &self,
        environment: &str,
        status: Option<DeadLetterStatus>,
        range: &RowRange,
    ) -> Result<Vec<DeadLetterSummary>, StoreError> {
        bounded(async { dead_letters::list(self.read().await?.connection(), environment, status, range).await }).await
    }

    async fn dead_letter(&self, environment: &str, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        bounded(async { dead_letters::get(self.read().await?.connection(), environment, id).await }).await
    }

    async fn workflow_state(&self, environment: &str, scope: &str, key: &str) -> Result<Option<Value>, StoreError> {
        bounded(async {
            let mut reader = self.read().await?;
            let connection = reader.connection();
            let now = connection.now().await?;
            workflow_state::get(connection, (environment, scope, key), now).await
        })
        .await
    }

    async fn put_workflow_state_within(
        &self,
        environment: &str,
        scope: &str,
        key: &str,
        value: &Value,
        ttl: Option<Micros>,
        max_bytes: Option<u64>,
    ) -> Result<bool, StoreError> {
        limits::names(&[scope, key])?;
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let expires_at = match ttl {
                Some(ttl) => Some(connection.now().await?.saturating_add(ttl)),
                None => None,
            };
            if max_bytes.is_some() {
                connection.lock_names(&[format!("{environment}/state/{scope}")]).await?;
            }
            let rows = workflow_state::put(connection, (environment, scope, key), value, expires_at).await?;
            if let Some(max_bytes) = max_bytes.filter(|_| !value.is_null()) {
                let now = connection.now().await?;
                if workflow_state::bytes(connection, environment, scope, now).await? > max_bytes {
                    return Ok(false);
                }
            }
            transaction.commit().await?;
            self.wrote(rows);
            Ok(true)
        })
        .await
    }

    async fn schedule(&self, environment: &str, trigger: &str) -> Result<ScheduleState, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let now = connection.now().await?;
            let state = triggers::schedule(connection, environment, trigger, now).await?;
            transaction.commit().await?;
            Ok(state)
        })
        .await
    }

    async fn subscriptions(&self, environment: &str) -> Result<Vec<Subscription>, StoreError> {
        bounded(async { triggers::subscriptions(self.read().await?.connection(), environment).await }).await
    }

    async fn put_subscription(&self, environment: &str, subscription: &Subscription) -> Result<(), StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let rows = triggers::put_subscription(connection, environment, subscription).await?;
            transaction.commit().await?;
            self.wrote(rows);
            Ok(())
        })
        .await
    }

    async fn remove_subscription(&self, environment: &str, trigger: &str, connection: &str) -> Result<(), StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let rows =
                triggers::remove_subscription(transaction.connection(), environment, trigger, connection).await?;
            transaction.commit().await?;
            self.wrote(rows);
            Ok(())
        })
        .await
    }

    async fn polls(&self, environment: &str) -> Result<Vec<PollState>, StoreError> {
        bounded(async { triggers::polls(self.read().await?.connection(), environment).await }).await
    }

    async fn records(
        &self,
        environment: &str,
        trigger: &str,
        connection: &str,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        bounded(async { triggers::records(self.read().await?.connection(), environment, trigger, connection).await })
            .await
    }

    async fn commit_poll(
        &self,
        poll: &PollCommit,
        requests: Vec<EnqueueRequest>,
    ) -> Result<Vec<CommitResult>, StoreError> {
        bounded(async {
            let changes: Vec<Change> = requests.into_iter().map(|request| Change::Accept(Box::new(request))).collect();
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            connection.lock_names(&locks::names(&changes)).await?;
            let now = connection.now().await?;
            let rows = triggers::commit_poll(connection, poll).await?;
            let results = commit::apply(connection, &changes, now).await?;
            failpoint("poll-committing").await;
            transaction.commit().await?;
            self.wrote(rows + results.len() as u64);
            Ok(results)
        })
        .await
    }

    async fn remove_poll(&self, environment: &str, trigger: &str, connection: &str) -> Result<(), StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let rows = triggers::remove_poll(transaction.connection(), environment, trigger, connection).await?;
            transaction.commit().await?;
            self.wrote(rows);
            Ok(())
        })
        .await
    }

    async fn delete_expired(&self, environment: &str, retention: Micros) -> Result<u64, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let now = connection.now().await?;
            let rows = retention::delete_expired(connection, environment, retention, now).await?;
            transaction.commit().await?;
            self.wrote(rows);
            Ok(rows)
        })
        .await
    }

    async fn depth(&self, environment: &str) -> Result<QueueDepth, StoreError> {
        bounded(async {
            let mut reader = self.read().await?;
            let connection = reader.connection();
            let now = connection.now().await?;
            depth::depth(connection, environment, now).await
        })
        .await
    }

    async fn time(&self) -> Result<Micros, StoreError> {
        bounded(async { self.read().await?.connection().now().await }).await
    }
}
