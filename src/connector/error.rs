//! Errors of calls, as callers see them.

use serde_json::Value;

/// A failed call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallError {
    /// The kind of failure.
    pub code: ErrorCode,
    /// One sentence; never a secret.
    pub detail: String,
    /// The invalid parameters, or JSON pointers into the input.
    pub params: Vec<String>,
    /// The violation of each of `params`; empty if `detail` says it for all of them.
    pub violations: Vec<String>,
    /// The transformed response of the application, if it responded.
    pub upstream: Option<Box<Value>>,
    /// The status of the application's response.
    pub upstream_status: Option<u16>,
    /// Time after which the call may succeed, if a rate limit or quota refused it.
    pub retry_after: Option<std::time::Duration>,
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $code:literal $status:literal $scope:literal)*) => {
        /// The kinds of failures. Each has the `code` of the error, an HTTP status and a scope.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode { $($(#[doc = $doc])+ $variant),* }

        #[cfg(test)]
        const ALL_CODES: &[&str] = &[$($code),*];

        impl ErrorCode {
            /// Code, HTTP status and meaning of each kind.
            pub const DESCRIBED: &[(&str, u16, &str)] = &[$(($code, $status, concat!($($doc),+))),*];

            /// The code in responses.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $code),* }
            }

            /// The HTTP status of the response.
            pub fn status(self) -> u16 {
                match self { $(ErrorCode::$variant => $status),* }
            }

            /// The stage that failed, in readable form.
            pub fn scope(self) -> &'static str {
                match self { $(ErrorCode::$variant => $scope),* }
            }
        }
    };
}

error_codes! {
    /// The input does not match the action's schema.
    InvalidInput "INVALID_INPUT" 400 "Request (input)"
    /// Required path parameters are missing.
    MissingPathParameters "MISSING_PATH_PARAMETERS" 400 "Request (path parameters)"
    /// Path parameters are not valid in a path.
    InvalidPathParameters "INVALID_PATH_PARAMETERS" 400 "Request (path parameters)"
    /// The request is malformed.
    BadRequest "BAD_REQUEST" 400 "Request"
    /// The action requires a user.
    UserRequired "USER_REQUIRED" 401 "Request (identity)"
    /// The tenant is suspended, or not active yet.
    TenantNotActive "TENANT_NOT_ACTIVE" 403 "Request (identity)"
    /// The tenant is not declared, and others are.
    UnknownTenant "UNKNOWN_TENANT" 403 "Request (identity)"
    /// The connector does not exist.
    UnknownConnector "UNKNOWN_CONNECTOR" 404 "Request"
    /// The action does not exist.
    UnknownAction "UNKNOWN_ACTION" 404 "Request"
    /// The path does not exist.
    NotFound "NOT_FOUND" 404 "Request"
    /// The method is not supported for the path.
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 "Request"
    /// There is no connection, or an ambiguous one.
    ConnectionRequired "CONNECTION_REQUIRED" 409 "Authentication (connection)"
    /// The request is too large.
    TooLarge "REQUEST_TOO_LARGE" 413 "Request"
    /// The rate limit of the connector permits no request before the deadline of the call.
    RateLimited "RATE_LIMITED" 429 "Rate limit (connector)"
    /// The tenant has made the calls that its quota `callsPerMinute` allows.
    CallsPerMinute "CALLS_PER_MINUTE_EXCEEDED" 429 "Quota (callsPerMinute)"
    /// A template of the request failed.
    Template "TEMPLATE_ERROR" 422 "Configuration (template rendering)"
    /// A template of the response failed.
    ResponseTemplate "RESPONSE_TEMPLATE_ERROR" 422 "Configuration (response template rendering)"
    /// A secret or credential is not available.
    Credential "CREDENTIAL_UNAVAILABLE" 422 "Authentication (credentials)"
    /// The transport is checked and not run by this version.
    NotRunnable "NOT_RUNNABLE" 501 "Configuration (transport)"
    /// The application responded with an error status.
    Upstream "UPSTREAM_ERROR" 502 "Downstream (HTTP error)"
    /// The application could not be reached or closed the connection.
    Unreachable "UNREACHABLE" 502 "Downstream (network/external service)"
    /// The egress rules do not allow the address.
    Refused "REFUSED_ADDRESS" 502 "Downstream (network/external service)"
    /// The response of the application is too large.
    ResponseTooLarge "RESPONSE_TOO_LARGE" 502 "Downstream (network/external service)"
    /// The output does not match the action's schema.
    InvalidOutput "INVALID_OUTPUT" 502 "Response (output)"
    /// No test of the definitions responds to the call.
    NoMock "NO_MOCK" 502 "Downstream (mock)"
    /// The application did not respond in time.
    Timeout "TIMEOUT" 504 "Downstream (network/external service)"
    /// A schema of the action cannot be compiled.
    Schema "SCHEMA_ERROR" 422 "Configuration (schema)"
    /// Evenkeel is temporarily unable to handle the request.
    Unavailable "UNAVAILABLE" 503 "Evenkeel"
}

impl CallError {
    /// A failure with a sentence that describes it.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> CallError {
        CallError {
            code,
            detail: detail.into(),
            params: Vec::new(),
            violations: Vec::new(),
            upstream: None,
            upstream_status: None,
            retry_after: None,
        }
    }

    /// Sets the invalid parameters.
    #[must_use]
    pub fn params(mut self, params: Vec<String>) -> CallError {
        self.params = params;
        self
    }

    /// Sets the invalid parameters with their violations.
    #[must_use]
    pub fn violations(mut self, violations: Vec<(String, String)>) -> CallError {
        (self.params, self.violations) = violations.into_iter().unzip();
        self
    }

    /// Turns an error that blames the caller into one of the definitions: for an action that is called by another one, the
    /// definitions are the caller.
    #[must_use]
    pub fn of_definition(mut self) -> CallError {
        let blames_caller = self.code.status() < 422;
        if blames_caller {
            self.detail = format!("{}: {}", self.code.as_str(), self.detail);
            self.code = ErrorCode::Template;
            self.params.clear();
            self.violations.clear();
        }
        self
    }

    /// Adds the step of a composite action that failed.
    #[must_use]
    pub fn in_step(mut self, name: &str, index: usize) -> CallError {
        self.detail = format!("step `{name}` (index {index}): {}", self.detail);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::ALL_CODES;
    use crate::definition::action_test::ERROR_CODES;

    #[test]
    fn tests_can_expect_every_code() {
        assert_eq!(ALL_CODES, ERROR_CODES);
    }
}
