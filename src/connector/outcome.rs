//! The outcome of one call.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::error::CallError;

/// The outcome of a call.
#[derive(Debug)]
pub struct CallOutcome {
    /// The output, or the error.
    pub result: Result<ActionOutput, CallError>,
    /// HTTP status of the response: the application's on success, the error's otherwise.
    pub status: u16,
    /// Durations of its parts.
    pub timing: CallTiming,
    /// `file:line` of the called action; empty if it was not found.
    pub place: String,
}

/// The output of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionOutput {
    /// JSON, with the content type of the definition.
    Json {
        /// The value.
        value: Value,
        /// `Content-Type`; default: `application/json`.
        content_type: Option<String>,
    },
    /// Bytes as sent by the application.
    Raw {
        /// The bytes.
        bytes: Bytes,
        /// Their `Content-Type`.
        content_type: String,
    },
}

impl ActionOutput {
    /// The output as a value: parsed if it is JSON, otherwise its text.
    pub fn to_value(&self) -> Value {
        match self {
            ActionOutput::Json { value, .. } => value.clone(),
            ActionOutput::Raw { bytes, .. } if bytes.is_empty() => Value::Null,
            ActionOutput::Raw { bytes, .. } => serde_json::from_slice(bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned())),
        }
    }
}

/// Durations of the parts of a call.
#[derive(Clone, Debug, Default)]
pub struct CallTiming {
    /// Time spent in schemas and templates.
    pub transform: Duration,
    /// Time spent waiting for the application.
    pub external: Duration,
    /// Time spent waiting for the rate limit of the connector.
    pub waiting: Duration,
    /// Total duration.
    pub total: Duration,
    /// Steps of a composite action, by name.
    pub steps: Vec<(String, Duration)>,
    /// The application's host.
    pub host: String,
    /// Name of the test that responded instead of the application.
    pub mock: Option<String>,
}

impl CallTiming {
    /// The value of the `Server-CallTiming` header.
    pub fn server_timing(&self) -> String {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let mut parts = vec![format!("transform;dur={:.3}", milliseconds(self.transform))];
        parts.push(format!("external;dur={:.3};desc=\"{}\"", milliseconds(self.external), self.host.replace('"', "")));
        if !self.waiting.is_zero() {
            parts.push(format!("limit;dur={:.3}", milliseconds(self.waiting)));
        }
        parts.extend(
            self.steps.iter().map(|(name, duration)| format!("step.{name};dur={:.3}", milliseconds(*duration))),
        );
        parts.push(format!("total;dur={:.3}", milliseconds(self.total)));
        parts.join(", ")
    }
}
