//! The generation that a process serves, with the candidate that it was made from.

use std::sync::Arc;

use super::candidate::Candidate;
use crate::catalog::{self, Input, PinnedDefinition};
use crate::definition::Id;
use crate::plan::Inventory;
use crate::store::manifest::{Item, Owner};
use crate::store::{Generation, Micros, StoreError};
use crate::text::Digest;

use super::status::{Drift, DriftKind};

/// A generation that serves.
#[derive(Debug)]
pub(super) struct LiveGeneration {
    pub(super) generation: Generation,
    pub(super) candidate: Arc<Candidate>,
}

impl LiveGeneration {
    /// The items of its manifest.
    pub(super) fn items(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.candidate.manifest.items.values()
    }

    /// The item of a definition.
    pub(super) fn item(&self, id: &Id) -> Option<&Arc<Item>> {
        self.candidate.manifest.items.get(id)
    }

    /// Its definitions as plans compare them.
    pub(super) fn inventory(&self) -> &Inventory {
        &self.candidate.inventory
    }

    /// Digest of a definition.
    pub(super) fn digest_of(&self, id: &Id) -> Option<Digest> {
        self.candidate.inventory.get(id).map(|object| object.digest)
    }

    /// Definitions that were made through the API, without overrides that have expired.
    pub(super) fn manual_items(&self, now: Micros) -> impl Iterator<Item = &Arc<Item>> {
        self.items().filter(move |item| item.is_api_owned() && item.overrides_until().is_none_or(|until| until > now))
    }

    /// Overrides that serve, also those that have expired.
    pub(super) fn overrides(&self) -> Vec<Drift> {
        let drift = |item: &Arc<Item>| match &item.owner {
            Owner::Api { who, at, until: until @ Some(_), .. } => Some(Drift {
                id: item.id.to_string(),
                how: DriftKind::Changed,
                who: who.clone(),
                at: *at,
                until: *until,
            }),
            _ => None,
        };
        self.items().filter_map(drift).collect()
    }

    /// The documents of an item.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the catalog does not have the definition.
    pub(super) fn pinned(&self, item: &Item) -> Result<PinnedDefinition, StoreError> {
        let entry = self.candidate.validated.catalog.find(item.id.kind, &item.id.name);
        let entry = entry.ok_or(StoreError::Corrupt { digest: item.base.content, problem: "missing" })?;
        let (base, patches) = (entry.origin.base.clone(), entry.origin.patches.clone());
        Ok(PinnedDefinition { id: item.id.clone(), base, patches })
    }

    /// Adds the files that a definition names to an input, with their code as it was validated, also if the source does
    /// not have them any more.
    pub(super) fn add_assets(&self, id: &Id, input: &mut Input) {
        let entry = self.candidate.validated.catalog.find(id.kind, &id.name);
        for path in entry.into_iter().flat_map(catalog::assets_of) {
            let Some(bytes) = self.candidate.assets.get(&path) else { continue };
            input.snapshot.with_code([(path.as_str(), bytes)]);
            if !input.snapshot.names.contains(&path) {
                Arc::make_mut(&mut input.snapshot.names).insert(path);
            }
        }
    }
}
