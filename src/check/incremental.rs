//! What was found at the last look, and whether it can still be so.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::cycles::{self, Edge};
use super::of_entry;
use super::settings::Settings;
use crate::catalog::dependencies::{DependencyKey, Key};
use crate::catalog::{AttributedFinding, CacheTally, Catalog, CodeFile, Entry};
use crate::definition::Kind;
use crate::text::Finding;

/// What a look at one definition found.
#[derive(Debug)]
pub(super) struct CheckResult {
    pub(super) findings: Box<[Finding]>,
    /// What it runs or is made of.
    pub(super) arrows: Box<[Edge]>,
    /// Names of the secrets that it uses.
    pub(super) secrets: Box<[Box<str>]>,
    /// What was asked on the way, sorted.
    pub(super) asked: Box<[Key]>,
}

/// Checks catalogs one after the other, and remembers the last.
#[derive(Debug, Default)]
pub struct Checker {
    last: Option<Previous>,
    circles: Vec<AttributedFinding>,
}

/// What the last look saw, as far as answers depend on it.
#[derive(Debug)]
struct Previous {
    entries: Vec<Arc<Entry>>,
    memos: Vec<Arc<CheckResult>>,
    settings: Arc<Settings>,
    files: Arc<BTreeSet<String>>,
    code: Arc<BTreeMap<Arc<str>, CodeFile>>,
    nameless: BTreeSet<String>,
    environment: Option<String>,
    alone: bool,
}

impl Checker {
    /// Looks at a catalog, and gives for how many definitions nothing had to be done and for how many it had to. Where
    /// nothing is remembered, `seed` may remember a catalog that is much the same.
    pub fn check(&mut self, catalog: &Catalog, seed: Option<&Checker>) -> CacheTally {
        let last = self.last.take();
        // What a catalog is for decides over too much to tell what stays.
        let usable = |last: &&Previous| last.alone == catalog.alone;
        let before = last.as_ref().or_else(|| seed?.last.as_ref()).filter(usable);
        let moves = before.map(|before| Delta::between(&before.entries, &catalog.entries));
        let settings =
            Settings::after(catalog, before.map(|before| &before.settings), moves.as_ref().map(Delta::kinds));
        let changed = before.zip(moves.as_ref()).map(|(before, moves)| before.changed(catalog, moves, &settings));
        let fresh = |entry: &Arc<Entry>| Arc::new(of_entry(catalog, entry, &settings));
        let mut tally = CacheTally::default();
        let memos: Vec<Arc<CheckResult>> = match (before, moves, changed) {
            (Some(before), Some(moves), Some(changed)) => {
                let kept = |at: usize, entry: &Arc<Entry>| {
                    let memo = before.memos.get(moves.earlier(at, entry)?)?;
                    let stays = changed.is_empty() || !memo.asked.iter().any(|key| changed.contains(key));
                    stays.then(|| Arc::clone(memo))
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
        tally.misses = memos.len() as u64 - tally.hits;
        // Circles stay while the arrows do.
        let arrows = |memos: &[Arc<CheckResult>]| -> Vec<*const CheckResult> {
            memos.iter().filter(|memo| !memo.arrows.is_empty()).map(Arc::as_ptr).collect()
        };
        let same = last.as_ref().is_some_and(|last| arrows(&last.memos) == arrows(&memos));
        self.last = Some(Previous {
            entries: catalog.entries.clone(),
            memos,
            settings,
            files: Arc::clone(&catalog.files),
            code: Arc::clone(&catalog.code),
            nameless: catalog.nameless.clone(),
            environment: catalog.environment.clone(),
            alone: catalog.alone,
        });
        if !same {
            self.circles = cycles::check(self.memos());
        }
        tally
    }

    /// Each definition with what was found.
    pub(super) fn memos(&self) -> impl Iterator<Item = (&Entry, &CheckResult)> {
        self.last.iter().flat_map(|last| last.entries.iter().zip(&last.memos)).map(|(entry, memo)| (&**entry, &**memo))
    }

    /// Circles among definitions.
    pub(super) fn circles(&self) -> &[AttributedFinding] {
        &self.circles
    }
}

/// What is there in one list of definitions and not in another.
struct Delta {
    /// Places in the earlier list, by stamp; `None` where both lists are the same.
    places: Option<HashMap<u64, usize>>,
    gone: Vec<Arc<Entry>>,
    come: Vec<Arc<Entry>>,
}

impl Delta {
    fn between(earlier: &[Arc<Entry>], later: &[Arc<Entry>]) -> Delta {
        let same = earlier.len() == later.len() && earlier.iter().zip(later).all(|(a, b)| Arc::ptr_eq(a, b));
        if same {
            return Delta { places: None, gone: Vec::new(), come: Vec::new() };
        }
        let stamps = |entries: &[Arc<Entry>]| -> HashSet<u64> { entries.iter().map(|entry| entry.stamp()).collect() };
        let new = stamps(later);
        let places: HashMap<u64, usize> = earlier.iter().enumerate().map(|(at, entry)| (entry.stamp(), at)).collect();
        let gone = earlier.iter().filter(|entry| !new.contains(&entry.stamp())).cloned().collect();
        let come = later.iter().filter(|entry| !places.contains_key(&entry.stamp())).cloned().collect();
        Delta { places: Some(places), gone, come }
    }

    fn earlier(&self, at: usize, entry: &Entry) -> Option<usize> {
        match &self.places {
            None => Some(at),
            Some(places) => places.get(&entry.stamp()).copied(),
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.gone.iter().chain(&self.come).map(|entry| &**entry)
    }

    fn kinds(&self) -> BTreeSet<Kind> {
        self.entries().map(|entry| entry.id.kind).collect()
    }
}

impl Previous {
    /// The questions whose answers may be others now.
    fn changed(&self, catalog: &Catalog, moves: &Delta, settings: &Arc<Settings>) -> HashSet<Key> {
        let mut changed = HashSet::new();
        let mut add = |question: DependencyKey<'_>| {
            changed.insert(question.key());
        };
        for entry in moves.entries() {
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
            let differs = |one: &CodeFile, other: Option<&CodeFile>| {
                other.is_none_or(|other| one.id != other.id || !Arc::ptr_eq(&one.source, &other.source))
            };
            let gone = self.code.iter().filter(|(path, file)| differs(file, catalog.code.get(*path)));
            let come = catalog.code.iter().filter(|(path, file)| differs(file, self.code.get(*path)));
            for (path, _) in gone.chain(come) {
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
