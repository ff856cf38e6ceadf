//! What executions run on: the environment as it is live, and how actions are called there.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::program::Programs;
use crate::connector::{self, CallError, Caller, Runtime};

/// Environments as they are live, by their key.
pub trait EnvironmentProvider: Send + Sync + std::fmt::Debug {
    /// What is live in an environment; `None` where nothing is.
    fn live(&self, environment: &str) -> Option<LiveEnvironment>;

    /// Environments of this process, sorted.
    fn environments(&self) -> Vec<String>;

    /// An execution ended here, with a status: for those who count.
    fn ended(&self, environment: &str, status: &'static str) {
        let _ = (environment, status);
    }

    /// How long what failed for good is kept for a replay, and whether it is at all, for a trigger.
    fn keeps_dead(&self, environment: &str, trigger: &str) -> Option<std::time::Duration>;
}

/// What is live in an environment.
#[derive(Clone)]
pub struct LiveEnvironment {
    /// Everything that calls need.
    pub runtime: Arc<Runtime>,
    /// The generation's number.
    pub number: u64,
    /// The workflows.
    pub programs: Arc<Programs>,
    /// How actions are called.
    pub actions: Arc<dyn Actions>,
}

impl std::fmt::Debug for LiveEnvironment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveEnvironment").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Calls actions, or answers for them.
#[async_trait]
pub trait Actions: Send + Sync {
    /// Calls one: its output.
    ///
    /// # Errors
    /// Why there is none.
    async fn call(&self, connector: &str, action: &str, call: connector::Call) -> Result<Value, CallError>;

    /// The value of a secret.
    ///
    /// # Errors
    /// Why it is not available, without its value.
    fn secret(&self, name: &str) -> Result<String, String>;

    /// Sends a request of a script's own: `method`, `headers`, `body` in; `status`, `headers`, `body` out.
    ///
    /// # Errors
    /// Why there is no answer.
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
