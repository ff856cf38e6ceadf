//! `evenkeel workflows`: lists workflows.

use std::process::ExitCode;

use clap::Args;

use super::environment_args::ApiArgs;
use super::output;
use super::page_args::{PageArgs, items, note_next};
use super::style::Style;
use super::table::{fixed, text, text_column};

/// List workflows with their versions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel workflows -e live")]
pub(super) struct Workflows {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

impl Workflows {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let page = self.api.connect()?.get(&["workflows"], self.page.query([]))?;
        if let Some(code) = self.api.output.print_json(&page) {
            return Ok(code);
        }
        let rows: Vec<[String; 5]> = items(&page)
            .map(|workflow| {
                let active = if workflow["active"] == true { "yes" } else { "no" };
                let version =
                    workflow["version"].as_i64().map_or_else(|| "-".to_owned(), |number| format!("v{number}"));
                let location = workflow["location"].as_str().or(workflow["place"].as_str()).unwrap_or_default();
                let [name, tier] = ["name", "tier"].map(|name| text(&workflow[name]));
                [name, tier, active.to_owned(), version, location.to_owned()]
            })
            .collect();
        let columns = [fixed("WORKFLOW"), fixed("TIER"), fixed("ACTIVE"), fixed("VERSION"), text_column("LOCATION")];
        output::data(&Style::of_stdout().table(columns, &rows));
        note_next(&page);
        Ok(ExitCode::SUCCESS)
    }
}
