//! Tests of actions: sample calls with the expected result.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Json;
use super::common::Method;

/// A sample call: its input, the expected request, the simulated response and the expected result. Set at most one of
/// `expectOutput`, `expectError`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["expectOutput", "expectError"]))]
pub struct ActionTest {
    /// Name of the test, unique within the action.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Input of the action. Default: an empty object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// Path parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub path_params: BTreeMap<String, String>,
    /// Headers that the caller overrides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters that the caller overrides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Variables by name. Default: the variables of the only or first Environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Authentication method. Default: the default method of the connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalAuthMethod"))]
    pub auth: Option<String>,
    /// Settings of the connection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Json>,
    /// User who calls the action. If omitted, the caller is not signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<TestUser>,
    /// Tenant of the call. Default: `test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Result of `now()`: a date and time (RFC 3339). Default: `2026-01-01T00:00:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "dateTime"))]
    pub now: Option<String>,
    /// Expected request. Secrets appear as `[secret NAME]`. Omitted fields are not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_request: Option<ExpectedRequest>,
    /// Expected requests of an action with several steps, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect_requests: Vec<ExpectedRequest>,
    /// Simulated response of the application. Default: status 200 without a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond: Option<MockResponse>,
    /// Simulated responses to the requests of an action with several steps, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub responds: Vec<MockResponse>,
    /// Expected output.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub expect_output: Option<Json>,
    /// Expected error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_error: Option<ExpectedError>,
}

/// Distinguishes `expectOutput: null` from an omitted `expectOutput`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// The user of a test. Templates read the fields as `user.id`, `user.email` and so on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestUser {
    /// Id of the user.
    #[serde(default)]
    pub id: String,
    /// E-mail address of the user.
    #[serde(default)]
    pub email: String,
    /// Name under which the user signs in.
    #[serde(default)]
    pub username: String,
    /// First name of the user.
    #[serde(default)]
    pub first_name: String,
    /// Last name of the user.
    #[serde(default)]
    pub last_name: String,
}

/// The request that a test expects. Omitted fields are not compared.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedRequest {
    /// HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Absolute URL. It includes the query unless `query` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Query parameters. The request must contain exactly these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<BTreeMap<String, Json>>,
    /// Headers that the request must contain. Additional headers are allowed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// JSON body.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// Form fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"contact": "7"}]))]
    pub form: Option<BTreeMap<String, String>>,
    /// Text body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["hello"]))]
    pub text: Option<String>,
}

/// A simulated response of an application. Set at most one of `body`, `text`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["body", "text"]))]
pub struct MockResponse {
    /// HTTP status. Default: `200`.
    #[serde(default = "ok")]
    #[schemars(range(min = 100, max = 599))]
    pub status: u16,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// JSON body.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// Text body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

fn ok() -> u16 {
    200
}

impl Default for MockResponse {
    fn default() -> Self {
        MockResponse { status: ok(), headers: BTreeMap::new(), body: None, text: None }
    }
}

/// The error that a test expects.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedError {
    /// Error code, such as `INVALID_INPUT`.
    pub code: String,
    /// Text that the detail of the error contains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Response of the application, after the response transformation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"error": "no more contacts"}]))]
    pub upstream: Option<Json>,
}

/// The error codes of calls.
pub const ERROR_CODES: [&str; 28] = [
    "INVALID_INPUT",
    "MISSING_PATH_PARAMETERS",
    "INVALID_PATH_PARAMETERS",
    "BAD_REQUEST",
    "USER_REQUIRED",
    "TENANT_NOT_ACTIVE",
    "UNKNOWN_TENANT",
    "UNKNOWN_CONNECTOR",
    "UNKNOWN_ACTION",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "CONNECTION_REQUIRED",
    "REQUEST_TOO_LARGE",
    "RATE_LIMITED",
    "CALLS_PER_MINUTE_EXCEEDED",
    "TEMPLATE_ERROR",
    "RESPONSE_TEMPLATE_ERROR",
    "CREDENTIAL_UNAVAILABLE",
    "NOT_RUNNABLE",
    "UPSTREAM_ERROR",
    "UNREACHABLE",
    "REFUSED_ADDRESS",
    "RESPONSE_TOO_LARGE",
    "INVALID_OUTPUT",
    "NO_MOCK",
    "TIMEOUT",
    "SCHEMA_ERROR",
    "UNAVAILABLE",
];
