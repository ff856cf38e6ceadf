//! Lists and maps in templates.
//!
//! The same types represent values from outside (frozen, without a lock) and
//! values created by a template (mutable).  Iteration is by index and takes the
//! lock for one item at a time, as a container may contain itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::Error;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};

use super::budget::{Budget, RenderOwned, bad_argument};

/// Bytes charged for an item of a list.
pub(super) const ITEM_BYTES: usize = 32;
/// Bytes charged for an entry of a map.
pub(super) const ENTRY_BYTES: usize = 96;
/// Bytes charged for an empty container.
const CONTAINER_BYTES: usize = 96;
/// Maximum number of entries of a map that is searched linearly.
const MAX_LINEAR_ENTRIES: usize = 8;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds the lock, and the data would still be
    // consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Storage<T> {
    Frozen(T),
    Mutable(Mutex<T>),
}

impl<T> Storage<T> {
    fn read<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        match self {
            Storage::Frozen(inner) => f(inner),
            Storage::Mutable(inner) => f(&lock(inner)),
        }
    }

    fn write<R>(&self, f: impl FnOnce(&mut T) -> R) -> Result<R, Error> {
        match self {
            Storage::Frozen(_) => {
                Err(bad_argument("values from outside cannot be changed, copy them with `|list` or `dict(…)`"))
            }
            Storage::Mutable(inner) => Ok(f(&mut lock(inner))),
        }
    }
}

/// A list or a tuple.
pub(super) struct List {
    items: Storage<Vec<Value>>,
    tuple: bool,
}

impl List {
    /// Creates a list that templates cannot change.
    pub fn frozen(items: Vec<Value>) -> Value {
        Value::from_object(List { items: Storage::Frozen(items), tuple: false })
    }

    /// Creates a mutable list of the running template; charges for its items.
    pub fn mutable(budget: &Budget, items: Vec<Value>) -> Result<Value, Error> {
        List::new_charged(budget, items, false)
    }

    /// Creates a tuple of the running template; charges for its items.
    pub fn tuple(budget: &Budget, items: Vec<Value>) -> Result<Value, Error> {
        List::new_charged(budget, items, true)
    }

    fn new_charged(budget: &Budget, items: Vec<Value>, tuple: bool) -> Result<Value, Error> {
        budget.charge_memory(CONTAINER_BYTES.saturating_add(items.len().saturating_mul(ITEM_BYTES)))?;
        let list = Arc::new(List { items: Storage::Mutable(Mutex::new(items)), tuple });
        let owned: Arc<dyn RenderOwned> = list.clone();
        budget.own(owned);
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

    /// Copies the items; the caller must have charged for them.
    pub fn items(&self) -> Vec<Value> {
        self.items.read(Vec::clone)
    }

    /// Changes the items in place.
    pub fn change<R>(&self, f: impl FnOnce(&mut Vec<Value>) -> R) -> Result<R, Error> {
        if self.tuple {
            return Err(bad_argument("a tuple cannot be changed"));
        }
        self.items.write(f)
    }
}

impl RenderOwned for List {
    fn clear(&self) {
        if let Storage::Mutable(items) = &self.items {
            // The lock is released before the items are dropped, as a drop may
            // access this list.
            let items = std::mem::take(&mut *lock(items));
            drop(items);
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secret, and deeply nested.
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

    /// Sets an entry and returns the previous value.  The key must be a scalar; an
    /// existing key keeps its position.
    pub fn insert(&mut self, key: Value, value: Value) -> Option<Value> {
        if let Some(at) = self.position(&key) {
            return Some(std::mem::replace(&mut self.pairs[at].1, value));
        }
        if let Some(index) = &mut self.index {
            index.insert(key.clone(), self.pairs.len());
        }
        self.pairs.push((key, value));
        if self.index.is_none() && self.pairs.len() > MAX_LINEAR_ENTRIES {
            self.reindex();
        }
        None
    }

    /// Removes an entry, in time linear in the number of entries.
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
    entries: Storage<Entries>,
    namespace: bool,
}

impl Dict {
    /// Creates a map that templates cannot change.
    pub fn frozen(entries: Entries) -> Value {
        Value::from_object(Dict { entries: Storage::Frozen(entries), namespace: false })
    }

    /// Creates a mutable map of the running template; charges for its entries.
    pub fn mutable(budget: &Budget, entries: Entries) -> Result<Value, Error> {
        Dict::new_charged(budget, entries, false)
    }

    /// Creates a namespace of the running template; charges for its entries.
    pub fn namespace(budget: &Budget, entries: Entries) -> Result<Value, Error> {
        Dict::new_charged(budget, entries, true)
    }

    fn new_charged(budget: &Budget, entries: Entries, namespace: bool) -> Result<Value, Error> {
        budget.charge_memory(CONTAINER_BYTES.saturating_add(entries.len().saturating_mul(ENTRY_BYTES)))?;
        let dict = Arc::new(Dict { entries: Storage::Mutable(Mutex::new(entries)), namespace });
        let owned: Arc<dyn RenderOwned> = dict.clone();
        budget.own(owned);
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

    /// Copies the entries; the caller must have charged for them.
    pub fn pairs(&self) -> Vec<(Value, Value)> {
        self.entries.read(|entries| entries.pairs().to_vec())
    }

    /// Changes the entries in place.
    pub fn change<R>(&self, f: impl FnOnce(&mut Entries) -> R) -> Result<R, Error> {
        self.entries.write(f)
    }
}

impl RenderOwned for Dict {
    fn clear(&self) {
        if let Storage::Mutable(entries) = &self.entries {
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

/// True if a value may be the key of a map.  Only scalars may, so that hashing and
/// comparing keys never recurses.
pub(super) fn is_key(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool | ValueKind::None)
}

/// Checks that a value may be the key of a map.
pub(super) fn check_key(value: &Value) -> Result<(), Error> {
    if is_key(value) { Ok(()) } else { Err(bad_argument(format!("a {} cannot be the key of a map", value.kind()))) }
}
