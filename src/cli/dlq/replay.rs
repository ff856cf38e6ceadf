//! `evenkeel dlq replay`

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::super::environment_api::EnvironmentApi;
use super::super::environment_args::ApiArgs;
use super::super::output;
use super::super::page_args::items;
use super::super::table::text;
use crate::api::event::DeadLetterSummary;

/// Maximum number of pages of 1000 dead letters that `replay all` reads.
const MAX_PAGES: usize = 100;

/// Start the execution of a dead letter again
#[derive(Debug, Args)]
#[command(after_help = "\
Uses the routes and workflows that are live now, and prints the IDs of the new
executions.

Exit status:
  0  every dead letter was replayed
  1  some of `all` could not be replayed
  2  the dead letter cannot be replayed

Examples:
  evenkeel dlq replay 01jd3kx0
  evenkeel dlq replay all")]
pub(super) struct Replay {
    /// Dead letter ID; `all` for every pending one
    #[arg(value_name = "DEAD_LETTER")]
    id: String,
    #[command(flatten)]
    api: ApiArgs,
}

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.api.connect()?;
        if self.id == "all" {
            return self.replay_all(&environment);
        }
        let response = replay(&environment, &self.id)?;
        if self.api.output.print_json(&response).is_none() {
            let ids = response["executions"].as_array().into_iter().flatten();
            output::data(&ids.map(|id| format!("{}\n", text(id))).collect::<String>());
        }
        Ok(ExitCode::SUCCESS)
    }

    fn replay_all(&self, environment: &EnvironmentApi) -> anyhow::Result<ExitCode> {
        let (mut replayed, mut failed) = (Vec::new(), Vec::new());
        for id in pending(environment)? {
            match replay(environment, &id) {
                Ok(response) => replayed.push(response),
                Err(error) => {
                    output::failure(&format!("{id}: {error:#}"));
                    failed.push(json!({"deadLetter": id, "detail": format!("{error:#}")}));
                }
            }
        }
        let code = if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        let count = output::count(replayed.len(), "dead letter");
        if self.api.output.print_json(&json!({"replayed": replayed, "failed": failed})).is_none() {
            output::data(&format!("{count} replayed\n"));
        }
        Ok(code)
    }
}

fn replay(environment: &EnvironmentApi, id: &str) -> anyhow::Result<Value> {
    environment.post(&["dead-letters", id, "replay"], Vec::new(), &json!({}))
}

/// IDs of all pending dead letters. They are read before the first is replayed, so that no page moves.
fn pending(environment: &EnvironmentApi) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let query = vec![
            ("status", Some("Pending".to_owned())),
            ("limit", Some("1000".to_owned())),
            ("cursor", cursor.clone()),
        ];
        let page = environment.get(&["dead-letters"], query)?;
        let letters: Vec<DeadLetterSummary> = items(&page, "dead letters")?;
        ids.extend(letters.into_iter().map(|letter| letter.id));
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    Ok(ids)
}
