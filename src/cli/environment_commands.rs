//! What operators ask of a running server: go back, promote, stop, go on, look now, where something comes from.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::output;
use super::remote::{Remote, name};
use crate::definition::Id;

/// Make an earlier generation of an environment active again.
///
/// The revision that is left is not applied again; a newer one, or `evenkeel resume`, is.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The environment.
    #[arg(value_parser = name)]
    environment: String,
    /// The generation's number, as `evenkeel history` shows it.
    generation: u64,
    #[command(flatten)]
    remote: Remote,
}

/// Make the active generation of one environment that of another, exactly as it is.
///
/// What somebody wrote over by hand there is copied too, and said as a warning.
#[derive(Debug, Args)]
pub(super) struct Promote {
    /// The environment to copy from.
    #[arg(value_parser = name)]
    from: String,
    /// The environment to change.
    #[arg(value_parser = name)]
    to: String,
    #[command(flatten)]
    remote: Remote,
}

/// Apply nothing to an environment until it is resumed; what serves keeps serving.
#[derive(Debug, Args)]
pub(super) struct Suspend {
    /// The environment.
    #[arg(value_parser = name)]
    environment: String,
    /// Why, for those who read the status.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Apply changes again, after a suspension or a rollback.
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The environment.
    #[arg(value_parser = name)]
    environment: String,
    #[command(flatten)]
    remote: Remote,
}

/// Look at an environment's sources now instead of at the next interval.
#[derive(Debug, Args)]
pub(super) struct Reconcile {
    /// The environment.
    #[arg(value_parser = name)]
    environment: String,
    /// Now, which is what it does.
    #[arg(long, hide = true)]
    now: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Show where a live definition comes from: its source, commit, file and line.
#[derive(Debug, Args)]
pub(super) struct Trace {
    /// The definition, as `Kind/name`.
    id: Id,
    /// The environment.
    #[arg(short, long, value_parser = name)]
    environment: String,
    /// How to show it: human, json.
    #[arg(short, long, default_value = "human", value_name = "FORM")]
    output: Form,
    #[command(flatten)]
    remote: Remote,
}

/// Bring back a definition that was removed, while its undo window is open.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The definition, as `Kind/name`.
    id: Id,
    /// The environment.
    #[arg(short, long, value_parser = name)]
    environment: String,
    #[command(flatten)]
    remote: Remote,
}

/// For people or for tools.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(super) enum Form {
    Human,
    Json,
}

fn act(remote: &Remote, environment: &str, verb: &str, body: &Value) -> anyhow::Result<Value> {
    remote.post(&format!("/v1/environments/{environment}/{verb}"), body)
}

fn went_live(environment: &str, answer: &Value) -> ExitCode {
    let number = &answer["number"];
    let digest = answer["digest"].as_str().map_or("", |digest| digest.get(..23).unwrap_or(digest));
    output::data(&format!("{environment}: generation {number} is live ({digest})\n"));
    ExitCode::SUCCESS
}

impl Rollback {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let answer = act(&self.remote, &self.environment, "rollback", &json!({"to": self.generation}))?;
        Ok(went_live(&self.environment, &answer))
    }
}

impl Promote {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let answer = act(&self.remote, &self.to, "promote", &json!({"from": self.from}))?;
        for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            output::note(&format!("warning: {warning}"));
        }
        Ok(went_live(&self.to, &answer))
    }
}

impl Suspend {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let body = self.reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
        act(&self.remote, &self.environment, "suspend", &body)?;
        output::data(&format!("{}: suspended; `evenkeel resume {}` goes on\n", self.environment, self.environment));
        Ok(ExitCode::SUCCESS)
    }
}

impl Resume {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let answer = act(&self.remote, &self.environment, "resume", &json!({}))?;
        Ok(super::status::show(&answer["status"], Form::Human))
    }
}

impl Reconcile {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let answer = act(&self.remote, &self.environment, "reconcile", &json!({}))?;
        Ok(super::status::show(&answer["status"], Form::Human))
    }
}

impl Trace {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let found = self.remote.get(&format!("/v1/environments/{}/trace/{}", self.environment, self.id))?;
        if self.output == Form::Json {
            output::data(&format!("{found:#}\n"));
            return Ok(ExitCode::SUCCESS);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let owner = &found["owner"];
        let from = match owner["by"].as_str() {
            Some("hand") => format!("written by hand by {}", text(&owner["who"])),
            _ => format!("{} {}", text(&owner["source"]), text(&owner["revision"])),
        };
        let mut lines = format!(
            "{}\n  from        {from}\n  file        {}:{}\n",
            text(&found["id"]),
            text(&found["file"]),
            found["line"]
        );
        for overlay in found["overlays"].as_array().into_iter().flatten() {
            lines += &format!("  overlay     {}\n", text(overlay));
        }
        lines += &format!("  generation  {}\n  identity    {}\n", found["generation"], text(&found["uid"]));
        output::data(&lines);
        Ok(ExitCode::SUCCESS)
    }
}

impl Restore {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let answer = act(&self.remote, &self.environment, "restore", &json!({"id": self.id.to_string()}))?;
        Ok(went_live(&self.environment, &answer))
    }
}
