//! Filters of events: [`matches()`] looks up each field and evaluates its [`condition`].
//!
//! **Paths.** `order.total` is the field `total` of the field `order`; `items.0.sku` contains the index of a list (from 0,
//! without leading zeros). Keys may contain dots: at each level the longest matching key is tried first, and shorter ones
//! only if it leads to no value. A path that starts with `headers.` and has no value in a body without a field `headers`
//! is the name of a header, in any case.
//!
//! **Values.** Values are not converted: `"5"` is not `5`, and texts are compared case-sensitively. The exception is
//! order: amounts of money are often sent as text (`"120.50"`), so `gt`, `gte`, `lt` and `lte` read a text that is a JSON
//! number (RFC 8259, 6) as that number. Headers are texts. Numbers compare by their exact values in any notation: `1` is
//! `1.0`, and whole numbers of 64 bits are not rounded.
//!
//! **Missing fields** pass `exists: false`, `neq` and `notIn`, and no other operator. A null field counts as missing.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Number, Value};

use crate::definition::event::{Condition, Filter, Operators, Scalar};

/// Maximum number of dots in a path. Each may separate fields or be part of a key, so that the cost grows with them.
pub const MAX_DOTS: usize = 32;

/// True if all conditions of a filter hold. Names of `headers` are in lower case. A filter without conditions matches
/// every event.
pub fn matches(filter: &Filter, body: &Value, headers: &BTreeMap<String, String>) -> bool {
    filter.iter().all(|(path, wanted)| condition(wanted, find(path, body, headers).as_deref()))
}

/// True if a condition holds for a value, with all its operators. `None` is a missing field.
pub fn condition(condition: &Condition, value: Option<&Value>) -> bool {
    match condition {
        Condition::Equals(wanted) => value.is_some_and(|value| equals(value, wanted)),
        Condition::Operators(operators) => all_hold(operators, value.filter(|value| !value.is_null())),
    }
}

fn all_hold(operators: &Operators, value: Option<&Value>) -> bool {
    // Every field is named, so that the compiler reports an operator that is missing here.
    let Operators { eq, neq, gt, gte, lt, lte, one_of, not_in, contains, starts_with, ends_with, exists } = operators;
    let is = |wanted: &Scalar| value.is_some_and(|value| equals(value, wanted));
    let text = value.and_then(Value::as_str);
    let order = |limit: &Number| compare(number_of(value?)?.as_ref(), limit);
    eq.as_ref().is_none_or(is)
        && neq.as_ref().is_none_or(|wanted| !is(wanted))
        && gt.as_ref().is_none_or(|limit| order(limit).is_some_and(Ordering::is_gt))
        && gte.as_ref().is_none_or(|limit| order(limit).is_some_and(Ordering::is_ge))
        && lt.as_ref().is_none_or(|limit| order(limit).is_some_and(Ordering::is_lt))
        && lte.as_ref().is_none_or(|limit| order(limit).is_some_and(Ordering::is_le))
        && one_of.as_ref().is_none_or(|wanted| wanted.iter().any(is))
        && not_in.as_ref().is_none_or(|wanted| !wanted.iter().any(is))
        && contains.as_ref().is_none_or(|part| value.is_some_and(|value| contains_part(value, part)))
        && starts_with.as_ref().is_none_or(|start| text.is_some_and(|text| text.starts_with(start)))
        && ends_with.as_ref().is_none_or(|end| text.is_some_and(|text| text.ends_with(end)))
        && exists.is_none_or(|wanted| value.is_some() == wanted)
}

/// The value at a path.
fn find<'a>(path: &str, body: &'a Value, headers: &BTreeMap<String, String>) -> Option<Cow<'a, Value>> {
    if path.matches('.').nth(MAX_DOTS).is_some() {
        return None;
    }
    if let Some(value) = walk(path, body) {
        return Some(Cow::Borrowed(value));
    }
    let name = path.strip_prefix("headers.").filter(|_| body.get("headers").is_none())?;
    headers.get(&name.to_ascii_lowercase()).map(|value| Cow::Owned(Value::String(value.clone())))
}

/// The value at a path below another value. No two steps enter the same value, and each goes one level deeper, so the
/// body bounds their number and depth.
fn walk<'a>(path: &str, value: &'a Value) -> Option<&'a Value> {
    let below = |key: &str| match value {
        Value::Object(fields) => fields.get(key),
        Value::Array(items) => items.get(index(key)?),
        _ => None,
    };
    if !value.is_object() && !value.is_array() {
        return None;
    }
    let cuts = path.rmatch_indices('.').filter_map(|(at, _)| Some((path.get(..at)?, path.get(at + 1..)?)));
    below(path).or_else(|| cuts.into_iter().find_map(|(key, rest)| walk(rest, below(key)?)))
}

/// An index in canonical notation: `0` and `12`, but not `012` or `+1`.
fn index(key: &str) -> Option<usize> {
    let digits = key.bytes().all(|digit| digit.is_ascii_digit()) && (key == "0" || !key.starts_with('0'));
    digits.then(|| key.parse().ok())?
}

fn equals(value: &Value, wanted: &Scalar) -> bool {
    match (value, wanted) {
        (Value::String(value), Scalar::Text(wanted)) => value == wanted,
        (Value::Number(value), Scalar::Number(wanted)) => compare(value, wanted).is_some_and(Ordering::is_eq),
        (Value::Bool(value), Scalar::Bool(wanted)) => value == wanted,
        _ => false,
    }
}

/// True if a list has the item, a text the part, or an object the key.
fn contains_part(value: &Value, part: &Scalar) -> bool {
    match (value, part) {
        (Value::Array(items), part) => items.iter().any(|item| equals(item, part)),
        (Value::String(text), Scalar::Text(part)) => text.contains(part.as_str()),
        (Value::Object(fields), Scalar::Text(key)) => fields.contains_key(key),
        _ => false,
    }
}

/// The number of a value: a JSON number, or a text with one.
fn number_of(value: &Value) -> Option<Cow<'_, Number>> {
    match value {
        Value::Number(number) => Some(Cow::Borrowed(number)),
        // The JSON parser accepts surrounding whitespace, which is not part of a number.
        Value::String(text) if !text.contains(|c: char| c.is_ascii_whitespace()) => {
            serde_json::from_str(text).ok().map(Cow::Owned)
        }
        _ => None,
    }
}

/// The order of two numbers by their exact values.
fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (Some(left), None) => compare_with_float(left, right.as_f64()?),
        (None, Some(right)) => compare_with_float(right, left.as_f64()?).map(Ordering::reverse),
        (None, None) => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// The order of a whole number and a floating point number, without rounding the first.
fn compare_with_float(whole: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // Exact for every value near a 64-bit integer; the conversion saturates at the ends of 128 bits.
    let floor = float.floor();
    Some(whole.cmp(&(floor as i128)).then(if float > floor { Ordering::Less } else { Ordering::Equal }))
}

#[cfg(test)]
mod tests;
