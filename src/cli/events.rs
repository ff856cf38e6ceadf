//! `evenkeel events`: lists received events.

use std::process::ExitCode;

use clap::Args;

use super::execution_api::ExecutionApi;
use super::output;
use super::table::{table, text, time};

/// List received events, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel events --trigger orders-in -n 10")]
pub(super) struct Events {
    /// Trigger that received the events
    #[arg(long, value_name = "TRIGGER")]
    trigger: Option<String>,
    /// Maximum number of events
    #[arg(short = 'n', long, default_value_t = 50, value_name = "NUMBER")]
    limit: u32,
    #[command(flatten)]
    api: ExecutionApi,
}

impl Events {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let limit = self.limit.to_string();
        let query = [("trigger", self.trigger.as_deref()), ("limit", Some(limit.as_str()))];
        let response = self.api.get("/v1/events", &query)?;
        if let Some(code) = self.api.output.print_json(&response) {
            return Ok(code);
        }
        let rows = response["events"].as_array().into_iter().flatten().map(|event| {
            [
                text(&event["id"]),
                time(&event["at"]),
                text(&event["trigger"]),
                text(&event["kind"]),
                text(&event["outcome"]),
            ]
        });
        output::data(&table(["EVENT", "TIME", "TRIGGER", "KIND", "OUTCOME"], rows.collect()));
        Ok(ExitCode::SUCCESS)
    }
}
