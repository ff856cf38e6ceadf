//! The queue on top of a database.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::Row as _;

use super::super::super::common::{self, bounded};
use super::super::super::failpoint::failpoint;
use super::super::super::queue::{
    Change, CommitResult, DeadLetter, DeadLetterStatus, EnqueueRequest, Event, EventSummary, Execution,
    ExecutionFilter, ExecutionStatus, ExecutionSummary, LogLine, LostLease, PollCommit, PollState, Queue, QueueDepth,
    ScheduleState, SignalKind, Step, StoredRecord, Subscription, Version,
};
use super::super::{Backend, lock_runs, notify, now};
use super::{Micros, StoreError, changes, record, runs, triggers};
use crate::text::Digest;

impl Backend {
    async fn commit_once(&self, all: &[Change]) -> Result<Vec<CommitResult>, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            runs::lock(&mut transaction, &changes::names(all)).await?;
            lock_runs(&mut transaction, &changes::rows(all)).await?;
            let now = now(&mut transaction).await?;
            let done = changes::apply(&mut transaction, all, now).await?;
            failpoint("work-committing").await;
            transaction.commit().await?;
            self.common().wrote(all.len() as u64);
            Ok(done)
        })
        .await
    }
}

#[async_trait]
impl Queue for Backend {
    async fn commit(&self, changes: &[Change]) -> Result<Vec<CommitResult>, StoreError> {
        match self.commit_once(changes).await {
            // One of them cannot be stored: the others must not suffer.
            Err(StoreError::Refused(_)) if changes.len() > 1 => {
                let mut done = Vec::with_capacity(changes.len());
                for change in changes {
                    match self.commit_once(std::slice::from_ref(change)).await {
                        Ok(one) => done.extend(one),
                        Err(StoreError::Refused(why)) => done.push(CommitResult::Refused(why)),
                        Err(error) => return Err(error),
                    }
                }
                Ok(done)
            }
            Err(StoreError::Refused(why)) => Ok(vec![CommitResult::Refused(why)]),
            other => other,
        }
    }

    async fn claim(
        &self,
        environment: &str,
        worker: &str,
        most: u32,
        lease: Micros,
    ) -> Result<Vec<Execution>, StoreError> {
        bounded(async {
            // Most looks find nothing: they need no transaction.
            let clock = self.time().await?;
            match record::next_ready(&mut *self.read().await?, environment).await? {
                Some(next) if next <= clock => {}
                _ => return Ok(Vec::new()),
            }
            let mut transaction = self.begin().await?;
            let now = now(&mut transaction).await?;
            let mut turns = self.common().take_turns(environment);
            let taken = runs::claim(&mut transaction, environment, worker, most, lease, now, &mut turns).await;
            self.common().give_turns(environment, turns);
            let taken = taken?;
            transaction.commit().await?;
            self.common().wrote(taken.len() as u64);
            Ok(taken)
        })
        .await
    }

    async fn renew(&self, worker: &str, held: &[(String, i64)], lease: Micros) -> Result<Vec<LostLease>, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let ids: Vec<&str> = held.iter().map(|(id, _)| id.as_str()).collect();
            lock_runs(&mut transaction, &ids).await?;
            let until = now(&mut transaction).await?.saturating_add(lease);
            let lost = runs::renew(&mut transaction, worker, held, until).await?;
            transaction.commit().await?;
            self.common().wrote(held.len() as u64);
            Ok(lost)
        })
        .await
    }

    async fn unblock(&self, environment: &str) -> Result<u64, StoreError> {
        bounded(async {
            let stuck = runs::parked_heads(&mut *self.read().await?, environment).await?;
            let mut woken = 0;
            for claim in stuck {
                let mut transaction = self.begin().await?;
                let names =
                    [(claim.environment.as_str(), claim.ordering_key.as_str(), claim.concurrency_group.as_str())];
                runs::lock(&mut transaction, &runs::lock_names(names.into_iter())).await?;
                let now = now(&mut transaction).await?;
                woken += runs::unpark(&mut transaction, &claim.execution, now).await?;
                transaction.commit().await?;
            }
            self.common().wrote(woken);
            Ok(woken)
        })
        .await
    }

    async fn next_ready_at(&self, environment: &str) -> Result<Option<Micros>, StoreError> {
        bounded(async { record::next_ready(&mut *self.read().await?, environment).await }).await
    }

    async fn steps(&self, run: &str) -> Result<Vec<Step>, StoreError> {
        bounded(async { record::steps(&mut *self.read().await?, run).await }).await
    }

    async fn logs(&self, run: &str) -> Result<Vec<LogLine>, StoreError> {
        bounded(async { record::logs(&mut *self.read().await?, run).await }).await
    }

    async fn execution(&self, environment: &str, id: &str) -> Result<Option<Execution>, StoreError> {
        bounded(async { record::run(&mut *self.read().await?, environment, id).await }).await
    }

    async fn executions(
        &self,
        environment: &str,
        filter: &ExecutionFilter,
    ) -> Result<Vec<ExecutionSummary>, StoreError> {
        bounded(async { record::runs(&mut *self.read().await?, environment, filter).await }).await
    }

    async fn cancel(&self, environment: &str, id: &str) -> Result<Option<ExecutionStatus>, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let now = now(&mut transaction).await?;
            let was = changes::cancel(&mut transaction, environment, id, now).await?;
            notify(&mut transaction, environment).await?;
            transaction.commit().await?;
            self.common().wrote(u64::from(was.is_some()));
            self.common().changed();
            Ok(was)
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
        let name = &*kind.step_name(name);
        common::names(&[name])?;
        bounded(async {
            let mut transaction = self.begin().await?;
            let statement = "SELECT 1 AS one FROM runs WHERE environment = $1 AND id = $2 AND ready_at IS NOT NULL";
            let query = sqlx::query(statement).bind(environment).bind(id);
            if query.fetch_optional(&mut *transaction).await?.is_none() {
                return Ok(false);
            }
            changes::hold_row(&mut transaction, id).await?;
            let now = now(&mut transaction).await?;
            // What comes under the same name again is for the next one that waits for it.
            // A wait that is over took none, and its place is taken.
            let statement = "SELECT max(n) FROM (SELECT count(*) AS n FROM signals WHERE run = $1 AND (name = $2 OR \
                             name LIKE $3 ESCAPE '!') UNION ALL SELECT count(*) AS n FROM steps WHERE run = $1 AND \
                             (name = $2 OR name LIKE $3 ESCAPE '!') AND status <> 'Waiting') AS counts";
            let pattern = format!("{} #%", name.replace('!', "!!").replace('%', "!%").replace('_', "!_"));
            let query = sqlx::query_scalar(statement).bind(id).bind(name).bind(pattern);
            let earlier: i64 = query.fetch_one(&mut *transaction).await?;
            let name = if earlier == 0 { name.to_owned() } else { format!("{name} #{}", earlier + 1) };
            changes::signal(&mut transaction, id, &name, payload, now).await?;
            notify(&mut transaction, environment).await?;
            transaction.commit().await?;
            self.common().wrote(2);
            self.common().changed();
            Ok(true)
        })
        .await
    }

    async fn received_signal(&self, run: &str, name: &str) -> Result<Option<Value>, StoreError> {
        bounded(async {
            let statement = "SELECT payload FROM signals WHERE run = $1 AND name = $2";
            let query = sqlx::query(statement).bind(run).bind(name);
            let row = query.fetch_optional(&mut *self.read().await?).await?;
            let text: Option<String> = row.map(|row| row.try_get("payload")).transpose()?;
            text.map(|text| serde_json::from_str(&text).map_err(|_| common::unreadable("a signal"))).transpose()
        })
        .await
    }

    async fn publish(
        &self,
        environment: &str,
        generation: u64,
        workflows: &[(String, Digest, String)],
    ) -> Result<Vec<Version>, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            runs::lock(&mut transaction, &[format!("{environment}/versions")]).await?;
            let now = now(&mut transaction).await?;
            let mut versions = Vec::with_capacity(workflows.len());
            for workflow in workflows {
                versions.push(triggers::publish(&mut transaction, environment, generation, workflow, now).await?);
            }
            transaction.commit().await?;
            let new = versions.iter().filter(|version| version.at == now).count();
            self.common().wrote(new as u64);
            Ok(versions)
        })
        .await
    }

    async fn version(&self, environment: &str, workflow: &str, version: i64) -> Result<Option<String>, StoreError> {
        bounded(async { triggers::content(&mut *self.read().await?, environment, workflow, version).await }).await
    }

    async fn versions(&self, environment: &str) -> Result<Vec<Version>, StoreError> {
        bounded(async { triggers::versions(&mut *self.read().await?, environment).await }).await
    }

    async fn events(
        &self,
        environment: &str,
        trigger: Option<&str>,
        most: u32,
    ) -> Result<Vec<EventSummary>, StoreError> {
        bounded(async { record::events(&mut *self.read().await?, environment, trigger, most).await }).await
    }

    async fn event(&self, environment: &str, id: &str) -> Result<Option<Event>, StoreError> {
        bounded(async { record::event(&mut *self.read().await?, environment, id).await }).await
    }

    async fn dead_letters(
        &self,
        environment: &str,
        status: Option<DeadLetterStatus>,
        most: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        bounded(async { record::dead_letters(&mut *self.read().await?, environment, status, most).await }).await
    }

    async fn dead_letter(&self, environment: &str, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        bounded(async { record::dead_letter(&mut *self.read().await?, environment, id).await }).await
    }

    async fn workflow_state(&self, environment: &str, scope: &str, key: &str) -> Result<Option<Value>, StoreError> {
        bounded(async {
            let mut connection = self.read().await?;
            let now = now(&mut connection).await?;
            triggers::memory(&mut connection, (environment, scope, key), now).await
        })
        .await
    }

    async fn put_workflow_state(
        &self,
        environment: &str,
        scope: &str,
        key: &str,
        value: &Value,
        ttl: Option<Micros>,
    ) -> Result<(), StoreError> {
        common::names(&[scope, key])?;
        bounded(async {
            let mut transaction = self.begin().await?;
            let until = match ttl {
                Some(ttl) => now(&mut transaction).await?.saturating_add(ttl),
                None => 0,
            };
            let rows = triggers::remember(&mut transaction, (environment, scope, key), value, until).await?;
            transaction.commit().await?;
            self.common().wrote(rows);
            Ok(())
        })
        .await
    }

    async fn schedule(&self, environment: &str, trigger: &str) -> Result<ScheduleState, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let now = now(&mut transaction).await?;
            let state = triggers::schedule(&mut transaction, environment, trigger, now).await?;
            transaction.commit().await?;
            Ok(state)
        })
        .await
    }

    async fn subscriptions(&self, environment: &str) -> Result<Vec<Subscription>, StoreError> {
        bounded(async { triggers::subscriptions(&mut *self.read().await?, environment).await }).await
    }

    async fn put_subscription(&self, environment: &str, subscription: &Subscription) -> Result<(), StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let rows = triggers::put_subscription(&mut transaction, environment, subscription).await?;
            transaction.commit().await?;
            self.common().wrote(rows);
            Ok(())
        })
        .await
    }

    async fn remove_subscription(&self, environment: &str, trigger: &str, connection: &str) -> Result<(), StoreError> {
        self.remove_of_trigger(&["subscriptions"], (environment, trigger, connection)).await
    }

    async fn polls(&self, environment: &str) -> Result<Vec<PollState>, StoreError> {
        bounded(async { triggers::polls(&mut *self.read().await?, environment).await }).await
    }

    async fn records(
        &self,
        environment: &str,
        trigger: &str,
        connection: &str,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        bounded(async { triggers::records(&mut *self.read().await?, environment, trigger, connection).await }).await
    }

    async fn commit_poll(
        &self,
        polled: &PollCommit,
        found: Vec<EnqueueRequest>,
    ) -> Result<Vec<CommitResult>, StoreError> {
        bounded(async {
            let found: Vec<Change> = found.into_iter().map(|intake| Change::Accept(Box::new(intake))).collect();
            let mut transaction = self.begin().await?;
            runs::lock(&mut transaction, &changes::names(&found)).await?;
            let now = now(&mut transaction).await?;
            let rows = triggers::polled(&mut transaction, polled).await?;
            let done = changes::apply(&mut transaction, &found, now).await?;
            failpoint("poll-committing").await;
            transaction.commit().await?;
            self.common().wrote(rows + done.len() as u64);
            Ok(done)
        })
        .await
    }

    async fn remove_poll(&self, environment: &str, trigger: &str, connection: &str) -> Result<(), StoreError> {
        self.remove_of_trigger(&["polls", "records"], (environment, trigger, connection)).await
    }

    async fn delete_expired(&self, environment: &str, retention: Micros) -> Result<u64, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let now = now(&mut transaction).await?;
            let rows = record::forget(&mut transaction, environment, retention, now).await?;
            transaction.commit().await?;
            self.common().wrote(rows);
            Ok(rows)
        })
        .await
    }

    async fn depth(&self, environment: &str) -> Result<QueueDepth, StoreError> {
        bounded(async {
            let mut connection = self.read().await?;
            let now = now(&mut connection).await?;
            record::depth(&mut connection, environment, now).await
        })
        .await
    }

    async fn time(&self) -> Result<Micros, StoreError> {
        bounded(async { now(&mut *self.read().await?).await }).await
    }
}

impl Backend {
    async fn remove_of_trigger(&self, tables: &[&'static str], of: (&str, &str, &str)) -> Result<(), StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let mut rows = 0;
            for table in tables {
                rows += triggers::remove(&mut transaction, table, of).await?;
            }
            transaction.commit().await?;
            self.common().wrote(rows);
            Ok(())
        })
        .await
    }
}
