//! `evenkeel triggers`: lists triggers.

use std::process::ExitCode;

use clap::Args;

use super::environment_args::ApiArgs;
use super::output;
use super::page_args::{PageArgs, items, note_next};
use super::style::Style;
use super::table::{fixed, text_column};
use super::times::time;
use crate::api::trigger::{ScheduleCounts, Trigger};

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
        let rows: Vec<[String; 5]> = items::<Trigger>(&page, "triggers")?
            .into_iter()
            .map(|trigger| {
                let active = if trigger.active { "yes" } else { "no" };
                let details = details(&trigger);
                [trigger.name, trigger.kind.to_string(), active.to_owned(), trigger.reason.unwrap_or_default(), details]
            })
            .collect();
        let columns = [fixed("TRIGGER"), fixed("KIND"), fixed("ACTIVE"), text_column("REASON"), text_column("DETAILS")];
        output::data(&Style::of_stdout().table(columns, &rows));
        note_next(&page);
        Ok(ExitCode::SUCCESS)
    }
}

/// Address of a webhook, times of a schedule, or subscriptions of an event of an application.
fn details(trigger: &Trigger) -> String {
    if let Some(url) = &trigger.url {
        return url.clone();
    }
    if let Some(counts) = &trigger.counts {
        let ScheduleCounts { fired, missed, late, error } = counts;
        let next = trigger.next.map_or_else(|| "never".to_owned(), |next| time(Some(next)));
        let description = trigger.description.as_deref().unwrap_or_default();
        let skipped = error.as_ref().map_or_else(String::new, |error| format!("; skipped: {error}"));
        return format!("{description}; next {next}; {fired} fired, {missed} missed, {late} late{skipped}");
    }
    let name = |connection: &Option<String>| connection.as_ref().map_or_else(String::new, |name| format!("{name} "));
    let subscriptions = trigger.subscriptions.iter().map(|row| format!("{}{}", name(&row.connection), row.status));
    let polls = trigger.polls.iter().map(|row| format!("{}polled", name(&row.connection)));
    let states: Vec<String> = subscriptions.chain(polls).collect();
    format!("{}: {}", trigger.event.as_deref().unwrap_or_default(), states.join(", "))
}
