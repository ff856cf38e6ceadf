//! Generations that are composed for an operator: of earlier ones, other environments or definitions from the API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::active_generation::ActivationRequest;
use super::candidate::Provenance;
use super::change_plan::plan_change;
use super::commands::CommandError;
use super::reason::{Reason, ReconcileError};
use super::reconciler::Reconciler;
use super::scope::Scope;
use super::sources::MergedSources;
use crate::catalog::{Input, Overlaid, PinnedDefinition, RawDocument};
use crate::definition::Id;
use crate::plan::BlockedReason;
use crate::store::Generation;
use crate::store::manifest::{Item, Part};
use crate::text::Digest;

/// Maximum number of attempts if other activations come first.
const MAX_TRIES: usize = 5;

/// The content of a generation to activate.
pub(super) struct Composition {
    /// The definitions.
    pub(super) input: Input,
    /// Items that are taken as they are.
    pub(super) pinned: BTreeMap<Id, Arc<Item>>,
    /// Contents of files by path; those that no definition names are dropped.
    pub(super) assets: BTreeMap<String, Arc<[u8]>>,
    /// The activation.
    pub(super) request: ActivationRequest,
    /// A definition without which the change is refused.
    pub(super) required: Option<Id>,
    /// The environment's own sources, for files that patches of a promotion name.
    pub(super) sources: Option<MergedSources>,
}

impl Composition {
    /// The pinned definitions that overlays change.
    fn promoted(&self) -> BTreeSet<Id> {
        match &self.input.overlaid {
            Overlaid::Promoted(promoted) => promoted.clone(),
            Overlaid::Declared | Overlaid::Merged => BTreeSet::new(),
        }
    }
}

impl Reconciler {
    /// Composes, validates and activates a generation; composes it again if another activation came first.
    ///
    /// # Errors
    /// The composition is refused or invalid, a guard protects what it removes, or the store fails.
    pub(super) async fn activate_composition(
        &mut self,
        compose: impl Fn(&Reconciler) -> Result<Composition, CommandError>,
    ) -> Result<Generation, CommandError> {
        let mut last: Option<ReconcileError> = None;
        for _ in 0..MAX_TRIES {
            self.load_active().await?;
            let composition = compose(self)?;
            let promoted = composition.promoted();
            let Composition { input, pinned, mut assets, request, required, sources } = composition;
            let validated = Arc::new(self.builder.validate(&input, &[]));
            if !validated.is_valid() {
                return Err(CommandError::invalid(&validated));
            }
            let named = crate::catalog::assets(&validated.catalog);
            assets.retain(|path, _| named.contains(path));
            if let Some(merged) = &sources {
                for path in &named {
                    if !assets.contains_key(path) {
                        assets.insert(path.clone(), self.read_source(merged, path)?);
                    }
                }
            }
            let provenance = Provenance {
                pinned,
                before: self.active.manifest().map(|manifest| &**manifest),
                document: input.environment.as_ref().and_then(|selection| selection.document.as_ref()),
                assets,
                promoted,
                multiple_sources: !self.scope.document.spec.sources.is_empty(),
                revisions: self.active.revisions(),
                ..Provenance::default()
            };
            let candidate = self.builder.build(self.scope.name(), &validated, provenance)?;
            if let Some(id) = required.filter(|id| !candidate.manifest.items.contains_key(id)) {
                let message = format!(
                    "the environment's `selector` excludes {id}: give it the labels that the selector requires"
                );
                return Err(CommandError::new(409, "NOT_SELECTED", message));
            }
            let (plan, blocked) = plan_change(&self.scope, self.active.live(), &candidate, false);
            if let Some(protected) = blocked.iter().find(|blocked| blocked.reason == BlockedReason::Protected) {
                return Err(CommandError::new(409, "PROTECTED", protected.message.clone()));
            }
            let compiled = self.preflight_composition(&candidate, &plan).await?;
            match self.activate(candidate, compiled, &plan, request, None).await {
                Ok(generation) => return Ok(generation),
                Err(error) if error.reason == Reason::Stale => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.map_or_else(
            || CommandError::new(409, "STALE", "the environment keeps changing; try again"),
            CommandError::from,
        ))
    }
}

impl Reconciler {
    /// Reads a file of the environment's own sources.
    fn read_source(&self, merged: &MergedSources, path: &str) -> Result<Arc<[u8]>, CommandError> {
        let failed = |problem: String| CommandError::new(409, "REFUSED", format!("cannot read {path}: {problem}"));
        let sources = self.sources.sources().ok_or_else(|| failed("the sources are not open".to_owned()))?;
        sources.read(merged, path).map(Arc::from).map_err(|error| failed(error.to_string()))
    }
}

/// Reduces the definition of the environment itself to what its source says, without the operator's document `own` of the
/// generation that it comes from. Returns `false` if nothing remains; the present document of the operator is added
/// elsewhere. Other definitions stay as they are.
pub(super) fn without_own_document(scope: &Scope, pinned: &mut PinnedDefinition, own: Option<&Part>) -> bool {
    if pinned.id != scope.own_id() {
        return true;
    }
    let is_own = |document: &RawDocument| {
        own.is_some_and(|own| own.path == document.path && own.content == Digest::of(&document.bytes))
    };
    pinned.patches.retain(|patch| !is_own(patch));
    !is_own(&pinned.base)
}
