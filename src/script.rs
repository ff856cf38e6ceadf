//! The reader of JavaScript and TypeScript workflow scripts.
//!
//! [`read_script`] reports syntax errors, lists the calls of connector actions, and produces runnable JavaScript by
//! replacing type annotations with blanks, so that every line and column equals the one in the author's source.
//! The parser's crates are named only here.

mod bindings;
mod calls;
mod expressions;
mod model;
mod names;
mod nesting;
mod read;
mod strip;
mod syntax;
#[cfg(test)]
mod tests;
mod types;
mod values;

pub use model::{MAX_SCRIPT_BYTES, Script, ScriptArgument, ScriptCall, ScriptError, ScriptRead, WorkflowCall};
pub use names::{camel, is_script};
#[cfg(test)]
pub(crate) use read::check_declarations;
pub use read::{read_script, read_script_body};
