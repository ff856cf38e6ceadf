//! `evenkeel run`: starts a workflow.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use http::Method;
use serde_json::Value;

use super::api_client::environment_name;
use super::execution_api::ExecutionApi;
use super::{json_input, output};

/// Interval at which `--wait` reads the status.
const POLL_INTERVAL: std::time::Duration = std::time::Duration::from_millis(200);

/// Start a workflow and print its result
#[derive(Debug, Args)]
#[command(after_help = "\
Prints the output of an Instant workflow, and the execution ID of a Standard or
Long one. With --wait, prints the output of any workflow.

Exit status:
  0  the workflow completed or, without --wait, was started
  1  the execution failed
  2  the workflow cannot be started

Examples:
  evenkeel run welcome -i '{\"name\": \"Ada\"}'
  evenkeel run sync-contact -i @contact.json --tenant acme --wait")]
pub(super) struct Run {
    /// Workflow to start
    #[arg(value_parser = environment_name)]
    workflow: String,
    /// Input as JSON; `@FILE` reads a file, `-` reads stdin
    #[arg(short, long, default_value = "{}", value_name = "JSON")]
    input: String,
    /// Tenant to run for
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Wait for the end of the execution
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    api: ExecutionApi,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let input: Value = json_input::read(&self.input)?;
        let mut headers = Vec::new();
        if let Some(environment) = &self.api.environment {
            headers.push(("x-evenkeel-environment", environment.as_str()));
        }
        if let Some(tenant) = &self.tenant {
            headers.push(("x-evenkeel-tenant", tenant.as_str()));
        }
        let path = format!("/v1/workflows/{}/runs", self.workflow);
        let response = self.api.client.send(Method::POST, &path, Some(&input), &headers)?;
        let execution = response.value["execution"].as_str().map(str::to_owned);
        if let (202, Some(id)) = (response.status, &execution) {
            if !self.wait {
                output::note(&format!("started; `evenkeel executions show {id}` shows the result"));
                output::data(&format!("{id}\n"));
                return Ok(ExitCode::SUCCESS);
            }
            return self.wait_for_end(id);
        }
        if response.status < 300 {
            output::data(&format!("{:#}\n", response.value));
            return Ok(ExitCode::SUCCESS);
        }
        let errors = &response.value["errors"];
        let detail = errors["detail"].as_str().or(errors["message"].as_str());
        let detail = detail.map_or_else(|| format!("the server returned status {}", response.status), str::to_owned);
        let Some(id) = errors["execution"].as_str() else { bail!("{detail}") };
        output::note(&format!("failed: {detail}; `evenkeel executions show {id}` shows the steps"));
        Ok(ExitCode::FAILURE)
    }

    fn wait_for_end(&self, id: &str) -> anyhow::Result<ExitCode> {
        loop {
            let execution = self.api.get(&format!("/v1/executions/{id}"), &[])?;
            match execution["status"].as_str().unwrap_or_default() {
                "Completed" => {
                    output::data(&format!("{:#}\n", execution["output"]));
                    return Ok(ExitCode::SUCCESS);
                }
                "Queued" | "Running" | "Waiting" => std::thread::sleep(POLL_INTERVAL),
                status => {
                    let message = execution["error"]["message"].as_str().unwrap_or_default();
                    output::note(&format!("{status}: {message}; `evenkeel executions show {id}` shows the steps"));
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    }
}
