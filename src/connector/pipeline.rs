//! One call from its input to its output, and what is told about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::request::PreparedRequest;
use super::run::Run;
use super::session::Session;
use super::{Action, Call, CallError, Connector, ErrorCode, Runtime, Secrets, StepCall, Transport, Upstream};

/// What became of a call.
#[derive(Debug)]
pub struct CallOutcome {
    /// The output, or why there is none.
    pub result: Result<ActionOutput, CallError>,
    /// HTTP status of the answer: the application's on success, the error's otherwise.
    pub status: u16,
    /// How long it took, and where.
    pub timing: CallTiming,
    /// `file:line` of the action that served; empty where none was found.
    pub place: String,
}

/// An output.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionOutput {
    /// JSON, with a content type where the definition sets one.
    Json {
        /// The value.
        value: Value,
        /// `Content-Type`, `application/json` where left out.
        content_type: Option<String>,
    },
    /// Bytes as the application sent them.
    Raw {
        /// The bytes.
        bytes: Bytes,
        /// Their `Content-Type`.
        content_type: String,
    },
}

impl ActionOutput {
    /// The output as a value: JSON where it is JSON, text otherwise.
    pub fn to_value(&self) -> Value {
        match self {
            ActionOutput::Json { value, .. } => value.clone(),
            ActionOutput::Raw { bytes, .. } if bytes.is_empty() => Value::Null,
            ActionOutput::Raw { bytes, .. } => serde_json::from_slice(bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned())),
        }
    }
}

/// How long a call took, and where.
#[derive(Clone, Debug, Default)]
pub struct CallTiming {
    /// Checks and templates before and after the application.
    pub transform: Duration,
    /// Waiting for the application.
    pub external: Duration,
    /// All of it.
    pub total: Duration,
    /// Steps of a composite action, by name.
    pub steps: Vec<(String, Duration)>,
    /// The application's host.
    pub host: String,
    /// The test that answered in the application's place.
    pub mock: Option<String>,
}

impl CallTiming {
    /// The value of the `Server-CallTiming` header.
    pub fn server_timing(&self) -> String {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let mut parts = vec![format!("transform;dur={:.3}", milliseconds(self.transform))];
        parts.push(format!("external;dur={:.3};desc=\"{}\"", milliseconds(self.external), self.host.replace('"', "")));
        parts.extend(
            self.steps.iter().map(|(name, duration)| format!("step.{name};dur={:.3}", milliseconds(*duration))),
        );
        parts.push(format!("total;dur={:.3}", milliseconds(self.total)));
        parts.join(", ")
    }
}

/// Calls an action.
pub async fn call(
    runtime: &Runtime,
    upstream: &dyn Upstream,
    secrets: Arc<dyn Secrets>,
    connector: &str,
    action: &str,
    call: Call,
) -> CallOutcome {
    let started = Instant::now();
    let mut timing = CallTiming::default();
    let mut place = String::new();
    let hidden = || runtime.connectors.get(connector).and_then(|found| Some((&**found, found.hidden.get(action)?)));
    let found = match call.subscription.as_ref().and_then(|_| hidden()) {
        Some(found) => Ok(found),
        None => find(runtime, connector, action),
    };
    let result = match found {
        Ok((connector, action)) => {
            place.clone_from(&action.place);
            let mut run = Run::new(runtime, upstream, secrets, action.timeout);
            let result = run.action(connector, action, &call, 0).await;
            timing = run.timing;
            result
        }
        Err(error) => Err(error),
    };
    timing.total = started.elapsed();
    timing.transform = timing.total.saturating_sub(timing.external);
    let (result, status) = match result {
        Ok((output, status)) => (Ok(output), status),
        Err(error) => {
            let status = error.code.status();
            (Err(error), status)
        }
    };
    CallOutcome { result, status, timing, place }
}

/// The request that a call would send, for actions that send one: no network, secrets as `secrets` gives them.
///
/// # Errors
/// As for the call itself.
pub fn prepare(
    runtime: &Runtime,
    secrets: Arc<dyn Secrets>,
    connector: &str,
    action: &str,
    call: &Call,
) -> Result<PreparedRequest, CallError> {
    let (connector, action) = find(runtime, connector, action)?;
    let (session, context) = Session::open(runtime, &secrets, connector, action, call)?;
    match &action.transport {
        Transport::Http(request) => session.request(request, connector, call, &context, None),
        Transport::Steps(steps) => match steps.first().map(|step| &step.call) {
            Some(StepCall::Http(request)) => {
                session.request(request, connector, call, &context, steps.first().and_then(|step| step.auth.as_deref()))
            }
            _ => Err(CallError::new(
                ErrorCode::NotRunnable,
                "the first step of this action calls another action; render that one",
            )),
        },
        Transport::NotRunnable(name) => Err(not_runnable(name)),
    }
}

/// The action of a name, with its connector.
///
/// # Errors
/// Where there is none, with what may be meant.
pub fn find<'a>(runtime: &'a Runtime, connector: &str, action: &str) -> Result<(&'a Connector, &'a Action), CallError> {
    let near = |text: &str, names: Vec<&str>| {
        crate::definition::schema_validator::nearest(text, names.into_iter())
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
    };
    let Some(found) = runtime.connectors.get(connector) else {
        let near = near(connector, runtime.connectors.keys().map(String::as_str).collect());
        return Err(CallError::new(ErrorCode::UnknownConnector, format!("there is no connector `{connector}`{near}")));
    };
    if let Some(action) = found.actions.get(action) {
        Ok((found, action))
    } else {
        let near = near(action, found.actions.keys().map(String::as_str).collect());
        let detail = format!("connector `{connector}` has no action `{action}`{near}");
        Err(CallError::new(ErrorCode::UnknownAction, detail))
    }
}

pub(super) fn not_runnable(name: &str) -> CallError {
    CallError::new(ErrorCode::NotRunnable, format!("this version checks actions by `{name}` and does not run them"))
}
