//! Validation and construction of candidates, with the caches that make them incremental.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::candidate::{self, Candidate, CandidateCache, Contents, Provenance};
use super::validate::{CacheStats, Validated, Validator};
use crate::catalog::Input;
use crate::connector::Runtime;
use crate::source::UnreadableFile;
use crate::store::StoreError;
use crate::store::manifest::Manifest;

/// Builds the candidates of one environment.
#[derive(Debug, Default)]
pub(super) struct CandidateBuilder {
    validator: Validator,
    cache: CandidateCache,
}

impl CandidateBuilder {
    /// Validates an input; paths that could not be read become findings.
    pub(super) fn validate(&mut self, input: &Input, unreadable: &[UnreadableFile]) -> Validated {
        block_in_place(|| self.validator.validate(input, unreadable))
    }

    /// Builds a candidate of validated definitions.
    pub(super) fn build(
        &mut self,
        environment: &str,
        validated: &Arc<Validated>,
        provenance: Provenance<'_>,
    ) -> Result<Arc<Candidate>, StoreError> {
        let cache = &mut self.cache;
        Ok(Arc::new(block_in_place(|| candidate::build(environment, validated, provenance, cache))?))
    }

    /// Builds the candidate that a stored generation was made from.
    pub(super) fn restore(
        &mut self,
        environment: &str,
        manifest: &Manifest,
        contents: &Contents,
        shown_under: &str,
    ) -> Result<Arc<Candidate>, StoreError> {
        let (validator, cache) = (&mut self.validator, &mut self.cache);
        let restored =
            block_in_place(|| candidate::restore(environment, manifest, contents, shown_under, validator, cache))?;
        Ok(Arc::new(restored))
    }

    /// Counts the connectors that a runtime took over from the one before it.
    pub(super) fn count_compiled(&mut self, runtime: &Runtime) {
        self.validator.count_compiled(runtime);
    }

    /// Cache hits and misses.
    pub(super) fn stats(&self) -> CacheStats {
        self.validator.stats()
    }
}
