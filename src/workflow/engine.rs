//! What runs a script, behind a trait: QuickJS in this process, or in one of its own.
//!
//! A script reaches nothing by itself: no network, files, environment or time. Everything that it asks for is an [`HostCall`],
//! which the host answers.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::Micros;
use crate::store::queue::LogLevel;

/// Something that a script asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HostCall {
    /// Calls an action, by the names that code uses.
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
    /// Suspend for a time.
    Sleep {
        /// Milliseconds.
        ms: f64,
    },
    /// Suspend until the execution is told something.
    Wait {
        /// Under which name.
        name: String,
        /// Milliseconds; as long as the execution may run where left out.
        #[serde(default)]
        timeout: Option<f64>,
        /// What is asked, where a person is to answer.
        #[serde(default)]
        question: Value,
    },
    /// A value that was remembered.
    GetState {
        /// `organization` or `invocation`.
        scope: String,
        /// Its name.
        key: String,
    },
    /// Remembers a value; null forgets it.
    SetState {
        /// `organization` or `invocation`.
        scope: String,
        /// Its name.
        key: String,
        /// The value.
        value: Value,
        /// Milliseconds that it is kept; for ever where left out.
        #[serde(default)]
        ttl: Option<f64>,
    },
    /// The value of a secret.
    Secret {
        /// Its name.
        name: String,
    },
    /// A request of the script's own.
    Fetch {
        /// Where to.
        url: String,
        /// `method`, `headers`, `body`.
        #[serde(default)]
        init: Value,
    },
    /// A line for the record.
    Log {
        /// `debug`, `info`, `warn` or `error`.
        level: LogLevel,
        /// The text.
        message: String,
    },
    /// A durable step begins: is there a result of it?
    Begin {
        /// Its name.
        name: String,
    },
    /// A durable step ended.
    End {
        /// Its name, as [`HostCall::Begin`] was answered.
        name: String,
        /// Its result.
        #[serde(default)]
        output: Value,
        /// Why there is none.
        #[serde(default)]
        error: Value,
    },
}

/// The answer to an [`HostCall`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HostReply {
    /// A value, and the time that the script reads from then on, in microseconds.
    Value(Value, Micros),
    /// An error that the script can catch: `code`, `message`, perhaps more.
    Error(Value, Micros),
    /// Not before then, or before something happens: the script is suspended when nothing else is left to do.
    Parked(Micros),
    /// The execution is another's by now: the script is dropped.
    Gone,
}

/// Answers what scripts ask for.
pub trait ScriptHost: Send + Sync {
    /// Answers one question.
    fn call(self: Arc<Self>, op: HostCall) -> BoxFuture<'static, HostReply>;
}

/// A script, with what it may see.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScriptRun {
    /// The file that messages name.
    pub file: String,
    /// JavaScript: a module with `export default`, a function of `ctx`.
    pub code: Arc<str>,
    /// What `ctx` holds: `input`, `headers`, `tenant`, `config`, `execution`, ….
    pub context: Value,
    /// The time that it reads, until an answer brings a later one: microseconds since 1970.
    pub now: Micros,
    /// What `Math.random` is made of.
    pub seed: u64,
}

/// What a script may use.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Until it must have ended, waits included.
    pub time: Duration,
    /// Bytes of memory.
    pub memory: usize,
    /// Bytes of stack.
    pub stack: usize,
    /// Bytes of what it returns, and of each thing it asks for, as JSON.
    pub value: usize,
    /// Things that it asks for, in all.
    pub calls: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { time: Duration::from_mins(1), memory: 64 << 20, stack: 512 << 10, value: 4 << 20, calls: 100_000 }
    }
}

/// Why a script failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScriptException {
    /// A word: `SCRIPT_ERROR`, `OUT_OF_MEMORY`, the code of a failed call, ….
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// Where: a file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Its line, from 1; 0 where it is not known.
    #[serde(default)]
    pub line: u32,
    /// Its column, from 1.
    #[serde(default)]
    pub column: u32,
    /// Calls that led there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stack: String,
    /// What a failed call knows more.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

impl ScriptException {
    /// With a code and a message.
    pub fn new(code: &str, message: impl Into<String>) -> ScriptException {
        ScriptException { code: code.to_owned(), message: message.into(), ..ScriptException::default() }
    }

    /// As the record has it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// What became of a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScriptOutcome {
    /// It returned.
    Returned(Value),
    /// It waits, until then at the latest.
    Suspended(Micros),
    /// It failed.
    Threw(ScriptException),
    /// Its time was over.
    TimedOut,
    /// It was asked to end.
    Cancelled,
    /// Its execution is another's by now.
    Gone,
}

/// Why a script is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Somebody asked for it.
    Cancelled,
    /// The process ends; another goes on.
    Ends,
    /// Another has it by now.
    Gone,
}

/// Asks a script to end.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    reason: OnceLock<CancelReason>,
    notify: tokio::sync::Notify,
}

impl CancelToken {
    /// Asks. The first reason counts.
    pub fn stop(&self, reason: CancelReason) {
        let _ = self.0.reason.set(reason);
        self.0.notify.notify_waiters();
    }

    /// Was it asked?
    pub fn is_stopped(&self) -> bool {
        self.0.reason.get().is_some()
    }

    /// Why it was.
    pub fn reason(&self) -> Option<CancelReason> {
        self.0.reason.get().copied()
    }

    /// Suspend until it is asked.
    pub async fn stopped(&self) {
        let notified = self.0.notify.notified();
        if !self.is_stopped() {
            notified.await;
        }
    }
}

/// Runs scripts.
#[async_trait]
pub trait ScriptEngine: Send + Sync {
    /// Runs one to its end. Whatever it does, it ends within its limits, and nothing else is harmed.
    async fn run(&self, call: ScriptRun, limits: Limits, host: Arc<dyn ScriptHost>, stop: CancelToken)
    -> ScriptOutcome;
}
