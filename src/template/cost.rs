//! How much there is to look at in a value.

use minijinja::value::{ObjectRepr, Value};
use minijinja::{Error, ErrorKind};

use super::budget::{Budget, UNIT, bad};
use super::containers::{Dict, List};

/// How deeply values may be nested where something walks through them.  Also
/// what stops a walk through a list that contains itself.
pub(super) const MAX_DEPTH: usize = 100;

/// The error for using something that does not exist; the path is found out
/// afterwards, from the place of the error.
pub(super) fn undefined() -> Error {
    Error::from(ErrorKind::UndefinedError)
}

/// Refuses an undefined value.
pub(super) fn defined(value: &Value) -> Result<&Value, Error> {
    if value.is_undefined() { Err(undefined()) } else { Ok(value) }
}

/// The error for a value that is nested too deeply.
pub(super) fn too_deep() -> Error {
    bad("the value is nested too deeply (does a list contain itself?)")
}

/// Walks through the whole value, charging for all of it, and returns its
/// size.  After that anything linear in the value may be done with it, and
/// anything recursive: the depth is bounded.
pub(super) fn deep(meter: &Budget, value: &Value) -> Result<usize, Error> {
    walk(meter, value, 0)
}

/// Charges for the value without looking into containers.
pub(super) fn shallow(meter: &Budget, value: &Value) -> Result<usize, Error> {
    let size = own_size(value);
    meter.work(size)?;
    Ok(size)
}

/// The number of items that iterating over the value yields.
pub(super) fn count(value: &Value) -> Option<usize> {
    if let Some(text) = value.as_str() {
        return Some(text.chars().count());
    }
    value.len()
}

/// Charges for iterating once over the value.
pub(super) fn once_through(meter: &Budget, value: &Value) -> Result<usize, Error> {
    let items = match value.as_str() {
        Some(text) => text.len(),
        None => value.len().unwrap_or(0),
    };
    meter.work(items.saturating_mul(UNIT))?;
    Ok(items)
}

/// The items of a value that can be iterated, charged for.
pub(super) fn items(meter: &Budget, value: &Value) -> Result<Vec<Value>, Error> {
    defined(value)?;
    if value.is_none() {
        return Err(bad("none cannot be iterated"));
    }
    let count = once_through(meter, value)?;
    meter.hold(count.saturating_mul(size_of::<Value>()))?;
    if let Some(list) = value.downcast_object_ref::<List>() {
        return Ok(list.items());
    }
    let kind = value.kind();
    let iter = value.try_iter().map_err(|_| bad(format!("a {kind} cannot be iterated")))?;
    let mut items = Vec::new();
    for item in iter {
        // An object of unknown length: charge as it goes.
        if items.len() >= count {
            meter.hold(size_of::<Value>())?;
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

fn walk(meter: &Budget, value: &Value, depth: usize) -> Result<usize, Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    let own = own_size(value);
    meter.work(own)?;
    let mut total = own.saturating_add(UNIT);
    if let Some(list) = value.downcast_object_ref::<List>() {
        let mut index = 0;
        while let Some(item) = list.get(index) {
            total = total.saturating_add(walk(meter, &item, depth + 1)?);
            index += 1;
        }
    } else if let Some(dict) = value.downcast_object_ref::<Dict>() {
        let mut index = 0;
        while let Some((key, item)) = dict.pair(index) {
            total = total.saturating_add(walk(meter, &key, depth + 1)?).saturating_add(walk(meter, &item, depth + 1)?);
            index += 1;
        }
    } else if let Some(object) = value.as_object() {
        // Objects of minijinja's own, for example the groups of `groupby`.
        match object.repr() {
            ObjectRepr::Plain => {}
            ObjectRepr::Map => {
                for (key, item) in object.try_iter_pairs().into_iter().flatten() {
                    total = total.saturating_add(walk(meter, &key, depth + 1)?).saturating_add(walk(
                        meter,
                        &item,
                        depth + 1,
                    )?);
                }
            }
            _ => {
                for item in object.try_iter().into_iter().flatten() {
                    total = total.saturating_add(walk(meter, &item, depth + 1)?);
                }
            }
        }
    }
    Ok(total)
}
