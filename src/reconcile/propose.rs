//! From the fetched sources to a proposal: validated, with the definitions from the API, and in `Isolate` mode with the
//! last good version of invalid definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::active::Active;
use super::candidate::{Candidate, Provenance};
use super::candidate_builder::CandidateBuilder;
use super::change_plan::plan_change;
use super::live_generation::LiveGeneration;
use super::lost_definitions;
use super::reason::{Reason, ReconcileError};
use super::scope::Scope;
use super::sources::{MergedSources, Sources};
use super::validate::Validated;
use crate::catalog::{self, Input, Snapshot};
use crate::definition::Id;
use crate::definition::environment::ApplyMode;
use crate::plan::{BlockedReason, BlockedRemovals, Plan};
use crate::source::{FetchError, FetchReason};
use crate::store::manifest::Item;
use crate::store::{Micros, StoreError};
use crate::text::{Digest, Finding, Severity, codes};

/// Maximum number of rounds of isolation: each holds at least one more definition, and few definitions depend on many.
const MAX_ROUNDS: usize = 32;

/// The next generation if the sources were applied.
#[derive(Debug)]
pub(super) struct Proposal {
    /// The next generation.
    pub(super) candidate: Arc<Candidate>,
    /// The plan from the live generation to it.
    pub(super) plan: Arc<Plan>,
    /// Guards that stop the plan.
    pub(super) blocked: Vec<BlockedRemovals>,
    /// The plan with the removals that the candidate leaves out, and these removals.
    pub(super) withheld: Option<(Arc<Plan>, Vec<BlockedRemovals>)>,
    /// Definitions that keep their last good version, or are absent, because of errors.
    pub(super) held: Vec<String>,
    /// The reason why some of them are held although they have no errors.
    pub(super) unready: Option<String>,
    /// The compiled candidate, if it was found to be able to work.
    pub(super) compiled: Option<Box<Active>>,
}

/// Everything that a proposal found out.
#[derive(Debug)]
pub(super) struct Proposed {
    /// The validation of the sources; `None` if it was not reached.
    pub(super) validated: Option<Arc<Validated>>,
    /// The proposal, or the error that prevents one.
    pub(super) result: Result<Proposal, ReconcileError>,
}

/// Inputs of a proposal.
#[derive(Debug)]
pub(super) struct Proposer<'a> {
    pub(super) scope: &'a Scope,
    pub(super) builder: &'a mut CandidateBuilder,
    /// The generation that serves.
    pub(super) live: Option<&'a LiveGeneration>,
    /// Sources that files are read from; without them, definitions have no files.
    pub(super) sources: Option<&'a Sources>,
    /// The fetched sources.
    pub(super) merged: &'a MergedSources,
    /// Identities of definitions that were removed and can still be restored.
    pub(super) removed: &'a BTreeMap<Id, String>,
    /// An override that counts as ended.
    pub(super) ended: Option<&'a Id>,
    /// Definitions that are valid and cannot work, which are held like those with errors.
    pub(super) unready: &'a BTreeSet<Id>,
}

/// The input of the validation, and the definitions in it that do not come from the sources.
struct Draft {
    input: Input,
    pinned: BTreeMap<Id, Arc<Item>>,
}

impl Proposer<'_> {
    /// Validates the sources and plans them against the live generation. `approved` is the digest of the plan that an
    /// operator approved.
    pub(super) fn propose(mut self, approved: Option<Digest>, now: Micros) -> Proposed {
        let mut draft = match self.draft(now) {
            Ok(draft) => draft,
            Err(error) => return Proposed { validated: None, result: Err(error.into()) },
        };
        let mut validated = self.builder.validate(&draft.input, &self.merged.unreadable);
        let claimed = claimed(&validated, &draft.pinned, &self.merged.snapshot);
        if !claimed.is_empty() {
            draft.release(&claimed);
            validated = self.builder.validate(&draft.input, &self.merged.unreadable);
        }
        if let Some(Err(error)) = self.live.map(|live| lost_definitions::report(&mut validated, live)) {
            return Proposed { validated: Some(Arc::new(validated)), result: Err(error.into()) };
        }
        let validated = Arc::new(validated);
        let result = self.plan(draft, &validated, approved);
        Proposed { validated: Some(validated), result }
    }

    /// The sources with the definitions from the API in place of theirs.
    fn draft(&self, now: Micros) -> Result<Draft, StoreError> {
        let mut draft = Draft {
            input: Input {
                snapshot: self.merged.snapshot.clone(),
                environment: Some(self.scope.selection()),
                ..Input::default()
            },
            pinned: BTreeMap::new(),
        };
        let Some(live) = self.live else { return Ok(draft) };
        for item in live.manual_items(now).filter(|item| self.ended != Some(&item.id)) {
            if item.overrides_until().is_some() {
                draft.input.excluded.insert(item.id.clone());
            }
            draft.pin(live, item)?;
        }
        Ok(draft)
    }

    fn plan(
        &mut self,
        mut draft: Draft,
        first: &Arc<Validated>,
        approved: Option<Digest>,
    ) -> Result<Proposal, ReconcileError> {
        let mut validated = Arc::clone(first);
        let mut held = BTreeSet::new();
        if !first.is_valid() || !self.unready.is_empty() {
            let isolates = self.scope.document.spec.sync.apply == ApplyMode::Isolate;
            if !isolates || self.live.is_none() && first.unattributed() {
                return Err(refused(first, self.merged));
            }
            validated = self.isolate(&mut draft, first, &mut held)?;
        }
        let incomplete = !first.is_valid() && first.unattributed();
        let mut candidate = self.candidate(&validated, &draft.pinned)?;
        let (mut plan, mut blocked) = plan_change(self.scope, self.live, &candidate, incomplete);
        let mut withheld = None;
        let kept = self.withheld(&plan, &blocked, approved);
        if !kept.is_empty() {
            withheld = Some((plan, blocked));
            for id in kept {
                draft.input.excluded.insert(id.clone());
                draft.keep(self.live, &id)?;
            }
            let validated = Arc::new(self.builder.validate(&draft.input, &self.merged.unreadable));
            if !validated.broken().is_empty() {
                return Err(refused(&validated, self.merged));
            }
            candidate = self.candidate(&validated, &draft.pinned)?;
            (plan, blocked) = plan_change(self.scope, self.live, &candidate, incomplete);
        }
        let held = held.iter().map(ToString::to_string).collect();
        Ok(Proposal { candidate, plan, blocked, withheld, held, unready: None, compiled: None })
    }

    fn candidate(
        &mut self,
        validated: &Arc<Validated>,
        pinned: &BTreeMap<Id, Arc<Item>>,
    ) -> Result<Arc<Candidate>, ReconcileError> {
        let provenance = Provenance {
            pinned: pinned.clone(),
            revisions: self.merged.revisions(),
            multiple_sources: !self.scope.document.spec.sources.is_empty(),
            removed: self.removed.clone(),
            before: self.live.map(|live| &*live.candidate.manifest),
            document: Some(&self.scope.document.document),
            assets: self.assets(validated, pinned)?,
            promoted: BTreeSet::new(),
        };
        Ok(self.builder.build(self.scope.name(), validated, provenance)?)
    }

    /// Removals to leave out of a plan so that the rest can be applied: all of them if the environment removes nothing,
    /// and in `Isolate` mode those that a guard stops, unless the plan is approved.
    fn withheld(&self, plan: &Plan, blocked: &[BlockedRemovals], approved: Option<Digest>) -> BTreeSet<Id> {
        let isolates = self.scope.document.spec.sync.apply == ApplyMode::Isolate && approved != Some(plan.digest);
        let withheld = blocked.iter().filter(|blocked| isolates || blocked.reason == BlockedReason::Disabled);
        withheld.flat_map(|blocked| &blocked.ids).filter_map(|id| id.parse().ok()).collect()
    }

    /// Holds invalid definitions: their last good version stays, or they are absent, with everything that needs them or
    /// that they need. In the worst case everything is held, which is the live generation.
    fn isolate(
        &mut self,
        draft: &mut Draft,
        first: &Arc<Validated>,
        held: &mut BTreeSet<Id>,
    ) -> Result<Arc<Validated>, ReconcileError> {
        let mut broken = first.broken().clone();
        broken.extend(self.unready.iter().cloned());
        // A file that cannot be read may declare anything, so definitions that are missing stay.
        if first.unattributed() {
            let live = self.live.iter().flat_map(|live| live.candidate.manifest.items.keys());
            broken.extend(live.filter(|id| first.catalog.find(id.kind, &id.name).is_none()).cloned());
        }
        if broken.is_empty() {
            // The errors are in files that no definition comes from, so nothing depends on them.
            return Ok(Arc::clone(first));
        }
        for _ in 0..MAX_ROUNDS {
            let new: Vec<Id> = broken.iter().filter(|id| !held.contains(id)).cloned().collect();
            let new = if new.is_empty() { self.neighbours(held) } else { new };
            if new.is_empty() {
                break;
            }
            for id in new {
                draft.input.excluded.insert(id.clone());
                draft.keep(self.live, &id)?;
                held.insert(id);
            }
            let validated = self.builder.validate(&draft.input, &[]);
            broken.clone_from(validated.broken());
            if broken.is_empty() {
                return Ok(Arc::new(validated));
            }
        }
        Err(refused(first, self.merged))
    }

    /// Definitions that held ones need or that need held ones, and that are not held yet.
    fn neighbours(&self, held: &BTreeSet<Id>) -> Vec<Id> {
        let Some(live) = self.live else { return Vec::new() };
        let inventory = live.inventory();
        let mut neighbours = BTreeSet::new();
        for (id, object) in inventory {
            if held.contains(id) {
                neighbours.extend(object.needs.iter().filter(|need| inventory.contains_key(need)).cloned());
            } else if object.needs.iter().any(|need| held.contains(need)) {
                neighbours.insert(id.clone());
            }
        }
        neighbours.into_iter().filter(|id| !held.contains(id)).collect()
    }

    /// Contents of the files that definitions name; pinned definitions keep theirs.
    fn assets(
        &self,
        validated: &Validated,
        pinned: &BTreeMap<Id, Arc<Item>>,
    ) -> Result<BTreeMap<String, Arc<[u8]>>, ReconcileError> {
        if self.sources.is_none() && self.merged.sent.is_empty() {
            return Ok(BTreeMap::new());
        }
        let entries = pinned.keys().filter_map(|id| validated.catalog.find(id.kind, &id.name));
        let kept: BTreeSet<String> = entries.flat_map(catalog::assets_of).collect();
        let live = self.live.map(|live| &live.candidate.assets);
        let mut assets = BTreeMap::new();
        for path in catalog::assets(&validated.catalog) {
            let before = live.and_then(|live| live.get(&path));
            if let Some(before) = before.filter(|_| kept.contains(&path)) {
                assets.insert(path, Arc::clone(before));
                continue;
            }
            let bytes = self.read(&path)?;
            // Equal bytes share their allocation, so that nothing is hashed or stored again.
            let same = before.filter(|before| before[..] == bytes[..]).cloned();
            assets.insert(path, same.unwrap_or_else(|| bytes.into()));
        }
        Ok(assets)
    }
}

impl Proposer<'_> {
    /// Reads a file that was sent for a preview, or a file of the sources.
    fn read(&self, path: &str) -> Result<Vec<u8>, ReconcileError> {
        if let Some(sent) = self.merged.sent.get(path) {
            return Ok(sent.to_vec());
        }
        let missing = || {
            ReconcileError::retryable(Reason::Source(FetchReason::PathNotFound), format!("there is no file `{path}`"))
        };
        let sources = self.sources.ok_or_else(missing)?;
        let failed =
            |error: FetchError| ReconcileError::retryable(Reason::Source(error.reason), format!("{path}: {error}"));
        sources.read(self.merged, path).map_err(failed)
    }
}

impl Draft {
    /// Adds an item of the live generation as it is.
    fn pin(&mut self, live: &LiveGeneration, item: &Arc<Item>) -> Result<(), StoreError> {
        self.input.pinned.push(live.pinned(item)?);
        live.add_assets(&item.id, &mut self.input);
        self.pinned.insert(item.id.clone(), Arc::clone(item));
        Ok(())
    }

    /// Takes definitions of the live generation out again.
    fn release(&mut self, ids: &BTreeSet<Id>) {
        self.pinned.retain(|id, _| !ids.contains(id));
        self.input.pinned.retain(|definition| !ids.contains(&definition.id));
    }

    /// Keeps a definition of the live generation as it is, if there is one.
    fn keep(&mut self, live: Option<&LiveGeneration>, id: &Id) -> Result<(), StoreError> {
        match live.and_then(|live| Some((live, live.item(id)?))) {
            Some((live, item)) if !self.pinned.contains_key(id) => self.pin(live, item),
            _ => Ok(()),
        }
    }
}

/// Definitions that were made through the API and that a source declares now: the source adopts them.
fn claimed(validated: &Validated, pinned: &BTreeMap<Id, Arc<Item>>, snapshot: &Snapshot) -> BTreeSet<Id> {
    let is_second = |finding: &&Finding| finding.code == &codes::DUPLICATE_DEFINITION;
    let seconds: Vec<_> =
        validated.findings.iter().filter(is_second).filter_map(|finding| finding.subject.as_deref()).collect();
    // The code also reports equal values of other fields.
    let is_declared = |id: &Id| validated.catalog.entries.iter().filter(|entry| entry.id == *id).take(2).count() > 1;
    // A definition that was restored and is declared again in the same file counts as one, not as two.
    let is_same_file = |item: &Item| {
        let file = snapshot.files.iter().find(|file| file.path == item.base.path);
        file.is_some_and(|file| Digest::of(&file.bytes) == item.base.content)
    };
    let manual = pinned.values().filter(|item| item.overrides_until().is_none());
    let claimed = manual.filter(|item| {
        is_same_file(item) || seconds.iter().any(|subject| item.id == **subject) && is_declared(&item.id)
    });
    claimed.map(|item| item.id.clone()).collect()
}

/// The refusal of definitions with errors: the first error with its commit, file and line.
fn refused(validated: &Validated, merged: &MergedSources) -> ReconcileError {
    let errors: Vec<&Finding> =
        validated.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let revision = merged.revisions().into_values().collect::<Vec<_>>().join(", ");
    let message = match errors.first() {
        Some(first) => {
            let place = first.span().map(|span| validated.catalog.sources.display_position(span)).unwrap_or_default();
            let more = match errors.len() {
                1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            format!("{revision}: {place}: {}: {}{more}", first.code.id, first.message)
        }
        None => format!("{revision} cannot be applied"),
    };
    ReconcileError::stalled(Reason::InvalidDefinitions, message)
}
