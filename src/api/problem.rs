//! Errors of the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema;
use crate::connector::{CallError, retry_after_seconds};
use crate::reconcile::commands::CommandError;
use crate::workflow::{AcceptError, EXECUTIONS_PER_DAY, OverQuota};

/// Media type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// An error, as a problem document of RFC 9457.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["type", "title", "status", "code", "detail", "requestId"]))]
pub struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the HTTP status.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code of the error, such as `NOT_FOUND`.
    pub code: String,
    /// One sentence: the object, the cause and the remedy. Never a secret.
    pub detail: String,
    /// Id of the request, as in the log and in the header `x-request-id`.
    pub request_id: String,
    /// The stage of a call that failed, in readable form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Values of the request that are invalid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Findings of definitions, as `validate -o json` writes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::findings")]
    pub findings: Vec<Value>,
    /// The response of an application that answered with an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamError>,
    /// Time after which the request may succeed, in seconds, as in the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Id of the execution that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// Names that the execution waits for, or names that could have been meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
}

/// An invalid value of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the value in the body; null for a parameter.
    pub pointer: Option<String>,
    /// Name of the parameter; null for a value in the body.
    pub parameter: Option<String>,
    /// The violation.
    pub detail: String,
}

/// The response of an application that answered with an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamError {
    /// Its HTTP status.
    pub status: u16,
    /// Its body after the response transform; null if it has none.
    pub body: Option<Value>,
}

impl Problem {
    /// A problem with a status, a code and a sentence.
    pub fn new(status: u16, code: impl Into<String>, detail: impl Into<String>) -> Problem {
        let title = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        Problem {
            kind: "about:blank".to_owned(),
            title: title.unwrap_or("Error").to_owned(),
            status,
            code: code.into(),
            detail: detail.into(),
            ..Problem::default()
        }
    }

    /// The problem of a malformed request.
    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(400, "BAD_REQUEST", detail)
    }

    /// The problem of an object that does not exist.
    pub fn unknown(noun: &str, name: &str) -> Problem {
        Problem::new(404, "NOT_FOUND", format!("unknown {noun} `{name}`"))
    }

    /// Names an invalid parameter.
    #[must_use]
    pub fn of_parameter(mut self, parameter: &str) -> Problem {
        let detail = self.detail.clone();
        self.errors.push(FieldError { pointer: None, parameter: Some(parameter.to_owned()), detail });
        self
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Problem {
        let errors = error.params.iter().enumerate().map(|(index, param)| {
            let is_pointer = param.is_empty() || param.starts_with('/');
            let (pointer, parameter) = if is_pointer { (Some(param), None) } else { (None, Some(param)) };
            let detail = error.violations.get(index).unwrap_or(&error.detail);
            FieldError { pointer: pointer.cloned(), parameter: parameter.cloned(), detail: detail.clone() }
        });
        Problem {
            errors: errors.collect(),
            scope: Some(error.code.scope().to_owned()),
            retry_after: error.retry_after.map(retry_after_seconds),
            upstream: error
                .upstream_status
                .map(|status| UpstreamError { status, body: error.upstream.map(|body| *body) }),
            ..Problem::new(error.code.status(), error.code.as_str(), error.detail)
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Problem {
        Problem { findings: error.findings, ..Problem::new(error.status, error.reason, error.message) }
    }
}

impl From<&OverQuota> for Problem {
    fn from(refusal: &OverQuota) -> Problem {
        Problem {
            retry_after: Some(retry_after_seconds(refusal.retry_after)),
            ..Problem::new(429, EXECUTIONS_PER_DAY, refusal.to_string())
        }
    }
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Problem {
        match error {
            AcceptError::OverQuota(refusal) => Problem::from(&*refusal),
            AcceptError::Store(error) => error.into(),
        }
    }
}

impl From<crate::store::StoreError> for Problem {
    fn from(error: crate::store::StoreError) -> Problem {
        CommandError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::connector::ErrorCode;

    #[test]
    fn a_failed_call_names_its_invalid_values() {
        let error = CallError::new(ErrorCode::InvalidInput, "`email` is missing").params(vec!["/email".into()]);
        let problem = serde_json::to_value(Problem::from(error)).unwrap();
        assert_eq!(
            problem,
            json!({
                "type": "about:blank", "title": "Bad Request", "status": 400, "code": "INVALID_INPUT",
                "detail": "`email` is missing", "requestId": "", "scope": "Request (input)",
                "errors": [{"pointer": "/email", "parameter": null, "detail": "`email` is missing"}],
            })
        );
    }

    #[test]
    fn a_problem_is_read_back_and_missing_members_are_empty() {
        let problem = Problem::unknown("environment", "lvie");
        let text = serde_json::to_string(&problem).unwrap();
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
        assert_eq!(serde_json::from_str::<Problem>("{}").unwrap(), Problem::default());
    }
}
