//! `evenkeel executions logs`

use std::process::ExitCode;

use clap::Args;

use super::super::environment_args::ApiArgs;
use super::super::output;
use super::super::page_args::{PageArgs, items, note_next};
use super::super::times::time;
use crate::api::execution::LogLine;

/// Print the log of an execution
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel executions logs 01jd3kx0 --limit 1000")]
pub(super) struct Logs {
    /// Execution ID, or the first 8 or more characters of it if they are unique
    #[arg(value_name = "EXECUTION")]
    id: String,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

impl Logs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let page = self.api.connect()?.get(&["executions", &self.id, "logs"], self.page.query([]))?;
        if let Some(code) = self.api.output.print_json(&page) {
            return Ok(code);
        }
        let lines: Vec<LogLine> = items(&page, "log lines")?;
        let lines = lines.into_iter().map(|line| {
            // `Display` of an enum has no width.
            format!("{} {:<5} {}\n", time(line.at), line.level.as_str(), line.message)
        });
        output::data(&lines.collect::<String>());
        note_next(&page);
        Ok(ExitCode::SUCCESS)
    }
}
