//! `evenkeel status`: shows the status of environments.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::api_client::ApiClient;
use super::environment_args::{VARIABLE, environment_name, environment_names};
use super::output_format::OutputFormat;
use super::watch::{Poll, WatchArgs};
use super::{cluster_status, environment_api, environment_status, output};

/// Show the status of environments
#[derive(Debug, Args)]
#[command(after_help = "\
Shows the generation that serves, and why not everything declared is live.

Exit status:
  0  every environment is ready
  1  an environment is not ready
  2  the server cannot be reached

Examples:
  evenkeel status
  evenkeel status -e live --watch
  evenkeel status --kube --all-namespaces -o json")]
pub(super) struct StatusCommand {
    /// Environment, as NAME or NAMESPACE/NAME [default: all]
    #[arg(short, long, env = VARIABLE, value_name = "ENVIRONMENT", value_parser = environment_name)]
    environment: Option<String>,
    /// Output format
    #[arg(short, long, default_value = "human", value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    watch: WatchArgs,
    /// Read the resources of the KUBECONFIG cluster instead of a server
    #[arg(long, conflicts_with = "watch", help_heading = "Kubernetes options")]
    kube: bool,
    /// Namespace to show [default: the kubeconfig's]
    #[arg(short, long, requires = "kube", value_name = "NAMESPACE", help_heading = "Kubernetes options")]
    namespace: Option<String>,
    /// Show all namespaces
    #[arg(short = 'A', long, requires = "kube", conflicts_with = "namespace", help_heading = "Kubernetes options")]
    all_namespaces: bool,
    #[command(flatten)]
    client: ApiClient,
}

impl StatusCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if self.kube {
            return cluster_status::print(self.namespace.as_deref(), self.all_namespaces, self.output);
        }
        if self.output == OutputFormat::Json && !self.watch.is_on() {
            let values = self.read()?;
            let mut all_ready = true;
            for value in &values {
                all_ready &= environment_status::parse(value)?.ready;
            }
            // One document: the status of the chosen environment, or the list of all.
            match (self.environment, values.as_slice()) {
                (Some(_), [status]) => output::data(&format!("{status:#}\n")),
                _ => output::data(&format!("{:#}\n", json!({"items": values}))),
            }
            return Ok(if all_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        self.watch.print(self.output, |style| {
            let mut poll = Poll { text: String::new(), code: ExitCode::SUCCESS };
            for value in self.read()? {
                let status = environment_status::parse(&value)?;
                poll.text += &environment_status::human(&status, style);
                if !status.ready {
                    poll.code = ExitCode::FAILURE;
                }
            }
            if poll.text.is_empty() {
                poll.text = format!("{} has no environments\n", self.client.server);
            }
            Ok(poll)
        })
    }

    /// The status of the chosen environment, or of all.
    fn read(&self) -> anyhow::Result<Vec<Value>> {
        let names = match &self.environment {
            Some(name) => vec![name.clone()],
            None => environment_names(&self.client)?,
        };
        names.iter().map(|name| environment_api::get(&self.client, &format!("/v1/environments/{name}"))).collect()
    }
}
