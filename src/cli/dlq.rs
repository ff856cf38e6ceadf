//! `evenkeel dlq`: lists, shows and replays dead letters.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::execution_api::ExecutionApi;
use super::output;
use super::table::{excerpt, table, text, time};

/// List, show and replay dead letters
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel dlq list --status Pending
  evenkeel dlq replay all")]
pub(super) struct Dlq {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    List(List),
    Show(Show),
    Replay(Replay),
}

/// List dead letters, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel dlq list --status Pending")]
struct List {
    /// Status: Pending, Replayed or Expired
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Maximum number of dead letters
    #[arg(short = 'n', long, default_value_t = 50, value_name = "NUMBER")]
    limit: u32,
    #[command(flatten)]
    api: ExecutionApi,
}

/// Show a dead letter and its payload
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel dlq show 01jd3kx0")]
struct Show {
    /// Dead letter ID or a unique prefix of it
    #[arg(value_name = "DEAD_LETTER")]
    id: String,
    #[command(flatten)]
    api: ExecutionApi,
}

/// Start the execution of a dead letter again
#[derive(Debug, Args)]
#[command(after_help = "\
Uses the routes and workflows that are live now.

Examples:
  evenkeel dlq replay 01jd3kx0
  evenkeel dlq replay all")]
struct Replay {
    /// Dead letter ID or a unique prefix of it; `all` for every pending one
    #[arg(value_name = "DEAD_LETTER")]
    id: String,
    #[command(flatten)]
    api: ExecutionApi,
}

impl Dlq {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            DlqCommand::List(command) => command.run(),
            DlqCommand::Show(command) => command.run(),
            DlqCommand::Replay(command) if command.id == "all" => command.replay_all(),
            DlqCommand::Replay(command) => command.run(),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<ExitCode> {
        let limit = self.limit.to_string();
        let query = [("status", self.status.as_deref()), ("limit", Some(limit.as_str()))];
        let response = self.api.get("/v1/dead-letters", &query)?;
        if let Some(code) = self.api.output.print_json(&response) {
            return Ok(code);
        }
        let rows = response["deadLetters"].as_array().into_iter().flatten().map(|letter| {
            [
                text(&letter["id"]),
                time(&letter["at"]),
                text(&letter["trigger"]),
                text(&letter["workflow"]),
                text(&letter["status"]),
                format!("{}: {}", text(&letter["reason"]), excerpt(&text(&letter["message"]))),
            ]
        });
        let header = ["DEAD LETTER", "TIME", "TRIGGER", "WORKFLOW", "STATUS", "REASON"];
        output::data(&table(header, rows.collect()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn run(self) -> anyhow::Result<ExitCode> {
        let letter = self.api.get(&format!("/v1/dead-letters/{}", self.id), &[])?;
        output::data(&format!("{letter:#}\n"));
        Ok(ExitCode::SUCCESS)
    }
}

impl Replay {
    fn run(self) -> anyhow::Result<ExitCode> {
        let response = self.api.post(&format!("/v1/dead-letters/{}/replay", self.id), &json!({}))?;
        for id in response["executions"].as_array().into_iter().flatten() {
            output::data(&format!("{}\n", text(id)));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn replay_all(self) -> anyhow::Result<ExitCode> {
        let query = [("status", Some("Pending")), ("limit", Some("1000"))];
        let response = self.api.get("/v1/dead-letters", &query)?;
        let mut replayed = 0;
        for letter in response["deadLetters"].as_array().into_iter().flatten() {
            let id = text(&letter["id"]);
            match self.api.post(&format!("/v1/dead-letters/{id}/replay"), &json!({})) {
                Ok(_) => replayed += 1,
                Err(error) => output::note(&format!("{id}: {error:#}")),
            }
        }
        output::data(&format!("{} replayed\n", output::count(replayed, "dead letter")));
        Ok(ExitCode::SUCCESS)
    }
}
