//! [`Store`] on top of a database.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;

use super::super::allowance::{Allowance, Grant, Reservation};
use super::super::failpoint::failpoint;
use super::super::limits::{self, bounded};
use super::super::{
    Activation, Audit, CredentialId, Generation, Lease, Micros, Replica, SecretBytes, Store, StoreError, Tombstone,
};
use super::{Backend, allowances, audits, credentials, generations, leases, objects, states};
use crate::text::Digest;

#[async_trait]
impl Store for Backend {
    async fn put_objects(&self, objects: &[(Digest, Vec<u8>)]) -> Result<u64, StoreError> {
        if objects.is_empty() {
            return Ok(0);
        }
        let written = bounded(async {
            let objects = objects::in_order(objects)?;
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            connection.lock_objects().await?;
            let now = connection.now().await?;
            let mut count = objects::Count::default();
            for batch in objects::batches(&objects) {
                count += objects::put(connection, batch, now).await?;
            }
            failpoint("put-objects").await;
            transaction.commit().await?;
            self.wrote(count.written + count.refreshed);
            Ok(count.written)
        })
        .await?;
        failpoint("objects-stored").await;
        Ok(written)
    }

    async fn objects(&self, digests: &[Digest]) -> Result<Vec<Vec<u8>>, StoreError> {
        bounded(async {
            let mut objects = Vec::with_capacity(digests.len());
            if !digests.is_empty() {
                let mut reader = self.read().await?;
                for batch in digests.chunks(limits::BATCH_ROWS) {
                    objects.extend(objects::get(reader.connection(), batch).await?);
                }
            }
            Ok(objects)
        })
        .await
    }

    async fn activate(&self, activation: &Activation, lease: Option<&Lease>) -> Result<Generation, StoreError> {
        limits::activation(activation)?;
        let generation = bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            failpoint("activate-begun").await;
            let (generation, rows) = generations::activate(connection, activation, lease).await?;
            connection.notify(&activation.environment).await?;
            failpoint("activate-committing").await;
            transaction.commit().await?;
            self.wrote(rows);
            self.changed();
            Ok(generation)
        })
        .await?;
        failpoint("activated").await;
        Ok(generation)
    }

    async fn active(&self, environment: &str) -> Result<Option<Generation>, StoreError> {
        bounded(async { generations::active(self.read().await?.connection(), environment).await }).await
    }

    async fn environments(&self) -> Result<Vec<String>, StoreError> {
        bounded(async { generations::environments(self.read().await?.connection()).await }).await
    }

    async fn generation(&self, environment: &str, number: u64) -> Result<Option<Generation>, StoreError> {
        bounded(async { generations::get(self.read().await?.connection(), environment, number).await }).await
    }

    async fn history(&self, environment: &str, below: Option<u64>, limit: u32) -> Result<Vec<Generation>, StoreError> {
        bounded(async { generations::history(self.read().await?.connection(), environment, below, limit).await }).await
    }

    async fn tombstones(&self, environment: &str) -> Result<Vec<Tombstone>, StoreError> {
        bounded(async { generations::tombstones(self.read().await?.connection(), environment).await }).await
    }

    async fn delete_old_generations(&self, environment: &str, keep: u32, age: Micros) -> Result<u64, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let now = connection.now().await?;
            let before = now.saturating_sub(age);
            let generations = generations::delete_old(connection, environment, keep, before).await?;
            let tombstones = generations::delete_expired_tombstones(connection, environment, now).await?;
            let audits = audits::delete_old(connection, environment).await?;
            let replicas = generations::delete_silent_replicas(connection, environment, now).await?;
            transaction.commit().await?;
            self.wrote(generations + tombstones + audits + replicas);
            Ok(generations)
        })
        .await
    }

    async fn remove_environment(&self, environment: &str) -> Result<u64, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let replicas = generations::delete_silent_replicas(connection, environment, Micros::MAX / 2).await?;
            let removed = replicas + generations::remove(connection, environment).await?;
            connection.notify(environment).await?;
            transaction.commit().await?;
            self.wrote(removed);
            Ok(removed)
        })
        .await
    }

    async fn sweep_objects(&self, needed: &[Digest], before: Micros) -> Result<u64, StoreError> {
        bounded(async {
            let unneeded = objects::unneeded(self.read().await?.connection(), needed, before).await?;
            let mut swept = 0;
            // One transaction for each batch, so that writers of objects do not wait for long.
            for batch in unneeded.chunks(limits::BATCH_ROWS) {
                let mut transaction = self.begin().await?;
                let connection = transaction.connection();
                connection.lock_objects().await?;
                let removed = objects::remove(connection, batch, before).await?;
                transaction.commit().await?;
                self.wrote(removed);
                swept += removed;
            }
            Ok(swept)
        })
        .await
    }

    async fn all_roots(&self) -> Result<(Vec<Digest>, Micros), StoreError> {
        bounded(async {
            let mut reader = self.read().await?;
            let connection = reader.connection();
            // The time first: objects that are written after it are safe from a sweep.
            let now = connection.now().await?;
            Ok((generations::roots(connection).await?, now))
        })
        .await
    }

    async fn state(&self, environment: &str, name: &str) -> Result<Option<Value>, StoreError> {
        bounded(async { states::get(self.read().await?.connection(), environment, name).await }).await
    }

    async fn put_state(&self, environment: &str, name: &str, value: &Value) -> Result<bool, StoreError> {
        limits::names(&[environment, name])?;
        let text = limits::state(value)?;
        bounded(async {
            // Most writes change nothing; those need no transaction and do not wait for other writers.
            if states::get(self.read().await?.connection(), environment, name).await?.as_ref() == Some(value) {
                return Ok(false);
            }
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let rows = states::put(connection, environment, name, &text).await?;
            if rows == 0 {
                return Ok(false);
            }
            connection.notify(environment).await?;
            transaction.commit().await?;
            self.wrote(rows);
            self.changed();
            Ok(true)
        })
        .await
    }

    async fn acquire_lease(&self, name: &str, holder: &str, seconds: u32) -> Result<Option<Lease>, StoreError> {
        limits::names(&[name, holder])?;
        if holder.is_empty() {
            return Err(StoreError::Refused("a lease needs a holder with a name".to_owned()));
        }
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let lease = leases::acquire(connection, name, holder, seconds).await?;
            transaction.commit().await?;
            self.wrote(u64::from(lease.is_some()));
            Ok(lease)
        })
        .await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let rows = leases::release(connection, lease).await?;
            transaction.commit().await?;
            self.wrote(rows);
            Ok(())
        })
        .await
    }

    async fn lease_holder(&self, name: &str) -> Result<Option<String>, StoreError> {
        bounded(async { leases::holder(self.read().await?.connection(), name).await }).await
    }

    async fn reserve(&self, allowance: &Allowance, request: &Reservation) -> Result<Grant, StoreError> {
        limits::names(&[&allowance.environment, &allowance.name])?;
        bounded(async {
            let mut transaction = self.begin().await?;
            let (grant, rows) = allowances::reserve(transaction.connection(), allowance, request).await?;
            if rows > 0 {
                transaction.commit().await?;
                self.wrote(rows);
            }
            Ok(grant)
        })
        .await
    }

    async fn report_replica(
        &self,
        replica: &str,
        environment: &str,
        generation: &Generation,
    ) -> Result<(), StoreError> {
        limits::names(&[replica, environment])?;
        bounded(async {
            self.wrote(self.database.report_replica(replica, environment, generation).await?);
            Ok(())
        })
        .await
    }

    async fn replicas(&self, environment: &str) -> Result<Vec<Replica>, StoreError> {
        bounded(self.database.replicas(environment)).await
    }

    async fn append_audit(&self, line: &Audit) -> Result<(), StoreError> {
        limits::names(&[&line.environment, &line.actor, &line.action])?;
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let now = connection.now().await?;
            let rows = audits::add(connection, &Audit { at: now, ..line.clone() }).await?;
            transaction.commit().await?;
            self.wrote(rows);
            Ok(())
        })
        .await
    }

    async fn audit_log(&self, environment: &str, limit: u32) -> Result<Vec<Audit>, StoreError> {
        bounded(async { audits::list(self.read().await?.connection(), environment, limit).await }).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn put_credential(&self, id: &CredentialId, value: &SecretBytes) -> Result<(), StoreError> {
        limits::credential_name(id)?;
        limits::credential_value(&value.0)?;
        let envelope = self.keys.encrypt(id, value)?;
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let rows = credentials::put(connection, id, &envelope).await?;
            transaction.commit().await?;
            self.wrote(rows);
            Ok(())
        })
        .await
    }

    async fn credential(&self, id: &CredentialId) -> Result<Option<SecretBytes>, StoreError> {
        // Without keys the result is the same error whether the credential exists or not.
        self.keys.newest()?;
        let envelope = bounded(async { credentials::get(self.read().await?.connection(), id).await }).await?;
        envelope.map(|envelope| self.keys.decrypt(id, &envelope)).transpose()
    }

    async fn remove_credential(&self, id: &CredentialId) -> Result<bool, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let connection = transaction.connection();
            let rows = credentials::remove(connection, id).await?;
            transaction.commit().await?;
            self.wrote(rows);
            Ok(rows > 0)
        })
        .await
    }

    async fn rotate_credentials(&self) -> Result<u64, StoreError> {
        let keys = &self.keys;
        let newest = keys.newest()?;
        let mut rotated = 0;
        let mut after = None;
        loop {
            // One transaction for each page: other writers run in between, and a failure keeps the pages that are done.
            let page = bounded(async {
                let mut transaction = self.begin().await?;
                let connection = transaction.connection();
                let page = credentials::page(connection, newest, after.as_ref()).await?;
                let mut rows = 0;
                for (id, old) in &page {
                    if let Some(new) = keys.rewrap(id, old)? {
                        rows += credentials::replace(connection, id, old, &new).await?;
                    }
                }
                transaction.commit().await?;
                self.wrote(rows);
                rotated += rows;
                Ok(page)
            })
            .await?;
            match page.into_iter().next_back() {
                Some((last, _)) => after = Some(last),
                None => return Ok(rotated),
            }
        }
    }

    fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }
}
