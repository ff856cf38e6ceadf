//! Sandboxed Jinja rendering.
//!
//! A template is text written by the author of a definition; the values it
//! reads come from users and from remote services.  Values are data: they are
//! never compiled.  An excessive render, accidental or malicious, fails with a
//! [`RenderError`], quickly and without harm to the process.
//!
//! # How a template is run
//!
//! 1. A token scan rejects sources that are too large or too deeply nested for
//!    a recursive parser.
//! 2. minijinja parses the source; [`analyse`] reports all problems in it.
//! 3. The syntax tree is rewritten: every operation that can allocate (or that
//!    can take longer than constant time) becomes a call of an internal filter
//!    that charges the render's budget *before* it does the work.  As a side
//!    effect, no expensive operation can be folded at compile time.
//! 4. minijinja's code generator and virtual machine run the result.
//!
//! minijinja's fuel bounds the number of instructions; the budget
//! ([`Limits::work_bytes`], [`Limits::memory_bytes`], [`Limits::output_bytes`])
//! bounds the cost of a single instruction.
//!
//! This relies on minijinja's unstable machinery, so its version is pinned; a
//! test lists what must be verified before the pin moves.
//!
//! # The dialect
//!
//! Templates build URLs, headers and JSON bodies, so values are printed as JSON: `true`, `false`, `null`, and lists and maps as
//! compact JSON.  (Jinja in Python would print `True`, `None` and reprs.)
//! Printing, `~`, `join`, `string` and all text filters agree on that.
//!
//! Reading an undefined value is an error that names the path.
//! List and map literals are mutable (`append`, `update`, …) as in Python;
//! values from outside are not.
//!
//! The names and functions that a template may use depend on its
//! [`FieldLocation`]; [`analyse`] checks them, [`Template::compile`] checks the
//! dialect only.
//!
//! A template that is exactly one `{{ expression }}` keeps its type in
//! [`Template::render_value`].

mod analyse;
mod arguments;
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
mod host;
mod host_rule;
mod jwt;
mod location;
mod lookup;
mod methods;
mod name_path;
mod operators;
mod parser;
mod predicates;
pub mod reference;
mod rewrite;
mod static_value;
mod tree;
mod url_encoding;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub use analyse::{Analysis, analyse};
pub use check::NameUse;
pub use compiled::Template;
pub use context::{Context, ContextValue};
pub use host::TemplateHost;
pub use jwt::sign_jwt;
pub use location::{FieldLocation, UnknownLocation};
pub use static_value::{PathValue, static_value};
pub use tree::Tree;

/// A problem in a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The kind of problem.
    pub kind: ProblemKind,
    /// One sentence, lower case, without a final stop.
    pub message: String,
    /// The byte range in the source.
    pub range: Range<usize>,
    /// The remedy, if known.
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
    /// A name that is unknown in all locations.
    UnknownName,
    /// A filter that does not exist.
    UnknownFilter,
    /// A function that does not exist.
    UnknownFunction,
    /// A test (`is …`) that does not exist.
    UnknownTest,
    /// A known name or function that is not available in this location.
    NotHere,
    /// `get_secret` in a location that must not contain secrets.
    SecretNotAllowed,
    /// The host depends on something other than literal text and variables.
    HostNotVariable,
    /// A statement or construct that the dialect excludes.
    Forbidden,
    /// An argument that must be a string literal is not one.
    NotLiteral,
    /// The source is too large or too deeply nested.
    TooLarge,
    /// A function is called with wrong arguments.
    BadArguments,
}

/// The limits of a single render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of instructions of the virtual machine [default: 1,000,000].
    pub fuel: u64,
    /// Maximum size of the rendered text or value, in bytes [default: 8 MiB].
    pub output_bytes: usize,
    /// Maximum number of bytes read, a proxy for time [default: 256 MiB].
    pub work_bytes: usize,
    /// Maximum number of bytes allocated over the whole render, including freed
    /// ones [default: 64 MiB].
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { fuel: 1_000_000, output_bytes: 8 << 20, work_bytes: 256 << 20, memory_bytes: 64 << 20 }
    }
}

/// The error of a failed render.
///
/// The message contains only names of the template, never a value, and therefore
/// never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// The kind of failure.
    pub kind: RenderErrorKind,
    /// One sentence, lower case, without a final stop.
    pub message: String,
    /// The line in the template, counted from 1.
    pub line: usize,
    /// The byte range in the source, if known.
    pub range: Option<Range<usize>>,
    /// The JSON pointer of the leaf in a [`Tree`].
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
    /// An undefined value was used.
    Undefined,
    /// A filter, function, method or operator received an invalid argument.
    BadArgument,
    /// [`Limits::fuel`] or the recursion limit is exceeded.
    OutOfFuel,
    /// [`Limits::output_bytes`] is exceeded.
    OutputTooLarge,
    /// [`Limits::work_bytes`] or [`Limits::memory_bytes`] is exceeded.
    WorkTooLarge,
    /// A secret is missing or cannot be resolved.
    Secret,
    /// A variable is not set.
    Variable,
    /// NaN or an infinity cannot be represented in JSON.
    NotFinite,
    /// Anything else.
    Other,
}
