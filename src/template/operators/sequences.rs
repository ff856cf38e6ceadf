//! Lists and tuples as operands.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::arguments::Args;
use super::super::containers::List;

/// True for a list, a tuple or another iterable that is not a map.
pub(super) fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

pub(super) fn is_tuple(value: &Value) -> bool {
    value.downcast_object_ref::<List>().is_some_and(List::is_tuple)
}

/// Creates a list or a tuple.
pub(super) fn make_list(args: &Args<'_>, items: Vec<Value>, tuple: bool) -> Result<Value, Error> {
    if tuple { List::tuple(&args.budget, items) } else { List::mutable(&args.budget, items) }
}
