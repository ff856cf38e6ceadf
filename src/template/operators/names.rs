//! The names of the operators.  They start with `@`, which no template can
//! write.

/// `a ~ b ~ c`
pub(crate) const CONCAT: &str = "@concat";
/// `a + b`
pub(crate) const ADD: &str = "@add";
/// `a * b`
pub(crate) const MUL: &str = "@mul";
/// An operand of a comparison: returned unchanged after its size was charged.
pub(crate) const CHARGED: &str = "@charged";
/// `a in b`
pub(crate) const IN: &str = "@in";
/// `a[b:c:d]`
pub(crate) const SLICE: &str = "@slice";
/// `a[b]`
pub(crate) const ITEM: &str = "@item";
/// `[…]`
pub(crate) const LIST: &str = "@list";
/// `(…,)`
pub(crate) const TUPLE: &str = "@tuple";
/// `{…}`
pub(crate) const MAP: &str = "@map";
/// The iterable of a loop, with the number of names that each item is
/// unpacked into, or 0.
pub(crate) const ITER: &str = "@iter";
/// A value that is unpacked into a number of names.
pub(crate) const UNPACK: &str = "@unpack";
/// Text that is captured instead of printed.
pub(crate) const CAPTURED: &str = "@captured";
/// `{% set namespace.name = value %}`
pub(crate) const SET_ATTR: &str = "@setattr";

/// Text in the host of a URL.
pub(crate) const HOST: &str = "@host";
/// Text in the path of a URL.
pub(crate) const SEGMENT: &str = "@segment";
/// Text in the path of a URL that `urlencode` has encoded.
pub(crate) const ENCODED: &str = "@encoded";
/// Text in the query of a URL.
pub(crate) const QUERY: &str = "@query";
