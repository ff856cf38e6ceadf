//! The sources of an environment, fetched without blocking the reconciler for longer than the deadline.

use std::time::{Duration, Instant};

use super::reason::{Reason, ReconcileError};
use super::scope::Scope;
use super::sources::{FETCH_DEADLINE, MergedSources, ONLY, Sources};

/// Grace period after the deadline before a fetch is abandoned.
const GRACE: Duration = Duration::from_secs(15);

/// Creates and fetches the sources.
#[derive(Debug)]
pub(super) struct SourceReader {
    /// `None` before the first fetch, after the document changed, and after a fetch that was abandoned.
    sources: Option<Sources>,
    fetched_at: Instant,
}

impl SourceReader {
    pub(super) fn new() -> SourceReader {
        SourceReader { sources: None, fetched_at: Instant::now() }
    }

    /// The sources, if they were created.
    pub(super) fn sources(&self) -> Option<&Sources> {
        self.sources.as_ref()
    }

    /// Prefix of the paths that are shown.
    pub(super) fn shown_under(&self) -> String {
        self.sources.as_ref().map(|sources| sources.shown_under().to_owned()).unwrap_or_default()
    }

    /// Time since the last fetch.
    pub(super) fn since_fetch(&self) -> Duration {
        self.fetched_at.elapsed()
    }

    /// Creates the sources again at the next fetch, as the document changed.
    pub(super) fn reset(&mut self) {
        self.sources = None;
    }

    /// Replaces the sources.
    #[cfg(test)]
    pub(super) fn replace(&mut self, sources: Sources) {
        self.sources = Some(sources);
    }

    /// Fetches all sources, creating them from the document first if necessary.
    ///
    /// # Errors
    /// A source cannot be used or fetched.
    pub(super) async fn fetch(&mut self, scope: &Scope) -> Result<MergedSources, ReconcileError> {
        let mut sources = match self.sources.take() {
            Some(sources) => sources,
            None => Sources::new(&scope.document, &scope.context.source_context)
                .map_err(|error| ReconcileError::stalled(Reason::Source(error.reason), error.message))?,
        };
        let started = Instant::now();
        let fetching = tokio::task::spawn_blocking(move || {
            let fetched = sources.fetch(started + FETCH_DEADLINE);
            (sources, fetched)
        });
        // A fetch that does not return is abandoned with its thread; the next pass creates new sources.
        let fetched = tokio::time::timeout(FETCH_DEADLINE + GRACE, fetching).await;
        let failed = |reason: &str, message: String| {
            ReconcileError::retryable(Reason::FetchFailed, format!("{reason}: {message}"))
        };
        let merged = match fetched {
            Ok(Ok((sources, merged))) => {
                self.sources = Some(sources);
                merged.map_err(|(name, error)| {
                    let place = if name == ONLY { String::new() } else { format!("source {name}: ") };
                    failed(&error.reason.to_string(), format!("{place}{}", error.message))
                })
            }
            Ok(Err(_)) => Err(failed("Corrupt", "reading the source panicked".into())),
            Err(_) => Err(failed("TimedOut", "the source did not answer in time".into())),
        };
        let result = if merged.is_ok() { "ok" } else { "failed" };
        scope.metrics().fetched(scope.key(), result, started.elapsed());
        if merged.is_ok() {
            self.fetched_at = Instant::now();
        }
        merged
    }
}
