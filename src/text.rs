//! Reading YAML and JSON into [`Node`]s that keep their positions, and [`Finding`]s with their renderers.
//!
//! ```text
//! bytes ──encoding──► Source ──yaml | json──► Document { Node … } + Vec<Finding>
//!                                                  │ de
//!                                                  ▼
//!                                            typed Rust values
//! ```
//!
//! The YAML and JSON crates are named only here, so that they can be replaced without a change to another module.

pub mod codes;
mod credentials;
mod de;
mod digest;
mod encoding;
mod finding;
pub mod format;
mod json;
mod limits;
mod node;
mod partial_value;
mod read;
pub mod render;
mod scalar;
mod severity;
mod share;
mod source;
mod span;
mod tree;
mod write;
mod yaml;

pub use codes::Code;
pub use credentials::{
    holds_parameters, is_generated_key, is_key_parameter, is_known_credential, looks_random, url_holds_key,
};
pub use de::from_node;
pub use digest::{Digest, equal_in_constant_time, hmac_sha256, sha512};
pub use finding::{Finding, Label, Subject, sort};
pub use limits::ReadLimits;
pub use node::{Document, Entry, Key, Node, NodeKind, Text, TextStyle, escaped, pointer_at, unescaped};
pub use partial_value::{MAX_PARTIAL_DEPTH, PartialField, PartialMap, PartialValue, RestOfMap, ValueTypes};
pub use read::{decode, parse, read, typed};
pub use severity::Severity;
pub use source::{Format, Source, SourceMap, SourcePart};
pub use span::{Position, Range, SourceId, Span};
pub use write::to_yaml;
