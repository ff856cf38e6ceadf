//! What may become a generation: definitions examined, addressed by content, compiled.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::{self, Catalog, Entry, EnvironmentSelection, Input, PinnedDefinition, RawDocument};
use crate::connector::{Runtime, Vault};
use crate::definition::{Id, Kind, Spec};
use crate::plan::{self, Inventory, Object};
use crate::source::encrypted::Identities;
use crate::store::manifest::{Item, Manifest, Owner, Part};
use crate::store::{Store, StoreError};
use crate::text::Digest;

use super::validate::{Validated, Validator};

/// Definitions that were examined and found good, with everything that storing and serving them needs.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The examination.
    pub examined: Arc<Validated>,
    /// Definitions as plans compare them.
    pub inventory: Inventory,
    /// What it is made of, encoded.
    pub manifest: Arc<Manifest>,
    /// Its digest.
    pub digest: Digest,
    /// Objects that the generation before it does not have; none once they are stored.
    pub objects: Vec<(Digest, Vec<u8>)>,
    /// Contents of files that definitions name.
    pub assets: BTreeMap<String, Arc<[u8]>>,
}

/// Where the definitions of a candidate come from.
#[derive(Debug, Default)]
pub struct Provenance<'a> {
    /// Those that are taken as they are: made by hand, held back, or of another generation.
    pub fixed: BTreeMap<Id, Arc<Item>>,
    /// The revision of each source, for those that are new.
    pub revisions: BTreeMap<String, String>,
    /// Which source a path belongs to, where there are several.
    pub several: bool,
    /// Identities of definitions that were removed a while ago.
    pub buried: BTreeMap<Id, String>,
    /// What the candidate is made to replace.
    pub before: Option<&'a Manifest>,
    /// The operator's Environment document.
    pub given: Option<&'a RawDocument>,
    /// Contents of files that definitions name.
    pub assets: BTreeMap<String, Arc<[u8]>>,
}

type KnownEntry = (Arc<Entry>, Arc<Item>, Arc<Object>);
type KnownContent = (Arc<[u8]>, Digest);
/// Contents of files by their digest.
pub type Contents = HashMap<Digest, Arc<[u8]>>;

/// What is known of definitions that did not change since the last candidate.
#[derive(Debug, Default)]
pub struct KnownContents {
    entries: HashMap<Id, KnownEntry>,
    digests: HashMap<(usize, usize), KnownContent>,
}

impl KnownContents {
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

/// Builds a candidate of what was examined for an environment.
///
/// # Errors
/// Where it cannot be encoded, which is a fault in the program.
pub fn build(
    environment: &str,
    examined: &Arc<Validated>,
    from: Provenance<'_>,
    known: &mut KnownContents,
) -> Result<Candidate, StoreError> {
    let catalog = &examined.catalog;
    let mut items = BTreeMap::new();
    let mut inventory = Inventory::new();
    let mut next = HashMap::with_capacity(catalog.entries.len());
    let mut contents: BTreeMap<Digest, Arc<[u8]>> = BTreeMap::new();
    for entry in &catalog.entries {
        if entry.id.kind == Kind::Environment && !is_needed(catalog, environment, &entry.id.name) {
            continue;
        }
        let before = from.before.and_then(|before| before.items.get(&entry.id));
        let item = item(environment, entry, &from, before, known);
        let same = known.entries.remove(&entry.id).filter(|(was, known, _)| {
            let same = Arc::ptr_eq(was, entry) && (Arc::ptr_eq(known, &item) || known.owner == item.owner);
            // What it names may have changed beside it.
            same && catalog::assets_of(entry).next().is_none()
        });
        let object = if let Some((_, _, object)) = same {
            object
        } else {
            let (source, revision) = owner(&item);
            match plan::object(catalog, entry, source, revision) {
                Some(object) => Arc::new(with_files(object, entry, &from.assets)),
                None => continue,
            }
        };
        // The digest of the document is the plan's business; the item repeats it.
        let item = match item.digest == object.digest {
            true => item,
            false => Arc::new(Item { digest: object.digest, ..(*item).clone() }),
        };
        if before.is_none_or(|before| !Arc::ptr_eq(before, &item)) {
            for written in std::iter::once(&entry.origin.base).chain(&entry.origin.patches) {
                contents.insert(known.digest(&written.bytes), Arc::clone(&written.bytes));
            }
        }
        next.insert(entry.id.clone(), (Arc::clone(entry), Arc::clone(&item), Arc::clone(&object)));
        items.insert(entry.id.clone(), item);
        inventory.insert(entry.id.clone(), object);
    }
    known.entries = next;
    let given = from.given.map(|given| known.part(given));
    if let (Some(part), Some(given)) = (&given, from.given) {
        contents.insert(part.content, Arc::clone(&given.bytes));
    }
    let mut assets = BTreeMap::new();
    for (path, bytes) in &from.assets {
        let digest = known.digest(bytes);
        contents.insert(digest, Arc::clone(bytes));
        assets.insert(path.clone(), digest);
    }
    let mut manifest = Manifest::new(given, items, assets);
    let (digest, mut objects) = manifest.encode(from.before)?;
    let stored = from.before.map(Manifest::contents).unwrap_or_default();
    contents.retain(|digest, _| !stored.contains(digest));
    objects.extend(contents.into_iter().map(|(digest, bytes)| (digest, bytes.to_vec())));
    let live: std::collections::BTreeSet<Digest> = manifest.contents();
    known.digests.retain(|_, (_, digest)| live.contains(digest));
    let (examined, manifest) = (Arc::clone(examined), Arc::new(manifest));
    Ok(Candidate { examined, inventory, manifest, digest, objects, assets: from.assets })
}

/// A definition with the contents of the files that it names: where they change, it changes.
pub fn with_files(object: Object, entry: &Entry, assets: &BTreeMap<String, Arc<[u8]>>) -> Object {
    let named = catalog::assets_of(entry);
    let files: serde_json::Map<String, Value> = named
        .filter_map(|path| {
            let digest = Digest::of(assets.get(&path)?);
            Some((path, Value::String(digest.to_string())))
        })
        .collect();
    if files.is_empty() {
        return object;
    }
    let mut document = object.document();
    document["files"] = Value::Object(files);
    Object::new(object.id, document, object.place, object.needs)
}

/// The chosen environment, and the one it is promoted from, which its document names.
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
    from: &Provenance<'_>,
    before: Option<&Arc<Item>>,
    known: &mut KnownContents,
) -> Arc<Item> {
    if let Some(fixed) = from.fixed.get(&entry.id) {
        return Arc::clone(fixed);
    }
    let base = known.part(&entry.origin.base);
    let patches: Vec<Part> = entry.origin.patches.iter().map(|patch| known.part(patch)).collect();
    let source = match from.several {
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
    let revision = from.revisions.get(source).cloned().unwrap_or_default();
    let uid = before.map(|before| before.uid.clone()).or_else(|| from.buried.get(&entry.id).cloned());
    let uid = uid.unwrap_or_else(|| new_uid(environment, &entry.id, &revision));
    let (_, line) = entry.place();
    let owner = Owner::Source { source: source.to_owned(), revision };
    let digest = before.map_or_else(|| Digest::of(&[]), |before| before.digest);
    Arc::new(Item { id: entry.id.clone(), uid, digest, base, patches, line, owner })
}

/// An identity that is the same whoever computes it: a definition is known by where and when it first came to be.
pub fn new_uid(environment: &str, id: &Id, since: &str) -> String {
    let parts = [environment.as_bytes(), id.kind.as_str().as_bytes(), id.name.as_bytes(), since.as_bytes()];
    Digest::of_parts(parts).hex()[..16].to_owned()
}

fn owner(item: &Item) -> (&str, &str) {
    match &item.owner {
        Owner::Source { source, revision } => (source, revision),
        Owner::Api { who, .. } => ("by hand", who),
    }
}

impl Candidate {
    /// The same without the objects: what serves need not hold what was stored.
    #[must_use]
    pub fn stored(self: Arc<Self>) -> Arc<Candidate> {
        Arc::new(Candidate { objects: Vec::new(), ..Arc::unwrap_or_clone(self) })
    }

    /// Everything that calls need.
    ///
    /// # Errors
    /// Where a definition cannot be compiled, which no checked catalog gives.
    pub fn compile(
        &self,
        environment: &str,
        identities: Option<&Arc<Identities>>,
        before: Option<&Runtime>,
    ) -> Result<Runtime, String> {
        let mut runtime = Runtime::compile(&self.examined.catalog, Some(environment), self.digest.short(), before)?;
        let asset = |path: &str| self.assets.get(path).map(|bytes| bytes.to_vec());
        runtime.vault = Arc::new(Vault::load(&runtime.secrets, identities.cloned(), asset));
        Ok(runtime)
    }
}

/// A stored generation, read back: its manifest and the contents that it names.
///
/// # Errors
/// Where something is missing or damaged.
pub async fn stored(store: &dyn Store, digest: Digest) -> Result<(Manifest, Contents), StoreError> {
    let root = store.objects(&[digest]).await?;
    let root = root.first().ok_or(StoreError::Corrupt { digest, problem: "missing" })?;
    let children = store.objects(&Manifest::children(root)?).await?;
    let manifest = Manifest::decode(digest, root, &children)?;
    let digests: Vec<Digest> = manifest.contents().into_iter().collect();
    let mut contents = Contents::with_capacity(digests.len());
    for some in digests.chunks(1000) {
        let bytes = store.objects(some).await?;
        contents.extend(some.iter().copied().zip(bytes.into_iter().map(Arc::from)));
    }
    Ok((manifest, contents))
}

/// What the checker reads for a stored generation.
///
/// # Errors
/// Where a content is missing.
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
    let mut input = Input::default();
    for item in manifest.items.values() {
        // The operator's document stands for itself.
        if manifest.environment.as_ref().is_some_and(|given| given == &item.base) {
            continue;
        }
        input.pinned.push(piece(item, &written)?);
    }
    let given = manifest.environment.as_ref().map(written).transpose()?;
    input.environment = Some(EnvironmentSelection { name: environment.to_owned(), document: given });
    input.snapshot.shown_under = shown_under.to_owned();
    input.snapshot.names = Arc::new(manifest.assets.keys().cloned().collect());
    Ok(input)
}

/// The definition of one item.
///
/// # Errors
/// Where a content is missing.
pub fn piece(
    item: &Item,
    written: &impl Fn(&Part) -> Result<RawDocument, StoreError>,
) -> Result<PinnedDefinition, StoreError> {
    let patches: Result<_, StoreError> = item.patches.iter().map(written).collect();
    Ok(PinnedDefinition { id: item.id.clone(), base: written(&item.base)?, patches: patches? })
}

/// Examines a stored generation and builds the candidate that it was.
///
/// # Errors
/// Where a content is missing.
pub fn restore(
    environment: &str,
    manifest: &Manifest,
    contents: &Contents,
    shown_under: &str,
    examiner: &mut Validator,
    known: &mut KnownContents,
) -> Result<Candidate, StoreError> {
    let input = input(environment, manifest, contents, shown_under)?;
    let examined = Arc::new(examiner.validate(&input, &[]));
    let given = input.environment.as_ref().and_then(|chosen| chosen.document.as_ref());
    let assets =
        manifest.assets.iter().filter_map(|(path, digest)| Some((path.clone(), contents.get(digest)?.clone())));
    let from = Provenance {
        fixed: manifest.items.clone(),
        before: Some(manifest),
        given,
        assets: assets.collect(),
        ..Provenance::default()
    };
    let built = build(environment, &examined, from, known)?;
    // What is stored stands as it is, also where this version would write it otherwise.
    let digest = manifest.digest().unwrap_or(built.digest);
    Ok(Candidate { manifest: Arc::new(manifest.clone()), digest, objects: Vec::new(), ..built })
}

/// A removed definition, with everything that bringing it back takes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TombstonePayload {
    /// What it was.
    pub item: Item,
    /// Contents of the files that it names, by path.
    pub assets: BTreeMap<String, Digest>,
}

impl TombstonePayload {
    /// The grave of a definition of a candidate.
    pub fn of(item: &Item, candidate: &Candidate) -> TombstonePayload {
        let entry = candidate.examined.catalog.find(item.id.kind, &item.id.name);
        let named = entry.into_iter().flat_map(catalog::assets_of);
        let known = named.filter_map(|path| Some((path.clone(), *candidate.manifest.assets.get(&path)?)));
        TombstonePayload { item: item.clone(), assets: known.collect() }
    }

    /// Every content that it needs.
    pub fn contents(&self) -> impl Iterator<Item = Digest> {
        self.item.contents().chain(self.assets.values().copied())
    }
}
