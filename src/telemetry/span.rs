//! A span: one piece of work in a trace.

use std::time::{Duration, SystemTime};

use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SpanData;

use super::{TRACEPARENT, export};
use crate::text::Digest;

/// Longest value of an attribute, in bytes.
const MAX_TEXT: usize = 1024;
/// Attributes of one span.
const MAX_ATTRIBUTES: usize = 32;

/// What a span is to those beside it (OpenTelemetry, SpanKind).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It answers a request.
    Server,
    /// It sends a request.
    Client,
    /// It works on what was accepted earlier.
    Consumer,
    /// It stays within the product.
    Internal,
}

/// One piece of work, from when it is made until it is dropped; told then, where its trace is sampled.
///
/// Attributes are shown to whoever reads traces: none may hold a secret, a body or a query.
#[derive(Debug)]
pub struct Span {
    context: SpanContext,
    parent: SpanContext,
    kind: Kind,
    name: String,
    began: SystemTime,
    ended: Option<SystemTime>,
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Span {
    /// Work below a `traceparent` of this process; a trace of its own where there is none.
    pub fn below(parent: &str, kind: Kind, name: impl Into<String>) -> Span {
        Span::new(parent, None, kind, name.into())
    }

    /// Work with an id that others can compute with [`trace_of_known`], before it is told and after a restart.
    pub fn known_below(parent: &str, seed: &str, kind: Kind, name: impl Into<String>) -> Span {
        Span::new(parent, Some(seed), kind, name.into())
    }

    /// Never tells of it.
    fn forget(mut self) {
        self.context = SpanContext::empty_context();
    }

    fn new(parent: &str, seed: Option<&str>, kind: Kind, name: String) -> Span {
        let parent = read(parent);
        let trace = match parent.is_valid() {
            true => parent.trace_id(),
            false => TraceId::from_bytes((rand::random::<u128>() | 1).to_be_bytes()),
        };
        let id = seed.map_or_else(|| SpanId::from_bytes((rand::random::<u64>() | 1).to_be_bytes()), known);
        let over = parent.is_valid().then(|| Context::new().with_remote_span_context(parent.clone()));
        let sampled = export::samples(over.as_ref(), trace, &name, &kind.into());
        // Where nobody samples, the word of whoever began the trace is passed on.
        let flags = match sampled {
            Some(sampled) => TraceFlags::default().with_sampled(sampled),
            None if parent.is_valid() => parent.trace_flags(),
            None => TraceFlags::SAMPLED,
        };
        let context = SpanContext::new(trace, id, flags, false, TraceState::NONE);
        // Below itself: it is the root.
        let parent = if parent.span_id() == id { SpanContext::empty_context() } else { parent };
        let began = SystemTime::now();
        Span { context, parent, kind, name, began, ended: None, attributes: Vec::new(), status: Status::Unset }
    }

    /// Its `traceparent`, for what happens in it.
    pub fn trace(&self) -> String {
        written(&self.context)
    }

    /// When it began and ended, in microseconds since 1970; what is not said is when it was made and dropped.
    #[must_use]
    pub fn between(mut self, began: i64, ended: i64) -> Span {
        let at = |micros: i64| SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        (self.began, self.ended) = (at(began), Some(at(ended.max(began))));
        self
    }

    /// An attribute, named as the semantic conventions do, or `evenkeel.…`.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if !self.context.is_sampled() || self.attributes.len() >= MAX_ATTRIBUTES {
            return;
        }
        let value = match value.into() {
            Value::String(text) if text.as_str().len() > MAX_TEXT => cut(text.as_str()).to_owned().into(),
            value => value,
        };
        self.attributes.push(KeyValue::new(name, value));
    }

    /// It failed: a code of few values. Messages may repeat anybody's data, and stay in the record.
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
        export::tell(|scope| SpanData {
            span_context: self.context.clone(),
            parent_span_id: self.parent.span_id(),
            parent_span_is_remote: self.kind == Kind::Server && self.parent.is_valid(),
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

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> SpanKind {
        match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Internal => SpanKind::Internal,
        }
    }
}

/// The `traceparent` for work that nothing caused and that is told later: [`Span::known_below`] it, with the same seed, is
/// the root of a new trace.
pub fn root_of_known(seed: &str) -> String {
    let span = Span::new("", Some(seed), Kind::Internal, String::new());
    let trace = span.trace();
    span.forget();
    trace
}

/// The `traceparent` of the span that [`Span::known_below`] makes with this seed; empty where there is no trace.
pub fn trace_of_known(parent: &str, seed: &str) -> String {
    let parent = read(parent);
    if !parent.is_valid() {
        return String::new();
    }
    written(&SpanContext::new(parent.trace_id(), known(seed), parent.trace_flags(), false, TraceState::NONE))
}

fn known(seed: &str) -> SpanId {
    let digest = Digest::of(seed.as_bytes());
    let first = digest.bytes().first_chunk::<8>().copied().unwrap_or_default();
    SpanId::from_bytes((u64::from_be_bytes(first) | 1).to_be_bytes())
}

/// `00-<trace>-<span>-<flags>` (W3C Trace Context, 3.2).
fn written(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

/// What a `traceparent` says; none is valid that is not of the form.
fn read(traceparent: &str) -> SpanContext {
    struct Header<'a>(&'a str);
    impl Extractor for Header<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == TRACEPARENT).then_some(self.0)
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    // The propagator takes ids of any length.
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

fn cut(text: &str) -> &str {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_span_below_another_is_of_its_trace() {
        let span = Span::below(PARENT, Kind::Internal, "work");
        let trace = span.trace();
        assert!(trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && trace.ends_with("-01"), "{trace}");
        assert_ne!(trace, PARENT);
        assert_eq!(span.parent.span_id().to_string(), "b7ad6b7169203331");
        // What was not sampled stays so.
        let trace = Span::below(&PARENT.replace("-01", "-00"), Kind::Internal, "work").trace();
        assert!(trace.ends_with("-00"), "{trace}");
    }

    #[test]
    fn an_id_that_is_known_can_be_computed_before_and_after() {
        let span = Span::known_below(PARENT, "run-1", Kind::Internal, "work");
        assert_eq!(span.trace(), trace_of_known(PARENT, "run-1"));
        assert_ne!(span.trace(), trace_of_known(PARENT, "run-2"));
        assert_eq!(trace_of_known("", "run-1"), "");
    }

    #[test]
    fn what_nothing_caused_is_the_root_when_it_is_told() {
        let trace = root_of_known("run-1");
        let span = Span::known_below(&trace, "run-1", Kind::Consumer, "workflow");
        assert_eq!(span.trace(), trace);
        assert!(!span.parent.is_valid());
        assert_eq!(trace_of_known(&trace, "run-1"), trace);
    }

    #[test]
    fn what_is_no_traceparent_begins_a_trace() {
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
            let span = Span::below(bad, Kind::Server, "request");
            assert!(!span.parent.is_valid() && span.context.is_valid(), "{bad}");
            assert!(!span.trace().contains("0af7651916cd43dd"), "{bad}");
        }
        // A later version may say more (W3C Trace Context, 4.3).
        assert!(
            Span::below("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", Kind::Server, "")
                .parent
                .is_valid()
        );
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        assert_eq!(cut(&"ä".repeat(600)).len(), 1024);
        assert_eq!(cut(&format!("a{}", "ä".repeat(600))).len(), 1023);
    }
}
