//! The arguments and requests of commands that read executions, events, triggers and workflows.

use clap::Args;
use serde_json::Value;

use super::api_client::{ApiClient, environment_name};
use super::output_format::OutputFormat;

/// Environment, output format and server of a command.
#[derive(Clone, Debug, Args)]
pub(super) struct ExecutionApi {
    /// Environment to use [default: the only one]
    #[arg(short, long, value_name = "ENVIRONMENT", value_parser = environment_name)]
    pub(super) environment: Option<String>,
    /// Output format
    #[arg(short, long, default_value = "human", value_name = "FORMAT")]
    pub(super) output: OutputFormat,
    #[command(flatten)]
    pub(super) client: ApiClient,
}

impl ExecutionApi {
    /// Appends the parameters that have values, and the environment, to a path.
    fn path(&self, path: &str, query: &[(&str, Option<&str>)]) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.iter().chain(&[("environment", self.environment.as_deref())]) {
            if let Some(value) = value {
                pairs.append_pair(name, value);
            }
        }
        let pairs = pairs.finish();
        if pairs.is_empty() { path.to_owned() } else { format!("{path}?{pairs}") }
    }

    /// Sends a GET request and returns the body of a successful response.
    pub(super) fn get(&self, path: &str, query: &[(&str, Option<&str>)]) -> anyhow::Result<Value> {
        self.client.get(&self.path(path, query))
    }

    /// Sends a POST request and returns the body of a successful response.
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.client.post(&self.path(path, &[]), body)
    }
}
