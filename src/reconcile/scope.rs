//! One environment of a process: the shared context and the Environment document.

use std::sync::Arc;

use super::context::Context;
use super::document::EnvironmentDocument;
use super::status::Controls;
use crate::catalog::EnvironmentSelection;
use crate::definition::{Id, Kind};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Metrics;

/// The environment that a reconciler works for.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) context: Arc<Context>,
    pub(super) document: EnvironmentDocument,
    /// Errors of a newer document, which is not in effect.
    pub(super) document_error: Option<String>,
}

impl Scope {
    /// Key of the environment among those of all processes.
    pub(super) fn key(&self) -> &str {
        &self.document.key
    }

    /// Name of the environment in its document.
    pub(super) fn name(&self) -> &str {
        &self.document.name
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.context.store
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.context.metrics
    }

    /// The environment with its own document, for validation.
    pub(super) fn selection(&self) -> EnvironmentSelection {
        self.document.selection()
    }

    /// Identity of the environment itself among its definitions.
    pub(super) fn own_id(&self) -> Id {
        Id { kind: Kind::Environment, name: self.document.name.clone() }
    }

    /// Reads the requests of operators.
    pub(super) async fn controls(&self) -> Result<Controls, StoreError> {
        let stored = self.store().state(self.key(), "controls").await?;
        Ok(stored.and_then(|stored| serde_json::from_value(stored).ok()).unwrap_or_default())
    }

    /// Stores the requests of operators.
    pub(super) async fn put_controls(&self, controls: &Controls) -> Result<(), StoreError> {
        let value = serde_json::to_value(controls).map_err(|error| StoreError::Refused(error.to_string()))?;
        self.store().put_state(self.key(), "controls", &value).await.map(|_| ())
    }
}
