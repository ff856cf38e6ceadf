//! Rollback to an earlier generation, and promotion of another environment's generation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::active_generation::ActivationRequest;
use super::candidate;
use super::clock::now;
use super::commands::CommandError;
use super::composition::{Composition, without_own_document};
use super::live_generation::LiveGeneration;
use super::reconciler::Reconciler;
use super::sources::MergedSources;
use super::status::{Controls, HeldRevision, MAX_LISTED};
use crate::catalog::{Input, Overlaid};
use crate::definition::{Id, Kind};
use crate::store::manifest::{Item, Owner};
use crate::store::{Cause, Generation};
use crate::text::Digest;

impl Reconciler {
    /// Activates the content of an earlier generation. The revisions that are left are not applied again.
    pub(super) async fn roll_back(&mut self, to: u64, actor: &str) -> Result<Value, CommandError> {
        let generation = self.scope.store().generation(self.scope.key(), to).await?;
        let missing = || {
            let message = format!("there is no generation {to}; see `evenkeel history -e {}`", self.scope.key());
            CommandError::new(404, "NO_GENERATION", message)
        };
        let generation = generation.ok_or_else(missing)?;
        let before = self.scope.store().active(self.scope.key()).await?;
        let before = before.ok_or_else(|| CommandError::new(409, "NO_GENERATION", "nothing was applied yet"))?;
        if before.digest == generation.digest {
            return Err(CommandError::new(409, "ALREADY_ACTIVE", format!("generation {to} is already active")));
        }
        let controls = self.hold_back(Some(before), actor).await?;
        let request =
            ActivationRequest { cause: Cause::Rollback, actor: actor.to_owned(), revisions: generation.revisions };
        let result = self.activate_stored(generation.digest, request, None).await;
        self.or_restore_controls(result, controls).await
    }

    /// Activates the content of another environment's active generation, with the overlays of this one.
    pub(super) async fn promote(&mut self, from: &str, actor: &str) -> Result<Value, CommandError> {
        let from = &self.neighbour(from);
        let expected = self.scope.document.spec.promote_from.as_deref();
        if expected.is_some_and(|expected| self.neighbour(expected) != *from) {
            let message = format!("`{}` is promoted from `{}` only", self.scope.key(), expected.unwrap_or_default());
            return Err(CommandError::new(409, "WRONG_ENVIRONMENT", message));
        }
        let promoted = self.scope.store().active(from).await?;
        let promoted = promoted.ok_or_else(|| {
            CommandError::new(404, "NO_GENERATION", format!("environment `{from}` has no generation"))
        })?;
        let merged = self.sources.fetch(&self.scope).await.map_err(|error| {
            let message = format!("cannot read the overlays of `{}`: {}", self.scope.key(), error.message);
            CommandError::new(409, "REFUSED", message)
        })?;
        let before = self.scope.store().active(self.scope.key()).await?;
        let controls = self.hold_back(before, actor).await?;
        let request =
            ActivationRequest { cause: Cause::Promotion, actor: actor.to_owned(), revisions: promoted.revisions };
        let result = self.activate_stored(promoted.digest, request, Some(merged)).await;
        let mut response = self.or_restore_controls(result, controls).await?;
        response["warnings"] = self.promoted_overrides(from).into();
        Ok(response)
    }

    /// Warnings about overrides that were promoted although no source declares them.
    fn promoted_overrides(&self, from: &str) -> Vec<String> {
        let items = self.active.live().into_iter().flat_map(LiveGeneration::items);
        let warnings = items.filter_map(|item| match &item.owner {
            Owner::Api { who, reason, until: Some(_), .. } => {
                let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                Some(format!(
                    "{}: the override by `{who}` in `{from}`{reason} was promoted as it serves there; Git does not \
                     declare it",
                    item.id
                ))
            }
            _ => None,
        });
        warnings.take(MAX_LISTED).collect()
    }

    /// The key of an environment that is named relative to this one: on Kubernetes, in the same namespace.
    fn neighbour(&self, name: &str) -> String {
        match self.scope.key().split_once('.') {
            Some((namespace, _)) if !name.contains('.') => format!("{namespace}.{name}"),
            _ => name.to_owned(),
        }
    }

    /// Holds the revisions back that are about to be left, before they are left, as the leader would apply them again
    /// otherwise. Returns the controls before the change.
    async fn hold_back(&mut self, before: Option<Generation>, actor: &str) -> Result<Controls, CommandError> {
        let mut revisions = before.map(|before| before.revisions).unwrap_or_default();
        // A revision that was attempted, and perhaps refused, is left too.
        revisions.extend(self.status.current().last_attempted.clone());
        let controls = self.scope.controls().await?;
        if !revisions.is_empty() {
            let held_back = Some(HeldRevision { revisions, by: actor.to_owned(), at: now() });
            self.scope.put_controls(&Controls { held_back, ..controls.clone() }).await?;
        }
        Ok(controls)
    }

    /// The response for an activated generation; restores the controls if the activation failed.
    async fn or_restore_controls(
        &mut self,
        result: Result<Generation, CommandError>,
        controls: Controls,
    ) -> Result<Value, CommandError> {
        if result.is_err() {
            self.scope.put_controls(&controls).await?;
        }
        result.map(|generation| serde_json::to_value(generation).unwrap_or_default())
    }

    /// Activates the definitions of a stored generation, with this environment's own document, its own identities and
    /// the definitions that were made through its API. `promoted` are the environment's own sources if the generation is
    /// another environment's: its definitions without their patches are the base of this one's overlays.
    async fn activate_stored(
        &mut self,
        digest: Digest,
        request: ActivationRequest,
        promoted: Option<MergedSources>,
    ) -> Result<Generation, CommandError> {
        let (manifest, contents) = candidate::stored(self.scope.store(), digest).await?;
        let removed = self.removed().await?;
        self.activate_composition(|reconciler| {
            let (scope, live) = (&reconciler.scope, reconciler.active.live());
            let mut input = candidate::input(scope.name(), &manifest, &contents, &reconciler.sources.shown_under())?;
            let is_manual = |id: &Id| {
                manifest.items.get(id).is_some_and(|item| item.is_api_owned() && item.overrides_until().is_none())
            };
            // The environment keeps its present document.
            let own = manifest.environment.as_ref();
            input.pinned.retain_mut(|pinned| !is_manual(&pinned.id) && without_own_document(scope, pinned, own));
            input.environment = Some(scope.selection());
            let mut pinned = BTreeMap::new();
            for (id, item) in manifest.items.iter().filter(|(id, _)| **id != scope.own_id() && !is_manual(id)) {
                let known = live.and_then(|live| live.item(id)).map(|known| &known.uid);
                let uid = known.or_else(|| removed.get(id)).unwrap_or(&item.uid);
                let item = match *uid == item.uid {
                    true => Arc::clone(item),
                    false => Arc::new(Item { uid: uid.clone(), ..(**item).clone() }),
                };
                pinned.insert(id.clone(), item);
            }
            let stored = manifest.assets.iter();
            let mut assets: BTreeMap<String, Arc<[u8]>> =
                stored.filter_map(|(path, digest)| Some((path.clone(), contents.get(digest)?.clone()))).collect();
            if let Some(merged) = &promoted {
                overlay(&mut input, &mut pinned, &assets, merged);
            }
            if let Some(live) = live {
                // Definitions that were made through this environment's API stay.
                for item in live.manual_items(now()).filter(|item| item.overrides_until().is_none()) {
                    input.pinned.retain(|pinned| pinned.id != item.id);
                    input.pinned.push(live.pinned(item)?);
                    live.add_assets(&item.id, &mut input);
                    pinned.insert(item.id.clone(), Arc::clone(item));
                }
                if promoted.is_none() {
                    for (path, bytes) in &live.candidate.assets {
                        assets.entry(path.clone()).or_insert_with(|| Arc::clone(bytes));
                    }
                }
            }
            let (request, sources) = (request.clone(), promoted.clone());
            Ok(Composition { input, pinned, assets, request, required: None, sources })
        })
        .await
    }
}

/// Makes the pinned definitions of another environment the base of this one's overlays: their own patches are dropped, and
/// the overlays and the Environments come from this environment's sources.
fn overlay(
    input: &mut Input,
    pinned: &mut BTreeMap<Id, Arc<Item>>,
    assets: &BTreeMap<String, Arc<[u8]>>,
    merged: &MergedSources,
) {
    let mut promoted = BTreeSet::new();
    input.pinned.retain_mut(|definition| {
        // An override serves as it is, and the patches of an Environment are settings of the other environment.
        if pinned.get(&definition.id).is_some_and(|item| !item.is_api_owned()) {
            definition.patches.clear();
            promoted.insert(definition.id.clone());
        }
        definition.id.kind != Kind::Environment
    });
    pinned.retain(|id, _| id.kind != Kind::Environment);
    let (shown_under, mut names) = (std::mem::take(&mut input.snapshot.shown_under), Arc::clone(&input.snapshot.names));
    input.snapshot = merged.snapshot.clone();
    Arc::make_mut(&mut names).extend(merged.snapshot.names.iter().cloned());
    (input.snapshot.names, input.snapshot.shown_under) = (names, shown_under);
    input.snapshot.with_code(assets.iter().map(|(path, bytes)| (path.as_str(), bytes)));
    input.overlaid = Overlaid::Promoted(promoted);
}
