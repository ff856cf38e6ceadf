//! Sandboxed Jinja rendering.
//!
//! A template is text written by the author of a definition; the values it
//! reads come from users and from remote services.  Values are data: they are
//! never compiled.  A render may be asked to do something absurd (by accident
//! or not) and must then fail with a [`RenderError`], quickly and without
//! taking the process with it.
//!
//! # How a template is run
//!
//! 1. A token scan refuses sources that are too large or too deeply nested for
//!    a recursive parser.
//! 2. minijinja parses the source; [`analyse`] reports everything that stands
//!    wrong in it.
//! 3. The syntax tree is rewritten: every operation that can allocate (or that
//!    can take longer than constant time) becomes a call of an internal filter
//!    that charges the render's budget *before* it does the work.  As a side
//!    effect nothing that is expensive can be folded at compile time.
//! 4. minijinja's code generator and virtual machine do the rest.
//!
//! minijinja's fuel bounds the number of instructions; the budget
//! ([`Limits::work_bytes`], [`Limits::held_bytes`], [`Limits::output_bytes`])
//! bounds what a single instruction may do.
//!
//! # What the dialect prints
//!
//! Templates here make URLs, headers and JSON bodies, so values are printed as
//! JSON would spell them: `true`, `false`, `null`, and lists and maps as
//! compact JSON.  (Jinja in Python would print `True`, `None` and reprs.)
//! Printing, `~`, `join`, `string` and all text filters agree on that.
//!
//! Reading something that does not exist is an error that names the path.
//! List and map literals are mutable (`append`, `update`, …) as in Python;
//! values that come from outside are not.
//!
//! What a template may read and call depends on its [`FieldLocation`]; that is for
//! [`analyse`] to check, [`Template::compile`] looks at the dialect only.
//!
//! A template that is exactly one `{{ expression }}` keeps its type in
//! [`Template::render_value`].

mod analyse;
mod budget;
mod check;
mod compiled;
mod containers;
mod context;
mod convert;
mod cost;
mod diagnose;
mod environment;
mod filters;
mod functions;
mod host_rule;
mod jwt;
mod location;
mod methods;
mod operators;
mod predicates;
mod rewrite;
mod shape;
mod tree;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub use analyse::{Analysis, Use, analyse};
pub use compiled::Template;
pub use context::{Context, ContextValue, Host};
pub use jwt::sign_jwt;
pub use location::{FieldLocation, UnknownLocation};
pub use tree::Tree;

/// What stands wrong in a template, with the byte range inside its source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The kind of problem.
    pub kind: ProblemKind,
    /// One sentence, lower case, without a final stop.
    pub message: String,
    /// The offending bytes of the template source.
    pub range: Range<usize>,
    /// What to do about it, if there is something to say.
    pub help: Option<String>,
}

impl Problem {
    fn new(kind: ProblemKind, message: impl Into<String>, range: Range<usize>) -> Problem {
        Problem { kind, message: message.into(), range, help: None }
    }

    fn with_help(mut self, help: Option<impl Into<String>>) -> Problem {
        self.help = help.map(Into::into);
        self
    }
}

/// The kinds of [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The source is not Jinja.
    Syntax,
    /// A name that no site knows.
    UnknownName,
    /// A filter that does not exist.
    UnknownFilter,
    /// A function that does not exist.
    UnknownFunction,
    /// A test (`is …`) that does not exist.
    UnknownTest,
    /// A known name or function that this site may not use.
    NotHere,
    /// `get_secret` at a site that may not hold secrets.
    SecretNotAllowed,
    /// Something other than literal text or a variable decides the host.
    HostNotVariable,
    /// A statement or construct outside of the dialect.
    Forbidden,
    /// An argument that must be a string literal is not one.
    NotLiteral,
    /// The source is too large or too deeply nested.
    TooLarge,
    /// A function is called with wrong arguments.
    BadArguments,
}

/// What a single render may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Instructions of the virtual machine.
    pub fuel: u64,
    /// Bytes of the rendered text (or of the rendered value).
    pub output_bytes: usize,
    /// Bytes looked at; a proxy for time.
    pub work_bytes: usize,
    /// Bytes allocated by the template over the whole render, whether or not
    /// they were freed again in the meantime.
    pub held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { fuel: 1_000_000, output_bytes: 8 << 20, work_bytes: 256 << 20, held_bytes: 64 << 20 }
    }
}

/// Why a render failed.
///
/// The message is made of the template's own words: it never holds a value
/// (and so never a secret).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// The kind of failure.
    pub kind: RenderErrorKind,
    /// One sentence, lower case, without a final stop.
    pub message: String,
    /// The line in the template, counted from 1.
    pub line: usize,
    /// The bytes of the template source at fault, where known.
    pub range: Option<Range<usize>>,
    /// In a [`Tree`]: the JSON pointer of the leaf.
    pub pointer: Option<String>,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.pointer {
            Some(pointer) if !pointer.is_empty() => write!(f, " (at {pointer}")?,
            _ if self.line > 1 => return write!(f, " (line {})", self.line),
            _ => return Ok(()),
        }
        if self.line > 1 {
            write!(f, ", line {}", self.line)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for RenderError {}

/// The kinds of [`RenderError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RenderErrorKind {
    /// Something that does not exist was used.
    Undefined,
    /// A filter, function, method or operator got something it cannot take.
    BadArgument,
    /// [`Limits::fuel`] (or the recursion limit) is used up.
    OutOfFuel,
    /// [`Limits::output_bytes`] is used up.
    OutputTooLarge,
    /// [`Limits::work_bytes`] or [`Limits::held_bytes`] is used up.
    WorkTooLarge,
    /// A secret is missing or cannot be resolved.
    Secret,
    /// A variable is not set.
    Variable,
    /// NaN or an infinity would have to become JSON.
    NotFinite,
    /// Anything else.
    Other,
}
