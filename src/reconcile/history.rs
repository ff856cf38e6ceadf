//! How long earlier generations are kept, and what they were made of.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::candidate::TombstonePayload;
use super::engine::Reconciler;
use super::reason::ReconcileError;
use crate::store::manifest::Manifest;
use crate::store::{Micros, Store, StoreError};
use crate::text::Digest;

/// Generations of an environment that are kept at most, however young.
const MAX_GENERATIONS: u32 = 1000;
/// Time after which objects that nothing needs any more are looked for again.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

impl Reconciler {
    /// Forgets old generations and what only they needed, when there is something to forget.
    pub(super) async fn forget(&mut self) -> Result<(), ReconcileError> {
        let history = &self.given.spec.history;
        let keep = history.keep.unwrap_or(20);
        let age = history.max_age.map_or(30 * 24 * 3600, |age| age.0.as_secs());
        let age = i64::try_from(age).unwrap_or(i64::MAX / 1_000_000).saturating_mul(1_000_000);
        self.store().delete_old_generations(self.key(), keep, age).await?;
        self.store().delete_old_generations(self.key(), MAX_GENERATIONS, 0).await?;
        // Listing what is needed reads every kept generation: seldom enough, and beside the work.
        if self.swept.is_some_and(|swept| swept.elapsed() < SWEEP_EVERY) {
            return Ok(());
        }
        self.swept = Some(Instant::now());
        let (store, environment) = (Arc::clone(&self.context.store), self.given.key.clone());
        tokio::spawn(async move {
            let swept = async {
                let (needed, time) = needed(&*store).await?;
                // What a build on its way has stored and not activated yet is younger than this.
                store.sweep_objects(&needed, time.saturating_sub(3_600_000_000)).await
            };
            match swept.await {
                Ok(swept) => tracing::info!(environment, swept, "objects that nothing needs are removed"),
                Err(error) => tracing::warn!(environment, "old objects cannot be removed: {error}"),
            }
        });
        Ok(())
    }
}

/// Every object that a generation of any environment or a tombstone needs, and the store's time before it was listed.
pub(super) async fn needed(store: &dyn Store) -> Result<(Vec<Digest>, Micros), StoreError> {
    let (roots, time) = store.all_roots().await?;
    let mut needed = BTreeSet::new();
    for environment in store.environments().await? {
        for stone in store.tombstones(&environment).await? {
            let grave = serde_json::from_value::<TombstonePayload>(stone.item);
            needed.extend(grave.iter().flat_map(TombstonePayload::contents));
        }
    }
    for root in roots {
        let (manifest, children) = tree(store, root).await?;
        needed.insert(root);
        needed.extend(children);
        needed.extend(manifest.contents());
    }
    Ok((needed.into_iter().collect(), time))
}

/// The manifest of a generation, and the objects of its tree below the root.
async fn tree(store: &dyn Store, root: Digest) -> Result<(Manifest, Vec<Digest>), StoreError> {
    let bytes = store.objects(&[root]).await?;
    let bytes = bytes.first().ok_or(StoreError::Corrupt { digest: root, problem: "missing" })?;
    let children = Manifest::children(bytes)?;
    let objects = store.objects(&children).await?;
    Ok((Manifest::decode(root, bytes, &objects)?, children))
}
