//! `evenkeel triggers`: lists triggers.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::environment_args::ApiArgs;
use super::output;
use super::page_args::{PageArgs, items, note_next};
use super::style::Style;
use super::table::{fixed, text, text_column};

/// List triggers with their addresses, schedules and subscriptions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel triggers -e live")]
pub(super) struct Triggers {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

impl Triggers {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let page = self.api.connect()?.get(&["triggers"], self.page.query([]))?;
        if let Some(code) = self.api.output.print_json(&page) {
            return Ok(code);
        }
        let rows: Vec<[String; 5]> = items(&page)
            .map(|trigger| {
                let active = if trigger["active"] == true { "yes" } else { "no" };
                let [name, kind, reason] = ["name", "kind", "reason"].map(|name| text(&trigger[name]));
                [name, kind, active.to_owned(), reason, details(trigger)]
            })
            .collect();
        let columns = [fixed("TRIGGER"), fixed("KIND"), fixed("ACTIVE"), text_column("REASON"), text_column("DETAILS")];
        output::data(&Style::of_stdout().table(columns, &rows));
        note_next(&page);
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
