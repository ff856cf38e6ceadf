//! An input to catalogs. What was read before is kept while its file stays as it is, so that a call costs what changed.

mod numbers;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rayon::prelude::*;

use self::numbers::Numbers;
pub use self::view::{AttributedFinding, LoadedCatalog};
use super::code::{self, CodeFiles};
use super::merge::{Base, Layer, Layers};
use super::overlays::{self, Patch, PatchFile};
use super::read::{self, Part, Read, is_foreign};
use super::{Catalog, Entry, File, Input, RawDocument, Snapshot};
use crate::definition::{Id, Kind};
use crate::text::{Finding, SourceId, SourceMap};

/// Reads every definition of a snapshot. Pure: the same snapshot gives the same catalog and findings.
pub fn load(snapshot: &Snapshot) -> (Catalog, Vec<Finding>) {
    let input = Input { snapshot: snapshot.clone(), ..Input::default() };
    let loaded = Loader::default().load(&input);
    let views = std::iter::once(&loaded.main).chain(loaded.environments.iter().map(|(_, view)| view));
    let findings = views.flat_map(|view| view.findings.iter().map(|found| found.finding.clone())).collect();
    (loaded.main.catalog, findings)
}

/// Reads inputs, one after the other, and remembers the last.
#[derive(Debug, Default)]
pub struct Loader {
    /// Files of the snapshot, by path.
    files: Vec<Arc<Read>>,
    /// Files of pieces and of the operator, by path.
    loose: HashMap<Arc<str>, Vec<Arc<Read>>>,
    /// Files that were read as patches, by their number.
    patches: HashMap<SourceId, Arc<PatchFile>>,
    /// Composed definitions by environment and identity, with what they were composed of.
    composed: HashMap<(String, Id), (Vec<u64>, Arc<Part>)>,
    numbers: Numbers,
    /// The names of the last snapshot; kept where equal, as comparing them again costs.
    names: Arc<BTreeSet<String>>,
    /// Files of code.
    code: Arc<CodeFiles>,
    read: CacheTally,
}

/// How often something was there already, and how often it had to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheTally {
    /// It was there.
    pub hits: u64,
    /// It was made.
    pub misses: u64,
}

/// What an input holds.
#[derive(Debug)]
pub struct Loaded {
    /// The catalog: for the chosen environment, or before any overlay.
    pub main: LoadedCatalog,
    /// Where none is chosen: each environment that has overlays or a selector, by name.
    pub environments: Vec<(String, LoadedCatalog)>,
    /// Files that were there already, and files that were read.
    pub read: CacheTally,
}

/// What stands for an environment's name where it is none's; no environment has such a name.
const PIECES: &str = "/pieces";

/// What one call works on.
struct Call<'a> {
    input: &'a Input,
    sources: SourceMap,
    /// Files that hold patches and no definitions, as places in the list of files.
    overlays: BTreeSet<usize>,
    pieces: Vec<(Id, Arc<Part>, Vec<Finding>)>,
    given: Option<Given>,
    composed: HashMap<(String, Id), (Vec<u64>, Arc<Part>)>,
    patches: HashMap<SourceId, Arc<PatchFile>>,
}

/// The operator's own Environment document.
struct Given {
    /// Read as a patch.
    patch: Option<Patch>,
    findings: Vec<Finding>,
    /// Is it a document of the source?
    own: bool,
}

impl Loader {
    /// Reads an input. Pure but for time: the same input gives the same, whatever was read before.
    pub fn load(&mut self, input: &Input) -> Loaded {
        self.read = CacheTally::default();
        self.numbers.begin();
        self.files(&input.snapshot);
        self.code(&input.snapshot);
        let mut before = std::mem::take(&mut self.loose);
        let mut call = Call {
            input,
            sources: SourceMap::default().shown_under(&input.snapshot.shown_under),
            overlays: BTreeSet::new(),
            pieces: Vec::new(),
            given: None,
            composed: HashMap::new(),
            patches: HashMap::new(),
        };
        call.given = self.given(input, &mut call, &mut before);
        call.pieces = self.pieces(input, &mut call, &mut before);
        for file in before.into_values().flatten() {
            self.numbers.free(file.id);
        }
        let files = self.files.iter().chain(self.loose.values().flatten());
        let files = files.map(|file| (file.id, Arc::clone(&file.source)));
        let code = self.code.values().map(|file| (file.id, Arc::clone(&file.source)));
        call.sources.set(files.chain(code));
        call.overlays = overlays::inside(&self.files, &self.overlay_folders(&call));
        let main = self.main(&mut call);
        let environments = self.environments(&mut call, &main);
        self.composed = call.composed;
        self.patches = call.patches;
        Loaded { main, environments, read: self.read }
    }

    /// Brings the list of files up to date: those that changed are read, side by side.
    fn files(&mut self, snapshot: &Snapshot) {
        if self.names != snapshot.names {
            self.names = Arc::clone(&snapshot.names);
        }
        let mut wanted: Vec<&File> = snapshot.files.iter().filter(|file| !is_foreign(&file.path)).collect();
        if !wanted.is_sorted_by(|a, b| a.path <= b.path) {
            wanted.sort_by(|a, b| a.path.cmp(&b.path));
        }
        let mut before = std::mem::take(&mut self.files).into_iter().peekable();
        let mut jobs: Vec<Result<Arc<Read>, (&File, SourceId)>> = Vec::with_capacity(wanted.len());
        for file in wanted {
            while let Some(gone) = before.next_if(|known| known.path < file.path) {
                self.numbers.free(gone.id);
            }
            match before.next_if(|known| known.path == file.path) {
                Some(known) if same(&known.bytes, &file.bytes) => {
                    self.read.hits += 1;
                    jobs.push(Ok(known));
                }
                changed => {
                    if let Some(changed) = changed {
                        self.numbers.free(changed.id);
                    }
                    if let Some(known) = self.loosened(file) {
                        self.read.hits += 1;
                        jobs.push(Ok(known));
                        continue;
                    }
                    self.read.misses += 1;
                    jobs.push(Err((file, self.numbers.next())));
                }
            }
        }
        before.for_each(|gone| self.numbers.free(gone.id));
        let make = |(file, id): (&File, SourceId)| Arc::new(read::read(&file.path, &file.bytes, id));
        self.files = if self.read.misses == 0 {
            jobs.into_iter().filter_map(Result::ok).collect()
        } else {
            jobs.into_par_iter().map(|job| job.unwrap_or_else(make)).collect()
        };
    }

    /// Brings the files of code up to date.
    fn code(&mut self, snapshot: &Snapshot) {
        let mut gone = Vec::new();
        let numbers = &mut self.numbers;
        self.code = code::read(snapshot, &self.code, || numbers.next(), |id| gone.push(id));
        for id in gone {
            self.numbers.free(id);
        }
    }

    /// A file of the snapshot that was read for a piece before: after a start, what is stored is mostly what is declared,
    /// and need not be held twice.
    fn loosened(&mut self, file: &File) -> Option<Arc<Read>> {
        let files = self.loose.get_mut(&file.path)?;
        let at = files.iter().position(|known| same(&known.bytes, &file.bytes))?;
        Some(files.swap_remove(at))
    }

    /// A file that may be none of the snapshot's.
    fn loose(&mut self, written: &RawDocument, before: &mut HashMap<Arc<str>, Vec<Arc<Read>>>) -> Arc<Read> {
        let is = |file: &Arc<Read>| file.path == written.path && same(&file.bytes, &written.bytes);
        let at = self.files.partition_point(|file| *file.path < *written.path);
        if let Some(file) = self.files.get(at).filter(|file| is(file)) {
            return Arc::clone(file);
        }
        let known = self.loose.get(&written.path).and_then(|files| files.iter().find(|file| is(file)));
        if let Some(file) = known {
            return Arc::clone(file);
        }
        let kept = before.get_mut(&written.path).and_then(|files| {
            let at = files.iter().position(is)?;
            Some(files.swap_remove(at))
        });
        let file = if let Some(kept) = kept {
            self.read.hits += 1;
            kept
        } else {
            self.read.misses += 1;
            Arc::new(read::read(&written.path, &written.bytes, self.numbers.next()))
        };
        self.loose.entry(Arc::clone(&written.path)).or_default().push(Arc::clone(&file));
        file
    }

    /// A file as patches.
    fn patch_file(&self, file: &Read, call: &mut Call<'_>) -> Arc<PatchFile> {
        let known =
            call.patches.get(&file.id).or_else(|| self.patches.get(&file.id).filter(|known| known.id == file.id));
        let known = known.cloned().unwrap_or_else(|| Arc::new(PatchFile::read(file)));
        call.patches.insert(file.id, Arc::clone(&known));
        known
    }

    /// Every folder of patches: of all environments, as their files are no definitions whichever one is chosen.
    fn overlay_folders(&self, call: &Call<'_>) -> BTreeSet<String> {
        let entries = self.files.iter().flat_map(|file| &file.documents).filter_map(|part| part.entry.as_ref());
        let environments = entries.filter(|entry| entry.id.kind == Kind::Environment);
        let mut folders: BTreeSet<String> = environments.flat_map(|entry| overlays::folders(entry)).collect();
        let given = call.given.as_ref().filter(|given| !given.own).and_then(|given| given.patch.as_ref());
        if let Some(given) = given {
            let alone = Layers { base: Base::Layer(&given.layer), patches: &[], given: None }.compose();
            folders.extend(alone.entry.iter().flat_map(|entry| overlays::folders(entry)));
        }
        folders
    }

    fn given(
        &mut self,
        input: &Input,
        call: &mut Call<'_>,
        before: &mut HashMap<Arc<str>, Vec<Arc<Read>>>,
    ) -> Option<Given> {
        let written = input.environment.as_ref()?.document.as_ref()?;
        let at = self.files.partition_point(|file| *file.path < *written.path);
        let own = self.files.get(at).is_some_and(|file| file.path == written.path && same(&file.bytes, &written.bytes));
        let file = self.loose(written, before);
        let patches = self.patch_file(&file, call);
        let patch = patches.patches.get(written.index as usize).cloned().flatten();
        let id = Id { kind: Kind::Environment, name: input.environment.as_ref()?.name.clone() };
        let mut findings = view::of_document(&file, written.index, &patches.findings);
        if patch.as_ref().is_none_or(|patch| patch.id != id) && findings.is_empty() {
            findings = view::lost(&id, written, file.id).findings;
        }
        let patch =
            patch.filter(|patch| patch.id == id).map(|patch| Patch { layer: view::operators(&patch.layer), ..patch });
        Some(Given { patch, findings, own })
    }

    fn pieces(
        &mut self,
        input: &Input,
        call: &mut Call<'_>,
        before: &mut HashMap<Arc<str>, Vec<Arc<Read>>>,
    ) -> Vec<(Id, Arc<Part>, Vec<Finding>)> {
        let mut pieces = Vec::with_capacity(input.pinned.len());
        for piece in &input.pinned {
            let file = self.loose(&piece.base, before);
            let text = view::of_document(&file, piece.base.index, &file.findings);
            let base = file.documents.get(piece.base.index as usize);
            let base = base.and_then(|part| part.entry.as_ref().map(|entry| (part, entry)));
            let Some((part, entry)) = base.filter(|(_, entry)| entry.id == piece.id) else {
                pieces.push((piece.id.clone(), Arc::new(view::lost(&piece.id, &piece.base, file.id)), text));
                continue;
            };
            if piece.patches.is_empty() {
                let kept = Part { entry: Some(Arc::clone(entry)), nameless: None, findings: part.findings.clone() };
                pieces.push((piece.id.clone(), Arc::new(kept), text));
                continue;
            }
            let mut layers = Vec::with_capacity(piece.patches.len());
            let mut lost = None;
            for written in &piece.patches {
                let file = self.loose(written, before);
                let patches = self.patch_file(&file, call);
                let patch = patches.patches.get(written.index as usize).cloned().flatten();
                match patch.filter(|patch| patch.id == piece.id) {
                    Some(patch) => layers.push(patch.layer),
                    None => lost = Some(view::lost(&piece.id, written, file.id)),
                }
            }
            let part = match lost {
                Some(lost) => Arc::new(lost),
                None => self.compose(call, PIECES, entry, &layers, None),
            };
            pieces.push((piece.id.clone(), part, text));
        }
        pieces
    }

    /// A definition with patches over it; the one of the last call where it is made of the same.
    fn compose(
        &self,
        call: &mut Call<'_>,
        environment: &str,
        base: &Arc<Entry>,
        patches: &[Arc<Layer>],
        given: Option<&Patch>,
    ) -> Arc<Part> {
        let layers = Layers { base: Base::Entry(base), patches, given: given.map(|given| &*given.layer) };
        let stamps = layers.stamps();
        let key = (environment.to_owned(), base.id.clone());
        let known = self.composed.get(&key).filter(|(known, _)| *known == stamps).map(|(_, part)| Arc::clone(part));
        let part = known.unwrap_or_else(|| Arc::new(layers.compose()));
        call.composed.insert(key, (stamps, Arc::clone(&part)));
        part
    }
}

/// Are two contents the same? Mostly told by being the same piece of memory.
fn same(one: &Arc<[u8]>, other: &Arc<[u8]>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}
