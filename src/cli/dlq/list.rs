//! `evenkeel dlq list`

use std::process::ExitCode;

use clap::Args;

use super::super::environment_args::ApiArgs;
use super::super::output;
use super::super::page_args::{PageArgs, items, note_next};
use super::super::style::Style;
use super::super::table::{excerpt, fixed, text_column};
use crate::api::event::DeadLetterSummary;

/// List dead letters, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel dlq list --status Pending --limit 10")]
pub(super) struct List {
    /// Status: Pending, Replayed or Expired
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

impl List {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let page = self.api.connect()?.get(&["dead-letters"], self.page.query([("status", self.status)]))?;
        if let Some(code) = self.api.output.print_json(&page) {
            return Ok(code);
        }
        let style = Style::of_stdout();
        let rows: Vec<[String; 6]> = items::<DeadLetterSummary>(&page, "dead letters")?
            .into_iter()
            .map(|letter| {
                let reason = format!("{}: {}", letter.reason, excerpt(&letter.message));
                let [trigger, workflow] = [letter.trigger, letter.workflow].map(Option::unwrap_or_default);
                [letter.id, style.time_cell(letter.at), trigger, workflow, letter.status.to_string(), reason]
            })
            .collect();
        let columns = [
            fixed("DEAD LETTER"),
            fixed(style.time_title()),
            text_column("TRIGGER"),
            text_column("WORKFLOW"),
            text_column("STATUS"),
            text_column("REASON"),
        ];
        output::data(&style.table(columns, &rows));
        note_next(&page);
        Ok(ExitCode::SUCCESS)
    }
}
