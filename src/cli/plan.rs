//! `evenkeel plan`: shows the changes between two sets of definitions.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use super::api_client::{self, ApiClient, environment_name};
use super::output;
use super::plan_output::{self, PlanFormat};
use super::plan_side::{PlanSide, read_folder, read_revision};
use crate::definition::is_name;
use crate::plan::render::Revisions;
use crate::plan::{Plan, PlanOptions, plan};
use crate::reconcile::validate::Validated;
use crate::source::{MAX_ASSET_BYTES, directory};

/// Show what changes between two sets of definitions
#[derive(Debug, Args)]
#[command(
    override_usage = "evenkeel plan [OPTIONS] BEFORE AFTER\n       evenkeel plan [OPTIONS] --from REVISION [--to REVISION] [FOLDER]\n       evenkeel plan [OPTIONS] --server URL -e ENVIRONMENT [FOLDER]",
    after_help = "\
Applies nothing. Compares two folders, two Git revisions, or a folder with a
running server. Comments, the order of keys and spelled-out defaults are not
changes. Each change shows its location, whether it breaks users of the
definition, and the definitions that depend on it.

Exit status:
  0  success
  1  error
  2  changes, with --detailed-exitcode

Examples:
  evenkeel plan before after
  evenkeel plan --from main definitions
  evenkeel plan --server https://keel.example -e live --out live.plan"
)]
pub(super) struct PlanCommand {
    /// Two folders to compare, or one folder with --from or --server [default: .]
    #[arg(value_name = "FOLDER", num_args = 0..=2)]
    paths: Vec<PathBuf>,
    /// Earlier revision: a branch, tag or commit of the folder's Git repository
    #[arg(long, value_name = "REVISION")]
    from: Option<String>,
    /// Later revision [default: the files of the folder]
    #[arg(long, value_name = "REVISION", requires = "from")]
    to: Option<String>,
    /// Environment to plan for [default: the first one declared]
    #[arg(short, long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "human", value_name = "FORMAT")]
    output: PlanFormat,
    /// Exit with 2 if anything changes
    #[arg(long)]
    detailed_exitcode: bool,
    /// Save the plan to a file, as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Server to plan for: its pending plan, or the changes of a folder
    #[arg(
        long,
        value_name = "URL",
        conflicts_with_all = ["from", "to"],
        requires = "environment",
        help_heading = api_client::HEADING
    )]
    server: Option<String>,
    /// Bearer token; prefer the variable: other users of a machine can read command lines
    #[arg(
        long,
        env = "EVENKEEL_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = api_client::HEADING
    )]
    token: Option<String>,
}

impl PlanCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        // 2 means "changes" here, so no error may exit with it.
        Ok(self.plan_and_print().unwrap_or_else(|error| {
            output::error(&error);
            ExitCode::FAILURE
        }))
    }

    fn plan_and_print(&self) -> anyhow::Result<ExitCode> {
        if let Some(server) = &self.server {
            return self.remote_plan(server);
        }
        let (before, after) = self.sides()?;
        if !after.validated.is_valid() {
            output::findings(&after.validated);
            output::note("no plan: fix the errors first");
            return Ok(ExitCode::FAILURE);
        }
        let name = &before.name;
        if before.validated.catalog.entries.is_empty() {
            output::note(&format!("{name} has no definitions; everything is new"));
        } else if !before.validated.is_valid() {
            output::note(&format!("warning: {name} has errors; definitions with errors are treated as absent"));
        }
        let environment = environment(self.environment.as_deref(), &after.validated)?;
        let options = PlanOptions { environment: &environment, fingerprint: None };
        let plan = plan(&before.inventory(), &after.inventory(), &options);
        self.save_and_print(&plan, &Revisions { from: &before.name, to: &after.name })
    }

    /// Prints the plan of a server, which includes what its environment adds.
    fn remote_plan(&self, server: &str) -> anyhow::Result<ExitCode> {
        let client = ApiClient { server: server.to_owned(), token: self.token.clone() };
        let environment = self.environment.as_deref().unwrap_or_default();
        environment_name(environment).map_err(|problem| anyhow!("`{environment}`: {problem}"))?;
        let path = format!("/v1/environments/{environment}/plan");
        let (response, after) = match self.paths.as_slice() {
            [] => (client.get(&path)?, "its sources".to_owned()),
            [folder] => {
                let response = client.post(&path, &files_body(folder)?)?;
                for blocked in response["blocked"].as_array().into_iter().flatten() {
                    output::note(&format!("would need approval: {}", blocked["message"].as_str().unwrap_or_default()));
                }
                (response["plan"].clone(), folder.display().to_string())
            }
            _ => bail!("`--server` takes at most one folder"),
        };
        let plan = client.plan(&response)?;
        self.save_and_print(&plan, &Revisions { from: environment, to: &after })
    }

    /// The two sides to compare.
    fn sides(&self) -> anyhow::Result<(PlanSide, PlanSide)> {
        match (self.paths.as_slice(), &self.from, &self.to) {
            ([before, after], None, _) => Ok((read_folder(before)?, read_folder(after)?)),
            (paths @ ([] | [_]), Some(from), to) => {
                let folder = paths.first().map_or(Path::new("."), PathBuf::as_path);
                let before = read_revision(folder, from)?;
                let after = match to {
                    Some(to) => read_revision(folder, to)?,
                    None => read_folder(folder)?,
                };
                Ok((before, after))
            }
            (_, Some(_), _) => bail!("`--from` takes at most one folder: `evenkeel plan --from main definitions`"),
            (_, None, _) => {
                bail!("expected two folders, `evenkeel plan before after`, or a revision, `evenkeel plan --from main`")
            }
        }
    }

    fn save_and_print(&self, plan: &Plan, revisions: &Revisions<'_>) -> anyhow::Result<ExitCode> {
        if let Some(file) = &self.out {
            std::fs::write(file, plan.to_json()).with_context(|| format!("cannot write {}", file.display()))?;
        }
        plan_output::print(plan, self.output, revisions);
        Ok(if self.detailed_exitcode && !plan.is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS })
    }
}

/// Request body with the text files of a folder.
fn files_body(folder: &Path) -> anyhow::Result<Value> {
    let context = || format!("cannot read {}", folder.display());
    let (snapshot, unreadable) = directory::read(folder).with_context(context)?;
    if let Some(first) = unreadable.first() {
        bail!("{}: {}", first.path, first.finding.message);
    }
    let mut files = serde_json::Map::new();
    for name in &*snapshot.names {
        let bytes =
            directory::read_inside(folder, name, MAX_ASSET_BYTES).with_context(|| format!("cannot read {name}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.insert(name.clone(), Value::String(text));
        }
    }
    Ok(json!({"files": files}))
}

/// The named environment, or the first one (default: `local`).
fn environment(name: Option<&str>, validated: &Validated) -> anyhow::Result<String> {
    let declared: Vec<&str> = validated.catalog.environments().map(|(entry, _)| entry.id.name.as_str()).collect();
    match name {
        None => Ok(declared.first().copied().unwrap_or("local").to_owned()),
        Some(name) if declared.contains(&name) || declared.is_empty() && is_name(name) => Ok(name.to_owned()),
        Some(name) if declared.is_empty() => bail!("`{name}` is not an environment name; expected for example `live`"),
        Some(name) => bail!("unknown environment `{name}`; expected one of {}", declared.join(", ")),
    }
}
