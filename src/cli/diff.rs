//! `evenkeel diff`: compares two generations of an environment.

use std::process::ExitCode;

use clap::Args;

use super::environment_args::EnvironmentArgs;
use super::plan_output::{self, PlanFormat};
use super::{environment_status, output};
use crate::plan::render::Revisions;

/// Show what changed between two generations of an environment
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status with --exit-code:
  0  no change
  1  changes
  2  error

Examples:
  evenkeel diff -e live                 # the last change
  evenkeel diff -e live --from 3 --to 7")]
pub(super) struct Diff {
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
    environment: EnvironmentArgs,
}

impl Diff {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect()?;
        let status = environment_status::parse(&environment.get(&[], Vec::new())?)?;
        let to = self.to.or(status.generation).unwrap_or_default();
        let from = self.from.unwrap_or_else(|| to.saturating_sub(1));
        let query = vec![("from", Some(from.to_string())), ("to", Some(to.to_string()))];
        let plan = environment.client.plan(&environment.get(&["diff"], query)?)?;
        if matches!(self.output, PlanFormat::Human) {
            output::note(&format!("{}: generation {from} -> {to}", environment.environment));
        }
        let revisions = Revisions { from: &from.to_string(), to: &to.to_string(), folder: &status.folder };
        plan_output::print(&plan, self.output, &revisions);
        let changed = !plan.actions.is_empty();
        Ok(if changed && self.exit_code { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
