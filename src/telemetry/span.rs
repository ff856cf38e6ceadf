//! Spans: units of work in a trace.

use std::time::{Duration, SystemTime};

use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{self, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SpanData;

use super::{TRACEPARENT, export};
use crate::text::Digest;

/// Maximum length of an attribute in bytes.
const MAX_ATTRIBUTE_BYTES: usize = 1024;
/// Maximum number of attributes of a span.
const MAX_ATTRIBUTES: usize = 32;

/// The role of a span in its trace (OpenTelemetry, SpanKind).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Handles a request.
    Server,
    /// Sends a request.
    Client,
    /// Processes work that was accepted earlier.
    Consumer,
    /// Stays within the product.
    Internal,
}

/// A unit of work, from its creation until it is dropped. It is exported then if its trace is sampled.
///
/// Attributes are visible to every reader of traces: they must not contain a secret, a body or a query.
#[derive(Debug)]
pub struct Span {
    context: SpanContext,
    parent: SpanContext,
    kind: SpanKind,
    name: String,
    began: SystemTime,
    ended: Option<SystemTime>,
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Span {
    /// A child of a `traceparent`; the root of a new trace if that is empty or invalid.
    pub fn child_of(parent: &str, kind: SpanKind, name: impl Into<String>) -> Span {
        Span::new(parent, None, kind, name.into())
    }

    /// A child whose id is derived from a seed, so that [`derived_child_traceparent`] computes the same one in other processes
    /// and after a restart.
    pub fn derived_child(parent: &str, seed: &str, kind: SpanKind, name: impl Into<String>) -> Span {
        Span::new(parent, Some(seed), kind, name.into())
    }

    /// Drops the span without exporting it.
    fn discard(mut self) {
        self.context = SpanContext::empty_context();
    }

    fn new(parent: &str, seed: Option<&str>, kind: SpanKind, name: String) -> Span {
        let parent = parse_traceparent(parent);
        let trace = match parent.is_valid() {
            true => parent.trace_id(),
            false => TraceId::from_bytes((rand::random::<u128>() | 1).to_be_bytes()),
        };
        let id = seed.map_or_else(|| SpanId::from_bytes((rand::random::<u64>() | 1).to_be_bytes()), derived_id);
        let context = parent.is_valid().then(|| Context::new().with_remote_span_context(parent.clone()));
        let sampled = export::is_sampled(context.as_ref(), trace, &name, &kind.into());
        // Without an export, the decision of the caller is passed on.
        let flags = match sampled {
            Some(sampled) => TraceFlags::default().with_sampled(sampled),
            None if parent.is_valid() => parent.trace_flags(),
            None => TraceFlags::SAMPLED,
        };
        let context = SpanContext::new(trace, id, flags, false, TraceState::NONE);
        // A derived root has its own id as its parent.
        let parent = if parent.span_id() == id { SpanContext::empty_context() } else { parent };
        let began = SystemTime::now();
        Span { context, parent, kind, name, began, ended: None, attributes: Vec::new(), status: Status::Unset }
    }

    /// Its `traceparent`, for work within it.
    pub fn traceparent(&self) -> String {
        format_traceparent(&self.context)
    }

    /// Sets its start and end in microseconds since 1970. The default is the time of its creation and drop.
    #[must_use]
    pub fn with_times(mut self, began: i64, ended: i64) -> Span {
        let at = |micros: i64| SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        (self.began, self.ended) = (at(began), Some(at(ended.max(began))));
        self
    }

    /// Sets an attribute, named by the semantic conventions or `evenkeel.…`.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if !self.context.is_sampled() || self.attributes.len() >= MAX_ATTRIBUTES {
            return;
        }
        let value = match value.into() {
            Value::String(text) if text.as_str().len() > MAX_ATTRIBUTE_BYTES => {
                truncated(text.as_str()).to_owned().into()
            }
            value => value,
        };
        self.attributes.push(KeyValue::new(name, value));
    }

    /// Marks the span as failed, with a code of few distinct values. Messages may contain personal data and are not exported.
    pub fn fail(&mut self, code: &str) {
        self.set("error.type", code.to_owned());
        self.status = Status::error("");
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if !self.context.is_sampled() {
            return;
        }
        export::export(|scope| SpanData {
            span_context: self.context.clone(),
            parent_span_id: self.parent.span_id(),
            parent_span_is_remote: self.kind == SpanKind::Server && self.parent.is_valid(),
            span_kind: self.kind.into(),
            name: std::mem::take(&mut self.name).into(),
            start_time: self.began,
            end_time: self.ended.unwrap_or_else(SystemTime::now),
            attributes: std::mem::take(&mut self.attributes),
            dropped_attributes_count: 0,
            events: opentelemetry_sdk::trace::SpanEvents::default(),
            links: opentelemetry_sdk::trace::SpanLinks::default(),
            status: std::mem::replace(&mut self.status, Status::Unset),
            instrumentation_scope: scope,
        });
    }
}

impl From<SpanKind> for trace::SpanKind {
    fn from(kind: SpanKind) -> trace::SpanKind {
        match kind {
            SpanKind::Server => trace::SpanKind::Server,
            SpanKind::Client => trace::SpanKind::Client,
            SpanKind::Consumer => trace::SpanKind::Consumer,
            SpanKind::Internal => trace::SpanKind::Internal,
        }
    }
}

/// The `traceparent` of work that starts a trace and whose span is exported later: [`Span::derived_child`] with the same
/// seed is the root of the trace.
pub fn derived_root_traceparent(seed: &str) -> String {
    let span = Span::new("", Some(seed), SpanKind::Internal, String::new());
    let trace = span.traceparent();
    span.discard();
    trace
}

/// The `traceparent` of the span that [`Span::derived_child`] creates with this seed; empty if there is no trace.
pub fn derived_child_traceparent(parent: &str, seed: &str) -> String {
    let parent = parse_traceparent(parent);
    if !parent.is_valid() {
        return String::new();
    }
    format_traceparent(&SpanContext::new(
        parent.trace_id(),
        derived_id(seed),
        parent.trace_flags(),
        false,
        TraceState::NONE,
    ))
}

fn derived_id(seed: &str) -> SpanId {
    let digest = Digest::of(seed.as_bytes());
    let first = digest.bytes().first_chunk::<8>().copied().unwrap_or_default();
    SpanId::from_bytes((u64::from_be_bytes(first) | 1).to_be_bytes())
}

/// `00-<trace>-<span>-<flags>` (W3C Trace Context, 3.2).
fn format_traceparent(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

/// The context of a `traceparent`; an invalid context if it is malformed.
fn parse_traceparent(traceparent: &str) -> SpanContext {
    struct Header<'a>(&'a str);
    impl Extractor for Header<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == TRACEPARENT).then_some(self.0)
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    // The propagator accepts ids of any length.
    let lengths: Vec<usize> = traceparent.split('-').take(4).map(str::len).collect();
    if lengths != [2, 32, 16, 2] {
        return SpanContext::empty_context();
    }
    let propagator = TraceContextPropagator::new();
    let found = opentelemetry::propagation::TextMapPropagator::extract_with_context(
        &propagator,
        &Context::new(),
        &Header(traceparent),
    );
    found.span().span_context().clone()
}

fn truncated(text: &str) -> &str {
    let end = (0..=MAX_ATTRIBUTE_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_child_span_belongs_to_the_trace_of_its_parent() {
        let span = Span::child_of(PARENT, SpanKind::Internal, "work");
        let trace = span.traceparent();
        assert!(trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && trace.ends_with("-01"), "{trace}");
        assert_ne!(trace, PARENT);
        assert_eq!(span.parent.span_id().to_string(), "b7ad6b7169203331");
        // The child of an unsampled span is unsampled.
        let trace = Span::child_of(&PARENT.replace("-01", "-00"), SpanKind::Internal, "work").traceparent();
        assert!(trace.ends_with("-00"), "{trace}");
    }

    #[test]
    fn a_derived_traceparent_equals_that_of_the_span() {
        let span = Span::derived_child(PARENT, "run-1", SpanKind::Internal, "work");
        assert_eq!(span.traceparent(), derived_child_traceparent(PARENT, "run-1"));
        assert_ne!(span.traceparent(), derived_child_traceparent(PARENT, "run-2"));
        assert_eq!(derived_child_traceparent("", "run-1"), "");
    }

    #[test]
    fn a_span_with_a_derived_root_is_the_root() {
        let trace = derived_root_traceparent("run-1");
        let span = Span::derived_child(&trace, "run-1", SpanKind::Consumer, "workflow");
        assert_eq!(span.traceparent(), trace);
        assert!(!span.parent.is_valid());
        assert_eq!(derived_child_traceparent(&trace, "run-1"), trace);
    }

    #[test]
    fn an_invalid_traceparent_starts_a_new_trace() {
        for bad in [
            "",
            "00",
            "nonsense",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-zzz7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-ä0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            let span = Span::child_of(bad, SpanKind::Server, "request");
            assert!(!span.parent.is_valid() && span.context.is_valid(), "{bad}");
            assert!(!span.traceparent().contains("0af7651916cd43dd"), "{bad}");
        }
        // A later version may have more fields (W3C Trace Context, 4.3).
        assert!(
            Span::child_of("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", SpanKind::Server, "")
                .parent
                .is_valid()
        );
    }

    #[test]
    fn truncates_long_texts_between_characters() {
        assert_eq!(truncated(&"ä".repeat(600)).len(), 1024);
        assert_eq!(truncated(&format!("a{}", "ä".repeat(600))).len(), 1023);
    }
}
