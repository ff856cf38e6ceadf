//! `evenkeel diff`: compares two generations of an environment.

use std::process::ExitCode;

use clap::Args;

use super::api_client::{ApiClient, environment_name};
use super::plan_output::{self, PlanFormat};
use crate::plan::render::Revisions;

/// Show what changed between two generations of an environment
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status with --exit-code:
  0  no change
  1  changes
  2  error

Examples:
  evenkeel diff live                    # the last change
  evenkeel diff live --from 3 --to 7")]
pub(super) struct Diff {
    /// Environment to show
    #[arg(value_parser = environment_name)]
    environment: String,
    /// Earlier generation [default: the one before the later]
    #[arg(long, value_name = "GENERATION")]
    from: Option<u64>,
    /// Later generation [default: the active one]
    #[arg(long, value_name = "GENERATION")]
    to: Option<u64>,
    /// Output format
    #[arg(short, long, default_value = "human", value_name = "FORMAT")]
    output: PlanFormat,
    /// Exit with 1 if anything changed
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    client: ApiClient,
}

impl Diff {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let number =
            |name: &str, number: Option<u64>| number.map_or_else(String::new, |number| format!("{name}={number}&"));
        let query = format!("{}{}", number("from", self.from), number("to", self.to));
        let response = self.client.get(&format!("/v1/environments/{}/diff?{query}", self.environment))?;
        let plan = self.client.plan(&response)?;
        let shown = |number: Option<u64>| number.map_or_else(|| "active".to_owned(), |number| number.to_string());
        plan_output::print(&plan, self.output, &Revisions { from: &shown(self.from), to: &shown(self.to) });
        let changed = !plan.actions.is_empty();
        Ok(if changed && self.exit_code { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
