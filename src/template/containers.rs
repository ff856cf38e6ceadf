//! Lists and maps as templates see them.
//!
//! One pair of types serves both what comes from outside (frozen, no lock) and
//! what a template makes itself (live, mutable).  Iteration goes by index and
//! takes the lock per item only: a container may be reached again from inside
//! itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::Error;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};

use super::budget::{Budget, Made, bad};

/// The bytes an item of a list is charged with.
pub(super) const ITEM_BYTES: usize = 32;
/// The bytes an entry of a map is charged with.
pub(super) const ENTRY_BYTES: usize = 96;
/// The bytes an empty container is charged with.
const CONTAINER_BYTES: usize = 96;
/// Up to this many entries a map is searched from the front.
const LINEAR: usize = 8;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of ours panics while it holds the lock; and the data would
    // still be well formed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Store<T> {
    Frozen(T),
    Live(Mutex<T>),
}

impl<T> Store<T> {
    fn read<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        match self {
            Store::Frozen(inner) => f(inner),
            Store::Live(inner) => f(&lock(inner)),
        }
    }

    fn write<R>(&self, f: impl FnOnce(&mut T) -> R) -> Result<R, Error> {
        match self {
            Store::Frozen(_) => Err(bad("values from outside cannot be changed, copy them with `|list` or `dict(…)`")),
            Store::Live(inner) => Ok(f(&mut lock(inner))),
        }
    }
}

/// A list or a tuple.
pub(super) struct List {
    items: Store<Vec<Value>>,
    tuple: bool,
}

impl List {
    /// A list that no template can change.
    pub fn frozen(items: Vec<Value>) -> Value {
        Value::from_object(List { items: Store::Frozen(items), tuple: false })
    }

    /// A list made by the running template; charges for its items.
    pub fn live(meter: &Budget, items: Vec<Value>) -> Result<Value, Error> {
        List::made(meter, items, false)
    }

    /// A tuple made by the running template.
    pub fn tuple(meter: &Budget, items: Vec<Value>) -> Result<Value, Error> {
        List::made(meter, items, true)
    }

    fn made(meter: &Budget, items: Vec<Value>, tuple: bool) -> Result<Value, Error> {
        meter.hold(CONTAINER_BYTES.saturating_add(items.len().saturating_mul(ITEM_BYTES)))?;
        let list = Arc::new(List { items: Store::Live(Mutex::new(items)), tuple });
        meter.keep(Made::List(Arc::clone(&list)));
        Ok(Value::from_dyn_object(list))
    }

    pub fn is_tuple(&self) -> bool {
        self.tuple
    }

    pub fn len(&self) -> usize {
        self.items.read(Vec::len)
    }

    pub fn get(&self, index: usize) -> Option<Value> {
        self.items.read(|items| items.get(index).cloned())
    }

    /// Copies the items, for which the caller has been charged.
    pub fn items(&self) -> Vec<Value> {
        self.items.read(Vec::clone)
    }

    /// Changes the items in place.
    pub fn change<R>(&self, f: impl FnOnce(&mut Vec<Value>) -> R) -> Result<R, Error> {
        if self.tuple {
            return Err(bad("a tuple cannot be changed"));
        }
        self.items.write(f)
    }

    /// Empties the list at the end of the render.
    pub fn clear(&self) {
        if let Store::Live(items) = &self.items {
            // The lock is released before the items drop: a drop may come back
            // to this list.
            let items = std::mem::take(&mut *lock(items));
            drop(items);
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secret, and deep.
        f.write_str("[list]")
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_usize()?)
    }

    fn get_value_by_str(self: &Arc<Self>, _key: &str) -> Option<Value> {
        None
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[list]")
    }
}

/// The entries of a map, in the order of insertion.
#[derive(Default, Clone)]
pub(super) struct Entries {
    pairs: Vec<(Value, Value)>,
    index: Option<HashMap<Value, usize>>,
}

impl Entries {
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn pairs(&self) -> &[(Value, Value)] {
        &self.pairs
    }

    pub fn get(&self, key: &Value) -> Option<&Value> {
        self.position(key).map(|at| &self.pairs[at].1)
    }

    fn get_str(&self, key: &str) -> Option<&Value> {
        match &self.index {
            None => self.pairs.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, value)| value),
            Some(_) => self.get(&Value::from(key)),
        }
    }

    fn position(&self, key: &Value) -> Option<usize> {
        match &self.index {
            None => self.pairs.iter().position(|(k, _)| k == key),
            Some(index) => index.get(key).copied(),
        }
    }

    /// Sets `key`, which must be a scalar; an existing key keeps its place.
    pub fn insert(&mut self, key: Value, value: Value) -> Option<Value> {
        if let Some(at) = self.position(&key) {
            return Some(std::mem::replace(&mut self.pairs[at].1, value));
        }
        if let Some(index) = &mut self.index {
            index.insert(key.clone(), self.pairs.len());
        }
        self.pairs.push((key, value));
        if self.index.is_none() && self.pairs.len() > LINEAR {
            self.reindex();
        }
        None
    }

    /// Removes `key`; this is linear in the number of entries.
    pub fn remove(&mut self, key: &Value) -> Option<Value> {
        let at = self.position(key)?;
        let (_, value) = self.pairs.remove(at);
        if self.index.is_some() {
            self.reindex();
        }
        Some(value)
    }

    fn reindex(&mut self) {
        self.index = Some(self.pairs.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect());
    }
}

/// A map or a namespace.
pub(super) struct Dict {
    entries: Store<Entries>,
    namespace: bool,
}

impl Dict {
    /// A map that no template can change.
    pub fn frozen(entries: Entries) -> Value {
        Value::from_object(Dict { entries: Store::Frozen(entries), namespace: false })
    }

    /// A map made by the running template; charges for its entries.
    pub fn live(meter: &Budget, entries: Entries) -> Result<Value, Error> {
        Dict::made(meter, entries, false)
    }

    /// A namespace made by the running template.
    pub fn namespace(meter: &Budget, entries: Entries) -> Result<Value, Error> {
        Dict::made(meter, entries, true)
    }

    fn made(meter: &Budget, entries: Entries, namespace: bool) -> Result<Value, Error> {
        meter.hold(CONTAINER_BYTES.saturating_add(entries.len().saturating_mul(ENTRY_BYTES)))?;
        let dict = Arc::new(Dict { entries: Store::Live(Mutex::new(entries)), namespace });
        meter.keep(Made::Dict(Arc::clone(&dict)));
        Ok(Value::from_dyn_object(dict))
    }

    pub fn is_namespace(&self) -> bool {
        self.namespace
    }

    pub fn len(&self) -> usize {
        self.entries.read(Entries::len)
    }

    pub fn get(&self, key: &Value) -> Option<Value> {
        self.entries.read(|entries| entries.get(key).cloned())
    }

    /// The entry at `index`, in order.
    pub fn pair(&self, index: usize) -> Option<(Value, Value)> {
        self.entries.read(|entries| entries.pairs().get(index).cloned())
    }

    /// Copies the entries, for which the caller has been charged.
    pub fn pairs(&self) -> Vec<(Value, Value)> {
        self.entries.read(|entries| entries.pairs().to_vec())
    }

    /// Changes the entries in place.
    pub fn change<R>(&self, f: impl FnOnce(&mut Entries) -> R) -> Result<R, Error> {
        self.entries.write(f)
    }

    /// Empties the map at the end of the render.
    pub fn clear(&self) {
        if let Store::Live(entries) = &self.entries {
            let entries = std::mem::take(&mut *lock(entries));
            drop(entries);
        }
    }
}

impl fmt::Debug for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{map}")
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if !is_key(key) {
            return None;
        }
        self.get(key)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.entries.read(|entries| entries.get_str(key).cloned())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.entries.read(|entries| entries.pairs().iter().map(|(key, _)| key.clone()).collect()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{map}")
    }
}

/// Whether a value may be the key of a map: scalars only, so that hashing and
/// comparing keys never recurses.
pub(super) fn is_key(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool | ValueKind::None)
}

/// Checks that a value may be the key of a map.
pub(super) fn check_key(value: &Value) -> Result<(), Error> {
    if is_key(value) { Ok(()) } else { Err(bad(format!("a {} cannot be the key of a map", value.kind()))) }
}
