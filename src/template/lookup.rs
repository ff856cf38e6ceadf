//! Access to items, attributes and membership, charged to the budget.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::arguments::Args;
use super::budget::bad_argument;
use super::containers::List;
use super::convert::text;
use super::cost::{self, defined};

/// Returns the item of a list or the entry of a map; undefined if it does not exist.
pub(super) fn get_item(args: &Args<'_>, value: &Value, key: &Value) -> Result<Value, Error> {
    defined(value)?;
    defined(key)?;
    cost::charge_shallow(&args.budget, key)?;
    if value.as_str().is_some() {
        // Finding a character counts from the start of the text.
        cost::charge_shallow(&args.budget, value)?;
    } else if let Some(list) = value.downcast_object_ref::<List>() {
        let Some(index) = key.as_i64() else {
            return Ok(Value::UNDEFINED);
        };
        let index = match usize::try_from(index) {
            Ok(index) => Some(index),
            Err(_) => usize::try_from(index.unsigned_abs()).ok().and_then(|back| list.len().checked_sub(back)),
        };
        return Ok(index.and_then(|index| list.get(index)).unwrap_or_default());
    }
    let item = value.get_item(key)?;
    // An invalid value carries an error, for example that of `response.json`.
    if item.kind() == ValueKind::Invalid {
        return Err(Error::from(minijinja::ErrorKind::InvalidOperation));
    }
    Ok(item)
}

/// Returns the value at a key or at a dotted path.
pub(super) fn get_path(args: &Args<'_>, value: &Value, key: &Value) -> Result<Value, Error> {
    let Some(path) = key.as_str() else {
        return get_item(args, value, key);
    };
    let mut found = value.clone();
    for name in path.split('.') {
        let key = match name.parse::<i64>() {
            Ok(index) => Value::from(index),
            Err(_) => Value::from(name),
        };
        found = get_item(args, &found, &key)?;
    }
    Ok(found)
}

/// Evaluates `needle in hay`.
pub(super) fn is_in(args: &Args<'_>, needle: &Value, hay: &Value) -> Result<bool, Error> {
    if let Some(hay) = hay.as_str() {
        let needle = text(&args.budget, needle)?;
        args.budget.charge_work(hay.len().saturating_add(needle.len()))?;
        return Ok(hay.contains(&*needle));
    }
    match hay.kind() {
        ValueKind::Map => {
            cost::charge_shallow(&args.budget, needle)?;
            Ok(hay.as_object().is_some_and(|map| map.get_value(needle).is_some()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            cost::charge_deep(&args.budget, needle)?;
            for item in cost::collect_items(&args.budget, hay)? {
                cost::charge_deep(&args.budget, &item)?;
                if item == *needle {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        kind => Err(bad_argument(format!("`in` cannot look into a {kind}"))),
    }
}
