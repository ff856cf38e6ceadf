//! Lookup of definitions by identity and by kind.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use super::entry::Entry;
use crate::definition::Kind;

/// Positions in the catalog's list by a hash of the identity, so that names need not be copied for each edit.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    first: HashMap<u64, u32, BuildHasherDefault<IdentityHasher>>,
    /// Positions of definitions whose hash collides with that of another identity.
    collisions: Vec<u32>,
    kinds: [Vec<u32>; Kind::ALL.len()],
}

/// Random per process, so that authors cannot choose names with colliding hashes.
static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The hash of an identity, valid within this process.
pub(super) fn hash(kind: Kind, name: &str) -> u64 {
    STATE.hash_one((kind, name))
}

impl Index {
    /// The index of a list; and each position whose identity an earlier definition has, with the position of that one.
    pub(super) fn of(entries: &[Arc<Entry>]) -> (Index, Vec<(usize, usize)>) {
        let mut index = Index::default();
        index.first.reserve(entries.len());
        let mut duplicates = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            index.kinds[entry.id.kind as usize].push(at as u32);
            if entry.id.name.is_empty() {
                continue;
            }
            match index.first.entry(hash(entry.id.kind, &entry.id.name)) {
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(at as u32);
                }
                std::collections::hash_map::Entry::Occupied(first) => {
                    let first = *first.get() as usize;
                    if entries[first].id == entry.id {
                        duplicates.push((at, first));
                    } else if let Some(first) = index.find_collision(entries, entry.id.kind, &entry.id.name) {
                        duplicates.push((at, first));
                    } else {
                        index.collisions.push(at as u32);
                    }
                }
            }
        }
        (index, duplicates)
    }

    pub(super) fn find<'a>(&self, entries: &'a [Arc<Entry>], kind: Kind, name: &str) -> Option<&'a Arc<Entry>> {
        entries.get(self.place(entries, kind, name)?)
    }

    /// The position of the first definition of an identity.
    pub(super) fn place(&self, entries: &[Arc<Entry>], kind: Kind, name: &str) -> Option<usize> {
        let at = *self.first.get(&hash(kind, name))? as usize;
        let found = entries.get(at).filter(|entry| entry.id.kind == kind && entry.id.name == name);
        found.map(|_| at).or_else(|| self.find_collision(entries, kind, name))
    }

    pub(super) fn of_kind<'a>(&self, entries: &'a [Arc<Entry>], kind: Kind) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.kinds[kind as usize].iter().filter_map(|at| entries.get(*at as usize))
    }

    fn find_collision(&self, entries: &[Arc<Entry>], kind: Kind, name: &str) -> Option<usize> {
        let mut collisions = self.collisions.iter().map(|at| *at as usize);
        collisions.find(|at| entries[*at].id.kind == kind && entries[*at].id.name == name)
    }
}

/// A hasher that returns the value it is given, which is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
