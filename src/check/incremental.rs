//! Checks one catalog after the other, and repeats only the checks whose result may differ.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::result::CheckResult;
use super::settings::Settings;
use super::{cycles, definition};
use crate::catalog::dependencies::{DependencyKey, Key};
use crate::catalog::{AttributedFinding, CacheTally, Catalog, CodeFile, Entry};
use crate::definition::Kind;

/// Checks catalogs one after the other, and keeps the results of the last.
#[derive(Debug, Default)]
pub struct Checker {
    previous: Option<Previous>,
    cycles: Vec<AttributedFinding>,
}

/// The last checked catalog, as far as results depend on it.
#[derive(Debug)]
struct Previous {
    entries: Vec<Arc<Entry>>,
    results: Vec<Arc<CheckResult>>,
    settings: Arc<Settings>,
    files: Arc<BTreeSet<String>>,
    code: Arc<BTreeMap<Arc<str>, CodeFile>>,
    nameless: BTreeSet<String>,
    environment: Option<String>,
    alone: bool,
}

impl Checker {
    /// Checks a catalog, and returns for how many definitions the result was reused and for how many it was computed.
    /// A checker without results starts from those of `seed`, which has checked a similar catalog.
    pub fn check(&mut self, catalog: &Catalog, seed: Option<&Checker>) -> CacheTally {
        let previous = self.previous.take();
        // Results of a whole source and of one of its files are never exchanged.
        let usable = |previous: &&Previous| previous.alone == catalog.alone;
        let before = previous.as_ref().or_else(|| seed?.previous.as_ref()).filter(usable);
        let delta = before.map(|before| Delta::between(&before.entries, &catalog.entries));
        let settings =
            Settings::update(catalog, before.map(|before| &before.settings), delta.as_ref().map(Delta::kinds));
        let changed = before.zip(delta.as_ref()).map(|(before, delta)| before.changed(catalog, delta, &settings));
        let fresh = |entry: &Arc<Entry>| Arc::new(definition::check(catalog, entry, &settings));
        let mut tally = CacheTally::default();
        let results: Vec<Arc<CheckResult>> = match (before, delta, changed) {
            (Some(before), Some(delta), Some(changed)) => {
                let kept = |at: usize, entry: &Arc<Entry>| {
                    let result = before.results.get(delta.earlier(at, entry)?)?;
                    let stays = changed.is_empty() || !result.dependencies.iter().any(|key| changed.contains(key));
                    stays.then(|| Arc::clone(result))
                };
                let kept: Vec<Option<Arc<CheckResult>>> =
                    catalog.entries.iter().enumerate().map(|(at, entry)| kept(at, entry)).collect();
                tally.hits = kept.iter().flatten().count() as u64;
                if tally.hits as usize == kept.len() {
                    kept.into_iter().flatten().collect()
                } else {
                    let work = kept.into_par_iter().zip(&catalog.entries);
                    work.map(|(kept, entry)| kept.unwrap_or_else(|| fresh(entry))).collect()
                }
            }
            _ => catalog.entries.par_iter().map(fresh).collect(),
        };
        tally.misses = results.len() as u64 - tally.hits;
        // Cycles are the same while the edges are.
        let with_edges = |results: &[Arc<CheckResult>]| -> Vec<*const CheckResult> {
            results.iter().filter(|result| !result.edges.is_empty()).map(Arc::as_ptr).collect()
        };
        let same = previous.as_ref().is_some_and(|previous| with_edges(&previous.results) == with_edges(&results));
        self.previous = Some(Previous {
            entries: catalog.entries.clone(),
            results,
            settings,
            files: Arc::clone(&catalog.files),
            code: Arc::clone(&catalog.code),
            nameless: catalog.nameless.clone(),
            environment: catalog.environment.clone(),
            alone: catalog.alone,
        });
        if !same {
            self.cycles = cycles::check(self.results().flat_map(|(_, result)| &result.edges));
        }
        tally
    }

    /// Each definition with its result.
    pub(super) fn results(&self) -> impl Iterator<Item = (&Entry, &CheckResult)> {
        let previous = self.previous.iter().flat_map(|previous| previous.entries.iter().zip(&previous.results));
        previous.map(|(entry, result)| (&**entry, &**result))
    }

    /// The definitions that use each secret, by their position in the last catalog.
    pub fn secret_uses(&self) -> BTreeMap<Box<str>, Vec<u32>> {
        let mut uses: BTreeMap<Box<str>, Vec<u32>> = BTreeMap::new();
        for (at, (_, result)) in (0..).zip(self.results()) {
            for name in &result.secrets {
                match uses.get_mut(&**name) {
                    Some(known) => known.push(at),
                    None => drop(uses.insert(name.clone(), vec![at])),
                }
            }
        }
        uses
    }

    /// Findings about cycles of definitions.
    pub(super) fn cycles(&self) -> &[AttributedFinding] {
        &self.cycles
    }
}

/// The difference between two lists of definitions.
struct Delta {
    /// Positions in the earlier list by stamp; `None` if both lists are equal.
    places: Option<HashMap<u64, usize>>,
    removed: Vec<Arc<Entry>>,
    added: Vec<Arc<Entry>>,
}

impl Delta {
    fn between(earlier: &[Arc<Entry>], later: &[Arc<Entry>]) -> Delta {
        let same = earlier.len() == later.len() && earlier.iter().zip(later).all(|(a, b)| Arc::ptr_eq(a, b));
        if same {
            return Delta { places: None, removed: Vec::new(), added: Vec::new() };
        }
        let stamps = |entries: &[Arc<Entry>]| -> HashSet<u64> { entries.iter().map(|entry| entry.stamp()).collect() };
        let new = stamps(later);
        let places: HashMap<u64, usize> = earlier.iter().enumerate().map(|(at, entry)| (entry.stamp(), at)).collect();
        let removed = earlier.iter().filter(|entry| !new.contains(&entry.stamp())).cloned().collect();
        let added = later.iter().filter(|entry| !places.contains_key(&entry.stamp())).cloned().collect();
        Delta { places: Some(places), removed, added }
    }

    /// The position in the earlier list of the definition at a position of the later one.
    fn earlier(&self, at: usize, entry: &Entry) -> Option<usize> {
        match &self.places {
            None => Some(at),
            Some(places) => places.get(&entry.stamp()).copied(),
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.removed.iter().chain(&self.added).map(|entry| &**entry)
    }

    fn kinds(&self) -> BTreeSet<Kind> {
        self.entries().map(|entry| entry.id.kind).collect()
    }
}

impl Previous {
    /// The dependencies whose value may differ in a later catalog.
    fn changed(&self, catalog: &Catalog, delta: &Delta, settings: &Arc<Settings>) -> HashSet<Key> {
        let mut changed = HashSet::new();
        let mut add = |dependency: DependencyKey<'_>| {
            changed.insert(dependency.key());
        };
        for entry in delta.entries() {
            add(DependencyKey::Definition(entry.id.kind, &entry.id.name));
            add(DependencyKey::Kind(entry.id.kind));
        }
        for name in self.nameless.symmetric_difference(&catalog.nameless) {
            add(DependencyKey::Nameless(name));
        }
        if !Arc::ptr_eq(&self.files, &catalog.files) {
            for path in self.files.symmetric_difference(&catalog.files) {
                add(DependencyKey::Files);
                add(DependencyKey::File(path));
                let mut folder = path.as_str();
                while let Some((parent, _)) = folder.rsplit_once('/') {
                    add(DependencyKey::Folder(parent));
                    folder = parent;
                }
            }
        }
        if !Arc::ptr_eq(&self.code, &catalog.code) {
            let differs = |file: &CodeFile, other: Option<&CodeFile>| {
                other.is_none_or(|other| file.id != other.id || !Arc::ptr_eq(&file.source, &other.source))
            };
            let removed = self.code.iter().filter(|(path, file)| differs(file, catalog.code.get(*path)));
            let added = catalog.code.iter().filter(|(path, file)| differs(file, self.code.get(*path)));
            for (path, _) in removed.chain(added) {
                add(DependencyKey::Code(path));
            }
        }
        if self.environment != catalog.environment {
            add(DependencyKey::Environments);
        }
        if !Arc::ptr_eq(&self.settings, settings) {
            self.settings.changed(settings, add);
        }
        changed
    }
}
