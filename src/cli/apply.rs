//! `evenkeel apply`: approves a plan.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::json;

use super::environment_args::ApiArgs;
use super::environment_status;
use super::operation::print_status;
use super::output;
use super::output_format::OutputFormat;
use super::plan_output::{self, PlanFormat};
use crate::plan::Plan;
use crate::plan::render::Revisions;
use crate::text::Digest;

/// Approve a pending plan and wait until it is live
#[derive(Debug, Args)]
#[command(after_help = "\
The server refuses a saved plan that no longer matches what it would do.
Without PLAN, the pending plan is shown; --yes approves it. --digest approves
the pending plan if it is the one that was read, as the status shows it.

Exit status:
  0  the plan is live
  1  the plan is approved, and the environment is not ready
  2  the plan is not approved

Examples:
  evenkeel plan --server https://keel.example -e live --out live.plan
  evenkeel apply live.plan --server https://keel.example
  evenkeel apply -e live --yes
  evenkeel apply -e live --digest sha256:9ab3…")]
pub(super) struct Apply {
    /// Plan that `evenkeel plan --out` saved
    plan: Option<PathBuf>,
    /// Approve the pending plan that is shown
    #[arg(long)]
    yes: bool,
    /// Approve the pending plan with this digest
    #[arg(long, conflicts_with_all = ["plan", "yes"])]
    digest: Option<Digest>,
    #[command(flatten)]
    api: ApiArgs,
}

impl Apply {
    pub(super) fn run(mut self) -> anyhow::Result<ExitCode> {
        let saved = self.plan.take().map(|path| {
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            Plan::from_json(&text).map_err(|problem| anyhow!("{}: {problem}", path.display()))
        });
        let saved = saved.transpose()?;
        if let Some(plan) = &saved {
            let chosen = self.api.environment.environment.get_or_insert_with(|| plan.environment.clone());
            if *chosen != plan.environment {
                bail!("the plan is for `{}` and not for `{chosen}`", plan.environment);
            }
        }
        let environment = self.api.connect()?;
        let digest = if let Some(digest) = self.digest {
            digest
        } else if let Some(plan) = saved {
            plan.digest
        } else {
            let plan = environment.client.plan(&environment.get(&["plan"], Vec::new())?)?;
            // With `-o json`, stdout has the result only.
            if self.api.output == OutputFormat::Human || !self.yes {
                let format = if self.api.output == OutputFormat::Json { PlanFormat::Json } else { PlanFormat::Human };
                let status = environment_status::parse(&environment.get(&[], Vec::new())?)?;
                plan_output::print(&plan, format, &Revisions { from: "live", to: "declared", folder: &status.folder });
            }
            if !self.yes {
                bail!("nothing was approved; `--yes` approves this plan, {}", plan.digest);
            }
            plan.digest
        };
        let response = environment.post(&["apply"], Vec::new(), &json!({"plan": digest}))?;
        let code = print_status(&response, self.api.output)?;
        if code != ExitCode::SUCCESS {
            output::note("the plan is approved but not live yet; see the status above");
        }
        Ok(code)
    }
}
