//! `evenkeel apply`: approves a plan.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::json;

use super::api_client::{ApiClient, environment_name};
use super::environment_api::operate;
use super::output_format::OutputFormat;
use super::plan_output::{self, PlanFormat};
use super::{environment_status, output};
use crate::plan::Plan;
use crate::plan::render::Revisions;

/// Approve a pending plan and wait until it is live
#[derive(Debug, Args)]
#[command(after_help = "\
The server refuses a saved plan that no longer matches what it would do.
Without PLAN, the pending plan is shown; --yes approves it.

Examples:
  evenkeel plan --server https://keel.example -e live --out live.plan
  evenkeel apply live.plan --server https://keel.example
  evenkeel apply -e live --yes")]
pub(super) struct Apply {
    /// Plan that `evenkeel plan --out` saved
    plan: Option<PathBuf>,
    /// Environment to change [default: the plan's]
    #[arg(short, long, value_name = "ENVIRONMENT", value_parser = environment_name)]
    environment: Option<String>,
    /// Approve the pending plan that is shown
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    client: ApiClient,
}

impl Apply {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (environment, plan) = if let Some(path) = &self.plan {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let plan = Plan::from_json(&text).map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
            (self.environment.clone().unwrap_or_else(|| plan.environment.clone()), plan)
        } else {
            let environment = self.environment.clone();
            let environment = environment.context("expected an environment (`-e`) or a saved plan")?;
            let pending = self.client.get(&format!("/v1/environments/{environment}/plan"))?;
            let plan = self.client.plan(&pending)?;
            plan_output::print(&plan, PlanFormat::Human, &Revisions { from: "live", to: "declared" });
            if !self.yes {
                bail!("nothing was approved; `--yes` approves this plan, {}", plan.digest);
            }
            (environment, plan)
        };
        let response = operate(&self.client, &environment, "apply", &json!({"plan": plan.digest}))?;
        let code = environment_status::print(&response["status"], OutputFormat::Human);
        if code != ExitCode::SUCCESS {
            output::note("the plan is approved but not live yet; see the status above");
        }
        Ok(code)
    }
}
