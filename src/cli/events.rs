//! `evenkeel events`: lists received events.

use std::process::ExitCode;

use clap::Args;

use super::environment_args::ApiArgs;
use super::output;
use super::page_args::{PageArgs, items, note_next};
use super::style::Style;
use super::table::{fixed, text_column};
use crate::api::event::EventSummary;

/// List received events, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel events --trigger orders-in --limit 10")]
pub(super) struct Events {
    /// Trigger that received the events
    #[arg(long, value_name = "TRIGGER")]
    trigger: Option<String>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

impl Events {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let page = self.api.connect()?.get(&["events"], self.page.query([("trigger", self.trigger)]))?;
        if let Some(code) = self.api.output.print_json(&page) {
            return Ok(code);
        }
        let style = Style::of_stdout();
        let rows: Vec<[String; 5]> = items::<EventSummary>(&page, "events")?
            .into_iter()
            .map(|event| {
                let (kind, outcome) = (event.kind.to_string(), event.outcome.to_string());
                [event.id, style.time_cell(event.at), event.trigger, kind, outcome]
            })
            .collect();
        let columns = [
            fixed("EVENT"),
            fixed(style.time_title()),
            text_column("TRIGGER"),
            text_column("KIND"),
            text_column("OUTCOME"),
        ];
        output::data(&style.table(columns, &rows));
        note_next(&page);
        Ok(ExitCode::SUCCESS)
    }
}
