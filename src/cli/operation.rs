//! Operations that change an environment: the parts that their commands share.

use std::process::ExitCode;

use serde_json::Value;

use super::environment_args::ApiArgs;
use super::environment_status::{EnvironmentStatus, short_digest};
use super::output;
use super::output_format::OutputFormat;
use super::style::Style;
use super::table::text;

/// Sends an operation to the environment of a command. Returns the environment's name and the response.
///
/// # Errors
/// Fails if the server refuses the operation or cannot be reached.
pub(super) fn operate(api: &ApiArgs, verb: &str, body: &Value) -> anyhow::Result<(String, Value)> {
    let environment = api.connect()?;
    let response = environment.post(&[verb], Vec::new(), body)?;
    Ok((environment.environment, response))
}

/// Prints the generation that an operation activated.
pub(super) fn print_activated(environment: &str, response: &Value, format: OutputFormat) -> ExitCode {
    if let Some(code) = format.print_json(response) {
        return code;
    }
    let number = response["generation"].as_u64().or(response["number"].as_u64()).unwrap_or_default();
    let digest = text(&response["digest"]);
    output::data(&format!("{environment}: generation {number} is live ({})\n", short_digest(&digest)));
    ExitCode::SUCCESS
}

/// Prints the status that an operation led to. Returns 0 if the environment is ready, and 1 otherwise.
///
/// # Errors
/// Fails if the response has no status.
pub(super) fn print_status(response: &Value, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let status = EnvironmentStatus::parse(&response["status"])?;
    if format.print_json(response).is_none() {
        output::data(&status.human(Style::of_stdout()));
    }
    Ok(if status.is_ready() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
