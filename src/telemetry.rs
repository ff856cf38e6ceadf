//! Traces, metrics, and the rate of log lines about repeated faults. Traces are exported to an OpenTelemetry collector if an operator configures one.
//!
//! Traces pass through the product as the text of a `traceparent` (W3C Trace Context). A [`Span`] is created as the child of
//! one, has a `traceparent` of its own for the work within it, and is exported when it is dropped. Spans are neither
//! exported nor kept before [`start_export`].

mod export;
pub mod metrics;
pub mod repetition;
mod span;

/// The header that carries a trace (W3C Trace Context), in lower case.
pub const TRACEPARENT: &str = "traceparent";

pub use export::{StartError, TraceExport, start_export, validate_endpoint};
pub use span::{Span, SpanKind, derived_child_traceparent, derived_root_traceparent};
