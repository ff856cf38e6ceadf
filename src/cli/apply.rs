//! `evenkeel apply`: a plan that was read is approved, and goes live.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use super::environment_commands::Form;
use super::output;
use super::remote::{Remote, name};
use crate::plan::Plan;
use crate::plan::render::Revisions;

/// Approve a plan that waits on a server, and wait until it is live.
///
/// PLAN is what `evenkeel plan --server … --out PLAN` saved. A server that would do anything else by now refuses it. Without
/// PLAN, the plan that waits is shown, and approved with --yes.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// A saved plan.
    plan: Option<PathBuf>,
    /// The environment; the plan's where left out.
    #[arg(short, long, value_parser = name)]
    environment: Option<String>,
    /// Approve the plan that waits, as it is shown.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Apply {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (environment, plan) = if let Some(path) = &self.plan {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let plan = Plan::from_json(&text).map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
            (self.environment.clone().unwrap_or_else(|| plan.environment.clone()), plan)
        } else {
            let environment = self.environment.clone();
            let environment = environment.context("name the environment with `-e`, or a saved plan")?;
            let waits = self.remote.get(&format!("/v1/environments/{environment}/plan"))?;
            let plan = self.remote.plan(&waits)?;
            super::plan::show(&plan, super::plan::PlanForm::Human, &Revisions { from: "live", to: "declared" });
            if !self.yes {
                bail!("nothing was approved: `--yes` approves this plan, {}", plan.digest);
            }
            (environment, plan)
        };
        let path = format!("/v1/environments/{environment}/apply");
        let answer: Value = self.remote.post(&path, &json!({"plan": plan.digest}))?;
        let code = super::status::show(&answer["status"], Form::Human);
        if code != ExitCode::SUCCESS {
            output::note("approved, and not live yet: the status says why");
        }
        Ok(code)
    }
}
