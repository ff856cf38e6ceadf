//! `evenkeel plan`: shows the changes between two sets of definitions.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use super::api_client::{ApiClient, one_line};
use super::ci_links::GitHost;
use super::environment_api::EnvironmentApi;
use super::environment_args::{VARIABLE, environment_name};
use super::environment_file::{ChosenEnvironment, EnvironmentFile};
use super::environment_status;
use super::output;
use super::plan_output::{PlanFormat, print_review};
use super::plan_server::{self, ServerPlan};
use super::plan_side::{PlanFiles, read_base, read_folder, read_revision};
use crate::catalog::EnvironmentSelection;
use crate::definition::is_name;
use crate::plan::render::{Review, ReviewSide};
use crate::plan::{Plan, PlanOptions, plan};
use crate::reconcile::lost_definitions;

/// Environment of a plan of definitions that declare none.
const DEFAULT_ENVIRONMENT: &str = "local";

/// Show what changes between two sets of definitions
#[derive(Debug, Args)]
#[command(
    override_usage = "evenkeel plan [OPTIONS] BEFORE AFTER\n       evenkeel plan [OPTIONS] --from REVISION [--to REVISION] [FOLDER]\n       evenkeel plan [OPTIONS] -e ENVIRONMENT [FOLDER]",
    after_help = "\
Applies nothing. Compares two folders, two Git revisions, or a folder with an
environment of a running server; without a folder, shows the plan that waits on
the server. The plan is for one environment, with its overlays and selector: a
plan of two revisions is the one that a server makes of them. Comments, the
order of keys and of sets, line ends, and spelled-out defaults are not changes.
Each change shows its location, whether it breaks users of the definition, and
the definitions that depend on it.

With -o markdown or json a document is printed in every case: if definitions
have errors, it holds them and no plan.

Exit status:
  0  success
  1  the definitions have errors
  2  wrong usage, or a folder, revision or server cannot be read

Exit status with --detailed-exitcode:
  0  no changes
  1  any error
  2  changes

Examples:
  evenkeel plan before after
  evenkeel plan --from main definitions     # as `git diff main...`
  evenkeel plan --from main.. definitions   # as `git diff main..`
  evenkeel plan --from main -e live --environment-file live.yaml definitions
  evenkeel plan -e live --server https://keel.example --out live.plan"
)]
pub(super) struct PlanCommand {
    /// Two folders to compare, or one folder with --from or -e [default: .]
    #[arg(value_name = "FOLDER", num_args = 0..=2)]
    paths: Vec<PathBuf>,
    /// Earlier revision, compared at its merge base with the later one; `REVISION..` is exact
    #[arg(long, value_name = "REVISION")]
    from: Option<String>,
    /// Later revision [default: the files of the folder]
    #[arg(long, value_name = "REVISION", requires = "from")]
    to: Option<String>,
    /// Environment; of a server without --from and two folders [default: the first one found]
    #[arg(short, long, env = VARIABLE, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    environment_file: EnvironmentFile,
    /// Output format
    #[arg(short, long, value_enum, default_value = "human", value_name = "FORMAT")]
    output: PlanFormat,
    /// Exit with 2 if anything changes
    #[arg(long)]
    detailed_exitcode: bool,
    /// Save the plan to a file, as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    client: ApiClient,
}

impl PlanCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        Ok(self.plan_and_print().unwrap_or_else(|error| {
            // A comment that is made of the output is never empty.
            let environment = self.environment().unwrap_or(DEFAULT_ENVIRONMENT).to_owned();
            let review = Review { environment, error: Some(format!("{error:#}")), ..Review::default() };
            print_review(None, self.output, &review);
            output::error(&error);
            // 2 means "changes" with detailed codes, so no error may exit with it.
            if self.detailed_exitcode { ExitCode::FAILURE } else { ExitCode::from(2) }
        }))
    }

    /// The named environment. CI systems pass an input that is not set as an empty variable.
    fn environment(&self) -> Option<&str> {
        self.environment.as_deref().filter(|name| !name.is_empty())
    }

    fn plan_and_print(&self) -> anyhow::Result<ExitCode> {
        let is_offline = self.from.is_some() || self.paths.len() == 2;
        match self.environment() {
            Some(environment) if !is_offline && !self.environment_file.is_given() => self.plan_of_server(environment),
            _ if names_server() => {
                bail!(
                    "`--server` plans for one environment, and for at most one folder: `evenkeel plan -e live FOLDER`"
                )
            }
            _ => self.plan_offline(),
        }
    }

    fn plan_offline(&self) -> anyhow::Result<ExitCode> {
        let mut notes = Vec::new();
        let (mut before, mut after) = self.sides(&mut notes)?;
        let chosen = self.environment_file.choose(self.environment())?;
        if let (Some(chosen), Some(_)) = (&chosen, &self.from) {
            after.expect_source(chosen, &mut notes)?;
        }
        let environment = environment(chosen, after.environments())?;
        let ChosenPlan { key, selection, others } = environment;
        let earlier = before.environments();
        let is_new = selection.document.is_none() && !earlier.is_empty() && !earlier.contains(&selection.name);
        let (mut before, mut after) = (before.desired(&selection)?, after.desired(&selection)?);
        let earlier = &before.desired.validated.catalog;
        lost_definitions::report_since(Arc::make_mut(&mut after.desired.validated), earlier, &before.name);
        let host = GitHost::of_job();
        let mut review = Review {
            environment: key.clone(),
            before: before.review(host.as_ref()),
            after: after.review(host.as_ref()),
            notes,
            ..Review::default()
        };
        // Warnings of the earlier side are old news.
        review.before.findings.retain(|finding| finding.severity == crate::text::Severity::Error);
        if !after.desired.validated.is_valid() {
            output::findings(&after.desired.validated);
            output::note("no plan: fix the errors first");
            print_review(None, self.output, &review);
            return Ok(ExitCode::FAILURE);
        }
        let name = before.name.clone();
        if is_new {
            review.before.findings.clear();
            before.desired.inventory.clear();
            review.notes.push(format!("`{name}` does not declare the environment `{key}`; everything is new in it"));
        } else if before.desired.validated.catalog.entries.is_empty() {
            review.before.findings.clear();
            review.notes.push(format!("`{name}` has no definitions; everything is new"));
        } else if !before.desired.validated.is_valid() {
            review.notes.push(format!("warning: `{name}` has errors; definitions with errors are treated as absent"));
        }
        if !others.is_empty() {
            let others = others.join(", ");
            review.notes.push(format!("the plan is for `{key}`; `-e NAME` plans for another environment: {others}"));
        }
        for note in &review.notes {
            output::note(note);
        }
        let options = PlanOptions { environment: &key };
        let plan = plan(&before.desired.inventory, &after.desired.inventory, &options);
        self.save_and_print(&plan, &review)
    }

    /// Prints the plan of a server, which includes definitions that the environment adds.
    fn plan_of_server(&self, environment: &str) -> anyhow::Result<ExitCode> {
        let address = environment_name(environment)
            .map_err(|problem| anyhow!("`{environment}` is not an environment: {problem}"))?;
        let folder = self.paths.first().map(PathBuf::as_path);
        let after = folder.map_or_else(|| "its sources".to_owned(), |folder| folder.display().to_string());
        let side = |name: &str| ReviewSide { name: name.to_owned(), ..ReviewSide::default() };
        let mut review = Review {
            environment: address.clone(),
            before: side(environment),
            after: side(&after),
            ..Review::default()
        };
        let api = EnvironmentApi { client: self.client.clone(), environment: address, is_chosen: true };
        match plan_server::request(&api, folder)? {
            ServerPlan::Planned(plan, notes) => {
                let status = environment_status::parse(&api.get(&[], Vec::new())?)?;
                review.before.folder.clone_from(&status.folder);
                review.after.folder = status.folder;
                for note in &notes {
                    output::note(note);
                }
                review.notes = notes;
                self.save_and_print(&plan, &review)
            }
            ServerPlan::Refused(findings, text) => {
                for finding in &findings {
                    output::note(&one_line(&serde_json::to_value(finding).unwrap_or_default()));
                }
                output::error(&anyhow!("no plan: {text}"));
                review.after.findings = findings;
                print_review(None, self.output, &review);
                Ok(ExitCode::FAILURE)
            }
        }
    }

    /// The two sides to compare. Adds remarks about their choice.
    fn sides(&self, notes: &mut Vec<String>) -> anyhow::Result<(PlanFiles, PlanFiles)> {
        match (self.paths.as_slice(), &self.from, &self.to) {
            ([before, after], None, _) => Ok((read_folder(before)?, read_folder(after)?)),
            (paths @ ([] | [_]), Some(from), to) => {
                let folder = paths.first().map_or(Path::new("."), PathBuf::as_path);
                let before = read_base(folder, from, to.as_deref().unwrap_or("HEAD"), notes)?;
                let after = match to {
                    Some(to) => read_revision(folder, to)?,
                    None => read_folder(folder)?,
                };
                Ok((before, after))
            }
            (_, Some(_), _) => bail!("`--from` takes at most one folder: `evenkeel plan --from main definitions`"),
            (_, None, _) => bail!(
                "there is nothing to compare; expected two folders (`evenkeel plan before after`), a revision \
                 (`evenkeel plan --from main`) or an environment of a server (`evenkeel plan -e live`)"
            ),
        }
    }

    fn save_and_print(&self, plan: &Plan, review: &Review) -> anyhow::Result<ExitCode> {
        if let Some(file) = &self.out {
            std::fs::write(file, plan.to_json()).with_context(|| format!("cannot write {}", file.display()))?;
        }
        print_review(Some(plan), self.output, review);
        Ok(if self.detailed_exitcode && !plan.is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS })
    }
}

/// True if the arguments name a server: EVENKEEL_SERVER alone does not stop a comparison on this machine.
fn names_server() -> bool {
    let is_server = |argument: &str| argument == "--server" || argument.starts_with("--server=");
    std::env::args_os().any(|argument| argument.to_str().is_some_and(is_server))
}

/// The environment of a plan on this machine.
#[derive(Debug)]
struct ChosenPlan {
    /// Name in the plan.
    key: String,
    selection: EnvironmentSelection,
    /// The other environments that are declared, if none was chosen.
    others: Vec<String>,
}

/// The chosen environment; otherwise the first declared one (default: `local`).
fn environment(chosen: Option<ChosenEnvironment>, mut declared: Vec<String>) -> anyhow::Result<ChosenPlan> {
    let Some(ChosenEnvironment { key, selection, .. }) = chosen else {
        let name = if declared.is_empty() { DEFAULT_ENVIRONMENT.to_owned() } else { declared.remove(0) };
        declared.retain(|other| *other != name);
        let selection = EnvironmentSelection { name: name.clone(), document: None };
        return Ok(ChosenPlan { key: name, selection, others: declared });
    };
    if selection.document.is_none() {
        let name = &selection.name;
        match declared.is_empty() {
            true if !is_name(name) => bail!("`{name}` is not an environment name; expected for example `live`"),
            false if !declared.contains(name) => {
                bail!("unknown environment `{name}`; expected one of {}", declared.join(", "))
            }
            _ => {}
        }
    }
    Ok(ChosenPlan { key, selection, others: Vec::new() })
}
