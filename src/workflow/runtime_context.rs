//! The context that executions run in: the live environments and the actions of each.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::program::Programs;
use crate::connector::{self, CallError, Caller, Runtime};

/// The live environments by key.
pub trait EnvironmentProvider: Send + Sync + std::fmt::Debug {
    /// The live state of an environment; `None` if no generation is active.
    fn live(&self, environment: &str) -> Option<LiveEnvironment>;

    /// The keys of the live environments, sorted.
    fn names(&self) -> Vec<String>;

    /// Reports the status of an ended execution, for metrics.
    fn execution_ended(&self, environment: &str, status: &'static str) {
        let _ = (environment, status);
    }

    /// Reports that a quota refused an execution or a write of state, for metrics.
    fn refused_by_quota(&self, environment: &str, quota: &'static str) {
        let _ = (environment, quota);
    }

    /// The retention of dead letters of a trigger; `None` if they are disabled.
    fn dead_letter_retention(&self, environment: &str, trigger: &str) -> Option<std::time::Duration>;
}

/// The active generation of an environment, as executions use it.
#[derive(Clone)]
pub struct LiveEnvironment {
    /// The compiled connectors, connections and variables.
    pub runtime: Arc<Runtime>,
    /// The number of the generation.
    pub generation: u64,
    /// The workflows.
    pub programs: Arc<Programs>,
    /// The caller of actions.
    pub actions: Arc<dyn Actions>,
}

impl std::fmt::Debug for LiveEnvironment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveEnvironment").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// Calls of actions, real or mocked.
#[async_trait]
pub trait Actions: Send + Sync {
    /// Calls an action and returns its output.
    ///
    /// # Errors
    /// The failure of the call.
    async fn call(&self, connector: &str, action: &str, call: connector::Call) -> Result<Value, CallError>;

    /// The value of a secret.
    ///
    /// # Errors
    /// The cause if it is not available, without its value.
    fn secret(&self, name: &str) -> Result<String, String>;

    /// Sends a request of a script. The input has `method`, `headers` and `body`; the output `status`, `headers` and `body`.
    ///
    /// # Errors
    /// The cause if there is no response.
    async fn fetch(&self, url: &str, init: &Value, trace: &str) -> Result<Value, CallError>;
}

#[async_trait]
impl Actions for Caller {
    async fn call(&self, connector: &str, action: &str, call: connector::Call) -> Result<Value, CallError> {
        self.call(connector, action, call).await.result.map(|output| output.to_value())
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        self.secrets().get(name)
    }

    async fn fetch(&self, url: &str, init: &Value, trace: &str) -> Result<Value, CallError> {
        self.fetch(url, init, trace).await
    }
}
