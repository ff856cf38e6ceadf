//! The filters templates can use.
//!
//! Most are written here, against the render's budget.  Those that only
//! select, order or count are minijinja's, called after the budget has been
//! charged for everything they can look at; what they return becomes a list of
//! our own.

mod format;
mod lists;
mod texts;

use std::rc::Rc;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters};

use super::budget::{Budget, bad};
use super::containers::List;
use super::cost::{self, defined};
use super::operators::OPERATORS;

pub(super) use format::{braces, percent};
pub(super) use lists::split_on;
pub(super) use texts::{capitalized, percent_encode, replaced};

/// A filter of our own.
pub(super) type Native = fn(&mut State<'_, '_>, &Args<'_>) -> Result<Value, Error>;

/// Adds all filters to an environment.
pub(super) fn add_to(env: &mut Environment<'static>) {
    let own = OPERATORS.iter().chain(texts::FILTERS).chain(lists::FILTERS);
    for &(name, filter) in own {
        env.add_filter(name, move |state: &mut State<'_, '_>, pos: &[Value], kw: Kwargs| {
            filter(state, &Args::new(name, pos, kw)?)
        });
    }
    for (name, filter) in delegates() {
        env.add_filter(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            delegate(state, name, &filter, args.into_values())
        });
    }
}

/// Whether a template may use a filter of this name.
pub(super) fn exists(name: &str) -> bool {
    names().any(|known| known == name)
}

/// The names of all filters a template may use.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    texts::FILTERS.iter().chain(lists::FILTERS).map(|(name, _)| *name).chain(DELEGATED.iter().copied())
}

/// The arguments of a filter, function or method.  For a filter the first one
/// is the value it is applied to.
pub(super) struct Args<'a> {
    pub meter: Rc<Budget>,
    pub pos: &'a [Value],
    name: &'a str,
    kw: Kwargs,
}

impl<'a> Args<'a> {
    pub fn new(name: &'a str, pos: &'a [Value], kw: Kwargs) -> Result<Args<'a>, Error> {
        let meter = Budget::current()?;
        meter.work(0)?;
        Ok(Args { meter, pos, name, kw })
    }

    /// The value a filter is applied to.
    pub fn value(&self) -> Result<&'a Value, Error> {
        match self.pos.first() {
            Some(value) => defined(value),
            None => Err(self.missing("value")),
        }
    }

    /// Exactly two arguments.
    pub fn both(&self) -> Result<[&'a Value; 2], Error> {
        match self.pos {
            [left, right] => Ok([defined(left)?, defined(right)?]),
            _ => Err(bad(format!("`{}` takes two values", self.name))),
        }
    }

    /// The argument at a position or with a name.
    pub fn get(&self, at: usize, name: &str) -> Result<Option<Value>, Error> {
        let keyword: Option<&Value> = if self.kw.has(name) {
            // `get` also marks it as used, for `end`.
            Some(self.kw.get(name)?)
        } else {
            None
        };
        match (self.pos.get(at), keyword) {
            (Some(_), Some(_)) => Err(bad(format!("`{}` got its argument `{name}` twice", self.name))),
            (Some(value), None) => defined(value).cloned().map(Some),
            (None, Some(value)) => defined(value).cloned().map(Some),
            (None, None) => Ok(None),
        }
    }

    /// A text argument.
    pub fn text(&self, at: usize, name: &str) -> Result<Option<String>, Error> {
        match self.get(at, name)? {
            Some(value) if !value.is_none() => {
                let text = super::convert::text(&self.meter, &value)?;
                self.meter.hold(text.len())?;
                Ok(Some(text.into_owned()))
            }
            _ => Ok(None),
        }
    }

    /// A text argument that must be there.
    pub fn need_text(&self, at: usize, name: &str) -> Result<String, Error> {
        self.text(at, name)?.ok_or_else(|| self.missing(name))
    }

    /// A whole number.
    pub fn int(&self, at: usize, name: &str) -> Result<Option<i64>, Error> {
        match self.get(at, name)? {
            Some(value) if !value.is_none() => value.as_i64().map(Some).ok_or_else(|| {
                bad(format!("`{}`: the argument `{name}` must be a whole number, not a {}", self.name, value.kind()))
            }),
            _ => Ok(None),
        }
    }

    /// A whole number that is not negative.
    pub fn size(&self, at: usize, name: &str) -> Result<Option<usize>, Error> {
        match self.int(at, name)? {
            None => Ok(None),
            Some(number) => usize::try_from(number)
                .map(Some)
                .map_err(|_| bad(format!("`{}`: the argument `{name}` cannot be negative", self.name))),
        }
    }

    /// A truth value.
    pub fn flag(&self, at: usize, name: &str) -> Result<bool, Error> {
        Ok(self.get(at, name)?.is_some_and(|value| value.is_true()))
    }

    /// Refuses positional arguments beyond the first `most` and keyword
    /// arguments that nobody asked for.
    pub fn end(&self, most: usize) -> Result<(), Error> {
        if self.pos.len() > most {
            return Err(bad(format!("`{}` takes fewer arguments", self.name)));
        }
        if self.kw.assert_all_used().is_err() {
            return Err(bad(format!("`{}` does not know one of its keyword arguments", self.name)));
        }
        Ok(())
    }

    /// The keyword arguments, all of them.
    pub fn keywords(&self) -> Result<Vec<(String, Value)>, Error> {
        self.kw.args().map(|name| Ok((name.to_owned(), self.kw.get::<Value>(name)?))).collect()
    }

    /// The error for an argument that is not there.
    pub fn missing(&self, name: &str) -> Error {
        bad(format!("`{}` needs the argument `{name}`", self.name))
    }
}

/// Attribute paths and other arguments of a delegated filter that are larger
/// than this are paid for as if there were a copy for each item.
const MAX_SETTINGS: usize = 512;

/// Filters of minijinja's own.
const DELEGATED: &[&str] = &[
    "abs",
    "dictsort",
    "float",
    "groupby",
    "int",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "round",
    "select",
    "selectattr",
    "sort",
    "unique",
];

fn delegates() -> Vec<(&'static str, Value)> {
    vec![
        ("abs", Value::from_function(filters::abs)),
        ("dictsort", Value::from_function(filters::dictsort)),
        ("float", Value::from_function(filters::float)),
        ("groupby", Value::from_function(filters::groupby)),
        ("int", Value::from_function(filters::int)),
        ("map", Value::from_function(filters::map)),
        ("max", Value::from_function(filters::max)),
        ("min", Value::from_function(filters::min)),
        ("reject", Value::from_function(filters::reject)),
        ("rejectattr", Value::from_function(filters::rejectattr)),
        ("round", Value::from_function(filters::round)),
        ("select", Value::from_function(filters::select)),
        ("selectattr", Value::from_function(filters::selectattr)),
        ("sort", Value::from_function(filters::sort)),
        ("unique", Value::from_function(filters::unique)),
    ]
}

fn delegate(state: &mut State<'_, '_>, name: &'static str, filter: &Value, args: Vec<Value>) -> Result<Value, Error> {
    let meter = Budget::current()?;
    let Some(value) = args.first() else {
        return Err(bad(format!("`{name}` needs a value")));
    };
    defined(value)?;
    let size = cost::deep(&meter, value)?;
    let mut settings = 0_usize;
    for arg in args.iter().skip(1) {
        settings = settings.saturating_add(cost::deep(&meter, arg)?);
    }
    // Sorting and grouping look at an item as often as its number has digits,
    // and make a new text each time to fold its case.
    let count = value.len().unwrap_or(1).max(1);
    let rounds = usize::try_from(count.ilog2()).unwrap_or(64) + 4;
    meter.hold(size)?;
    meter.work(size.saturating_mul(rounds))?;
    // The path of an attribute is taken apart for each item; a list of such
    // paths makes a key of as many parts.
    meter.work(count.saturating_mul(settings))?;
    if settings > MAX_SETTINGS {
        meter.hold(count.saturating_mul(settings))?;
    }
    let result = match filter.call(state, &args) {
        Ok(result) => result,
        // Undefined values are reported by their path, our own failures are
        // on record already; minijinja's other words may quote values.
        Err(error) if error.kind() == ErrorKind::UndefinedError => return Err(error),
        Err(error) => return Err(explain(name, &args, &error)),
    };
    own(&meter, result)
}

/// Says what went wrong without repeating any value.
fn explain(name: &str, args: &[Value], error: &Error) -> Error {
    let kind = args.first().map_or(ValueKind::Undefined, Value::kind);
    bad(match error.kind() {
        ErrorKind::UnknownFilter => {
            format!("`{name}` got the name of a filter that does not exist")
        }
        ErrorKind::UnknownTest => format!("`{name}` got the name of a test that does not exist"),
        ErrorKind::TooManyArguments | ErrorKind::MissingArgument => {
            format!("`{name}` got the wrong arguments")
        }
        _ => format!("`{name}` cannot be applied to this {kind}"),
    })
}

/// Turns a sequence of minijinja's into a list of our own.
fn own(meter: &Budget, value: Value) -> Result<Value, Error> {
    let foreign =
        matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) && value.downcast_object_ref::<List>().is_none();
    if !foreign {
        return Ok(value);
    }
    let items = cost::items(meter, &value)?;
    List::live(meter, items)
}
