//! `evenkeel status`: shows the status of environments.

use std::process::ExitCode;

use clap::Args;

use super::api_client::{ApiClient, environment_name};
use super::output_format::OutputFormat;
use super::{cluster_status, environment_status};

/// Show the status of environments
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status:
  0  every environment is ready
  1  an environment is not ready
  2  the server cannot be reached

Examples:
  evenkeel status
  evenkeel status live -o json
  evenkeel status --kube --all-namespaces")]
pub(super) struct StatusCommand {
    /// Environment to show [default: all]
    #[arg(value_parser = environment_name)]
    environment: Option<String>,
    /// Output format
    #[arg(short, long, default_value = "human", value_name = "FORMAT")]
    output: OutputFormat,
    /// Read the resources of the KUBECONFIG cluster instead of a server
    #[arg(long, conflicts_with_all = ["environment", "server"], help_heading = "Kubernetes options")]
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
        let names: Vec<String> = if let Some(name) = &self.environment {
            vec![name.clone()]
        } else {
            let list = self.client.get("/v1/environments")?;
            let environments = list["environments"].as_array().into_iter().flatten();
            environments.filter_map(|environment| environment["name"].as_str().map(str::to_owned)).collect()
        };
        let mut code = ExitCode::SUCCESS;
        for name in names {
            let status = self.client.get(&format!("/v1/environments/{name}"))?;
            if environment_status::print(&status, self.output) != ExitCode::SUCCESS {
                code = ExitCode::FAILURE;
            }
        }
        Ok(code)
    }
}
