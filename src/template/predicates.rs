//! The tests (`is …`) templates can use: minijinja's own, after the budget has
//! been charged for what they look at.

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, State, tests};

use super::budget::bad;
use super::cost;
use super::filters::Args;
use super::operators::is_in;

type Test = fn(&Args<'_>) -> Result<bool, Error>;

/// All tests; those with operators for names are for `select` and the like.
const TESTS: &[(&str, Test)] = &[
    ("!=", |args| Ok(!equal(args)?)),
    ("<", |args| ordered(args, |a, b| a < b)),
    ("<=", |args| ordered(args, |a, b| a <= b)),
    ("==", equal),
    (">", |args| ordered(args, |a, b| a > b)),
    (">=", |args| ordered(args, |a, b| a >= b)),
    ("boolean", |args| one(args, tests::is_boolean)),
    ("defined", |args| Ok(!value(args)?.is_undefined())),
    ("divisibleby", divisible_by),
    ("endingwith", |args| affix(args, |text, part| text.ends_with(part))),
    ("eq", equal),
    ("equalto", equal),
    ("even", |args| Ok(remainder(args, 2)? == 0)),
    ("false", |args| one(args, tests::is_false)),
    ("float", |args| one(args, tests::is_float)),
    ("ge", |args| ordered(args, |a, b| a >= b)),
    ("greaterthan", |args| ordered(args, |a, b| a > b)),
    ("gt", |args| ordered(args, |a, b| a > b)),
    ("in", |args| {
        let [needle, hay] = args.both()?;
        is_in(args, needle, hay)
    }),
    ("int", |args| one(args, tests::is_integer)),
    ("integer", |args| one(args, tests::is_integer)),
    ("iterable", |args| one(args, tests::is_iterable)),
    ("le", |args| ordered(args, |a, b| a <= b)),
    ("lessthan", |args| ordered(args, |a, b| a < b)),
    ("lower", |args| cased(args, char::is_uppercase)),
    ("lt", |args| ordered(args, |a, b| a < b)),
    ("mapping", |args| one(args, tests::is_mapping)),
    ("ne", |args| Ok(!equal(args)?)),
    ("none", |args| one(args, tests::is_none)),
    ("number", |args| one(args, tests::is_number)),
    ("odd", |args| Ok(remainder(args, 2)? != 0)),
    ("sameas", equal),
    ("sequence", |args| one(args, tests::is_sequence)),
    ("startingwith", |args| affix(args, |text, part| text.starts_with(part))),
    ("string", |args| one(args, tests::is_string)),
    ("true", |args| one(args, tests::is_true)),
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

fn one(args: &Args<'_>, test: fn(&Value) -> bool) -> Result<bool, Error> {
    args.end(1)?;
    Ok(test(args.value()?))
}

fn equal(args: &Args<'_>) -> Result<bool, Error> {
    ordered(args, |a, b| a == b)
}

fn ordered(args: &Args<'_>, test: fn(&Value, &Value) -> bool) -> Result<bool, Error> {
    let [left, right] = args.both()?;
    cost::deep(&args.meter, left)?;
    cost::deep(&args.meter, right)?;
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
        .ok_or_else(|| bad(format!("the test wants whole numbers, not a {}", value.kind())))
}

fn divisible_by(args: &Args<'_>) -> Result<bool, Error> {
    let [value, by] = args.both()?;
    let by = i128::try_from(by.clone())
        .ok()
        .filter(|by| *by != 0)
        .ok_or_else(|| bad("`divisibleby` wants a whole number other than 0"))?;
    Ok(rest(value, by)? == 0)
}

fn affix(args: &Args<'_>, test: fn(&str, &str) -> bool) -> Result<bool, Error> {
    let [value, part] = args.both()?;
    match (value.as_str(), part.as_str()) {
        (Some(text), Some(part)) => Ok(test(text, part)),
        _ => Err(bad("the test wants texts")),
    }
}

fn cased(args: &Args<'_>, wrong: fn(char) -> bool) -> Result<bool, Error> {
    args.end(1)?;
    let value = args.value()?;
    cost::shallow(&args.meter, value)?;
    Ok(value.as_str().is_some_and(|text| !text.chars().any(wrong)))
}
