//! Validation of documents against the generated schemas, with positions.
//!
//! A general JSON Schema validator knows neither line numbers nor the meaning of fields. This one walks a document tree
//! ([`Node`](crate::text::Node)) once and yields both: every violation with its position and a suggestion, and the
//! [`Facts`] that later stages need (references, templates, formatted values), which the marks in the schemas declare.

mod compile;
mod facts;
mod fields;
mod format;
mod model;
mod suggestions;
mod types;
mod validate;

pub use facts::{Facts, FormattedValue, PlannedUse, Reference, ReferenceKind, TemplateUse};
pub use format::ValueFormat;
pub(crate) use format::suggested_name;
pub(crate) use suggestions::{nearest, quoted_list};
pub use validate::validate;
