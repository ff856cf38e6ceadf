//! Why a call failed, for whoever made it.

use serde_json::{Value, json};

/// A failed call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallError {
    /// What kind of failure.
    pub code: ErrorCode,
    /// One sentence; never a secret.
    pub detail: String,
    /// Names of parameters, or places in the input, that are wrong.
    pub params: Vec<String>,
    /// What the application answered, transformed, where it answered at all.
    pub upstream: Option<Box<Value>>,
    /// The application's status.
    pub upstream_status: Option<u16>,
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $code:literal $status:literal $scope:literal)*) => {
        /// The kinds of failures: what is returned as `code`, with the HTTP status and the scope that go with it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode { $($(#[doc = $doc])+ $variant),* }

        #[cfg(test)]
        const ALL_CODES: &[&str] = &[$($code),*];

        impl ErrorCode {
            /// As callers see it.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $code),* }
            }

            /// The HTTP status of the answer.
            pub fn status(self) -> u16 {
                match self { $(ErrorCode::$variant => $status),* }
            }

            /// Where it went wrong, for people.
            pub fn scope(self) -> &'static str {
                match self { $(ErrorCode::$variant => $scope),* }
            }
        }
    };
}

error_codes! {
    /// The input does not fit the action's schema.
    InvalidInput "INVALID_INPUT" 400 "Request (input)"
    /// Path parameters that the path needs were not given.
    MissingPathParameters "MISSING_PATH_PARAMETERS" 400 "Request (path parameters)"
    /// Path parameters that cannot be part of a path.
    InvalidPathParameters "INVALID_PATH_PARAMETERS" 400 "Request (path parameters)"
    /// The request itself cannot be understood.
    BadRequest "BAD_REQUEST" 400 "Request"
    /// Only signed-in users may call this.
    UserRequired "USER_REQUIRED" 401 "Request (identity)"
    /// No such connector.
    UnknownConnector "UNKNOWN_CONNECTOR" 404 "Request"
    /// No such action.
    UnknownAction "UNKNOWN_ACTION" 404 "Request"
    /// No such tenant, or one that may not use anything.
    UnknownTenant "UNKNOWN_TENANT" 404 "Request (identity)"
    /// Nothing answers at this address.
    NotFound "NOT_FOUND" 404 "Request"
    /// Actions are called with POST.
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 "Request"
    /// There is no connection to use, or several.
    ConnectionRequired "CONNECTION_REQUIRED" 409 "Authentication (connection)"
    /// The request is larger than allowed.
    TooLarge "REQUEST_TOO_LARGE" 413 "Request"
    /// A template of the request failed.
    Template "TEMPLATE_ERROR" 422 "Configuration (template rendering)"
    /// A template of the response failed.
    ResponseTemplate "RESPONSE_TEMPLATE_ERROR" 422 "Configuration (response template rendering)"
    /// A secret or credential is not available.
    Credential "CREDENTIAL_UNAVAILABLE" 422 "Authentication (credentials)"
    /// Declared and checked, not run by this version.
    NotRunnable "NOT_RUNNABLE" 501 "Configuration (transport)"
    /// The application answered with an error status.
    Upstream "UPSTREAM_ERROR" 502 "Downstream (HTTP error)"
    /// The application could not be reached, or broke off.
    Unreachable "UNREACHABLE" 502 "Downstream (network/external service)"
    /// The address may not be reached.
    Refused "REFUSED_ADDRESS" 502 "Downstream (network/external service)"
    /// The application's answer is larger than allowed.
    ResponseTooLarge "RESPONSE_TOO_LARGE" 502 "Downstream (network/external service)"
    /// The output does not fit the action's schema.
    InvalidOutput "INVALID_OUTPUT" 502 "Response (output)"
    /// No test of the definitions answers this call.
    NoMock "NO_MOCK" 502 "Downstream (mock)"
    /// The application did not answer in time.
    Timeout "TIMEOUT" 504 "Downstream (network/external service)"
    /// The action's schema cannot be used.
    Schema "SCHEMA_ERROR" 422 "Configuration (schema)"
    /// Evenkeel could not work on it right now.
    Unavailable "UNAVAILABLE" 503 "Evenkeel"
}

impl CallError {
    /// A failure with its sentence.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> CallError {
        CallError { code, detail: detail.into(), params: Vec::new(), upstream: None, upstream_status: None }
    }

    /// Names what is wrong.
    #[must_use]
    pub fn params(mut self, params: Vec<String>) -> CallError {
        self.params = params;
        self
    }

    /// What a caller could not have done better: a failure of an action that another one calls is the definitions' own.
    #[must_use]
    pub fn of_definition(mut self) -> CallError {
        let blames_caller = self.code.status() < 422;
        if blames_caller {
            self.detail = format!("{}: {}", self.code.as_str(), self.detail);
            self.code = ErrorCode::Template;
            self.params.clear();
        }
        self
    }

    /// Names the step of a composite action in which it happened.
    #[must_use]
    pub fn in_step(mut self, name: &str, index: usize) -> CallError {
        self.detail = format!("step `{name}` (index {index}): {}", self.detail);
        self
    }

    /// The body of the answer.
    pub fn envelope(&self, request_id: &str) -> Value {
        let mut errors = json!({
            "code": self.code.as_str(),
            "detail": self.detail,
            "scope": self.code.scope(),
        });
        if !self.params.is_empty() {
            errors["params"] = json!(self.params);
        }
        if let Some(status) = self.upstream_status {
            errors["upstream"] = json!({"status": status, "body": self.upstream});
        }
        json!({"success": false, "errors": errors, "request_id": request_id})
    }
}

#[cfg(test)]
mod tests {
    use super::ALL_CODES;
    use crate::definition::action_test::ERROR_CODES;

    #[test]
    fn tests_may_expect_every_code() {
        assert_eq!(ALL_CODES, ERROR_CODES);
    }
}
