//! Filters for lists, maps and anything else.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, State};

use super::super::arguments::{Args, NativeFilter};
use super::super::budget::bad_argument;
use super::super::containers::List;
use super::super::convert::{pairs, text};
use super::super::cost::{self, defined, undefined};
use super::super::lookup::{get_item, get_path};
use super::super::operators::names::ADD;

pub(super) const FILTERS: &[(&str, NativeFilter)] = &[
    ("attr", attr),
    ("batch", batch),
    ("bool", bool),
    ("chain", chain),
    ("count", length),
    ("d", default),
    ("default", default),
    ("first", first),
    ("items", items),
    ("join", join),
    ("last", last),
    ("length", length),
    ("lines", lines),
    ("list", list),
    ("reverse", reverse),
    ("slice", slice),
    ("split", split),
    ("sum", sum),
    ("zip", zip),
];

fn default(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let other = args.get(1, "default_value")?.unwrap_or_else(|| Value::from(""));
    let falsy_too = args.flag(2, "boolean")?;
    args.end(3)?;
    match args.pos.first() {
        None => Err(args.missing("value")),
        Some(value) if value.is_undefined() || (falsy_too && !value.is_true()) => Ok(other),
        Some(value) => Ok(value.clone()),
    }
}

fn attr(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let key = args.get(1, "name")?.ok_or_else(|| args.missing("name"))?;
    args.end(2)?;
    get_item(args, args.value()?, &key)
}

fn bool(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    Ok(Value::from(args.value()?.is_true()))
}

fn length(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let value = args.value()?;
    cost::charge_shallow(&args.budget, value)?;
    cost::item_count(value).map(Value::from).ok_or_else(|| bad_argument(format!("a {} has no length", value.kind())))
}

fn first(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let value = args.value()?;
    if let Some(text) = value.as_str() {
        return Ok(text.chars().next().map_or(Value::UNDEFINED, Value::from));
    }
    if let Some(list) = value.downcast_object_ref::<List>() {
        return Ok(list.get(0).unwrap_or_default());
    }
    Ok(cost::collect_items(&args.budget, value)?.into_iter().next().unwrap_or_default())
}

fn last(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let value = args.value()?;
    if let Some(text) = value.as_str() {
        return Ok(text.chars().next_back().map_or(Value::UNDEFINED, Value::from));
    }
    if let Some(list) = value.downcast_object_ref::<List>() {
        return Ok(list.len().checked_sub(1).and_then(|at| list.get(at)).unwrap_or_default());
    }
    Ok(cost::collect_items(&args.budget, value)?.pop().unwrap_or_default())
}

fn list(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    List::mutable(&args.budget, cost::collect_items(&args.budget, args.value()?)?)
}

fn reverse(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let value = args.value()?;
    if let Some(text) = value.as_str() {
        args.budget.charge_memory(text.len())?;
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let mut items = cost::collect_items(&args.budget, value)?;
    items.reverse();
    List::mutable(&args.budget, items)
}

fn join(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let separator = args.text(1, "d")?.unwrap_or_default();
    let attribute = args.get(2, "attribute")?;
    args.end(3)?;
    let mut out = String::new();
    for (at, item) in cost::collect_items(&args.budget, args.value()?)?.iter().enumerate() {
        let picked = match &attribute {
            Some(key) if !key.is_none() => Some(get_path(args, item, key)?),
            _ => None,
        };
        let part = text(&args.budget, picked.as_ref().unwrap_or(item))?;
        let separator = if at == 0 { "" } else { separator.as_str() };
        args.budget.charge_memory(part.len().saturating_add(separator.len()))?;
        out.push_str(separator);
        out.push_str(&part);
    }
    Ok(Value::from(out))
}

fn sum(state: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let attribute = args.get(1, "attribute")?.filter(|name| !name.is_none());
    let mut total = args.get(2, "start")?.unwrap_or_else(|| Value::from(0));
    args.end(3)?;
    for item in cost::collect_items(&args.budget, args.value()?)? {
        let item = match &attribute {
            Some(key) => get_path(args, &item, key)?,
            None => item,
        };
        // `+` charges its own cost for operands of any type.
        total = state.apply_filter(ADD, &[total, item])?;
    }
    Ok(total)
}

fn split(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let separator = args.text(1, "sep")?;
    let max = args.int(2, "maxsplit")?;
    args.end(3)?;
    let text = text(&args.budget, args.value()?)?;
    split_on(args, &text, separator.as_deref(), max)
}

/// Splits a text as Python does; without a separator, at white space.
pub(in super::super) fn split_on(
    args: &Args<'_>,
    text: &str,
    separator: Option<&str>,
    max: Option<i64>,
) -> Result<Value, Error> {
    args.budget.charge_work(text.len())?;
    // A negative number means no limit, as in Python.
    let max = max.and_then(|max| usize::try_from(max).ok());
    let max = max.unwrap_or(usize::MAX - 1);
    let mut parts: Vec<Value> = Vec::new();
    let mut push = |part: &str| -> Result<(), Error> {
        args.budget.charge_memory(part.len().saturating_add(2 * size_of::<Value>()))?;
        parts.push(Value::from(part));
        Ok(())
    };
    match separator {
        Some("") => return Err(bad_argument("a text cannot be split at an empty text")),
        Some(separator) => {
            for part in text.splitn(max + 1, separator) {
                push(part)?;
            }
        }
        None => {
            let mut rest = text.trim_start();
            let mut left = max;
            while !rest.is_empty() {
                let end = match left {
                    0 => None,
                    _ => rest.find(char::is_whitespace),
                };
                let Some(end) = end else {
                    push(rest.trim_end())?;
                    break;
                };
                push(&rest[..end])?;
                rest = rest[end..].trim_start();
                left -= 1;
            }
        }
    }
    List::mutable(&args.budget, parts)
}

fn lines(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let text = text(&args.budget, args.value()?)?;
    args.budget.charge_work(text.len())?;
    let count = text.lines().count();
    args.budget.charge_memory(text.len().saturating_add(count.saturating_mul(64)))?;
    List::mutable(&args.budget, text.lines().map(Value::from).collect())
}

fn items(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let value = args.value()?;
    if value.kind() != ValueKind::Map {
        return Err(bad_argument(format!("a {} has no items", value.kind())));
    }
    let items = pairs(&args.budget, value)?
        .into_iter()
        .map(|(key, value)| List::tuple(&args.budget, vec![key, value]))
        .collect::<Result<_, _>>()?;
    List::mutable(&args.budget, items)
}

/// A required, positive number.
fn positive_count(args: &Args<'_>, name: &str) -> Result<usize, Error> {
    match args.size(1, name)? {
        None => Err(args.missing(name)),
        Some(0) => Err(bad_argument("the number must be at least 1")),
        Some(count) => Ok(count),
    }
}

fn batch(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let size = positive_count(args, "linecount")?;
    let fill = args.get(2, "fill_with")?;
    args.end(3)?;
    let items = cost::collect_items(&args.budget, args.value()?)?;
    let mut batches = Vec::new();
    for chunk in items.chunks(size) {
        let mut batch = chunk.to_vec();
        if let Some(fill) = fill.as_ref().filter(|fill| !fill.is_none()) {
            args.budget.charge_memory((size - chunk.len()).saturating_mul(size_of::<Value>()))?;
            batch.resize(size, fill.clone());
        }
        batches.push(List::mutable(&args.budget, batch)?);
    }
    List::mutable(&args.budget, batches)
}

fn slice(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let count = positive_count(args, "slices")?;
    let fill = args.get(2, "fill_with")?;
    args.end(3)?;
    let items = cost::collect_items(&args.budget, args.value()?)?;
    let (each, longer) = (items.len() / count, items.len() % count);
    // The number of slices is that of the argument, even if there are fewer items.
    args.budget.charge_memory(count.saturating_mul(size_of::<Value>()))?;
    let mut slices = Vec::new();
    let mut rest = items.as_slice();
    for at in 0..count {
        let (now, later) = rest.split_at(each + usize::from(at < longer));
        rest = later;
        let mut now = now.to_vec();
        if let Some(fill) = fill.as_ref().filter(|fill| !fill.is_none())
            && longer > 0
            && at >= longer
        {
            now.push(fill.clone());
        }
        slices.push(List::mutable(&args.budget, now)?);
    }
    List::mutable(&args.budget, slices)
}

fn chain(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(usize::MAX)?;
    let mut all = Vec::new();
    for part in args.pos {
        all.extend(cost::collect_items(&args.budget, part)?);
    }
    List::mutable(&args.budget, all)
}

fn zip(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(usize::MAX)?;
    let mut columns = Vec::new();
    for column in args.pos {
        columns.push(cost::collect_items(&args.budget, defined(column)?)?);
    }
    let length = columns.iter().map(Vec::len).min().unwrap_or(0);
    let rows = (0..length)
        .map(|at| {
            let row =
                columns.iter().map(|column| column.get(at).cloned().ok_or_else(undefined)).collect::<Result<_, _>>()?;
            List::tuple(&args.budget, row)
        })
        .collect::<Result<_, _>>()?;
    List::mutable(&args.budget, rows)
}
