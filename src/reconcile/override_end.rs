//! Overrides that have expired while the sources cannot take their place: a source fails, its revision has errors, or its
//! plan waits.
//!
//! A pass that applies the sources ends expired overrides on the way. If it does not come to that, the definition that the
//! override replaced is taken from the generation before it, so that an override ends at its time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::candidate;
use super::clock::now;
use super::commands::CommandError;
use super::manual_override::{Assets, Change};
use super::reconciler::Reconciler;
use super::schedule::PassOutcome;
use super::status::Status;
use crate::catalog::RawDocument;
use crate::definition::Id;
use crate::store::manifest::{Item, Manifest, Part};
use crate::store::{Cause, StoreError};
use crate::text::Digest;

/// Maximum number of overrides that one pass ends.
const MAX_ENDED: usize = 100;
/// Maximum number of generations that are searched for a replaced definition.
const MAX_SEARCHED: u32 = 20;

impl Reconciler {
    /// Ends overrides that have expired and that a pass has left; returns `true` if there were any. While the environment
    /// is suspended, nothing changes.
    pub(super) async fn end_expired_overrides(&mut self, status: &Status, outcome: PassOutcome) -> bool {
        // Ready still has the reason of the pass before if this one failed.
        if outcome == PassOutcome::Following || status.suspended.is_some() {
            return false;
        }
        let now = now();
        let is_expired = |item: &&Arc<Item>| item.overrides_until().is_some_and(|until| until <= now);
        let live = self.active.live();
        let expired = live.into_iter().flat_map(|live| live.items().filter(is_expired));
        let expired: Vec<Id> = expired.take(MAX_ENDED).map(|item| item.id.clone()).collect();
        let mut ended = false;
        for id in expired {
            match self.end_override(&id).await {
                Ok(is_ended) => ended |= is_ended,
                Err(error) => tracing::warn!(
                    environment = self.scope.key(), definition = %id, error = error.message,
                    "an expired override cannot end yet"
                ),
            }
        }
        ended
    }

    /// Activates the definition that an expired override replaced; returns `false` if it is not known any more.
    async fn end_override(&mut self, id: &Id) -> Result<bool, CommandError> {
        let Some((item, manifest)) = self.replaced(id).await? else { return Ok(false) };
        let digests: Vec<Digest> = item.contents().chain(manifest.assets.values().copied()).collect();
        let contents = self.scope.store().objects(&digests).await?;
        let contents: BTreeMap<Digest, Arc<[u8]>> =
            digests.into_iter().zip(contents.into_iter().map(Arc::from)).collect();
        let document = |part: &Part| {
            let missing = StoreError::Corrupt { digest: part.content, problem: "missing" };
            let bytes = Arc::clone(contents.get(&part.content).ok_or(missing)?);
            Ok(RawDocument { path: Arc::clone(&part.path), bytes, index: part.index })
        };
        let pinned = candidate::pinned(&item, &document)?;
        let live = self.active.live().map(|live| &live.candidate.assets);
        let is_new = |path: &String| live.is_none_or(|live| !live.contains_key(path));
        let assets = manifest.assets.iter().filter(|(path, _)| is_new(path));
        let assets: Assets =
            assets.filter_map(|(path, digest)| Some((path.clone(), Arc::clone(contents.get(digest)?)))).collect();
        let change = |known: Option<&Item>| -> Result<Change, CommandError> {
            match known.and_then(Item::overrides_until).filter(|until| *until <= now()) {
                Some(_) => Ok(Some((item.clone(), pinned.clone()))),
                None => Err(CommandError::new(409, "STALE", format!("{id} has no expired override any more"))),
            }
        };
        self.change(id, "reconciler", Cause::Heal, &assets, |_, known| change(known)).await?;
        tracing::info!(environment = self.scope.key(), definition = %id, "an override has expired and is ended");
        Ok(true)
    }

    /// The definition of a source that an override replaced, with the manifest of its generation.
    async fn replaced(&self, id: &Id) -> Result<Option<(Item, Manifest)>, CommandError> {
        let store = self.scope.store();
        for earlier in store.history(self.scope.key(), None, MAX_SEARCHED).await? {
            let Ok(root) = store.objects(&[earlier.digest]).await else { continue };
            let Some(root) = root.first() else { continue };
            let Ok(children) = store.objects(&Manifest::children(root)?).await else { continue };
            let manifest = Manifest::decode(earlier.digest, root, &children)?;
            match manifest.items.get(id).cloned() {
                Some(item) if !item.is_api_owned() => return Ok(Some((Item::clone(&item), manifest))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}
