//! The arguments of `evenkeel render` and `evenkeel call`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::json;

use super::api_error::describe;
use super::environment_args::{VARIABLE, environment_name};
use super::environment_file::EnvironmentFile;
use super::output_format::OutputFormat;
use super::table::excerpt;
use super::{definitions, json_input, output};
use crate::api::Problem;
use crate::connector::{self, Call, CallError, ErrorCode, Runtime};

/// An action and its arguments.
#[derive(Debug, Args)]
pub(super) struct ActionArgs {
    /// Action, as CONNECTOR/ACTION
    #[arg(value_name = "CONNECTOR/ACTION")]
    action: String,
    /// Folder of definitions, or one file
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Environment to use [default: the first one found]
    #[arg(short, long, env = VARIABLE, value_name = "ENVIRONMENT", value_parser = environment_name)]
    environment: Option<String>,
    #[command(flatten)]
    environment_file: EnvironmentFile,
    /// Output format
    #[arg(short, long, default_value = "human", value_name = "FORMAT")]
    output: OutputFormat,
    /// Variable to set, over the environment's; repeatable
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// Input as JSON; `@FILE` reads a file, `-` reads stdin [default: {}]
    #[arg(short, long, value_name = "JSON", help_heading = "Call options")]
    input: Option<String>,
    /// Use the input of one of the action's tests
    #[arg(long, value_name = "TEST", conflicts_with = "input", help_heading = "Call options")]
    test: Option<String>,
    /// Path parameter; repeatable
    #[arg(
        short,
        long = "path-param",
        value_name = "NAME=VALUE",
        value_parser = pair,
        help_heading = "Call options"
    )]
    path_params: Vec<(String, String)>,
    /// Header that the action lets callers override; repeatable
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair, help_heading = "Call options")]
    headers: Vec<(String, String)>,
    /// Query parameter that the action lets callers override; repeatable
    #[arg(long = "query", value_name = "NAME=VALUE", value_parser = pair, help_heading = "Call options")]
    query: Vec<(String, String)>,
    /// Tenant to call for
    #[arg(long, value_name = "TENANT", help_heading = "Call options")]
    tenant: Option<String>,
    /// Connection to use
    #[arg(long, value_name = "CONNECTION", help_heading = "Call options")]
    connection: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Compiled definitions and the call to make.
pub(super) struct ActionCall {
    pub(super) path: PathBuf,
    pub(super) runtime: Arc<Runtime>,
    pub(super) connector: String,
    pub(super) action: String,
    pub(super) call: Call,
    pub(super) output: OutputFormat,
}

/// Maximum number of actions that a message lists.
const MAX_LISTED: usize = 20;

impl ActionArgs {
    /// Compiles the definitions; prints their errors and returns `None` if there are any.
    pub(super) fn prepare(self) -> anyhow::Result<Option<ActionCall>> {
        let Some((connector, action)) = self.action.split_once('/') else {
            bail!("`{}` is not an action; expected CONNECTOR/ACTION", self.action);
        };
        let environment = self.environment_file.choose(self.environment.as_deref())?;
        let Some(validated) = definitions::load(&self.path, environment.as_ref())? else { return Ok(None) };
        let runtime = definitions::compile(&validated)?;
        let (_, found) = connector::find(&runtime, connector, action)
            .map_err(|error| anyhow!("{}{}", error.detail, known_actions(&runtime, connector)))?;
        let mut call = Call { input: json!({}), ..Call::default() };
        if let Some(name) = &self.test {
            let tests = &found.spec.tests;
            let Some(test) = tests.iter().find(|test| test.name == *name) else {
                let names: Vec<String> = tests.iter().map(|test| format!("`{}`", test.name)).collect();
                let known = match names.is_empty() {
                    true => "it has no tests".to_owned(),
                    false => format!("expected one of {}", names.join(", ")),
                };
                bail!("the action has no test `{name}`; {known}");
            };
            call = Call {
                hermetic: self.tenant.is_none() && self.connection.is_none(),
                ..connector::testing::call_of(test)
            };
        }
        if let Some(argument) = &self.input {
            call.input = json_input::read_exact(argument)?;
        }
        call.path_params.extend(self.path_params);
        call.headers.extend(self.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)));
        call.query.extend(self.query);
        call.variables.extend(self.variables);
        call.tenant = self.tenant.or(call.tenant);
        call.connection = self.connection;
        if call.request_id.is_empty() {
            call.request_id = "cli".into();
        }
        let (connector, action, output) = (connector.into(), action.into(), self.output);
        Ok(Some(ActionCall { path: self.path, runtime: Arc::new(runtime), connector, action, call, output }))
    }
}

/// The actions of a connector, or the connectors if there is no such one, for a message.
fn known_actions(runtime: &Runtime, connector: &str) -> String {
    let (noun, names): (&str, Vec<&str>) = match runtime.connectors.get(connector) {
        Some(connector) => ("actions", connector.actions.keys().map(String::as_str).collect()),
        None => ("connectors", runtime.connectors.keys().map(String::as_str).collect()),
    };
    if names.is_empty() {
        return format!("; there are no {noun}");
    }
    let more = names.len().saturating_sub(MAX_LISTED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let listed: Vec<&str> = names.into_iter().take(MAX_LISTED).collect();
    format!("\n  {noun}: {}{more}", listed.join(", "))
}

/// Prints a failed call: for people on stderr, with the option that supplies a missing value; as JSON in the form of the
/// HTTP API.
pub(super) fn print_error(error: &CallError, request_id: &str, format: OutputFormat) -> ExitCode {
    let problem = Problem { request_id: request_id.to_owned(), ..Problem::from(error.clone()) };
    if format.print_json(&serde_json::to_value(&problem).unwrap_or_default()).is_some() {
        return ExitCode::FAILURE;
    }
    let mut text = format!("{}: {}", problem.code, describe(&problem));
    if let Some(upstream) = &problem.upstream {
        text += &format!("\n  the application responded with status {}", upstream.status);
        if let Some(body) = &upstream.body {
            text += &format!(": {}", excerpt(&body.to_string()));
        }
    }
    let help = match error.code {
        ErrorCode::InvalidInput => "pass the input with --input JSON or --test TEST",
        ErrorCode::MissingPathParameters | ErrorCode::InvalidPathParameters => {
            "pass path parameters with --path-param NAME=VALUE"
        }
        ErrorCode::ConnectionRequired | ErrorCode::UnknownTenant => {
            "pass a tenant with --tenant TENANT, or a connection with --connection CONNECTION"
        }
        ErrorCode::Credential => "provide the secret, or answer from the tests of the action with `call --mock`",
        _ => "",
    };
    if !help.is_empty() {
        text += &format!("\n  help: {help}");
    }
    output::failure(&text);
    ExitCode::FAILURE
}
