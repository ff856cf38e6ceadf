//! What is active, followed: loaded by its digest, verified, and mended where the store lost some of it.

use std::sync::Arc;

use super::candidate::{self, Candidate};
use super::engine::{LiveGeneration, Reconciler};
use super::reason::ReconcileError;
use crate::store::manifest::Manifest;
use crate::store::{Generation, StoreError};
use crate::text::Digest;

impl Reconciler {
    /// Loads what is active, unless it serves already. Where that cannot be read, the newest one that can be serves, and the
    /// next activation replaces the broken one.
    pub(super) async fn follow(&mut self) -> Result<(), ReconcileError> {
        let Some(generation) = self.store().active(self.key()).await? else {
            return Ok(());
        };
        self.active = generation.number;
        if let Some(live) = &self.live
            && live.generation.number == generation.number
            && live.generation.digest == generation.digest
        {
            if !self.unreadable {
                self.store().report_replica(&self.context.replica, self.key(), &generation).await?;
            }
            return Ok(());
        }
        match self.load(&generation).await {
            Ok(candidate) => {
                self.unreadable = false;
                self.swap(&candidate, &generation)?;
                self.live = Some(LiveGeneration { generation: generation.clone(), candidate });
            }
            Err(StoreError::Corrupt { digest, problem }) => {
                tracing::error!(
                    environment = self.given.key, generation = generation.number, %digest, problem,
                    "the active generation cannot be read; it is made anew"
                );
                self.unreadable = true;
                return self.fall_back(&generation).await;
            }
            Err(error) => return Err(error.into()),
        }
        tracing::info!(
            environment = self.given.key, generation = generation.number, digest = %generation.digest.short(),
            "follows the active generation"
        );
        self.store().report_replica(&self.context.replica, &self.given.key, &generation).await?;
        Ok(())
    }

    async fn load(&mut self, generation: &Generation) -> Result<Arc<Candidate>, StoreError> {
        let (manifest, contents) = candidate::stored(self.store(), generation.digest).await?;
        let shown_under = self.shown_under();
        let name = self.given.name.clone();
        let (examiner, known) = (&mut self.examiner, &mut self.known);
        let restored = tokio::task::block_in_place(|| {
            candidate::restore(&name, &manifest, &contents, &shown_under, examiner, known)
        })?;
        Ok(Arc::new(restored))
    }

    /// Serves the newest generation that can be read, where nothing serves yet.
    async fn fall_back(&mut self, broken: &Generation) -> Result<(), ReconcileError> {
        if self.live.is_some() {
            return Ok(());
        }
        for earlier in self.store().history(self.key(), Some(broken.number), 20).await? {
            if let Ok(candidate) = self.load(&earlier).await {
                self.swap(&candidate, &earlier)?;
                self.live = Some(LiveGeneration { generation: earlier, candidate });
                break;
            }
        }
        Ok(())
    }

    /// Writes what this process holds of the active generation where the store lost or damaged it.
    async fn mend(&mut self) -> Result<(), ReconcileError> {
        let Some(live) = &self.live else { return Ok(()) };
        let mut manifest = Manifest::clone(&live.candidate.manifest);
        let (_, mut objects) = manifest.encode(None)?;
        let catalog = &live.candidate.examined.catalog;
        for entry in &catalog.entries {
            for written in std::iter::once(&entry.origin.base).chain(&entry.origin.patches) {
                objects.push((Digest::of(&written.bytes), written.bytes.to_vec()));
            }
        }
        objects.extend(live.candidate.assets.values().map(|bytes| (Digest::of(bytes), bytes.to_vec())));
        objects.sort();
        objects.dedup();
        let mended = self.store().put_objects(&objects).await?;
        tracing::warn!(environment = self.given.key, mended, "stored objects were damaged and are written anew");
        Ok(())
    }

    /// Verifies what is stored of the active generation, and mends it.
    pub(super) async fn verify(&mut self) -> Result<(), ReconcileError> {
        let Some(live) = &self.live else { return Ok(()) };
        match candidate::stored(self.store(), live.generation.digest).await {
            Ok(_) => Ok(()),
            Err(StoreError::Corrupt { .. }) => {
                self.context.metrics.drift_detected(&self.given.key);
                self.mend().await
            }
            Err(error) => Err(error.into()),
        }
    }
}
