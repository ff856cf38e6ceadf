//! `evenkeel trace`: shows the origin of a live definition.

use std::process::ExitCode;

use clap::Args;

use super::api_client::{ApiClient, environment_name};
use super::output;
use super::output_format::OutputFormat;
use super::table::text;
use crate::definition::Id;

/// Show the source, commit, file and line of a live definition
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel trace Connector/orbit-crm -e live")]
pub(super) struct Trace {
    /// Definition, as KIND/NAME
    #[arg(value_name = "KIND/NAME")]
    id: Id,
    /// Environment of the definition
    #[arg(short, long, value_name = "ENVIRONMENT", value_parser = environment_name)]
    environment: String,
    /// Output format
    #[arg(short, long, default_value = "human", value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    client: ApiClient,
}

impl Trace {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let found = self.client.get(&format!("/v1/environments/{}/definitions/{}", self.environment, self.id))?;
        if let Some(code) = self.output.print_json(&found) {
            return Ok(code);
        }
        let owner = &found["owner"];
        let from = match owner["by"].as_str() {
            Some("api") => format!("override by {}", text(&owner["who"])),
            _ => format!("{} {}", text(&owner["source"]), text(&owner["revision"])),
        };
        let mut lines = format!(
            "{}\n  from        {from}\n  file        {}:{}\n",
            text(&found["id"]),
            text(&found["file"]),
            found["line"]
        );
        for overlay in found["overlays"].as_array().into_iter().flatten() {
            lines += &format!("  overlay     {}\n", text(overlay));
        }
        lines += &format!("  generation  {}\n  identity    {}\n", found["generation"], text(&found["uid"]));
        output::data(&lines);
        Ok(ExitCode::SUCCESS)
    }
}
