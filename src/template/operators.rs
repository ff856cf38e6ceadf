//! The operations the rewritten syntax tree calls instead of the virtual
//! machine's own instructions.
//!
//! Their names start with `@`, which no template can spell.  (A template can
//! pass such a name to `map`; the operations therefore check their arguments
//! as every other filter does.)

mod slices;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, State};

use super::budget::bad;
use super::containers::{Dict, Entries, List, check_key};
use super::convert::text;
use super::cost::{self, defined};
use super::filters::{Args, Native, percent_encode};

/// All operations.
pub(super) const OPERATORS: &[(&str, Native)] = &[
    (CONCAT, concat),
    (ADD, add),
    (MUL, mul),
    (WEIGH, weighed),
    (IN, contains),
    (SLICE, slices::slice),
    (ITEM, item),
    (LIST, list),
    (TUPLE, tuple),
    (MAP, map),
    (ITER, iter),
    (UNPACK, unpack),
    (CAPTURED, captured),
    (SET_ATTR, set_attr),
    (HOST, host),
    (SEGMENT, segment),
    (ENCODED, encoded),
    (QUERY, query),
];

/// `a ~ b ~ c`
pub(super) const CONCAT: &str = "@concat";
/// `a + b`
pub(super) const ADD: &str = "@add";
/// `a * b`
pub(super) const MUL: &str = "@mul";
/// An operand of a comparison: itself, charged for.
pub(super) const WEIGH: &str = "@weigh";
/// `a in b`
pub(super) const IN: &str = "@in";
/// `a[b:c:d]`
pub(super) const SLICE: &str = "@slice";
/// `a[b]`
pub(super) const ITEM: &str = "@item";
/// `[…]`
pub(super) const LIST: &str = "@list";
/// `(…,)`
pub(super) const TUPLE: &str = "@tuple";
/// `{…}`
pub(super) const MAP: &str = "@map";
/// What a loop iterates over; with the number of names that each item is
/// unpacked into, or 0.
pub(super) const ITER: &str = "@iter";
/// A value about to be unpacked into that many names.
pub(super) const UNPACK: &str = "@unpack";
/// Text printed into a capture instead of the output.
pub(super) const CAPTURED: &str = "@captured";
/// `{% set namespace.name = value %}`
pub(super) const SET_ATTR: &str = "@setattr";

/// Text printed into the host of a URL.
pub(super) const HOST: &str = "@host";
/// Text printed into the path of a URL.
pub(super) const SEGMENT: &str = "@segment";
/// Text that `urlencode` made, printed into the path of a URL.
pub(super) const ENCODED: &str = "@encoded";
/// Text printed into the query of a URL.
pub(super) const QUERY: &str = "@query";

/// Joins the texts of some values, charged for.
pub(super) fn concat_values(args: &Args<'_>, parts: &[Value]) -> Result<String, Error> {
    let mut out = String::new();
    for part in parts {
        let part = text(&args.meter, part)?;
        args.meter.hold(part.len())?;
        out.push_str(&part);
    }
    Ok(out)
}

/// The item of a list or the entry of a map; undefined if there is none.
pub(super) fn get_item(args: &Args<'_>, value: &Value, key: &Value) -> Result<Value, Error> {
    defined(value)?;
    defined(key)?;
    cost::shallow(&args.meter, key)?;
    if value.as_str().is_some() {
        // Finding a character means counting from the start.
        cost::shallow(&args.meter, value)?;
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

/// What is found at a key or, as in other filters, at a dotted path.
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

fn concat(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    concat_values(args, args.pos).map(Value::from)
}

/// An integer, where `true` and `false` count as in Python.
fn integer(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool | ValueKind::Number => {
            f64::try_from(value.clone()).ok().or_else(|| integer(value).map(|number| number as f64))
        }
        _ => None,
    }
}

fn from_integer(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn is_tuple(value: &Value) -> bool {
    value.downcast_object_ref::<List>().is_some_and(List::is_tuple)
}

fn make_list(args: &Args<'_>, items: Vec<Value>, tuple: bool) -> Result<Value, Error> {
    if tuple { List::tuple(&args.meter, items) } else { List::live(&args.meter, items) }
}

fn add(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let [left, right] = args.both()?;
    if let (Some(a), Some(b)) = (integer(left), integer(right)) {
        return a.checked_add(b).map(from_integer).ok_or_else(|| bad("the sum is too large"));
    }
    if let (Some(a), Some(b)) = (float(left), float(right)) {
        return Ok(Value::from(a + b));
    }
    if left.as_str().is_some() && right.as_str().is_some() {
        return concat_values(args, args.pos).map(Value::from);
    }
    if is_list(left) && is_list(right) {
        let mut items = cost::items(&args.meter, left)?;
        items.extend(cost::items(&args.meter, right)?);
        return make_list(args, items, is_tuple(left) && is_tuple(right));
    }
    Err(bad(format!("a {} and a {} cannot be added (`~` joins texts)", left.kind(), right.kind())))
}

fn mul(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let [left, right] = args.both()?;
    if let (Some(a), Some(b)) = (integer(left), integer(right)) {
        return a.checked_mul(b).map(from_integer).ok_or_else(|| bad("the product is too large"));
    }
    if let (Some(a), Some(b)) = (float(left), float(right)) {
        return Ok(Value::from(a * b));
    }
    let (repeated, times) = match (integer(left), integer(right)) {
        (None, Some(times)) => (left, times),
        (Some(times), None) => (right, times),
        _ => (left, -1),
    };
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    if let Some(unit) = repeated.as_str()
        && integer(left).or(integer(right)).is_some()
    {
        args.meter.hold(unit.len().saturating_mul(times))?;
        return Ok(Value::from(unit.repeat(times)));
    }
    if is_list(repeated) && integer(left).or(integer(right)).is_some() {
        let unit = cost::items(&args.meter, repeated)?;
        let length = unit.len().saturating_mul(times);
        args.meter.hold(length.saturating_mul(size_of::<Value>()))?;
        let items = std::iter::repeat_n(&unit, if unit.is_empty() { 0 } else { times }).flatten().cloned().collect();
        return make_list(args, items, is_tuple(repeated));
    }
    Err(bad(format!("a {} and a {} cannot be multiplied", left.kind(), right.kind())))
}

fn weighed(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let value = args.value()?;
    cost::deep(&args.meter, value)?;
    Ok(value.clone())
}

fn contains(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let [needle, hay] = args.both()?;
    is_in(args, needle, hay).map(Value::from)
}

/// `needle in hay`
pub(super) fn is_in(args: &Args<'_>, needle: &Value, hay: &Value) -> Result<bool, Error> {
    if let Some(hay) = hay.as_str() {
        let needle = text(&args.meter, needle)?;
        args.meter.work(hay.len().saturating_add(needle.len()))?;
        return Ok(hay.contains(&*needle));
    }
    match hay.kind() {
        ValueKind::Map => {
            cost::shallow(&args.meter, needle)?;
            Ok(hay.as_object().is_some_and(|map| map.get_value(needle).is_some()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            cost::deep(&args.meter, needle)?;
            for item in cost::items(&args.meter, hay)? {
                cost::deep(&args.meter, &item)?;
                if item == *needle {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        kind => Err(bad(format!("`in` cannot look into a {kind}"))),
    }
}

fn item(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let [value, key] = args.both()?;
    get_item(args, value, key)
}

fn list(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    List::live(&args.meter, literal_items(args)?)
}

fn tuple(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    List::tuple(&args.meter, literal_items(args)?)
}

/// The items of a literal: all arguments but the first, which is there because
/// a filter needs something to be applied to.
fn literal_items(args: &Args<'_>) -> Result<Vec<Value>, Error> {
    let items = args.pos.get(1..).unwrap_or_default();
    for item in items {
        defined(item)?;
    }
    Ok(items.to_vec())
}

fn map(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let mut entries = Entries::default();
    for pair in args.pos.get(1..).unwrap_or_default().chunks(2) {
        let [key, value] = pair else {
            return Err(bad("a map literal has a key without a value"));
        };
        check_key(defined(key)?)?;
        cost::shallow(&args.meter, key)?;
        entries.insert(key.clone(), defined(value)?.clone());
    }
    Dict::live(&args.meter, entries)
}

/// The number of names given with `@iter` and `@unpack`.
fn names(args: &Args<'_>) -> usize {
    args.pos.get(1).and_then(Value::as_usize).unwrap_or(0)
}

fn unpackable(value: &Value, names: usize) -> Result<(), Error> {
    let length = match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => value.len(),
        _ => None,
    };
    if length == Some(names) {
        Ok(())
    } else {
        Err(bad(match length {
            Some(length) => format!("{length} items cannot be unpacked into {names} names"),
            None => format!("a {} cannot be unpacked into {names} names", value.kind()),
        }))
    }
}

fn iter(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let value = args.value()?;
    if value.is_none() || value.try_iter().is_err() {
        return Err(bad(format!("a {} cannot be iterated", value.kind())));
    }
    cost::once_through(&args.meter, value)?;
    let names = names(args);
    if names > 0 {
        for item in cost::items(&args.meter, value)? {
            unpackable(&item, names)?;
        }
    }
    Ok(value.clone())
}

fn unpack(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let value = args.value()?;
    unpackable(value, names(args))?;
    Ok(value.clone())
}

fn captured(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let text = text(&args.meter, args.value()?)?;
    // Once for the text, once for the capture it goes to.
    args.meter.hold(text.len().saturating_mul(2))?;
    // The mark tells the formatter that this is not output.
    Ok(Value::from_safe_string(text.into_owned()))
}

/// A value in a host is part of it and does not end it: `evil.example/` would send everything elsewhere.
fn host(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let plain = text(&args.meter, args.value()?)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if plain.is_empty() || !plain.bytes().all(allowed) {
        return Err(bad("a variable in the host is empty or holds other than letters, digits, `.`, `-`, `_` and `:`"));
    }
    args.meter.hold(plain.len())?;
    Ok(Value::from(plain.into_owned()))
}

/// A value in a path stays in its segment: percent-encoded, and never nothing, `.` or `..`, which would change which
/// resource is meant (RFC 3986, 3.3 and 5.2.4).
fn segment(state: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    if args.value()?.is_none() {
        return Err(bad("a value in a path is null"));
    }
    let plain = text(&args.meter, args.value()?)?;
    if matches!(&*plain, "" | "." | "..") {
        return Err(bad("a value in a path is empty, `.` or `..`"));
    }
    if plain.chars().any(char::is_control) {
        return Err(bad("a value in a path holds control characters"));
    }
    query(state, args)
}

/// What `urlencode` made keeps its encoding; the `/` that it leaves would start another segment.
fn encoded(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let plain = text(&args.meter, args.value()?)?;
    if matches!(&*plain, "" | "." | "..") {
        return Err(bad("a value in a path is empty, `.` or `..`"));
    }
    args.meter.hold(plain.len().saturating_mul(3))?;
    Ok(Value::from(plain.replace('/', "%2F")))
}

/// A value in a query, percent-encoded.
fn query(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let mut out = String::new();
    percent_encode(args, &mut out, args.value()?, false)?;
    Ok(Value::from(out))
}

fn set_attr(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let [namespace, name, value] = args.pos else {
        return Err(bad("an attribute needs a name and a value"));
    };
    defined(value)?;
    match namespace.downcast_object_ref::<Dict>() {
        Some(dict) if dict.is_namespace() => {
            args.meter.hold(super::containers::ENTRY_BYTES)?;
            let old = dict.change(|entries| entries.insert(name.clone(), value.clone()))?;
            drop(old);
            Ok(Value::from(()))
        }
        _ => Err(bad(format!(
            "only the attributes of a namespace can be set, not those of a {}",
            defined(namespace)?.kind()
        ))),
    }
}
