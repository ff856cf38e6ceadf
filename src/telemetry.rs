//! Traces: what a request or an execution was made of, told to a collector of OpenTelemetry where an operator names one.
//!
//! What goes through the product as text is a `traceparent` (W3C Trace Context); a [`Span`] is made below one, is itself
//! one for what happens in it, and is told when it is dropped. Nothing is told, and nothing kept, before [`start`].

mod export;
pub mod metrics;
mod span;

/// The header that carries a trace (W3C Trace Context), in small letters.
pub const TRACEPARENT: &str = "traceparent";

pub use export::{Exporting, StartError, check, start};
pub use span::{Kind, Span, root_of_known, trace_of_known};
