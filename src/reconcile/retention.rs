//! Retention of earlier generations and of the objects that they are made of.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::candidate::TombstonePayload;
use super::scope::Scope;
use crate::store::manifest::Manifest;
use crate::store::{Micros, Store, StoreError};
use crate::text::Digest;

/// Maximum number of generations of an environment, however young.
const MAX_GENERATIONS: u32 = 1000;
/// Generations that are kept in any case, unless `spec.history.keep` says otherwise.
const DEFAULT_KEEP: u32 = 20;
/// Age up to which generations are kept, unless `spec.history.maxAge` says otherwise, in seconds.
const DEFAULT_MAX_AGE_SECONDS: u64 = 30 * 24 * 3600;
/// Time between sweeps of objects that no generation needs.
const SWEEP_EVERY: Duration = Duration::from_hours(1);
/// Age of the youngest object that a sweep removes, in microseconds: younger ones may belong to an activation in progress.
const SWEEP_MIN_AGE: Micros = 3_600_000_000;

/// Retention of one environment.
#[derive(Debug)]
pub(super) struct Retention {
    swept: Instant,
}

impl Retention {
    /// The first sweep comes an interval after the start of the process.
    pub(super) fn new() -> Retention {
        Retention { swept: Instant::now() }
    }

    /// Removes old generations and, from time to time, the objects that only they needed.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(super) async fn apply(&mut self, scope: &Scope) -> Result<(), StoreError> {
        let history = &scope.document.spec.history;
        let keep = history.keep.unwrap_or(DEFAULT_KEEP);
        let age = history.max_age.map_or(DEFAULT_MAX_AGE_SECONDS, |age| age.0.as_secs());
        let age = i64::try_from(age).unwrap_or(i64::MAX / 1_000_000).saturating_mul(1_000_000);
        scope.store().delete_old_generations(scope.key(), keep, age).await?;
        scope.store().delete_old_generations(scope.key(), MAX_GENERATIONS, 0).await?;
        // A sweep reads every kept generation, so it is rare and runs beside the reconciler.
        if self.swept.elapsed() < SWEEP_EVERY {
            return Ok(());
        }
        self.swept = Instant::now();
        let (store, environment) = (Arc::clone(&scope.context.store), scope.key().to_owned());
        tokio::spawn(async move {
            let swept = async {
                let (needed, time) = needed(&*store).await?;
                store.sweep_objects(&needed, time.saturating_sub(SWEEP_MIN_AGE)).await
            };
            match swept.await {
                Ok(swept) => tracing::info!(environment, swept, "unneeded objects were removed"),
                Err(error) => tracing::warn!(environment, %error, "removing unneeded objects failed"),
            }
        });
        Ok(())
    }
}

/// Every object that a generation of any environment or a tombstone needs, and the store's time before they were listed.
pub(super) async fn needed(store: &dyn Store) -> Result<(Vec<Digest>, Micros), StoreError> {
    let (roots, time) = store.all_roots().await?;
    let mut needed = BTreeSet::new();
    for environment in store.environments().await? {
        for tombstone in store.tombstones(&environment).await? {
            let payload = serde_json::from_value::<TombstonePayload>(tombstone.item);
            needed.extend(payload.iter().flat_map(TombstonePayload::contents));
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
