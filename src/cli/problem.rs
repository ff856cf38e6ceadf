//! Errors of a server: problem documents (RFC 9457).

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::api_client::{ApiResponse, one_line};
use super::response_view;

/// An error of a server.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Problem {
    status: u16,
    /// Code, such as `NOT_FOUND`.
    pub(super) code: String,
    detail: String,
    request_id: Option<String>,
    findings: Vec<Value>,
    errors: Vec<FieldProblem>,
    /// The execution that failed.
    pub(super) execution: Option<String>,
    /// Names that an execution waits for.
    pub(super) waiting: Vec<String>,
}

/// An invalid field of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldProblem {
    pointer: String,
    detail: String,
}

impl Problem {
    /// The problem of a response. A response without a problem document, such as that of a proxy, has its status only.
    pub(super) fn of(response: &ApiResponse) -> Problem {
        let mut problem: Problem = response_view::parse(&response.value).unwrap_or_default();
        problem.status = response.status;
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_str() {
            "" => write!(f, "the server returned status {}", self.status)?,
            detail => f.write_str(detail)?,
        }
        if self.status >= 500
            && let Some(id) = &self.request_id
        {
            write!(f, " (request {id})")?;
        }
        for finding in &self.findings {
            write!(f, "\n  {}", one_line(finding))?;
        }
        // The detail may quote the only one.
        for error in self.errors.iter().filter(|error| !self.detail.contains(&error.detail)) {
            write!(f, "\n  {}: {}", error.pointer, error.detail)?;
        }
        if matches!(self.code.as_str(), "UNAUTHORIZED" | "INVALID_TOKEN") {
            f.write_str("\n  help: pass the token in EVENKEEL_TOKEN or with `--token`")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(status: u16, value: Value) -> String {
        Problem::of(&ApiResponse { status, value }).to_string()
    }

    #[test]
    fn a_problem_shows_its_detail_and_each_error() {
        let invalid = json!({
            "status": 400, "code": "INVALID_INPUT", "detail": "the input is invalid",
            "errors": [{"pointer": "/email", "detail": "expected an email address"}, {"pointer": "/a", "detail": "missing"}],
        });
        let expected = "the input is invalid\n  /email: expected an email address\n  /a: missing";
        assert_eq!(shown(400, invalid), expected);
        let findings = json!({"detail": "refused", "findings": [
            {"file": "a.yaml", "line": 2, "column": 3, "severity": "error", "code": "EK0101", "message": "unknown field"}]});
        assert_eq!(shown(422, findings), "refused\n  a.yaml:2:3: error[EK0101]: unknown field");
    }

    #[test]
    fn a_failure_of_the_server_names_the_request_and_a_missing_token_the_variable() {
        let failed = json!({"detail": "the store is not available", "requestId": "01kb"});
        assert_eq!(shown(503, failed.clone()), "the store is not available (request 01kb)");
        assert_eq!(shown(409, failed), "the store is not available");
        let unknown = shown(401, json!({"code": "INVALID_TOKEN", "detail": "the token is unknown"}));
        assert!(unknown.starts_with("the token is unknown\n") && unknown.contains("EVENKEEL_TOKEN"), "{unknown}");
    }

    #[test]
    fn a_response_without_a_document_has_its_status() {
        for value in [Value::Null, json!("<html>"), json!({"detail": 7})] {
            assert_eq!(shown(502, value), "the server returned status 502");
        }
    }
}
