//! `evenkeel workflows`: lists workflows.

use std::process::ExitCode;

use clap::Args;

use super::execution_api::ExecutionApi;
use super::output;
use super::table::{table, text};

/// List workflows with their versions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel workflows -e live")]
pub(super) struct Workflows {
    #[command(flatten)]
    api: ExecutionApi,
}

impl Workflows {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let response = self.api.get("/v1/workflows", &[])?;
        if let Some(code) = self.api.output.print_json(&response) {
            return Ok(code);
        }
        let rows = response["workflows"].as_array().into_iter().flatten().map(|workflow| {
            let active = if workflow["active"] == true { "yes" } else { "no" };
            [
                text(&workflow["name"]),
                text(&workflow["tier"]),
                active.to_owned(),
                workflow["version"].as_i64().map_or_else(|| "-".to_owned(), |version| format!("v{version}")),
                text(&workflow["place"]),
            ]
        });
        output::data(&table(["WORKFLOW", "TIER", "ACTIVE", "VERSION", "LOCATION"], rows.collect()));
        Ok(ExitCode::SUCCESS)
    }
}
