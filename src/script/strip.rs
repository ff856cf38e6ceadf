//! Removal of types: TypeScript to JavaScript of the same length.

use std::sync::{Mutex, PoisonError};

use swc_common::SourceMap;
use swc_common::errors::{DiagnosticBuilder, Emitter, HANDLER, Handler};
use swc_common::sync::Lrc;
use swc_ts_fast_strip::{Mode, Options, operate};

use super::model::ScriptError;
use super::syntax::{byte_offset, typescript};

/// Replaces types with blanks.
pub(super) fn strip_types(source: &str) -> Result<String, Vec<ScriptError>> {
    let errors: Lrc<Mutex<Vec<ScriptError>>> = Lrc::default();
    let handler = Handler::with_emitter(true, false, Box::new(ErrorCollector(errors.clone())));
    let map: Lrc<SourceMap> = Lrc::default();
    let options = Options { module: Some(true), parser: typescript(), mode: Mode::StripOnly, ..Options::default() };
    let stripped = HANDLER.set(&handler, || operate(&map, &handler, source.to_owned(), options));
    stripped.map(|output| output.code).map_err(|error| {
        let mut errors = std::mem::take(&mut *errors.lock().unwrap_or_else(PoisonError::into_inner));
        if errors.is_empty() {
            errors.push(ScriptError { message: error.message, at: (0, 0) });
        }
        errors
    })
}

/// An emitter that collects diagnostics instead of printing them.
struct ErrorCollector(Lrc<Mutex<Vec<ScriptError>>>);

impl Emitter for ErrorCollector {
    fn emit(&mut self, diagnostic: &mut DiagnosticBuilder<'_>) {
        let span = diagnostic.span.primary_span();
        let at = span.map_or((0, 0), |span| (byte_offset(span.lo, 1), byte_offset(span.hi, 1)));
        let error = ScriptError { message: diagnostic.message(), at };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }
}
