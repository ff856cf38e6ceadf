//! The reference of templates: every variable, filter, function and test with its meaning, an example and its result.
//!
//! The tables are prose beside the code. Unit tests compare them with the names that the engine and the checker know, and
//! render each example.

mod filters;
mod functions;
mod locations;
mod predicates;
mod variables;

pub use filters::FILTERS;
pub use functions::FUNCTIONS;
pub use locations::LOCATIONS;
pub use predicates::TESTS;
pub use variables::VARIABLES;

use super::FieldLocation;

/// The values with which the examples are rendered, as JSON. The variable `region` is `eu`, the secret `orbit-key` is
/// `k-123`, and the time is 2026-03-01T12:00:00Z.
pub const SAMPLE: &str = include_str!("reference/sample.json");

/// A filter, function or test.
#[derive(Debug)]
pub struct Callable {
    /// Name in templates.
    pub name: &'static str,
    /// Use with parameters. Optional parameters have their default, or `=…`.
    pub signature: &'static str,
    /// One sentence.
    pub meaning: &'static str,
    /// A template that uses it.
    pub example: &'static str,
    /// The text that the example renders to.
    pub result: &'static str,
}

/// A name that templates can read.
#[derive(Debug)]
pub struct Variable {
    /// The name.
    pub name: &'static str,
    /// The value, in one or two sentences.
    pub meaning: &'static str,
    /// Attributes with their meaning; empty if the value has none that are fixed.
    pub attributes: &'static [(&'static str, &'static str)],
    /// A template that reads it.
    pub example: &'static str,
    /// The text that the example renders to.
    pub result: &'static str,
}

impl Variable {
    /// The locations of templates that may read it.
    pub fn locations(&self) -> Vec<FieldLocation> {
        FieldLocation::all().filter(|location| location.roots().contains(&self.name)).collect()
    }
}

/// The locations of templates that may call a function.
pub fn locations_of_function(name: &str) -> Vec<FieldLocation> {
    FieldLocation::all().filter(|location| location.may_call(name)).collect()
}

/// A location of templates, with its meaning.
#[derive(Debug)]
pub struct Location {
    /// The location.
    pub location: FieldLocation,
    /// The fields of this location, in one sentence.
    pub meaning: &'static str,
}
