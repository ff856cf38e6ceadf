//! Operations on the environments of a running server.

use std::process::ExitCode;

use serde_json::Value;

use super::api_client::ApiClient;
use super::output;

/// Sends an operation, such as `rollback`, to an environment.
pub(super) fn operate(client: &ApiClient, environment: &str, verb: &str, body: &Value) -> anyhow::Result<Value> {
    client.post(&format!("/v1/environments/{environment}/{verb}"), body)
}

/// Prints the generation that an operation activated.
pub(super) fn print_activated(environment: &str, response: &Value) -> ExitCode {
    let number = &response["number"];
    let digest = response["digest"].as_str().map_or("", |digest| digest.get(..23).unwrap_or(digest));
    output::data(&format!("{environment}: generation {number} is live ({digest})\n"));
    ExitCode::SUCCESS
}
