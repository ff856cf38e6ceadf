//! `evenkeel triggers`: lists triggers.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::execution_api::ExecutionApi;
use super::output;
use super::table::{table, text};

/// List triggers with their addresses, schedules and subscriptions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel triggers -e live")]
pub(super) struct Triggers {
    #[command(flatten)]
    api: ExecutionApi,
}

impl Triggers {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let response = self.api.get("/v1/triggers", &[])?;
        if let Some(code) = self.api.output.print_json(&response) {
            return Ok(code);
        }
        let rows = response["triggers"].as_array().into_iter().flatten().map(|trigger| {
            let active = if trigger["active"] == true { "yes" } else { "no" };
            [text(&trigger["name"]), text(&trigger["kind"]), active.to_owned(), details(trigger)]
        });
        output::data(&table(["TRIGGER", "KIND", "ACTIVE", "DETAILS"], rows.collect()));
        Ok(ExitCode::SUCCESS)
    }
}

/// Address of a webhook, times of a schedule, or subscriptions of an app event.
fn details(trigger: &Value) -> String {
    match text(&trigger["kind"]).as_str() {
        "webhook" => text(&trigger["url"]),
        "schedule" => {
            let counts = &trigger["counts"];
            let (fired, missed, late) = (&counts["fired"], &counts["missed"], &counts["late"]);
            let next = trigger["next"].as_str().unwrap_or("never");
            format!("{}; next {next}; {fired} fired, {missed} missed, {late} late", text(&trigger["description"]))
        }
        _ => {
            let rows = trigger["subscriptions"].as_array().into_iter().flatten();
            let states = rows.map(|row| format!("{} {}", text(&row["connection"]), text(&row["status"])));
            let polls = trigger["polls"].as_array().into_iter().flatten();
            let polls = polls.map(|row| format!("{} polled", text(&row["connection"])));
            let states: Vec<String> = states.chain(polls).map(|state| state.trim().to_owned()).collect();
            format!("{}: {}", text(&trigger["event"]), states.join(", "))
        }
    }
}
