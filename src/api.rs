//! Types of the HTTP API: what the server sends and what the command line reads. The OpenAPI document is generated from
//! them.
//!
//! Fields are camelCase. Times are RFC 3339 with microseconds. A value that does not exist is `null`, never an empty text or
//! zero. `generation` is the number of a generation, `digest` the digest of content.

pub mod codes;
pub mod command;
pub mod connector;
pub mod definition;
pub mod environment;
pub mod event;
pub mod execution;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod query;
mod schema;
pub mod time;
pub mod trigger;
pub mod workflow;

pub use page::Page;
pub use problem::{FieldError, Problem};
pub use time::Time;

/// The text, or `None` if it is empty.
fn present(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The number, or `None` if it is zero or negative: databases count from 1.
fn counted(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}
