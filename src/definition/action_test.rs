//! Tests beside actions: sample calls with their outcome.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Json;
use super::action::Method;

/// A sample call with its outcome: what is sent, what comes back, and what becomes of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["expectOutput", "expectError"]))]
pub struct ActionTest {
    /// Name of the test, unique within the action.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// The input; an empty object where left out.
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
    /// Variables of this test; the only or first Environment's where left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The authentication method; the connector's default where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalAuthMethod"))]
    pub auth: Option<String>,
    /// Settings of the connection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Json>,
    /// The user who calls; nobody where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<TestUser>,
    /// The tenant; `test` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What `now()` answers: a date and time (RFC 3339). 2026-01-01T00:00:00Z where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "dateTime"))]
    pub now: Option<String>,
    /// The request that must be sent. Secrets show as `[secret NAME]`. What is left out is not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_request: Option<ExpectedRequest>,
    /// The requests of an action with several steps, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect_requests: Vec<ExpectedRequest>,
    /// What the application answers; 200 without a body where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond: Option<MockResponse>,
    /// Answers to the requests of an action with several steps, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub responds: Vec<MockResponse>,
    /// The output that must result.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub expect_output: Option<Json>,
    /// The error that must result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_error: Option<ExpectedError>,
}

/// Keeps `expectOutput: null` apart from no `expectOutput`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// The user of a test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct TestUser {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub email: String,
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub first_name: String,
    #[serde(default)]
    pub last_name: String,
}

/// The request that a test expects; what is left out is not compared.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedRequest {
    /// Method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Whole URL; with its query, unless `query` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Query parameters: these and no others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<BTreeMap<String, Json>>,
    /// Headers that must be there; others may be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// JSON body.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// Form fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<BTreeMap<String, String>>,
    /// Body as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What an application answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["body", "text"]))]
pub struct MockResponse {
    /// Status, 200 unless set.
    #[serde(default = "ok")]
    #[schemars(range(min = 100, max = 599))]
    pub status: u16,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// JSON body.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// Body as text.
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
    /// The error's code, such as `INVALID_INPUT`.
    pub code: String,
    /// Text that its detail holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What the application answered, after the response transform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Json>,
}

/// The codes that calls fail with.
pub const ERROR_CODES: [&str; 25] = [
    "INVALID_INPUT",
    "MISSING_PATH_PARAMETERS",
    "INVALID_PATH_PARAMETERS",
    "BAD_REQUEST",
    "USER_REQUIRED",
    "UNKNOWN_CONNECTOR",
    "UNKNOWN_ACTION",
    "UNKNOWN_TENANT",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "CONNECTION_REQUIRED",
    "REQUEST_TOO_LARGE",
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
