//! `evenkeel status`, `evenkeel history` and `evenkeel diff`: what a server says of its environments.

mod cluster;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use super::environment_commands::Form;
use super::output;
use super::remote::{Remote, name, one_line};
use crate::plan::render::Revisions;
use crate::reconcile::status::{ConditionKind, Status};
use crate::store::{Generation, Micros};

/// Show what environments say of themselves.
///
/// Exits with 0 where all of them are ready, with 1 where one is not, and with 2 where the server cannot be asked.
#[derive(Debug, Args)]
pub(super) struct StatusCommand {
    /// The environment; all where left out.
    #[arg(value_parser = name)]
    environment: Option<String>,
    /// Ask the Kubernetes cluster of KUBECONFIG instead: its Environments, and every definition that is not ready.
    #[arg(long, conflicts_with_all = ["environment", "server"])]
    kube: bool,
    /// The namespace that is asked about; the kubeconfig's where left out.
    #[arg(short, long, requires = "kube", value_name = "NAME")]
    namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, requires = "kube", conflicts_with = "namespace")]
    all_namespaces: bool,
    /// How to show it: human, json.
    #[arg(short, long, default_value = "human", value_name = "FORM")]
    output: Form,
    #[command(flatten)]
    remote: Remote,
}

/// Show the generations of an environment, the newest first.
#[derive(Debug, Args)]
pub(super) struct History {
    /// The environment.
    #[arg(value_parser = name)]
    environment: String,
    /// At most so many.
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: u32,
    /// How to show it: human, json.
    #[arg(short, long, default_value = "human", value_name = "FORM")]
    output: Form,
    #[command(flatten)]
    remote: Remote,
}

/// Show what changed between two generations of an environment.
///
/// With --exit-code: 0 nothing, 1 something, 2 it could not be told.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The environment.
    #[arg(value_parser = name)]
    environment: String,
    /// The earlier generation; the one before the other where left out.
    #[arg(long)]
    from: Option<u64>,
    /// The later generation; the active one where left out.
    #[arg(long)]
    to: Option<u64>,
    /// How to show it: human, json, markdown.
    #[arg(short, long, default_value = "human", value_name = "FORM")]
    output: super::plan::PlanForm,
    /// Tell by the exit code whether anything changed.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    remote: Remote,
}

impl StatusCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if self.kube {
            return cluster::show(self.namespace.as_deref(), self.all_namespaces, self.output);
        }
        let names: Vec<String> = if let Some(name) = &self.environment {
            vec![name.clone()]
        } else {
            let list = self.remote.get("/v1/environments")?;
            let names = list["environments"].as_array().into_iter().flatten();
            names.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
        };
        let mut code = ExitCode::SUCCESS;
        for name in names {
            let status = self.remote.get(&format!("/v1/environments/{name}"))?;
            if show(&status, self.output) != ExitCode::SUCCESS {
                code = ExitCode::FAILURE;
            }
        }
        Ok(code)
    }
}

/// Shows one status; fails where it is not ready.
pub(super) fn show(value: &Value, form: Form) -> ExitCode {
    let status: Status = serde_json::from_value(value.clone()).unwrap_or_default();
    match form {
        Form::Json => output::data(&format!("{value:#}\n")),
        Form::Human => output::data(&human(&status, value)),
    }
    if status.is_ready() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn human(status: &Status, value: &Value) -> String {
    let paint = output::Paint::new();
    let name = &status.environment;
    let ready = status.condition(ConditionKind::Ready);
    let (reason, message) = ready.map_or(("Unknown", ""), |ready| (ready.reason.as_str(), ready.message.as_str()));
    let word = if status.is_ready() { paint.green("Ready") } else { paint.red("not ready") };
    let mut text = format!("{}: {word} ({reason}): {message}\n", paint.bold(name));
    if status.generation > 0 {
        let digest = status.digest.map(|digest| digest.short()).unwrap_or_default();
        text += &format!(
            "  generation  {} {digest}, {}, since {}\n",
            status.generation,
            output::count(status.definitions, "definition"),
            time(status.applied_at)
        );
    }
    for (source, revision) in &status.last_applied {
        text += &format!("  live        {}{revision}\n", of_source(source));
    }
    for (source, revision) in &status.last_attempted {
        if status.last_applied.get(source) != Some(revision) {
            text += &format!("  refused     {}{revision}\n", of_source(source));
        }
    }
    for (source, revision) in &status.history_rewritten {
        let source = of_source(source);
        text += &format!("  history     {source}rewritten: {revision} does not follow from what was there before\n");
    }
    if status.errors > 0 {
        text += &format!("  findings    {}\n", output::count(status.errors, "error"));
        for finding in status.findings.iter().filter(|finding| finding["severity"] == "error").take(5) {
            text += &format!("              {}\n", one_line(finding));
        }
    }
    for drift in &status.drift {
        let until = drift.until.map_or_else(String::new, |until| format!(", allowed until {}", time(until)));
        text += &format!("  drift       {} {} by {} at {}{until}\n", drift.id, drift.how, drift.who, time(drift.at));
    }
    for held in &status.held {
        text += &format!("  held back   {held}\n");
    }
    for blocked in &status.blocked {
        text += &format!("  blocked     {}\n", blocked.message);
    }
    if let Some(pending) = &status.pending {
        text += &format!("  waits       plan {} ({})\n", pending.plan.short(), pending.reason);
    }
    let replicas = value["replicas"].as_array().map_or(0, Vec::len);
    if replicas > 1 {
        let serve = value["replicas"].as_array().into_iter().flatten();
        let current = serve.filter(|replica| replica["number"] == status.generation).count();
        text += &format!("  processes   {current} of {replicas} serve it\n");
    }
    text
}

fn of_source(name: &str) -> String {
    if name == crate::reconcile::sources::ONLY { String::new() } else { format!("{name} ") }
}

/// A time as people read it, UTC.
fn time(at: Micros) -> String {
    jiff::Timestamp::from_microsecond(at)
        .map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

impl History {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let path = format!("/v1/environments/{}/history?limit={}", self.environment, self.limit);
        let history = self.remote.get(&path)?;
        if self.output == Form::Json {
            output::data(&format!("{history:#}\n"));
            return Ok(ExitCode::SUCCESS);
        }
        let generations: Vec<Generation> =
            serde_json::from_value(history["generations"].clone()).context("the server's answer is not a history")?;
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

impl Diff {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let number =
            |name: &str, number: Option<u64>| number.map_or_else(String::new, |number| format!("{name}={number}&"));
        let query = format!("{}{}", number("from", self.from), number("to", self.to));
        let found = self.remote.get(&format!("/v1/environments/{}/diff?{query}", self.environment))?;
        let plan = self.remote.plan(&found)?;
        let shown = |number: Option<u64>| number.map_or_else(|| "active".to_owned(), |number| number.to_string());
        super::plan::show(&plan, self.output, &Revisions { from: &shown(self.from), to: &shown(self.to) });
        let changed = !plan.actions.is_empty();
        Ok(if changed && self.exit_code { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
