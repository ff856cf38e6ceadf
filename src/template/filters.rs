//! The filters templates can use.
//!
//! Most filters are implemented here and charge the render's budget.  Filters
//! that only select, order or count are minijinja's, called after the budget
//! has been charged for everything they can read; the sequences they return
//! are converted to [`List`]s.

mod format;
mod lists;
mod texts;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters};

use super::arguments::Args;
use super::budget::{Budget, bad_argument};
use super::containers::List;
use super::cost::{self, defined};
use super::operators::OPERATORS;

pub(super) use format::braces;
pub(super) use lists::split_on;
pub(super) use texts::{capitalized, replaced};

/// Adds all filters to an environment.
pub(super) fn add_to(env: &mut Environment<'static>) {
    let native = OPERATORS.iter().chain(texts::FILTERS).chain(lists::FILTERS);
    for &(name, filter) in native {
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

/// True if a template may use a filter of this name.
pub(super) fn exists(name: &str) -> bool {
    names().any(|known| known == name)
}

/// The names of all filters a template may use.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    texts::FILTERS.iter().chain(lists::FILTERS).map(|(name, _)| *name).chain(DELEGATED.iter().copied())
}

/// Size in bytes above which attribute paths and other arguments of a
/// delegated filter are charged as if each item held a copy.
const MAX_FREE_SETTINGS: usize = 512;

/// Filters that minijinja implements.
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
    let budget = Budget::current()?;
    let Some(value) = args.first() else {
        return Err(bad_argument(format!("`{name}` needs a value")));
    };
    defined(value)?;
    let size = cost::charge_deep(&budget, value)?;
    let mut settings = 0_usize;
    for arg in args.iter().skip(1) {
        settings = settings.saturating_add(cost::charge_deep(&budget, arg)?);
    }
    // Sorting and grouping read each item about log2(n) times, and allocate a
    // text each time to fold its case.
    let count = value.len().unwrap_or(1).max(1);
    let rounds = usize::try_from(count.ilog2()).unwrap_or(64) + 4;
    budget.charge_memory(size)?;
    budget.charge_work(size.saturating_mul(rounds))?;
    // The path of an attribute is parsed for each item; a list of paths makes a
    // key with as many parts.
    budget.charge_work(count.saturating_mul(settings))?;
    if settings > MAX_FREE_SETTINGS {
        budget.charge_memory(count.saturating_mul(settings))?;
    }
    let result = match filter.call(state, &args) {
        Ok(result) => result,
        // Undefined values are reported by their path, and failures of this module
        // are already recorded; minijinja's other messages may quote values.
        Err(error) if error.kind() == ErrorKind::UndefinedError => return Err(error),
        Err(error) => return Err(describe(name, &args, &error)),
    };
    to_list(&budget, result)
}

/// Describes an error of minijinja without quoting any value.
fn describe(name: &str, args: &[Value], error: &Error) -> Error {
    let kind = args.first().map_or(ValueKind::Undefined, Value::kind);
    bad_argument(match error.kind() {
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

/// Converts a sequence of minijinja to a [`List`].
fn to_list(budget: &Budget, value: Value) -> Result<Value, Error> {
    let foreign =
        matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) && value.downcast_object_ref::<List>().is_none();
    if !foreign {
        return Ok(value);
    }
    let items = cost::collect_items(budget, &value)?;
    List::mutable(budget, items)
}
