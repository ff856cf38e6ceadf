//! Errors of a server, for people.

use std::fmt;

use super::api_client;
use crate::api::Problem;

/// A request that a server refused.
#[derive(Debug)]
pub(super) struct ApiError(pub(super) Problem);

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = &self.0;
        f.write_str(&describe(problem))?;
        if problem.status >= 500 && !problem.request_id.is_empty() {
            write!(f, "\n  request {}, as in the log of the server", problem.request_id)?;
        }
        if matches!(problem.code.as_str(), "UNAUTHORIZED" | "INVALID_TOKEN") {
            f.write_str("\n  help: pass the token in EVENKEEL_TOKEN or with `--token`")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}

/// The sentence of a problem, its findings, and its invalid values in one line each.
pub(super) fn describe(problem: &Problem) -> String {
    let mut text = api_client::describe(problem);
    // The sentence may quote the only one.
    for error in problem.errors.iter().filter(|error| !problem.detail.contains(&error.detail)) {
        let name = error.pointer.as_deref().or(error.parameter.as_deref()).unwrap_or_default();
        text += &format!("\n  {name}: {}", error.detail);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::api_client::ApiResponse;
    use super::*;

    fn shown(status: u16, value: Value) -> String {
        ApiError(ApiResponse { status, value }.problem()).to_string()
    }

    #[test]
    fn a_problem_shows_its_detail_and_each_error() {
        let invalid = json!({
            "status": 400, "code": "INVALID_INPUT", "detail": "the input is invalid", "errors": [
                {"pointer": "/email", "parameter": null, "detail": "expected an email address"},
                {"pointer": null, "parameter": "limit", "detail": "too large"},
            ],
        });
        assert_eq!(
            shown(400, invalid),
            "the input is invalid\n  /email: expected an email address\n  limit: too large"
        );
        let findings = json!({"code": "X", "detail": "refused", "findings": [
            {"file": "a.yaml", "line": 2, "column": 3, "severity": "error", "code": "EK0101", "message": "unknown field"}]});
        assert_eq!(shown(422, findings), "refused\n  a.yaml:2:3: error[EK0101]: unknown field");
    }

    #[test]
    fn a_failure_of_the_server_names_the_request_and_a_missing_token_the_variable() {
        let failed = json!({"status": 503, "code": "X", "detail": "the store is not available", "requestId": "01kb"});
        let text = shown(503, failed);
        assert_eq!(text, "the store is not available\n  request 01kb, as in the log of the server");
        let unknown = shown(401, json!({"status": 401, "code": "INVALID_TOKEN", "detail": "the token is unknown"}));
        assert!(unknown.starts_with("the token is unknown\n") && unknown.contains("EVENKEEL_TOKEN"), "{unknown}");
    }

    #[test]
    fn a_response_without_a_document_has_its_status() {
        for value in [Value::Null, json!("<html>"), json!({"detail": 7})] {
            assert!(shown(502, value).starts_with("the server returned status 502"));
        }
    }
}
