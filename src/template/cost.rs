//! The cost of reading values.

use minijinja::value::{ObjectRepr, Value};
use minijinja::{Error, ErrorKind};

use super::budget::{Budget, UNIT, bad_argument};
use super::containers::{Dict, List};

/// Maximum nesting of values that are walked recursively.  Also ends the walk
/// through a list that contains itself.
pub(super) const MAX_DEPTH: usize = 100;

/// The error for an undefined value.  Its path is determined afterwards, from the
/// position of the error.
pub(super) fn undefined() -> Error {
    Error::from(ErrorKind::UndefinedError)
}

/// Rejects an undefined value.
pub(super) fn defined(value: &Value) -> Result<&Value, Error> {
    if value.is_undefined() { Err(undefined()) } else { Ok(value) }
}

/// The error for a value that is nested too deeply.
pub(super) fn too_deep() -> Error {
    bad_argument("the value is nested too deeply (a list may contain itself)")
}

/// Charges for a whole value, including nested values, and returns its size in
/// bytes.  Afterwards the caller may do linear and recursive work on the value, as
/// its depth is bounded.
pub(super) fn charge_deep(budget: &Budget, value: &Value) -> Result<usize, Error> {
    walk(budget, value, 0)
}

/// Charges for a value without nested values.
pub(super) fn charge_shallow(budget: &Budget, value: &Value) -> Result<usize, Error> {
    let size = own_size(value);
    budget.charge_work(size)?;
    Ok(size)
}

/// The number of items of a value, if it can be iterated.
pub(super) fn item_count(value: &Value) -> Option<usize> {
    if let Some(text) = value.as_str() {
        return Some(text.chars().count());
    }
    value.len()
}

/// Charges for one iteration over a value and returns the number of its items.
pub(super) fn charge_iteration(budget: &Budget, value: &Value) -> Result<usize, Error> {
    let items = match value.as_str() {
        Some(text) => text.len(),
        None => value.len().unwrap_or(0),
    };
    budget.charge_work(items.saturating_mul(UNIT))?;
    Ok(items)
}

/// Copies the items of an iterable value and charges for them.
pub(super) fn collect_items(budget: &Budget, value: &Value) -> Result<Vec<Value>, Error> {
    defined(value)?;
    if value.is_none() {
        return Err(bad_argument("none cannot be iterated"));
    }
    let count = charge_iteration(budget, value)?;
    budget.charge_memory(count.saturating_mul(size_of::<Value>()))?;
    if let Some(list) = value.downcast_object_ref::<List>() {
        return Ok(list.items());
    }
    let kind = value.kind();
    let iter = value.try_iter().map_err(|_| bad_argument(format!("a {kind} cannot be iterated")))?;
    let mut items = Vec::new();
    for item in iter {
        // An object of unknown length is charged item by item.
        if items.len() >= count {
            budget.charge_memory(size_of::<Value>())?;
        }
        items.push(item);
    }
    Ok(items)
}

fn own_size(value: &Value) -> usize {
    match value.as_str() {
        Some(text) => text.len(),
        None => value.as_bytes().map_or(0, <[u8]>::len),
    }
}

fn walk(budget: &Budget, value: &Value, depth: usize) -> Result<usize, Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    let own = own_size(value);
    budget.charge_work(own)?;
    let mut total = own.saturating_add(UNIT);
    if let Some(list) = value.downcast_object_ref::<List>() {
        let mut index = 0;
        while let Some(item) = list.get(index) {
            total = total.saturating_add(walk(budget, &item, depth + 1)?);
            index += 1;
        }
    } else if let Some(dict) = value.downcast_object_ref::<Dict>() {
        let mut index = 0;
        while let Some((key, item)) = dict.pair(index) {
            total =
                total.saturating_add(walk(budget, &key, depth + 1)?).saturating_add(walk(budget, &item, depth + 1)?);
            index += 1;
        }
    } else if let Some(object) = value.as_object() {
        // Objects of minijinja, for example the groups of `groupby`.
        match object.repr() {
            ObjectRepr::Plain => {}
            ObjectRepr::Map => {
                for (key, item) in object.try_iter_pairs().into_iter().flatten() {
                    total = total.saturating_add(walk(budget, &key, depth + 1)?).saturating_add(walk(
                        budget,
                        &item,
                        depth + 1,
                    )?);
                }
            }
            _ => {
                for item in object.try_iter().into_iter().flatten() {
                    total = total.saturating_add(walk(budget, &item, depth + 1)?);
                }
            }
        }
    }
    Ok(total)
}
