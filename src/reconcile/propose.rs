//! From what the sources hold to what could go live: examined, with what was made by hand, and in `Isolate` with the last
//! good version of what is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::candidate::{self, Candidate, Provenance};
use super::engine::Reconciler;
use super::reason::{Reason, ReconcileError};
use super::sources::MergedSources;
use super::validate::Validated;
use crate::catalog::{self, EnvironmentSelection, Input, PinnedDefinition, RawDocument};
use crate::definition::environment::ApplyMode;
use crate::definition::{Id, Kind};
use crate::plan::{BlockedReason, BlockedRemovals, DesiredState, Plan, PrunePolicy, Verb};
use crate::store::manifest::{Item, Part};
use crate::store::{Micros, StoreError};
use crate::text::{Digest, Finding, Severity, codes};

/// What the sources would make of the environment.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) candidate: Arc<Candidate>,
    pub(super) plan: Arc<Plan>,
    /// What keeps it from being applied.
    pub(super) blocked: Vec<BlockedRemovals>,
    /// Removals that are left out of it, with the plan that has them: the rest can be applied.
    pub(super) withheld: Option<(Arc<Plan>, Vec<BlockedRemovals>)>,
    /// Definitions that keep their last good version, or are left out.
    pub(super) held: Vec<String>,
}

/// Rounds of holding back: each holds at least one more definition, and few depend on many.
const ROUNDS: usize = 32;

impl Reconciler {
    /// Examines what the sources hold and plans it against what is active.
    ///
    /// # Errors
    /// Where it has errors; `looked` has the findings then.
    pub(super) async fn propose(
        &mut self,
        joined: &MergedSources,
        approved: Option<Digest>,
    ) -> Result<Proposal, ReconcileError> {
        let now = super::clock::now();
        let buried = self.buried().await?;
        let by_hand = self.by_hand(now);
        let mut input = Input {
            snapshot: joined.snapshot.clone(),
            environment: Some(EnvironmentSelection {
                name: self.given.name.clone(),
                document: Some(self.given.document.clone()),
            }),
            ..Input::default()
        };
        let mut fixed: BTreeMap<Id, Arc<Item>> = BTreeMap::new();
        for item in by_hand {
            if item.overrides_until().is_some() {
                input.excluded.insert(item.id.clone());
            }
            input.pinned.push(self.piece(&item)?);
            self.with_assets(&item.id, &mut input);
            fixed.insert(item.id.clone(), item);
        }
        let mut examined = tokio::task::block_in_place(|| self.examiner.validate(&input, &joined.unreadable));
        Self::claimed_twice(&mut examined, &fixed);
        let first = Arc::new(examined);
        self.looked = Some(Arc::clone(&first));
        let mut examined = Arc::clone(&first);
        let mut held: BTreeSet<Id> = BTreeSet::new();
        if !first.is_valid() {
            if self.given.spec.sync.apply == ApplyMode::Atomic || self.live.is_none() && first.unattributed() {
                return Err(refused(&first, joined));
            }
            examined = self.isolate(&mut input, joined, &first, &mut held, &mut fixed)?;
        }
        let incomplete = !first.is_valid() && first.unattributed();
        let mut candidate = self.candidate(&examined, joined, &fixed, &buried)?;
        let (mut plan, mut blocked) = self.plan(&candidate, incomplete);
        let mut withheld = None;
        let keep = self.kept(&plan, &blocked, approved);
        if !keep.is_empty() {
            withheld = Some((plan, blocked));
            for id in keep {
                input.excluded.insert(id.clone());
                self.keep(id, &mut input, &mut fixed)?;
            }
            let examined = Arc::new(tokio::task::block_in_place(|| self.examiner.validate(&input, &joined.unreadable)));
            if !examined.broken().is_empty() {
                return Err(refused(&examined, joined));
            }
            candidate = self.candidate(&examined, joined, &fixed, &buried)?;
            (plan, blocked) = self.plan(&candidate, incomplete);
        }
        let held = held.iter().map(ToString::to_string).collect();
        Ok(Proposal { candidate, plan, blocked, withheld, held })
    }

    fn candidate(
        &mut self,
        examined: &Arc<Validated>,
        joined: &MergedSources,
        fixed: &BTreeMap<Id, Arc<Item>>,
        buried: &BTreeMap<Id, String>,
    ) -> Result<Arc<Candidate>, ReconcileError> {
        let live = self.live.as_ref().map(|live| Arc::clone(&live.candidate));
        let given = self.given.document.clone();
        let from = Provenance {
            fixed: fixed.clone(),
            revisions: joined.revisions(),
            several: !self.given.spec.sources.is_empty(),
            buried: buried.clone(),
            before: live.as_ref().map(|live| &*live.manifest),
            given: Some(&given),
            assets: self.assets(examined, joined, fixed)?,
        };
        let name = self.given.name.clone();
        let known = &mut self.known;
        Ok(Arc::new(tokio::task::block_in_place(|| candidate::build(&name, examined, from, known))?))
    }

    /// Removals that are left out of a plan so that the rest can be applied: all where the environment removes nothing, and
    /// in `Isolate` those that wait for approval.
    fn kept(&self, plan: &Plan, blocked: &[BlockedRemovals], approved: Option<Digest>) -> BTreeSet<Id> {
        let isolates = self.given.spec.sync.apply == ApplyMode::Isolate && approved != Some(plan.digest);
        let keeps = |one: &&BlockedRemovals| isolates || one.reason == BlockedReason::Disabled;
        blocked.iter().filter(keeps).flat_map(|one| &one.ids).filter_map(|id| id.parse().ok()).collect()
    }

    /// Takes a definition of the active generation into the next one as it is.
    fn keep(&self, id: Id, input: &mut Input, fixed: &mut BTreeMap<Id, Arc<Item>>) -> Result<(), StoreError> {
        let item = self.live.as_ref().and_then(|live| live.candidate.manifest.items.get(&id).cloned());
        if let Some(item) = item.filter(|item| !fixed.contains_key(&item.id)) {
            input.pinned.push(self.piece(&item)?);
            self.with_assets(&id, input);
            fixed.insert(id, item);
        }
        Ok(())
    }

    /// A definition that is kept keeps the files that it names, also where the source has them no more.
    pub(super) fn with_assets(&self, id: &Id, input: &mut Input) {
        let Some(live) = &self.live else { return };
        let entry = live.candidate.examined.catalog.find(id.kind, &id.name);
        for path in entry.into_iter().flat_map(catalog::assets_of) {
            let Some(bytes) = live.candidate.assets.get(&path) else { continue };
            // Its code as it was, which was found good.
            input.snapshot.with_code([(path.as_str(), bytes)]);
            if !input.snapshot.names.contains(&path) {
                Arc::make_mut(&mut input.snapshot.names).insert(path);
            }
        }
    }

    /// The plan from what is active to a candidate, with what guards say of it.
    pub(super) fn plan(&self, candidate: &Candidate, incomplete: bool) -> (Arc<Plan>, Vec<BlockedRemovals>) {
        let nothing = crate::plan::Inventory::new();
        let observed = self.live.as_ref().map_or(&nothing, |live| &live.candidate.inventory);
        let options =
            crate::plan::PlanOptions { environment: self.key(), fingerprint: Some(&self.context.fingerprint) };
        let plan = crate::plan::plan(observed, &candidate.inventory, &options);
        let policy = PrunePolicy::from(&self.given.spec.sync.prune);
        let desired = DesiredState { inventory: &candidate.inventory, incomplete, deliberate: self.is_of_cluster() };
        let mut blocked = crate::plan::guard(&plan, &policy, observed, &desired);
        blocked.extend(
            self.emptied(&plan, candidate)
                .filter(|_| blocked.iter().all(|one| one.reason != BlockedReason::EmptySource)),
        );
        (Arc::new(plan), blocked)
    }

    /// Do all definitions come from resources of a cluster?
    fn is_of_cluster(&self) -> bool {
        let spec = &self.given.spec;
        let only = spec.source.as_ref().is_none_or(|source| source.git.is_none() && source.directory.is_none());
        self.context.source_context.cluster.is_some()
            && only
            && spec.sources.iter().all(|source| source.cluster.is_some())
    }

    /// The guard against empty sources, where what was made by hand makes it look as if something were declared.
    fn emptied(&self, plan: &Plan, candidate: &Candidate) -> Option<BlockedRemovals> {
        let counts = |item: &Arc<Item>| item.id.kind != Kind::Environment && !item.is_api_owned();
        let removed: Vec<String> = plan
            .actions
            .iter()
            .filter(|action| action.action == Verb::Delete)
            .map(|action| action.id.to_string())
            .collect();
        let observed = self.manifest().is_some_and(|manifest| manifest.items.values().any(counts));
        if removed.is_empty() || self.is_of_cluster() || !observed || candidate.manifest.items.values().any(counts) {
            return None;
        }
        let message = "the source declares nothing while definitions exist; check its path and branch".to_owned();
        Some(BlockedRemovals { reason: BlockedReason::EmptySource, ids: removed, message })
    }

    pub(super) async fn buried(&self) -> Result<BTreeMap<Id, String>, StoreError> {
        let tombstones = self.store().tombstones(self.key()).await?;
        let identity = |grave: &serde_json::Value| Some(grave.pointer("/item/uid")?.as_str()?.to_owned());
        let known = tombstones.iter().filter_map(|stone| Some((stone.id.parse().ok()?, identity(&stone.item)?)));
        Ok(known.collect())
    }

    /// What was made by hand, without overrides whose time has passed.
    pub(super) fn by_hand(&self, now: Micros) -> Vec<Arc<Item>> {
        let items = self.live.iter().flat_map(|live| live.candidate.manifest.items.values());
        let stays = |item: &&Arc<Item>| item.is_api_owned() && item.overrides_until().is_none_or(|until| until > now);
        items.filter(stays).cloned().collect()
    }

    /// The definition of an item of the active generation.
    pub(super) fn piece(&self, item: &Item) -> Result<PinnedDefinition, StoreError> {
        let missing = |part: &Part| StoreError::Corrupt { digest: part.content, problem: "missing" };
        let catalog = self.live.as_ref().map(|live| &live.candidate.examined.catalog);
        let entry = catalog.and_then(|catalog| catalog.find(item.id.kind, &item.id.name));
        let entry = entry.ok_or_else(|| missing(&item.base))?;
        let (base, patches) = (entry.origin.base.clone(), entry.origin.patches.clone());
        Ok(PinnedDefinition { id: item.id.clone(), base, patches })
    }

    /// A definition of a source that bears the name of one that was made by hand: neither gives way silently.
    fn claimed_twice(examined: &mut Validated, fixed: &BTreeMap<Id, Arc<Item>>) {
        // The checker has found the second definition of a name; it cannot know that one was made by hand.
        for finding in &mut examined.findings {
            if finding.code == &codes::DUPLICATE_DEFINITION
                && fixed.values().any(|item| finding.message.contains(&format!("`{}`", item.id.name)))
            {
                finding.help = Some(
                    "one of them was made through the API: remove it there, or rename the one in the source".into(),
                );
            }
        }
    }

    /// Holds back what is broken: its last good version stays, or it is left out; with it goes whatever it cannot be
    /// without. In the worst case everything is held, which is what is active now.
    fn isolate(
        &mut self,
        input: &mut Input,
        joined: &MergedSources,
        first: &Arc<Validated>,
        held: &mut BTreeSet<Id>,
        fixed: &mut BTreeMap<Id, Arc<Item>>,
    ) -> Result<Arc<Validated>, ReconcileError> {
        let mut broken = first.broken().clone();
        // A file that cannot be read may hold anything: what is not there any more stays.
        if first.unattributed() {
            let missing = self.live.iter().flat_map(|live| live.candidate.manifest.items.keys());
            broken.extend(missing.filter(|id| first.catalog.find(id.kind, &id.name).is_none()).cloned());
        }
        if broken.is_empty() {
            // Only what no definition is made of: nothing depends on it.
            return Ok(Arc::clone(first));
        }
        for _ in 0..ROUNDS {
            let news: Vec<Id> = broken.iter().filter(|id| !held.contains(id)).cloned().collect();
            let spread = if news.is_empty() { self.needed_by(held) } else { news };
            if spread.is_empty() {
                return Err(refused(first, joined));
            }
            for id in spread {
                input.excluded.insert(id.clone());
                self.keep(id.clone(), input, fixed)?;
                held.insert(id);
            }
            let examined = tokio::task::block_in_place(|| self.examiner.validate(input, &[]));
            broken.clone_from(examined.broken());
            if broken.is_empty() {
                return Ok(Arc::new(examined));
            }
        }
        Err(refused(first, joined))
    }

    /// What the held definitions need and what needs them, as far as it is not held yet.
    fn needed_by(&self, held: &BTreeSet<Id>) -> Vec<Id> {
        let Some(live) = &self.live else { return Vec::new() };
        let inventory = &live.candidate.inventory;
        let mut more = BTreeSet::new();
        for (id, object) in inventory {
            if held.contains(id) {
                more.extend(object.needs.iter().filter(|need| inventory.contains_key(need)).cloned());
            } else if object.needs.iter().any(|need| held.contains(need)) {
                more.insert(id.clone());
            }
        }
        more.into_iter().filter(|id| !held.contains(id)).collect()
    }

    /// Contents of files that definitions name: of those that are kept, as they were.
    fn assets(
        &self,
        examined: &Validated,
        joined: &MergedSources,
        fixed: &BTreeMap<Id, Arc<Item>>,
    ) -> Result<BTreeMap<String, Arc<[u8]>>, ReconcileError> {
        let Some(sources) = &self.sources else { return Ok(BTreeMap::new()) };
        let kept = fixed.keys().filter_map(|id| examined.catalog.find(id.kind, &id.name)).flat_map(catalog::assets_of);
        let kept: BTreeSet<String> = kept.collect();
        let live = self.live.as_ref().map(|live| &live.candidate.assets);
        let mut assets = BTreeMap::new();
        for path in catalog::assets(&examined.catalog) {
            let before = live.and_then(|live| live.get(&path));
            if let Some(before) = before.filter(|_| kept.contains(&path)) {
                assets.insert(path, Arc::clone(before));
                continue;
            }
            let bytes = sources.read(joined, &path).map_err(|error| {
                let message = format!("{path}: {error}");
                ReconcileError::retryable(Reason::Source(error.reason), message)
            })?;
            // The same bytes as before are the same content, so that nothing is hashed or stored anew.
            let same = before.filter(|before| before[..] == bytes[..]).cloned();
            assets.insert(path, same.unwrap_or_else(|| bytes.into()));
        }
        Ok(assets)
    }
}

/// The refusal of definitions with errors: the first of them with its commit, file and line.
fn refused(examined: &Validated, joined: &MergedSources) -> ReconcileError {
    let errors: Vec<&Finding> =
        examined.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let revision = joined.revisions().into_values().collect::<Vec<_>>().join(", ");
    let message = match errors.first() {
        Some(first) => {
            let place = first.span().map(|span| examined.catalog.sources.display_position(span)).unwrap_or_default();
            let more = match errors.len() {
                1 => String::new(),
                many => format!(" (and {} more)", many - 1),
            };
            format!("{revision}: {place}: {}: {}{more}", first.code.id, first.message)
        }
        None => format!("{revision} cannot be applied"),
    };
    ReconcileError::stalled(Reason::InvalidDefinitions, message)
}

/// A definition as it was written by hand.
pub(super) fn written_by_hand(id: &Id, text: &str, json: bool) -> RawDocument {
    let extension = if json { "json" } else { "yaml" };
    let path = format!("by-hand/{}-{}.{extension}", id.kind.as_str().to_ascii_lowercase(), id.name);
    RawDocument { path: path.into(), bytes: text.as_bytes().into(), index: 0 }
}
