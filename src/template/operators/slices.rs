//! Slices: `value[start:stop:step]`.

use minijinja::value::Value;
use minijinja::{Error, State};

use super::super::arguments::Args;
use super::super::budget::bad_argument;
use super::super::cost::{self, defined};
use super::sequences::{is_list, is_tuple, make_list};

pub(super) fn slice(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let value = args.value()?;
    let bound = |at: usize| -> Result<Option<i64>, Error> {
        match args.pos.get(at) {
            None => Ok(None),
            Some(bound) if bound.is_none() => Ok(None),
            Some(bound) => defined(bound)?
                .as_i64()
                .map(Some)
                .ok_or_else(|| bad_argument("the bounds of a slice must be whole numbers")),
        }
    };
    let (start, stop, step) = (bound(1)?, bound(2)?, bound(3)?.unwrap_or(1));
    if step == 0 {
        return Err(bad_argument("the step of a slice cannot be 0"));
    }
    if let Some(text) = value.as_str() {
        args.budget.charge_work(text.len())?;
        let range = SliceIndices::new(start, stop, step, text.chars().count());
        args.budget.charge_memory(range.count.saturating_mul(4))?;
        if step == 1 {
            let from = byte_of(text, range.first);
            let rest = &text[from..];
            return Ok(Value::from(&rest[..byte_of(rest, range.count)]));
        }
        args.budget.charge_memory(text.len().saturating_mul(4))?;
        let chars: Vec<char> = text.chars().collect();
        return Ok(Value::from(range.filter_map(|at| chars.get(at)).collect::<String>()));
    }
    if let Some(bytes) = value.as_bytes() {
        args.budget.charge_memory(bytes.len())?;
        let range = SliceIndices::new(start, stop, step, bytes.len());
        return Ok(Value::from_bytes(range.filter_map(|at| bytes.get(at).copied()).collect()));
    }
    if !is_list(value) {
        return Err(bad_argument(format!("a {} cannot be sliced", value.kind())));
    }
    let items = cost::collect_items(&args.budget, value)?;
    let range = SliceIndices::new(start, stop, step, items.len());
    let items = range.filter_map(|at| items.get(at).cloned()).collect();
    make_list(args, items, is_tuple(value))
}

/// The byte offset of a character by its index.
fn byte_of(text: &str, chars: usize) -> usize {
    text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at)
}

/// The indices that a slice selects, as in Python.
struct SliceIndices {
    first: usize,
    at: i128,
    step: i64,
    count: usize,
}

impl SliceIndices {
    fn new(start: Option<i64>, stop: Option<i64>, step: i64, len: usize) -> SliceIndices {
        let len = i128::try_from(len).unwrap_or(i128::MAX);
        // The valid range of bounds, which depends on the direction.
        let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
        let place = |bound: Option<i64>, missing: i128| match bound.map(i128::from) {
            None => missing,
            Some(bound) if bound < 0 => (bound + len).clamp(low, high),
            Some(bound) => bound.clamp(low, high),
        };
        let (from, to) =
            if step > 0 { (place(start, low), place(stop, high)) } else { (place(start, high), place(stop, low)) };
        let stride = i128::from(step);
        let span = if step > 0 { to - from } else { from - to };
        let count = if span <= 0 { 0 } else { (span - 1) / stride.abs() + 1 };
        SliceIndices {
            first: usize::try_from(from).unwrap_or(0),
            at: from,
            step,
            count: usize::try_from(count).unwrap_or(0),
        }
    }
}

impl Iterator for SliceIndices {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.count = self.count.checked_sub(1)?;
        let at = usize::try_from(self.at).ok();
        self.at += i128::from(self.step);
        at
    }
}
