//! The interface of script engines: QuickJS in this process, or in a process of its own.
//!
//! A script has no access to the network, files, the environment or the time. It sends a [`HostCall`] for each of its
//! needs, which the host answers.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::Micros;
use crate::store::queue::LogLevel;

/// A call of a script to its host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HostCall {
    /// Calls an action by the names in code.
    Action {
        /// The connector.
        connector: String,
        /// The action.
        action: String,
        /// Its input.
        #[serde(default)]
        input: Value,
        /// `connection`, `pathParams`, `headers`, `query`.
        #[serde(default)]
        options: Value,
    },
    /// Runs another workflow and waits for its output.
    Workflow {
        /// Its name.
        workflow: String,
        /// Its input.
        #[serde(default)]
        input: Value,
    },
    /// Waits for a time.
    Sleep {
        /// Milliseconds.
        ms: f64,
    },
    /// Waits for a signal.
    Wait {
        /// Its name.
        name: String,
        /// Milliseconds; default: the deadline of the execution.
        #[serde(default)]
        timeout: Option<f64>,
        /// The question, if a person is to answer.
        #[serde(default)]
        question: Value,
        /// Roles of which the person must have one; empty if anyone with the right may answer.
        #[serde(default)]
        roles: Vec<String>,
    },
    /// Reads a value of `ctx.state`.
    GetState {
        /// `organization` or `invocation`.
        scope: String,
        /// Its name.
        key: String,
    },
    /// Stores a value of `ctx.state`; null deletes it.
    SetState {
        /// `organization` or `invocation`.
        scope: String,
        /// Its name.
        key: String,
        /// The value.
        value: Value,
        /// Lifetime in milliseconds; default: unlimited.
        #[serde(default)]
        ttl: Option<f64>,
    },
    /// Reads a secret.
    Secret {
        /// Its name.
        name: String,
    },
    /// Sends an HTTP request.
    Fetch {
        /// Its URL.
        url: String,
        /// `method`, `headers`, `body`.
        #[serde(default)]
        init: Value,
    },
    /// Writes a log line.
    Log {
        /// `debug`, `info`, `warn` or `error`.
        level: LogLevel,
        /// The text.
        message: String,
    },
    /// Begins a durable step. The reply contains its result if it is recorded.
    Begin {
        /// Its name.
        name: String,
    },
    /// Ends a durable step.
    End {
        /// Its name, as in the reply to [`HostCall::Begin`].
        name: String,
        /// Its result.
        #[serde(default)]
        output: Value,
        /// Its error; null if it succeeded.
        #[serde(default)]
        error: Value,
    },
}

/// The reply to a [`HostCall`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HostReply {
    /// A value, and the time that the script reads from then on, in microseconds.
    Value(Value, Micros),
    /// An error that the script can catch, with `code` and `message`, and the time.
    Error(Value, Micros),
    /// No reply before this time or a signal: the script is suspended when it has no other pending call.
    Suspended(Micros),
    /// Another worker has the execution: the script is dropped.
    LeaseLost,
}

/// The host of scripts.
pub trait ScriptHost: Send + Sync {
    /// Answers a call.
    fn call(self: Arc<Self>, call: HostCall) -> BoxFuture<'static, HostReply>;
}

/// A script with its input.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScriptRun {
    /// The file name in messages.
    pub file: String,
    /// JavaScript: a module whose `export default` is a function of `ctx`.
    pub code: Arc<str>,
    /// The data of `ctx`: `input`, `headers`, `tenant`, `config`, `execution`, ….
    pub context: Value,
    /// The time that it reads until a reply has a later one, in microseconds since 1970.
    pub now: Micros,
    /// The seed of `Math.random`.
    pub seed: u64,
}

/// The limits of a script.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScriptLimits {
    /// Duration, including waits.
    pub time: Duration,
    /// Memory in bytes.
    pub memory: usize,
    /// Stack in bytes.
    pub stack: usize,
    /// Size of its output and of each call, as JSON, in bytes.
    pub value: usize,
    /// Number of calls.
    pub calls: usize,
}

impl Default for ScriptLimits {
    fn default() -> ScriptLimits {
        ScriptLimits {
            time: Duration::from_mins(1),
            memory: 64 << 20,
            stack: 512 << 10,
            value: 4 << 20,
            calls: 100_000,
        }
    }
}

/// An uncaught exception of a script.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScriptException {
    /// Its code: `SCRIPT_ERROR`, `OUT_OF_MEMORY`, the code of a failed call, ….
    pub code: String,
    /// Its message.
    pub message: String,
    /// The file where it was thrown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The line, from 1; 0 if unknown.
    #[serde(default)]
    pub line: u32,
    /// The column, from 1.
    #[serde(default)]
    pub column: u32,
    /// The call stack.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stack: String,
    /// Further details of a failed call.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

impl ScriptException {
    /// An exception with a code and a message.
    pub fn new(code: &str, message: impl Into<String>) -> ScriptException {
        ScriptException { code: code.to_owned(), message: message.into(), ..ScriptException::default() }
    }

    /// Its recorded form.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The outcome of running a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScriptOutcome {
    /// It returned.
    Returned(Value),
    /// It waits, at most until this time.
    Suspended(Micros),
    /// It threw an exception.
    Threw(ScriptException),
    /// It reached its time limit.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// Another worker has its execution.
    LeaseLost,
}

/// The reason for cancelling a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// A request to cancel its execution.
    Cancelled,
    /// The shutdown of this process; another one continues.
    Shutdown,
    /// Another worker has the execution.
    LeaseLost,
}

/// Cancels a script. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    reason: OnceLock<CancelReason>,
    notify: tokio::sync::Notify,
}

impl CancelToken {
    /// Cancels the script. The first reason counts.
    pub fn cancel(&self, reason: CancelReason) {
        let _ = self.0.reason.set(reason);
        self.0.notify.notify_waiters();
    }

    /// True if the script was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.reason.get().is_some()
    }

    /// The reason if the script was cancelled.
    pub fn reason(&self) -> Option<CancelReason> {
        self.0.reason.get().copied()
    }

    /// Waits until the script is cancelled.
    pub async fn cancelled(&self) {
        let notified = self.0.notify.notified();
        if !self.is_cancelled() {
            notified.await;
        }
    }
}

/// An engine of scripts.
#[async_trait]
pub trait ScriptEngine: Send + Sync {
    /// Runs a script. It ends within its limits and affects nothing else.
    async fn run(
        &self,
        script: ScriptRun,
        limits: ScriptLimits,
        host: Arc<dyn ScriptHost>,
        cancel: CancelToken,
    ) -> ScriptOutcome;
}
