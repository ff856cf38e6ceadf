//! `evenkeel workflows`: lists workflows.

use std::process::ExitCode;

use clap::Args;

use super::environment_args::ApiArgs;
use super::output;
use super::page_args::{PageArgs, items, note_next};
use super::style::Style;
use super::table::{fixed, text_column};
use crate::api::workflow::Workflow;

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
        let rows: Vec<[String; 5]> = items::<Workflow>(&page, "workflows")?
            .into_iter()
            .map(|workflow| {
                let active = if workflow.active { "yes" } else { "no" };
                let version = workflow.version.map_or_else(|| "-".to_owned(), |number| format!("v{number}"));
                [workflow.name, workflow.tier.as_str().to_owned(), active.to_owned(), version, workflow.source]
            })
            .collect();
        let columns = [fixed("WORKFLOW"), fixed("TIER"), fixed("ACTIVE"), fixed("VERSION"), text_column("LOCATION")];
        output::data(&Style::of_stdout().table(columns, &rows));
        note_next(&page);
        Ok(ExitCode::SUCCESS)
    }
}
