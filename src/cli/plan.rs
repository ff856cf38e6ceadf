//! `evenkeel plan`: what changes between two sets of definitions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};

use serde_json::{Value, json};

use super::output;
use super::remote::{Remote, name};
use crate::catalog;
use crate::definition::is_name;
use crate::plan::render::{self, Revisions};
use crate::plan::{Inventory, Object, Plan, PlanOptions, inventory, plan};
use crate::reconcile::candidate::with_files;
use crate::reconcile::validate::{self, Validated};
use crate::source::{MAX_ASSET_BYTES, directory, git};

/// What the objects of both sides are said to come from: two folders are two states of one source.
const SOURCE: &str = "definitions";

/// Show what changes between two sets of definitions; nothing is applied.
///
/// Compares two folders, or two revisions of the Git repository that a folder is in: no network, no account. With
/// --server, shows what an environment of a running server would change, or what a folder would change there. What is shown is what counts:
/// comments, the order of keys and spelled-out defaults do not. Each change says where it is declared, whether it breaks
/// those who use the definition, and what depends on it. Exits with 0, and with 1 where there is an error.
#[derive(Debug, Args)]
#[command(
    override_usage = "evenkeel plan [OPTIONS] BEFORE AFTER\n       evenkeel plan [OPTIONS] --from REVISION [--to REVISION] [FOLDER]\n       evenkeel plan [OPTIONS] --server URL -e ENVIRONMENT [FOLDER]"
)]
pub(super) struct PlanCommand {
    /// Two folders of definitions, before and after; with `--from`, the one folder that is looked at (`.` where left out).
    #[arg(value_name = "FOLDER", num_args = 0..=2)]
    paths: Vec<PathBuf>,
    /// The revision before: a branch, tag or commit of the repository that the folder is in.
    #[arg(long, value_name = "REVISION")]
    from: Option<String>,
    /// The revision after; the folder as it is where left out.
    #[arg(long, value_name = "REVISION", requires = "from")]
    to: Option<String>,
    /// The environment that the plan is for; the first one that is declared where left out.
    #[arg(short, long, value_name = "NAME")]
    environment: Option<String>,
    /// A running server: shows the plan that waits there, or what a folder would change there.
    #[arg(long, value_name = "URL", conflicts_with_all = ["from", "to"], requires = "environment")]
    server: Option<String>,
    /// The token that says who asks the server. Better given as EVENKEEL_TOKEN: command lines are seen by others.
    #[arg(long, env = "EVENKEEL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// How to report.
    #[arg(short, long, value_enum, default_value = "human", value_name = "FORM")]
    output: PlanForm,
    /// Exit with 0 where nothing changes, 1 on an error, and 2 where something changes.
    #[arg(long)]
    detailed_exitcode: bool,
    /// Save the plan to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum PlanForm {
    Human,
    Json,
    Markdown,
}

impl PlanCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        // 2 means "changes" here, so no error may exit with it.
        Ok(self.planned().unwrap_or_else(|error| {
            output::error(&error);
            ExitCode::FAILURE
        }))
    }

    fn planned(&self) -> anyhow::Result<ExitCode> {
        if let Some(server) = &self.server {
            return self.asked(server);
        }
        let (before, after) = self.sides()?;
        if !after.examined.is_valid() {
            output::findings(&after.examined);
            output::note("no plan: correct the definitions first");
            return Ok(ExitCode::FAILURE);
        }
        let name = &before.name;
        if before.examined.catalog.entries.is_empty() {
            output::note(&format!("{name} holds no definitions: everything is new"));
        } else if !before.examined.is_valid() {
            output::note(&format!("warning: {name} has errors; what they are in counts as not there before"));
        }
        let environment = environment(self.environment.as_deref(), &after.examined)?;
        let options = PlanOptions { environment: &environment, fingerprint: None };
        let plan = plan(&before.inventory(), &after.inventory(), &options);
        self.show(&plan, &Revisions { from: &before.name, to: &after.name })
    }

    /// The plan that a server makes, with everything that its environment adds.
    fn asked(&self, server: &str) -> anyhow::Result<ExitCode> {
        let remote = Remote { server: server.to_owned(), token: self.token.clone() };
        let environment = self.environment.as_deref().unwrap_or_default();
        name(environment).map_err(|problem| anyhow!("`{environment}`: {problem}"))?;
        let path = format!("/v1/environments/{environment}/plan");
        let (answer, after) = match self.paths.as_slice() {
            [] => (remote.get(&path)?, "what its sources declare".to_owned()),
            [folder] => {
                let answer = remote.post(&path, &files(folder)?)?;
                for blocked in answer["blocked"].as_array().into_iter().flatten() {
                    output::note(&format!(
                        "would wait for approval: {}",
                        blocked["message"].as_str().unwrap_or_default()
                    ));
                }
                (answer["plan"].clone(), folder.display().to_string())
            }
            _ => bail!("with `--server`, name one folder at most"),
        };
        let plan = remote.plan(&answer)?;
        self.show(&plan, &Revisions { from: environment, to: &after })
    }

    /// What is compared.
    fn sides(&self) -> anyhow::Result<(Side, Side)> {
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
            (_, Some(_), _) => bail!("with `--from`, name one folder at most: `evenkeel plan --from main definitions`"),
            (_, None, _) => {
                bail!("name two folders, `evenkeel plan before after`, or a revision, `evenkeel plan --from main`")
            }
        }
    }

    fn show(&self, plan: &Plan, revisions: &Revisions<'_>) -> anyhow::Result<ExitCode> {
        if let Some(file) = &self.out {
            std::fs::write(file, plan.to_json()).with_context(|| format!("cannot write {}", file.display()))?;
        }
        show(plan, self.output, revisions);
        Ok(if self.detailed_exitcode && !plan.is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS })
    }
}

/// Prints a plan.
pub(super) fn show(plan: &Plan, form: PlanForm, revisions: &Revisions<'_>) {
    output::data(&match form {
        PlanForm::Human => render::human(plan, output::colored()),
        PlanForm::Json => plan.to_json(),
        PlanForm::Markdown => render::markdown(plan, revisions),
    });
}

/// Files as a server takes them: those that are text.
fn files(folder: &Path) -> anyhow::Result<Value> {
    let read = || format!("cannot read {}", folder.display());
    let (snapshot, unreadable) = directory::read(folder).with_context(read)?;
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

/// One side of a plan.
struct Side {
    /// What it was at, as people read it.
    name: String,
    examined: Validated,
    /// Contents of the files that definitions name.
    assets: BTreeMap<String, Arc<[u8]>>,
}

impl Side {
    fn new(name: String, examined: Validated, read: impl Fn(&str) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<Side> {
        let read = |file: String| {
            let bytes = read(&file).with_context(|| format!("cannot read {file}"))?;
            Ok((file, bytes.into()))
        };
        let assets: anyhow::Result<_> = catalog::assets(&examined.catalog).into_iter().map(read).collect();
        Ok(Side { name, examined, assets: assets? })
    }

    fn inventory(&self) -> Inventory {
        let catalog = &self.examined.catalog;
        let mut inventory = inventory(catalog, SOURCE, &self.name);
        for entry in catalog.entries.iter().filter(|entry| catalog::assets_of(entry).next().is_some()) {
            if let Some(object) = inventory.get_mut(&entry.id) {
                *object = Arc::new(with_files(Object::clone(object), entry, &self.assets));
            }
        }
        inventory
    }
}

fn read_folder(path: &Path) -> anyhow::Result<Side> {
    let examined = validate::folder(path).with_context(|| format!("cannot read {}", path.display()))?;
    let inside = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let read = |file: &str| {
        let bytes = directory::read_inside(inside, file, MAX_ASSET_BYTES + 1)?;
        if bytes.len() > MAX_ASSET_BYTES {
            bail!("it has more than the {MAX_ASSET_BYTES} bytes that are read");
        }
        Ok(bytes)
    };
    Side::new(path.display().to_string(), examined, read)
}

/// The definitions of a folder at a revision of the repository that it is in.
fn read_revision(folder: &Path, revision: &str) -> anyhow::Result<Side> {
    let (repository, path) = repository_of(folder)?;
    let fetched = git::local(&repository, revision, path.as_deref())?;
    let examined = validate::with(&fetched.snapshot, fetched.unreadable);
    let read = |file: &str| Ok(git::local_file(&repository, &fetched.revision.commit, path.as_deref(), file)?);
    Side::new(fetched.revision.name.clone(), examined, read)
}

/// The root of the repository that a folder is in, and the folder's path in it with `/` between its parts; `None` for
/// the root itself.
fn repository_of(folder: &Path) -> anyhow::Result<(PathBuf, Option<String>)> {
    let folder = folder.canonicalize().with_context(|| format!("cannot read {}", folder.display()))?;
    // `.git` is a file in worktrees and submodules.
    let Some(root) = folder.ancestors().find(|folder| folder.join(".git").exists()) else {
        bail!("{} is in no Git repository; name two folders instead", folder.display())
    };
    let inside = folder.strip_prefix(root).unwrap_or(Path::new(""));
    let parts: Option<Vec<&str>> = inside.iter().map(|part| part.to_str()).collect();
    let path = parts.with_context(|| format!("the path of {} is not UTF-8", folder.display()))?.join("/");
    Ok((root.to_owned(), Some(path).filter(|path| !path.is_empty())))
}

/// The environment of a name, or the first one; `local` where none is declared.
fn environment(name: Option<&str>, examined: &Validated) -> anyhow::Result<String> {
    let declared: Vec<&str> = examined.catalog.environments().map(|(entry, _)| entry.id.name.as_str()).collect();
    match name {
        None => Ok(declared.first().copied().unwrap_or("local").to_owned()),
        Some(name) if declared.contains(&name) || declared.is_empty() && is_name(name) => Ok(name.to_owned()),
        Some(name) if declared.is_empty() => bail!("`{name}` is no name of an environment, such as `live`"),
        Some(name) => bail!("there is no environment `{name}`; there are {}", declared.join(", ")),
    }
}
