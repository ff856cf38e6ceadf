//! Methods of Python's strings, lists and dicts that templates may call.

mod texts;

use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::arguments::{Args, unknown_method};
use super::budget::bad_argument;
use super::containers::{Dict, ENTRY_BYTES, Entries, ITEM_BYTES, List, check_key};
use super::convert::pairs;
use super::cost::{self, defined};
use super::functions::entries_of;

/// Calls a method.  minijinja calls this for every method it does not know.
pub(super) fn call(_: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    defined(value)?;
    let (pos, kw): (&[Value], Kwargs) = from_args(args)?;
    let args = Args::new(name, pos, kw)?;
    if let Some(text) = value.as_str() {
        return texts::call(text, name, &args);
    }
    match value.kind() {
        ValueKind::Map => on_map(value, name, &args),
        ValueKind::Seq | ValueKind::Iterable => on_list(value, name, &args),
        _ => Err(unknown_method()),
    }
}

fn on_map(value: &Value, name: &str, args: &Args<'_>) -> Result<Value, Error> {
    let key = |at: usize| -> Result<Value, Error> {
        let key = args.get(at, "key")?.ok_or_else(|| args.missing("key"))?;
        check_key(&key)?;
        cost::charge_shallow(&args.budget, &key)?;
        Ok(key)
    };
    match name {
        "get" => {
            let key = key(0)?;
            let default = args.get(1, "default")?;
            args.end(2)?;
            let found = value.get_item(&key)?;
            if found.kind() == ValueKind::Invalid {
                return Err(Error::from(ErrorKind::InvalidOperation));
            }
            Ok(if found.is_undefined() { default.unwrap_or_else(|| Value::from(())) } else { found })
        }
        "items" => {
            args.end(0)?;
            let items = pairs(&args.budget, value)?
                .into_iter()
                .map(|(key, value)| List::tuple(&args.budget, vec![key, value]))
                .collect::<Result<_, _>>()?;
            List::mutable(&args.budget, items)
        }
        "keys" => {
            args.end(0)?;
            let pairs = pairs(&args.budget, value)?;
            List::mutable(&args.budget, pairs.into_iter().map(|(key, _)| key).collect())
        }
        "values" => {
            args.end(0)?;
            let pairs = pairs(&args.budget, value)?;
            List::mutable(&args.budget, pairs.into_iter().map(|(_, value)| value).collect())
        }
        "copy" => {
            args.end(0)?;
            let mut entries = Entries::default();
            for (key, value) in pairs(&args.budget, value)? {
                entries.insert(key, value);
            }
            Dict::mutable(&args.budget, entries)
        }
        "update" | "pop" | "setdefault" => match value.downcast_object_ref::<Dict>() {
            Some(dict) => change_map(dict, name, args, key),
            None => Err(unknown_method()),
        },
        _ => Err(unknown_method()),
    }
}

fn change_map(
    dict: &Dict,
    name: &str,
    args: &Args<'_>,
    key: impl FnOnce(usize) -> Result<Value, Error>,
) -> Result<Value, Error> {
    match name {
        "update" => {
            let mut new = match args.pos.first() {
                Some(other) => entries_of(args, other)?,
                None => Vec::new(),
            };
            if args.pos.len() > 1 {
                return Err(bad_argument("`update` takes one map"));
            }
            for (name, value) in args.keywords()? {
                new.push((Value::from(name), value));
            }
            args.budget.charge_memory(new.len().saturating_mul(ENTRY_BYTES))?;
            // Replaced values are dropped after the lock is released.
            let old: Vec<_> =
                dict.change(|entries| new.into_iter().filter_map(|(key, value)| entries.insert(key, value)).collect())?;
            drop(old);
            Ok(Value::from(()))
        }
        "pop" => {
            let key = key(0)?;
            let default = args.get(1, "default")?;
            args.end(2)?;
            args.budget.charge_work(dict.len().saturating_mul(ENTRY_BYTES))?;
            dict.change(|entries| entries.remove(&key))?
                .or(default)
                .ok_or_else(|| bad_argument("`pop`: the map has no such key"))
        }
        _ => {
            let key = key(0)?;
            let default = args.get(1, "default")?.unwrap_or_else(|| Value::from(()));
            args.end(2)?;
            if let Some(found) = dict.get(&key) {
                return Ok(found);
            }
            args.budget.charge_memory(ENTRY_BYTES)?;
            let old = dict.change(|entries| entries.insert(key, default.clone()))?;
            drop(old);
            Ok(default)
        }
    }
}

fn on_list(value: &Value, name: &str, args: &Args<'_>) -> Result<Value, Error> {
    match name {
        "index" | "count" => {
            let wanted = args.get(0, "value")?.ok_or_else(|| args.missing("value"))?;
            args.end(1)?;
            cost::charge_deep(&args.budget, &wanted)?;
            let mut count = 0_usize;
            for (at, item) in cost::collect_items(&args.budget, value)?.iter().enumerate() {
                cost::charge_deep(&args.budget, item)?;
                if *item == wanted {
                    if name == "index" {
                        return Ok(Value::from(at));
                    }
                    count += 1;
                }
            }
            if name == "index" {
                return Err(bad_argument("`index`: the list has no such item"));
            }
            Ok(Value::from(count))
        }
        "copy" => {
            args.end(0)?;
            List::mutable(&args.budget, cost::collect_items(&args.budget, value)?)
        }
        "append" | "extend" | "insert" | "pop" | "remove" | "reverse" => match value.downcast_object_ref::<List>() {
            Some(list) => change_list(list, name, args),
            None => Err(unknown_method()),
        },
        _ => Err(unknown_method()),
    }
}

fn change_list(list: &List, name: &str, args: &Args<'_>) -> Result<Value, Error> {
    // A negative index counts from the end, as in Python.
    let place = |index: i64| -> Option<usize> {
        match usize::try_from(index) {
            Ok(index) => Some(index),
            Err(_) => list.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
        }
    };
    match name {
        "append" => {
            let item = args.get(0, "object")?.ok_or_else(|| args.missing("object"))?;
            args.end(1)?;
            args.budget.charge_memory(ITEM_BYTES)?;
            list.change(|items| items.push(item))?;
        }
        "extend" => {
            let other = args.get(0, "iterable")?.ok_or_else(|| args.missing("iterable"))?;
            args.end(1)?;
            let more = cost::collect_items(&args.budget, &other)?;
            args.budget.charge_memory(more.len().saturating_mul(ITEM_BYTES))?;
            list.change(|items| items.extend(more))?;
        }
        "insert" => {
            let index = args.int(0, "index")?.ok_or_else(|| args.missing("index"))?;
            let item = args.get(1, "object")?.ok_or_else(|| args.missing("object"))?;
            args.end(2)?;
            args.budget.charge_memory(ITEM_BYTES)?;
            args.budget.charge_work(list.len())?;
            let at = place(index).unwrap_or(0).min(list.len());
            list.change(|items| items.insert(at, item))?;
        }
        "pop" => {
            let index = args.int(0, "index")?.unwrap_or(-1);
            args.end(1)?;
            args.budget.charge_work(list.len())?;
            let at = place(index).filter(|&at| at < list.len());
            let at = at.ok_or_else(|| bad_argument("`pop`: the list has no such item"))?;
            return list.change(|items| items.remove(at));
        }
        "remove" => {
            let wanted = args.get(0, "value")?.ok_or_else(|| args.missing("value"))?;
            args.end(1)?;
            cost::charge_deep(&args.budget, &wanted)?;
            let mut at = 0;
            while let Some(item) = list.get(at) {
                cost::charge_deep(&args.budget, &item)?;
                if item == wanted {
                    break;
                }
                at += 1;
            }
            if at >= list.len() {
                return Err(bad_argument("`remove`: the list has no such item"));
            }
            let removed = list.change(|items| items.remove(at))?;
            drop(removed);
        }
        _ => {
            args.end(0)?;
            args.budget.charge_work(list.len())?;
            list.change(|items| items.reverse())?;
        }
    }
    Ok(Value::from(()))
}
