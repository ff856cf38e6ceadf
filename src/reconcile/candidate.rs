//! Candidates for a generation: validated definitions, addressed by content.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::{self, Catalog, Entry, EnvironmentSelection, Input, Overlaid, PinnedDefinition, RawDocument};
use crate::connector::{Runtime, Vault};
use crate::definition::{Id, Kind, Spec};
use crate::plan::{self, Inventory, Object};
use crate::source::encrypted::Identities;
use crate::store::manifest::{Item, Manifest, Owner, Part};
use crate::store::{Store, StoreError};
use crate::text::Digest;

use super::validate::{Validated, Validator};

/// Valid definitions, with everything that storing and serving them needs.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The validation.
    pub validated: Arc<Validated>,
    /// Definitions as plans compare them.
    pub inventory: Inventory,
    /// The encoded manifest.
    pub manifest: Arc<Manifest>,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Objects that the previous generation does not have; empty once they are stored.
    pub objects: Vec<(Digest, Vec<u8>)>,
    /// Contents of files that definitions name.
    pub assets: BTreeMap<String, Arc<[u8]>>,
}

/// Origins of the definitions of a candidate.
#[derive(Debug, Default)]
pub struct Provenance<'a> {
    /// Definitions that are taken as they are: made through the API, held, or from another generation.
    pub pinned: BTreeMap<Id, Arc<Item>>,
    /// Revision of each source, for new definitions.
    pub revisions: BTreeMap<String, String>,
    /// True if paths start with the name of their source.
    pub multiple_sources: bool,
    /// Identities of definitions that were removed and can still be restored.
    pub removed: BTreeMap<Id, String>,
    /// Manifest of the generation that the candidate is to replace.
    pub before: Option<&'a Manifest>,
    /// The operator's Environment document.
    pub document: Option<&'a RawDocument>,
    /// Contents of files that definitions name.
    pub assets: BTreeMap<String, Arc<[u8]>>,
    /// Pinned definitions that are promoted from another environment, so that the overlays of this one change them.
    pub promoted: BTreeSet<Id>,
}

type KnownEntry = (Arc<Entry>, Arc<Item>, Arc<Object>);
type KnownContent = (Arc<[u8]>, Digest);
/// Contents of files by their digest.
pub type Contents = HashMap<Digest, Arc<[u8]>>;

/// Definitions and digests of the last candidate, reused for unchanged definitions.
#[derive(Debug, Default)]
pub struct CandidateCache {
    entries: HashMap<Id, KnownEntry>,
    digests: HashMap<(usize, usize), KnownContent>,
}

impl CandidateCache {
    /// Content digests are computed once for each file, however many documents it has.
    fn digest(&mut self, bytes: &Arc<[u8]>) -> Digest {
        let key = (bytes.as_ptr() as usize, bytes.len());
        // Held beside its digest, so that no other content can take its address meanwhile.
        self.digests.entry(key).or_insert_with(|| (Arc::clone(bytes), Digest::of(bytes))).1
    }

    fn part(&mut self, written: &RawDocument) -> Part {
        Part { path: Arc::clone(&written.path), content: self.digest(&written.bytes), index: written.index }
    }
}

/// Builds a candidate of definitions that were validated for an environment.
///
/// # Errors
/// The manifest cannot be encoded, which is a bug.
pub fn build(
    environment: &str,
    validated: &Arc<Validated>,
    provenance: Provenance<'_>,
    cache: &mut CandidateCache,
) -> Result<Candidate, StoreError> {
    let catalog = &validated.catalog;
    let mut items = BTreeMap::new();
    let mut inventory = Inventory::new();
    let mut next = HashMap::with_capacity(catalog.entries.len());
    let mut contents: BTreeMap<Digest, Arc<[u8]>> = BTreeMap::new();
    for entry in &catalog.entries {
        if entry.id.kind == Kind::Environment && !is_needed(catalog, environment, &entry.id.name) {
            continue;
        }
        let before = provenance.before.and_then(|before| before.items.get(&entry.id));
        let item = item(environment, entry, &provenance, before, cache);
        let same = cache.entries.remove(&entry.id).filter(|(was, known, _)| {
            let same = Arc::ptr_eq(was, entry) && (Arc::ptr_eq(known, &item) || known.owner == item.owner);
            // The files that it names may have changed.
            same && catalog::assets_of(entry).next().is_none()
        });
        let object = if let Some((_, _, object)) = same {
            object
        } else {
            match plan::object(catalog, entry, source_of(&item)) {
                Some(object) => {
                    let mut object = with_files(object, entry, &provenance.assets);
                    object.manual = item.is_api_owned() && item.overrides_until().is_none();
                    Arc::new(object)
                }
                None => continue,
            }
        };
        // The plan compares the digest of the document; the item repeats it.
        let item = match item.digest == object.digest {
            true => item,
            false => Arc::new(Item { digest: object.digest, ..(*item).clone() }),
        };
        if before.is_none_or(|before| !Arc::ptr_eq(before, &item)) {
            for written in std::iter::once(&entry.origin.base).chain(&entry.origin.patches) {
                contents.insert(cache.digest(&written.bytes), Arc::clone(&written.bytes));
            }
        }
        next.insert(entry.id.clone(), (Arc::clone(entry), Arc::clone(&item), Arc::clone(&object)));
        items.insert(entry.id.clone(), item);
        inventory.insert(entry.id.clone(), object);
    }
    cache.entries = next;
    let document = provenance.document.map(|document| cache.part(document));
    if let (Some(part), Some(document)) = (&document, provenance.document) {
        contents.insert(part.content, Arc::clone(&document.bytes));
    }
    let mut assets = BTreeMap::new();
    for (path, bytes) in &provenance.assets {
        let digest = cache.digest(bytes);
        contents.insert(digest, Arc::clone(bytes));
        assets.insert(path.clone(), digest);
    }
    let mut manifest = Manifest::new(document, items, assets);
    let (digest, mut objects) = manifest.encode(provenance.before)?;
    let stored = provenance.before.map(Manifest::contents).unwrap_or_default();
    contents.retain(|digest, _| !stored.contains(digest));
    objects.extend(contents.into_iter().map(|(digest, bytes)| (digest, bytes.to_vec())));
    let live: BTreeSet<Digest> = manifest.contents();
    cache.digests.retain(|_, (_, digest)| live.contains(digest));
    let (validated, manifest) = (Arc::clone(validated), Arc::new(manifest));
    Ok(Candidate { validated, inventory, manifest, digest, objects, assets: provenance.assets })
}

/// A definition with the files that it names, so that it changes when they change.
fn with_files(object: Object, entry: &Entry, assets: &BTreeMap<String, Arc<[u8]>>) -> Object {
    let named = catalog::assets_of(entry);
    object.with_files(named.filter_map(|path| Some((path.clone(), Arc::clone(assets.get(&path)?)))).collect())
}

/// True for the chosen environment and the one that its document is promoted from.
fn is_needed(catalog: &Catalog, chosen: &str, name: &str) -> bool {
    let spec = catalog.find(Kind::Environment, chosen).and_then(|entry| entry.spec());
    let promoted_from = match spec {
        Some(Spec::Environment(spec)) => spec.promote_from.as_deref(),
        _ => None,
    };
    name == chosen || promoted_from == Some(name)
}

fn item(
    environment: &str,
    entry: &Entry,
    provenance: &Provenance<'_>,
    before: Option<&Arc<Item>>,
    cache: &mut CandidateCache,
) -> Arc<Item> {
    if let Some(pinned) = provenance.pinned.get(&entry.id) {
        if !provenance.promoted.contains(&entry.id) {
            return Arc::clone(pinned);
        }
        let patches = entry.origin.patches.iter().map(|patch| cache.part(patch)).collect();
        return Arc::new(Item { patches, ..(**pinned).clone() });
    }
    let base = cache.part(&entry.origin.base);
    let patches: Vec<Part> = entry.origin.patches.iter().map(|patch| cache.part(patch)).collect();
    let source = match provenance.multiple_sources {
        true => base.path.split('/').next().unwrap_or_default(),
        false => super::sources::ONLY,
    };
    if let Some(before) = before
        && before.base == base
        && before.patches == patches
        && matches!(&before.owner, Owner::Source { source: owner, .. } if owner == source)
    {
        return Arc::clone(before);
    }
    let revision = provenance.revisions.get(source).cloned().unwrap_or_default();
    let uid = before.map(|before| before.uid.clone()).or_else(|| provenance.removed.get(&entry.id).cloned());
    let uid = uid.unwrap_or_else(|| new_uid(environment, &entry.id, &revision));
    let (_, line) = entry.place();
    let owner = Owner::Source { source: source.to_owned(), revision };
    let digest = before.map_or_else(|| Digest::of(&[]), |before| before.digest);
    Arc::new(Item { id: entry.id.clone(), uid, digest, base, patches, line, owner })
}

/// Identity of a new definition. It depends only on the environment, the definition and the revision that introduced it,
/// so that every process computes the same one.
pub fn new_uid(environment: &str, id: &Id, since: &str) -> String {
    let parts = [environment.as_bytes(), id.kind.as_str().as_bytes(), id.name.as_bytes(), since.as_bytes()];
    Digest::of_parts(parts).hex()[..16].to_owned()
}

fn source_of(item: &Item) -> &str {
    match &item.owner {
        Owner::Source { source, .. } => source,
        Owner::Api { .. } => "api",
    }
}

impl Candidate {
    /// The candidate without its objects, once these are stored.
    #[must_use]
    pub fn stored(self: Arc<Self>) -> Arc<Candidate> {
        Arc::new(Candidate { objects: Vec::new(), ..Arc::unwrap_or_clone(self) })
    }

    /// Compiles the runtime that serves calls.
    ///
    /// # Errors
    /// A definition cannot be compiled, which does not happen to a valid catalog.
    pub fn compile(
        &self,
        environment: &str,
        identities: Option<&Arc<Identities>>,
        before: Option<&Runtime>,
    ) -> Result<Runtime, String> {
        let mut runtime = Runtime::compile(&self.validated.catalog, Some(environment), self.digest.short(), before)?;
        let asset = |path: &str| self.assets.get(path).map(|bytes| bytes.to_vec());
        runtime.vault = Arc::new(Vault::load(&runtime.secrets, identities.cloned(), asset));
        Ok(runtime)
    }
}

/// Reads the manifest of a stored generation and the contents that it names.
///
/// # Errors
/// An object is missing or damaged.
pub async fn stored(store: &dyn Store, digest: Digest) -> Result<(Manifest, Contents), StoreError> {
    let root = store.objects(&[digest]).await?;
    let root = root.first().ok_or(StoreError::Corrupt { digest, problem: "missing" })?;
    let children = store.objects(&Manifest::children(root)?).await?;
    let manifest = Manifest::decode(digest, root, &children)?;
    let digests: Vec<Digest> = manifest.contents().into_iter().collect();
    let mut contents = Contents::with_capacity(digests.len());
    for chunk in digests.chunks(1000) {
        let bytes = store.objects(chunk).await?;
        contents.extend(chunk.iter().copied().zip(bytes.into_iter().map(Arc::from)));
    }
    Ok((manifest, contents))
}

/// The input of the validation of a stored generation.
///
/// # Errors
/// A content is missing.
pub fn input(
    environment: &str,
    manifest: &Manifest,
    contents: &Contents,
    shown_under: &str,
) -> Result<Input, StoreError> {
    let written = |part: &Part| -> Result<RawDocument, StoreError> {
        let missing = StoreError::Corrupt { digest: part.content, problem: "missing" };
        let bytes = Arc::clone(contents.get(&part.content).ok_or(missing)?);
        Ok(RawDocument { path: Arc::clone(&part.path), bytes, index: part.index })
    };
    let mut input = Input { overlaid: Overlaid::Merged, ..Input::default() };
    for item in manifest.items.values() {
        // The operator's document is added as such.
        if manifest.environment.as_ref().is_some_and(|own| own == &item.base) {
            continue;
        }
        input.pinned.push(pinned(item, &written)?);
    }
    let own = manifest.environment.as_ref().map(written).transpose()?;
    input.environment = Some(EnvironmentSelection { name: environment.to_owned(), document: own });
    input.snapshot.set_repository_folder(shown_under);
    input.snapshot.names = Arc::new(manifest.assets.keys().cloned().collect());
    Ok(input)
}

/// The documents of one item.
///
/// # Errors
/// A content is missing.
pub fn pinned(
    item: &Item,
    written: &impl Fn(&Part) -> Result<RawDocument, StoreError>,
) -> Result<PinnedDefinition, StoreError> {
    let patches: Result<_, StoreError> = item.patches.iter().map(written).collect();
    Ok(PinnedDefinition { id: item.id.clone(), base: written(&item.base)?, patches: patches? })
}

/// Validates a stored generation and builds the candidate that it was made from.
///
/// # Errors
/// A content is missing.
pub fn restore(
    environment: &str,
    manifest: &Manifest,
    contents: &Contents,
    shown_under: &str,
    validator: &mut Validator,
    cache: &mut CandidateCache,
) -> Result<Candidate, StoreError> {
    let input = input(environment, manifest, contents, shown_under)?;
    let validated = Arc::new(validator.validate(&input, &[]));
    let document = input.environment.as_ref().and_then(|chosen| chosen.document.as_ref());
    let assets =
        manifest.assets.iter().filter_map(|(path, digest)| Some((path.clone(), contents.get(digest)?.clone())));
    let provenance = Provenance {
        pinned: manifest.items.clone(),
        before: Some(manifest),
        document,
        assets: assets.collect(),
        ..Provenance::default()
    };
    let built = build(environment, &validated, provenance, cache)?;
    // The stored manifest counts, even if this version would encode it differently.
    let digest = manifest.digest().unwrap_or(built.digest);
    Ok(Candidate { manifest: Arc::new(manifest.clone()), digest, objects: Vec::new(), ..built })
}

/// A removed definition, with everything that restoring it needs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TombstonePayload {
    /// The item of the definition.
    pub item: Item,
    /// Contents of the files that it names, by path.
    pub assets: BTreeMap<String, Digest>,
}

impl TombstonePayload {
    /// The tombstone of a definition of a candidate.
    pub fn of(item: &Item, candidate: &Candidate) -> TombstonePayload {
        let entry = candidate.validated.catalog.find(item.id.kind, &item.id.name);
        let named = entry.into_iter().flat_map(catalog::assets_of);
        let known = named.filter_map(|path| Some((path.clone(), *candidate.manifest.assets.get(&path)?)));
        TombstonePayload { item: item.clone(), assets: known.collect() }
    }

    /// Digests of all contents that it needs.
    pub fn contents(&self) -> impl Iterator<Item = Digest> {
        self.item.contents().chain(self.assets.values().copied())
    }
}
