//! The dependencies of the result of a check besides its own definition. The check need not run again until one of them
//! changes.
//!
//! Values are not recorded, only keys. The holder of cached results compares two catalogs, gathers the keys whose value
//! may differ, and repeats the checks that recorded one of them. A key is stored as its hash: a collision repeats one
//! check too many, and never skips one.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Mutex, PoisonError};

use crate::definition::Kind;

/// A part of a catalog that a result may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DependencyKey<'a> {
    /// The definition of this kind and name.
    Definition(Kind, &'a str),
    /// All definitions of a kind.
    Kind(Kind),
    /// The existence of a document of this name whose kind is unknown.
    Nameless(&'a str),
    /// The existence of this file.
    File(&'a str),
    /// The content of this code file.
    Code(&'a str),
    /// The existence of a file in this folder.
    Folder(&'a str),
    /// The set of files.
    Files,
    /// The environments that provide this secret.
    Secret(&'a str),
    /// The set of secrets that are provided.
    Secrets,
    /// The environments, tenants and connections that set this variable.
    Variable(&'a str),
    /// The set of variables that are set.
    Variables,
    /// The environments that the catalog is for.
    Environments,
}

/// The hash of a dependency key.
pub type Key = u64;

impl DependencyKey<'_> {
    /// The hash of the key.
    pub fn key(&self) -> Key {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// The dependencies of one result, recorded while it is computed, from any number of threads.
#[derive(Debug, Default)]
pub struct Tracker {
    keys: Mutex<Vec<Key>>,
}

impl Tracker {
    /// Records a dependency.
    pub fn record(&self, key: DependencyKey<'_>) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key.key());
    }

    /// The recorded keys, sorted and without duplicates.
    pub fn into_keys(self) -> Box<[Key]> {
        let mut keys = self.keys.into_inner().unwrap_or_else(PoisonError::into_inner);
        keys.sort_unstable();
        keys.dedup();
        keys.into()
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn a_dependency_that_is_recorded_twice_is_kept_once() {
        let tracker = Tracker::default();
        for key in [DependencyKey::Files, DependencyKey::Secret("a"), DependencyKey::Files] {
            tracker.record(key);
        }
        let mut expected = [DependencyKey::Files.key(), DependencyKey::Secret("a").key()];
        expected.sort_unstable();
        assert_eq!(*tracker.into_keys(), expected);
    }

    #[test]
    fn lookups_on_several_threads_are_all_recorded() {
        let (catalog, tracker) = (Catalog::default(), Tracker::default());
        let names: Vec<String> = (0..1000).map(|number| format!("w{number}")).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let view = catalog.tracked(&tracker);
        pool.install(|| names.par_iter().for_each(|name| assert!(view.find(Kind::Workflow, name).is_none())));
        let mut expected: Vec<Key> =
            names.iter().map(|name| DependencyKey::Definition(Kind::Workflow, name).key()).collect();
        expected.sort_unstable();
        assert_eq!(*tracker.into_keys(), *expected);
    }

    #[test]
    fn keys_of_different_dependencies_differ() {
        assert_ne!(DependencyKey::Secret("a").key(), DependencyKey::Variable("a").key());
        assert_ne!(DependencyKey::Definition(Kind::Role, "a").key(), DependencyKey::Definition(Kind::Alert, "a").key());
    }
}
