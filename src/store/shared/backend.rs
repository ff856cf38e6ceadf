//! The store on top of a database. This file and those beside it are compiled once for each database: `super` names
//! the types of the one at hand, and does what differs. Statements are written so that both understand them.

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;

use super::super::common::{self, bounded};
use super::super::keys::random;
use super::super::{
    Activation, Audit, CredentialId, Generation, Lease, Micros, Replica, SecretBytes, Store, StoreError, Tombstone,
    failpoint::failpoint,
};
use super::{Backend, Connection, Database, Row, lock_objects, notify, now};
use crate::text::Digest;

mod audits;
mod bulk;
mod changes;
mod credentials;
mod generations;
mod leases;
mod objects;
mod queue;
mod record;
mod runs;
mod states;
mod triggers;

#[async_trait]
impl Store for Backend {
    async fn put_objects(&self, objects: &[(Digest, Vec<u8>)]) -> Result<u64, StoreError> {
        if objects.is_empty() {
            return Ok(0);
        }
        let written = bounded(async {
            let objects = objects::in_order(objects)?;
            let mut transaction = self.begin().await?;
            lock_objects(&mut transaction).await?;
            let now = now(&mut transaction).await?;
            let mut count = objects::Count::default();
            for batch in objects::batches(&objects) {
                count += objects::put(&mut transaction, batch, now).await?;
            }
            failpoint("put-objects").await;
            transaction.commit().await?;
            self.common().wrote(count.written + count.refreshed);
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
                let mut connection = self.read().await?;
                for batch in digests.chunks(common::BATCH_ROWS) {
                    objects.extend(objects::get(&mut connection, batch).await?);
                }
            }
            Ok(objects)
        })
        .await
    }

    async fn activate(&self, activation: &Activation, lease: Option<&Lease>) -> Result<Generation, StoreError> {
        common::activation(activation)?;
        let generation = bounded(async {
            let mut transaction = self.begin().await?;
            failpoint("activate-begun").await;
            let (generation, rows) = generations::activate(&mut transaction, activation, lease).await?;
            notify(&mut transaction, &activation.environment).await?;
            failpoint("activate-committing").await;
            transaction.commit().await?;
            self.common().wrote(rows);
            self.common().changed();
            Ok(generation)
        })
        .await?;
        failpoint("activated").await;
        Ok(generation)
    }

    async fn active(&self, environment: &str) -> Result<Option<Generation>, StoreError> {
        bounded(async { generations::active(&mut *self.read().await?, environment).await }).await
    }

    async fn environments(&self) -> Result<Vec<String>, StoreError> {
        bounded(async { generations::environments(&mut *self.read().await?).await }).await
    }

    async fn generation(&self, environment: &str, number: u64) -> Result<Option<Generation>, StoreError> {
        bounded(async { generations::one(&mut *self.read().await?, environment, number).await }).await
    }

    async fn history(&self, environment: &str, below: Option<u64>, most: u32) -> Result<Vec<Generation>, StoreError> {
        bounded(async { generations::history(&mut *self.read().await?, environment, below, most).await }).await
    }

    async fn tombstones(&self, environment: &str) -> Result<Vec<Tombstone>, StoreError> {
        bounded(async { generations::tombstones(&mut *self.read().await?, environment).await }).await
    }

    async fn delete_old_generations(&self, environment: &str, keep: u32, age: Micros) -> Result<u64, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let now = now(&mut transaction).await?;
            let forgotten = generations::forget(&mut transaction, environment, keep, now.saturating_sub(age)).await?;
            let buried = generations::forget_tombstones(&mut transaction, environment, now).await?;
            let audits = audits::forget(&mut transaction, environment).await?;
            let replicas = super::forget_replicas(&mut transaction, environment, now).await?;
            transaction.commit().await?;
            self.common().wrote(forgotten + buried + audits + replicas);
            Ok(forgotten)
        })
        .await
    }

    async fn remove_environment(&self, environment: &str) -> Result<u64, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let replicas = super::forget_replicas(&mut transaction, environment, Micros::MAX / 2).await?;
            let removed = replicas + generations::remove(&mut transaction, environment).await?;
            notify(&mut transaction, environment).await?;
            transaction.commit().await?;
            self.common().wrote(removed);
            Ok(removed)
        })
        .await
    }

    async fn sweep_objects(&self, needed: &[Digest], before: Micros) -> Result<u64, StoreError> {
        bounded(async {
            let doomed = objects::unneeded(&mut *self.read().await?, needed, before).await?;
            let mut swept = 0;
            // One transaction for each batch: nobody who stores objects waits for long.
            for batch in doomed.chunks(common::BATCH_ROWS) {
                let mut transaction = self.begin().await?;
                lock_objects(&mut transaction).await?;
                let removed = objects::remove(&mut transaction, batch, before).await?;
                transaction.commit().await?;
                self.common().wrote(removed);
                swept += removed;
            }
            Ok(swept)
        })
        .await
    }

    async fn all_roots(&self) -> Result<(Vec<Digest>, Micros), StoreError> {
        bounded(async {
            let mut connection = self.read().await?;
            // The time first: what is written after it is safe from a sweep.
            let now = now(&mut connection).await?;
            Ok((generations::roots(&mut connection).await?, now))
        })
        .await
    }

    async fn state(&self, environment: &str, name: &str) -> Result<Option<Value>, StoreError> {
        bounded(async { states::get(&mut *self.read().await?, environment, name).await }).await
    }

    async fn put_state(&self, environment: &str, name: &str, value: &Value) -> Result<bool, StoreError> {
        common::names(&[environment, name])?;
        let text = common::state(value)?;
        bounded(async {
            // Most writes change nothing: they need no transaction, and wait for no other writer.
            if states::get(&mut *self.read().await?, environment, name).await?.as_ref() == Some(value) {
                return Ok(false);
            }
            let mut transaction = self.begin().await?;
            let rows = states::put(&mut transaction, environment, name, &text).await?;
            if rows == 0 {
                return Ok(false);
            }
            notify(&mut transaction, environment).await?;
            transaction.commit().await?;
            self.common().wrote(rows);
            self.common().changed();
            Ok(true)
        })
        .await
    }

    async fn acquire_lease(&self, name: &str, holder: &str, seconds: u32) -> Result<Option<Lease>, StoreError> {
        common::names(&[name, holder])?;
        if holder.is_empty() {
            return Err(StoreError::Refused("a lease needs a holder with a name".to_owned()));
        }
        bounded(async {
            let mut transaction = self.begin().await?;
            let lease = leases::take(&mut transaction, name, holder, seconds).await?;
            transaction.commit().await?;
            self.common().wrote(u64::from(lease.is_some()));
            Ok(lease)
        })
        .await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let rows = leases::release(&mut transaction, lease).await?;
            transaction.commit().await?;
            self.common().wrote(rows);
            Ok(())
        })
        .await
    }

    async fn lease_holder(&self, name: &str) -> Result<Option<String>, StoreError> {
        bounded(async { leases::holder(&mut *self.read().await?, name).await }).await
    }

    async fn report_replica(
        &self,
        replica: &str,
        environment: &str,
        generation: &Generation,
    ) -> Result<(), StoreError> {
        common::names(&[replica, environment])?;
        bounded(self.reported(replica, environment, generation)).await
    }

    async fn replicas(&self, environment: &str) -> Result<Vec<Replica>, StoreError> {
        bounded(self.living(environment)).await
    }

    async fn append_audit(&self, line: &Audit) -> Result<(), StoreError> {
        common::names(&[&line.environment, &line.actor, &line.action])?;
        bounded(async {
            let mut transaction = self.begin().await?;
            let now = now(&mut transaction).await?;
            let rows = audits::add(&mut transaction, &Audit { at: now, ..line.clone() }).await?;
            transaction.commit().await?;
            self.common().wrote(rows);
            Ok(())
        })
        .await
    }

    async fn audit_log(&self, environment: &str, most: u32) -> Result<Vec<Audit>, StoreError> {
        bounded(async { audits::list(&mut *self.read().await?, environment, most).await }).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.common().changes().subscribe()
    }

    async fn put_credential(&self, id: &CredentialId, value: &SecretBytes) -> Result<(), StoreError> {
        common::credential_name(id)?;
        common::credential_value(&value.0)?;
        let envelope = self.common().keys.seal(id, value)?;
        bounded(async {
            let mut transaction = self.begin().await?;
            let rows = credentials::put(&mut transaction, id, &envelope).await?;
            transaction.commit().await?;
            self.common().wrote(rows);
            Ok(())
        })
        .await
    }

    async fn credential(&self, id: &CredentialId) -> Result<Option<SecretBytes>, StoreError> {
        // Without keys the answer is the same whether there is a credential or not.
        self.common().keys.newest()?;
        let envelope = bounded(async { credentials::get(&mut *self.read().await?, id).await }).await?;
        envelope.map(|envelope| self.common().keys.unseal(id, &envelope)).transpose()
    }

    async fn remove_credential(&self, id: &CredentialId) -> Result<bool, StoreError> {
        bounded(async {
            let mut transaction = self.begin().await?;
            let rows = credentials::remove(&mut transaction, id).await?;
            transaction.commit().await?;
            self.common().wrote(rows);
            Ok(rows > 0)
        })
        .await
    }

    async fn rotate_credentials(&self) -> Result<u64, StoreError> {
        let keys = &self.common().keys;
        let newest = keys.newest()?;
        let mut rotated = 0;
        let mut after = None;
        loop {
            // A page at a time: other writers come in between, and a failure keeps what was done.
            let page = bounded(async {
                let mut transaction = self.begin().await?;
                let page = credentials::page(&mut transaction, newest, after.as_ref()).await?;
                let mut rows = 0;
                for (id, old) in &page {
                    if let Some(new) = keys.wrap_anew(id, old)? {
                        rows += credentials::replace(&mut transaction, id, old, &new).await?;
                    }
                }
                transaction.commit().await?;
                self.common().wrote(rows);
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

    async fn fingerprint_key(&self) -> Result<[u8; 32], StoreError> {
        if let Some(key) = self.common().keys.fingerprint_key() {
            return Ok(key);
        }
        bounded(async {
            if let Some(key) = states::fingerprint_key(&mut *self.read().await?).await? {
                return Ok(key);
            }
            let mut transaction = self.begin().await?;
            let rows = states::put_fingerprint_key(&mut transaction, &*random::<32>()?).await?;
            // Another process may have been first: then its key is the one.
            let key = states::fingerprint_key(&mut transaction).await?;
            transaction.commit().await?;
            self.common().wrote(rows);
            key.ok_or_else(|| common::unreadable("the key of fingerprints"))
        })
        .await
    }

    fn writes(&self) -> u64 {
        self.common().writes()
    }
}
