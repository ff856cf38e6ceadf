//! The operators that the rewritten syntax tree calls instead of the virtual
//! machine's own instructions.
//!
//! A template cannot write the [`names`] of operators in an expression, but it
//! can pass one to `map`.  Operators therefore check their arguments as every
//! other filter does.

pub(super) mod names;
mod sequences;
mod slices;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, State};

use super::arguments::{Args, NativeFilter};
use super::budget::bad_argument;
use super::containers::{Dict, Entries, List, check_key};
use super::convert::text;
use super::cost::{self, defined};
use super::lookup::{get_item, is_in};
use super::url_encoding::percent_encode;
use names::{
    ADD, CAPTURED, CHARGED, CONCAT, ENCODED, HOST, IN, ITEM, ITER, LIST, MAP, MUL, QUERY, SEGMENT, SET_ATTR, SLICE,
    TUPLE, UNPACK,
};
use sequences::{is_list, is_tuple, make_list};

/// All operators with their names.
pub(super) const OPERATORS: &[(&str, NativeFilter)] = &[
    (CONCAT, concat),
    (ADD, add),
    (MUL, mul),
    (CHARGED, charged),
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

/// Joins the texts of values.
fn concat_values(args: &Args<'_>, parts: &[Value]) -> Result<String, Error> {
    let mut out = String::new();
    for part in parts {
        let part = text(&args.budget, part)?;
        args.budget.charge_memory(part.len())?;
        out.push_str(&part);
    }
    Ok(out)
}

fn concat(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    concat_values(args, args.pos).map(Value::from)
}

/// Converts to an integer; `true` and `false` are 1 and 0, as in Python.
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

fn add(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let [left, right] = args.both()?;
    if let (Some(a), Some(b)) = (integer(left), integer(right)) {
        return a.checked_add(b).map(from_integer).ok_or_else(|| bad_argument("the sum is too large"));
    }
    if let (Some(a), Some(b)) = (float(left), float(right)) {
        return Ok(Value::from(a + b));
    }
    if left.as_str().is_some() && right.as_str().is_some() {
        return concat_values(args, args.pos).map(Value::from);
    }
    if is_list(left) && is_list(right) {
        let mut items = cost::collect_items(&args.budget, left)?;
        items.extend(cost::collect_items(&args.budget, right)?);
        return make_list(args, items, is_tuple(left) && is_tuple(right));
    }
    Err(bad_argument(format!("a {} and a {} cannot be added (`~` joins texts)", left.kind(), right.kind())))
}

fn mul(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let [left, right] = args.both()?;
    if let (Some(a), Some(b)) = (integer(left), integer(right)) {
        return a.checked_mul(b).map(from_integer).ok_or_else(|| bad_argument("the product is too large"));
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
        args.budget.charge_memory(unit.len().saturating_mul(times))?;
        return Ok(Value::from(unit.repeat(times)));
    }
    if is_list(repeated) && integer(left).or(integer(right)).is_some() {
        let unit = cost::collect_items(&args.budget, repeated)?;
        let length = unit.len().saturating_mul(times);
        args.budget.charge_memory(length.saturating_mul(size_of::<Value>()))?;
        let items = std::iter::repeat_n(&unit, if unit.is_empty() { 0 } else { times }).flatten().cloned().collect();
        return make_list(args, items, is_tuple(repeated));
    }
    Err(bad_argument(format!("a {} and a {} cannot be multiplied", left.kind(), right.kind())))
}

fn charged(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let value = args.value()?;
    cost::charge_deep(&args.budget, value)?;
    Ok(value.clone())
}

fn contains(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let [needle, hay] = args.both()?;
    is_in(args, needle, hay).map(Value::from)
}

fn item(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let [value, key] = args.both()?;
    get_item(args, value, key)
}

fn list(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    List::mutable(&args.budget, literal_items(args)?)
}

fn tuple(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    List::tuple(&args.budget, literal_items(args)?)
}

/// The items of a literal: all arguments except the first, which is a dummy
/// because a filter needs a value to be applied to.
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
            return Err(bad_argument("a map literal has a key without a value"));
        };
        check_key(defined(key)?)?;
        cost::charge_shallow(&args.budget, key)?;
        entries.insert(key.clone(), defined(value)?.clone());
    }
    Dict::mutable(&args.budget, entries)
}

/// The number of names, an argument of `@iter` and `@unpack`.
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
        Err(bad_argument(match length {
            Some(length) => format!("{length} items cannot be unpacked into {names} names"),
            None => format!("a {} cannot be unpacked into {names} names", value.kind()),
        }))
    }
}

fn iter(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let value = args.value()?;
    if value.is_none() || value.try_iter().is_err() {
        return Err(bad_argument(format!("a {} cannot be iterated", value.kind())));
    }
    cost::charge_iteration(&args.budget, value)?;
    let names = names(args);
    if names > 0 {
        for item in cost::collect_items(&args.budget, value)? {
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
    let text = text(&args.budget, args.value()?)?;
    // Once for the text, once for the capture.
    args.budget.charge_memory(text.len().saturating_mul(2))?;
    // The "safe" mark tells the formatter that this text is not output.
    Ok(Value::from_safe_string(text.into_owned()))
}

/// Checks a value in the host of a URL: it must not end the host, as `evil.example/` would redirect the request.
fn host(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let plain = text(&args.budget, args.value()?)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if plain.is_empty() || !plain.bytes().all(allowed) {
        return Err(bad_argument(
            "a variable in the host is empty or contains characters other than letters, digits, `.`, `-`, `_` and `:`",
        ));
    }
    args.budget.charge_memory(plain.len())?;
    Ok(Value::from(plain.into_owned()))
}

/// Encodes a value in the path of a URL so that it stays within its segment: percent-encoded, and never empty, `.` or
/// `..`, which would address another resource (RFC 3986, sections 3.3 and 5.2.4).
fn segment(state: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    if args.value()?.is_none() {
        return Err(bad_argument("a value in a path is null"));
    }
    let plain = text(&args.budget, args.value()?)?;
    if matches!(&*plain, "" | "." | "..") {
        return Err(bad_argument("a value in a path is empty, `.` or `..`"));
    }
    if plain.chars().any(char::is_control) {
        return Err(bad_argument("a value in a path contains control characters"));
    }
    query(state, args)
}

/// Keeps the encoding of `urlencode` and encodes the `/` that it leaves, which would start another segment.
fn encoded(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let plain = text(&args.budget, args.value()?)?;
    if matches!(&*plain, "" | "." | "..") {
        return Err(bad_argument("a value in a path is empty, `.` or `..`"));
    }
    args.budget.charge_memory(plain.len().saturating_mul(3))?;
    Ok(Value::from(plain.replace('/', "%2F")))
}

/// Percent-encodes a value in the query of a URL.
fn query(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let mut out = String::new();
    percent_encode(args, &mut out, args.value()?, false)?;
    Ok(Value::from(out))
}

fn set_attr(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let [namespace, name, value] = args.pos else {
        return Err(bad_argument("an attribute needs a name and a value"));
    };
    defined(value)?;
    match namespace.downcast_object_ref::<Dict>() {
        Some(dict) if dict.is_namespace() => {
            args.budget.charge_memory(super::containers::ENTRY_BYTES)?;
            let old = dict.change(|entries| entries.insert(name.clone(), value.clone()))?;
            drop(old);
            Ok(Value::from(()))
        }
        _ => Err(bad_argument(format!(
            "only the attributes of a namespace can be set, not those of a {}",
            defined(namespace)?.kind()
        ))),
    }
}
