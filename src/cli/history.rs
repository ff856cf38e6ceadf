//! `evenkeel history`: lists the generations of an environment.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::api_client::{ApiClient, environment_name};
use super::environment_status::time;
use super::output;
use super::output_format::OutputFormat;
use crate::store::Generation;

/// List the generations of an environment, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel history live -n 5")]
pub(super) struct History {
    /// Environment to show
    #[arg(value_parser = environment_name)]
    environment: String,
    /// Maximum number of generations
    #[arg(short = 'n', long, default_value_t = 20, value_name = "NUMBER")]
    limit: u32,
    /// Output format
    #[arg(short, long, default_value = "human", value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    client: ApiClient,
}

impl History {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let path = format!("/v1/environments/{}/history?limit={}", self.environment, self.limit);
        let history = self.client.get(&path)?;
        if let Some(code) = self.output.print_json(&history) {
            return Ok(code);
        }
        let generations: Vec<Generation> =
            serde_json::from_value(history["generations"].clone()).context("the server's response is not a history")?;
        for generation in generations {
            let revisions: Vec<&str> = generation.revisions.values().map(String::as_str).collect();
            let count = |name: &str, sign: &str| {
                generation.summary[name].as_u64().filter(|count| *count > 0).map(|count| format!("{sign}{count} "))
            };
            let counts: String = [count("create", "+"), count("update", "~"), count("delete", "-"), count("move", ">")]
                .into_iter()
                .flatten()
                .collect();
            output::data(&format!(
                "{:>5}  {}  {}  {:<9} {:<12} {counts:<12} {}\n",
                generation.number,
                time(generation.at),
                generation.digest.short(),
                generation.cause.as_str(),
                generation.actor,
                revisions.join(", ")
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
