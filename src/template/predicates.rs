//! The tests (`is …`) that templates may use.  They charge the budget for the
//! values that they read.

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, State, tests};

use super::arguments::Args;
use super::budget::bad_argument;
use super::cost;
use super::lookup::is_in;

type Test = fn(&Args<'_>) -> Result<bool, Error>;

/// All tests; those named by an operator are for `select` and similar filters.
const TESTS: &[(&str, Test)] = &[
    ("!=", |args| Ok(!equal(args)?)),
    ("<", |args| ordered(args, |a, b| a < b)),
    ("<=", |args| ordered(args, |a, b| a <= b)),
    ("==", equal),
    (">", |args| ordered(args, |a, b| a > b)),
    (">=", |args| ordered(args, |a, b| a >= b)),
    ("boolean", |args| unary(args, tests::is_boolean)),
    ("defined", |args| Ok(!value(args)?.is_undefined())),
    ("divisibleby", divisible_by),
    ("endingwith", |args| affix(args, |text, part| text.ends_with(part))),
    ("eq", equal),
    ("equalto", equal),
    ("even", |args| Ok(remainder(args, 2)? == 0)),
    ("false", |args| unary(args, tests::is_false)),
    ("float", |args| unary(args, tests::is_float)),
    ("ge", |args| ordered(args, |a, b| a >= b)),
    ("greaterthan", |args| ordered(args, |a, b| a > b)),
    ("gt", |args| ordered(args, |a, b| a > b)),
    ("in", |args| {
        let [needle, hay] = args.both()?;
        is_in(args, needle, hay)
    }),
    ("int", |args| unary(args, tests::is_integer)),
    ("integer", |args| unary(args, tests::is_integer)),
    ("iterable", |args| unary(args, tests::is_iterable)),
    ("le", |args| ordered(args, |a, b| a <= b)),
    ("lessthan", |args| ordered(args, |a, b| a < b)),
    ("lower", |args| cased(args, char::is_uppercase)),
    ("lt", |args| ordered(args, |a, b| a < b)),
    ("mapping", |args| unary(args, tests::is_mapping)),
    ("ne", |args| Ok(!equal(args)?)),
    ("none", |args| unary(args, tests::is_none)),
    ("number", |args| unary(args, tests::is_number)),
    ("odd", |args| Ok(remainder(args, 2)? != 0)),
    ("sameas", equal),
    ("sequence", |args| unary(args, tests::is_sequence)),
    ("startingwith", |args| affix(args, |text, part| text.starts_with(part))),
    ("string", |args| unary(args, tests::is_string)),
    ("true", |args| unary(args, tests::is_true)),
    ("undefined", |args| Ok(value(args)?.is_undefined())),
    ("upper", |args| cased(args, char::is_lowercase)),
];

/// Adds all tests to an environment.
pub(super) fn add_to(env: &mut Environment<'static>) {
    for &(name, test) in TESTS {
        env.add_test(name, move |_: &mut State<'_, '_>, pos: &[Value], kw: Kwargs| -> Result<bool, Error> {
            test(&Args::new(name, pos, kw)?)
        });
    }
}

/// The names of all tests.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TESTS.iter().map(|(name, _)| *name)
}

/// The tested value, which may be undefined.
fn value<'a>(args: &Args<'a>) -> Result<&'a Value, Error> {
    args.end(1)?;
    args.pos.first().ok_or_else(|| args.missing("value"))
}

fn unary(args: &Args<'_>, test: fn(&Value) -> bool) -> Result<bool, Error> {
    args.end(1)?;
    Ok(test(args.value()?))
}

fn equal(args: &Args<'_>) -> Result<bool, Error> {
    ordered(args, |a, b| a == b)
}

fn ordered(args: &Args<'_>, test: fn(&Value, &Value) -> bool) -> Result<bool, Error> {
    let [left, right] = args.both()?;
    cost::charge_deep(&args.budget, left)?;
    cost::charge_deep(&args.budget, right)?;
    Ok(test(left, right))
}

fn remainder(args: &Args<'_>, by: i128) -> Result<i128, Error> {
    args.end(1)?;
    rest(args.value()?, by)
}

fn rest(value: &Value, by: i128) -> Result<i128, Error> {
    i128::try_from(value.clone())
        .ok()
        .and_then(|number| number.checked_rem(by))
        .ok_or_else(|| bad_argument(format!("the test takes integers, not a {}", value.kind())))
}

fn divisible_by(args: &Args<'_>) -> Result<bool, Error> {
    let [value, by] = args.both()?;
    let by = i128::try_from(by.clone())
        .ok()
        .filter(|by| *by != 0)
        .ok_or_else(|| bad_argument("`divisibleby` takes an integer other than 0"))?;
    Ok(rest(value, by)? == 0)
}

fn affix(args: &Args<'_>, test: fn(&str, &str) -> bool) -> Result<bool, Error> {
    let [value, part] = args.both()?;
    match (value.as_str(), part.as_str()) {
        (Some(text), Some(part)) => Ok(test(text, part)),
        _ => Err(bad_argument("the test takes texts")),
    }
}

fn cased(args: &Args<'_>, wrong: fn(char) -> bool) -> Result<bool, Error> {
    args.end(1)?;
    let value = args.value()?;
    cost::charge_shallow(&args.budget, value)?;
    Ok(value.as_str().is_some_and(|text| !text.chars().any(wrong)))
}
