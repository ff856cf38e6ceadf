//! Operations that change an environment: the parts that their commands share.

use std::process::ExitCode;

use serde_json::Value;

use super::environment_args::ApiArgs;
use super::output_format::OutputFormat;
use super::style::Style;
use super::{environment_status, output, response_view};
use crate::api::environment::{CommandResult, Generation};

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
///
/// # Errors
/// Fails if the response is not the result of a command.
pub(super) fn print_activated(environment: &str, response: &Value, format: OutputFormat) -> anyhow::Result<ExitCode> {
    if let Some(code) = format.print_json(response) {
        return Ok(code);
    }
    let result: CommandResult = response_view::parse(response, "the result of a command")?;
    output::data(&match result.generation {
        Some(Generation { generation, digest, .. }) => {
            format!("{environment}: generation {generation} is live ({})\n", digest.short())
        }
        None => format!("{environment}: nothing changed\n"),
    });
    Ok(ExitCode::SUCCESS)
}

/// Prints the status that an operation led to. Returns 0 if the environment is ready, and 1 otherwise.
///
/// # Errors
/// Fails if the response has no status.
pub(super) fn print_status(response: &Value, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let status = environment_status::parse(&response["status"])?;
    if format.print_json(response).is_none() {
        output::data(&environment_status::human(&status, Style::of_stdout()));
    }
    Ok(if status.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
