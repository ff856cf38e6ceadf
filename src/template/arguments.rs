//! Arguments of filters, functions, methods and operators.

use std::rc::Rc;

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind, State};

use super::budget::{Budget, bad_argument};
use super::cost::defined;

/// A filter, operator or function implemented in this module.
pub(super) type NativeFilter = fn(&mut State<'_, '_>, &Args<'_>) -> Result<Value, Error>;

/// The arguments of a filter, function or method.  For a filter the first one
/// is the value it is applied to.
pub(super) struct Args<'a> {
    pub budget: Rc<Budget>,
    pub pos: &'a [Value],
    name: &'a str,
    kw: Kwargs,
}

impl<'a> Args<'a> {
    pub fn new(name: &'a str, pos: &'a [Value], kw: Kwargs) -> Result<Args<'a>, Error> {
        let budget = Budget::current()?;
        budget.charge_work(0)?;
        Ok(Args { budget, pos, name, kw })
    }

    /// The value a filter is applied to.
    pub fn value(&self) -> Result<&'a Value, Error> {
        match self.pos.first() {
            Some(value) => defined(value),
            None => Err(self.missing("value")),
        }
    }

    /// Both arguments of an operation that takes exactly two.
    pub fn both(&self) -> Result<[&'a Value; 2], Error> {
        match self.pos {
            [left, right] => Ok([defined(left)?, defined(right)?]),
            _ => Err(bad_argument(format!("`{}` takes two values", self.name))),
        }
    }

    /// The argument at a position or with a name; `None` if omitted.
    pub fn get(&self, at: usize, name: &str) -> Result<Option<Value>, Error> {
        let keyword: Option<&Value> = if self.kw.has(name) {
            // `get` also marks it as used, for `end`.
            Some(self.kw.get(name)?)
        } else {
            None
        };
        match (self.pos.get(at), keyword) {
            (Some(_), Some(_)) => Err(bad_argument(format!("`{}` got its argument `{name}` twice", self.name))),
            (Some(value), None) => defined(value).cloned().map(Some),
            (None, Some(value)) => defined(value).cloned().map(Some),
            (None, None) => Ok(None),
        }
    }

    /// A text argument; `None` if omitted or null.
    pub fn text(&self, at: usize, name: &str) -> Result<Option<String>, Error> {
        match self.get(at, name)? {
            Some(value) if !value.is_none() => {
                let text = super::convert::text(&self.budget, &value)?;
                self.budget.charge_memory(text.len())?;
                Ok(Some(text.into_owned()))
            }
            _ => Ok(None),
        }
    }

    /// A required text argument.
    pub fn need_text(&self, at: usize, name: &str) -> Result<String, Error> {
        self.text(at, name)?.ok_or_else(|| self.missing(name))
    }

    /// An integer argument.
    pub fn int(&self, at: usize, name: &str) -> Result<Option<i64>, Error> {
        match self.get(at, name)? {
            Some(value) if !value.is_none() => value.as_i64().map(Some).ok_or_else(|| {
                bad_argument(format!(
                    "`{}`: the argument `{name}` must be a whole number, not a {}",
                    self.name,
                    value.kind()
                ))
            }),
            _ => Ok(None),
        }
    }

    /// An integer argument that is not negative.
    pub fn size(&self, at: usize, name: &str) -> Result<Option<usize>, Error> {
        match self.int(at, name)? {
            None => Ok(None),
            Some(number) => usize::try_from(number)
                .map(Some)
                .map_err(|_| bad_argument(format!("`{}`: the argument `{name}` cannot be negative", self.name))),
        }
    }

    /// A boolean argument; false if omitted.
    pub fn flag(&self, at: usize, name: &str) -> Result<bool, Error> {
        Ok(self.get(at, name)?.is_some_and(|value| value.is_true()))
    }

    /// Rejects positional arguments beyond the first `max` and keyword arguments
    /// that were not read.
    pub fn end(&self, max: usize) -> Result<(), Error> {
        if self.pos.len() > max {
            return Err(bad_argument(format!("`{}` takes fewer arguments", self.name)));
        }
        if self.kw.assert_all_used().is_err() {
            return Err(bad_argument(format!("`{}` does not know one of its keyword arguments", self.name)));
        }
        Ok(())
    }

    /// All keyword arguments.
    pub fn keywords(&self) -> Result<Vec<(String, Value)>, Error> {
        self.kw.args().map(|name| Ok((name.to_owned(), self.kw.get::<Value>(name)?))).collect()
    }

    /// The error for a missing argument.
    pub fn missing(&self, name: &str) -> Error {
        bad_argument(format!("`{}` needs the argument `{name}`", self.name))
    }
}

/// The error that makes minijinja look for a callable value of the method's
/// name, and otherwise report an unknown method.
pub(super) fn unknown_method() -> Error {
    Error::from(ErrorKind::UnknownMethod)
}
