//! `evenkeel executions list`

use std::process::ExitCode;

use clap::Args;

use super::super::execution_api::ExecutionApi;
use super::super::output;
use super::super::table::{table, text, time};

/// List executions, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel executions list --workflow sync-contact --since 2h
  evenkeel executions list --status Failed -o json")]
pub(super) struct List {
    /// Maximum number of executions
    #[arg(short = 'n', long, default_value_t = 50, value_name = "NUMBER")]
    limit: u32,
    /// List executions before this one: the next page
    #[arg(long, value_name = "EXECUTION")]
    before: Option<String>,
    /// Workflow
    #[arg(long, value_name = "WORKFLOW", help_heading = "Filters")]
    workflow: Option<String>,
    /// Status: Queued, Running, Waiting, Completed, Failed, Cancelled or TimedOut
    #[arg(long, value_name = "STATUS", help_heading = "Filters")]
    status: Option<String>,
    /// Tenant
    #[arg(long, value_name = "TENANT", help_heading = "Filters")]
    tenant: Option<String>,
    /// Trigger that started the execution
    #[arg(long, value_name = "TRIGGER", help_heading = "Filters")]
    trigger: Option<String>,
    /// Maximum age, such as 2h
    #[arg(long, value_name = "DURATION", help_heading = "Filters")]
    since: Option<String>,
    /// Text in the ID, input, output or error
    #[arg(long, value_name = "TEXT", help_heading = "Filters")]
    search: Option<String>,
    #[command(flatten)]
    api: ExecutionApi,
}

impl List {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let limit = self.limit.to_string();
        let query = [
            ("workflow", self.workflow.as_deref()),
            ("status", self.status.as_deref()),
            ("tenant", self.tenant.as_deref()),
            ("trigger", self.trigger.as_deref()),
            ("since", self.since.as_deref()),
            ("text", self.search.as_deref()),
            ("before", self.before.as_deref()),
            ("limit", Some(limit.as_str())),
        ];
        let response = self.api.get("/v1/executions", &query)?;
        if let Some(code) = self.api.output.print_json(&response) {
            return Ok(code);
        }
        let rows = response["executions"].as_array().into_iter().flatten().map(|execution| {
            [
                text(&execution["id"]),
                time(&execution["createdAt"]),
                format!("{} v{}", text(&execution["workflow"]), execution["version"]),
                text(&execution["tier"]),
                text(&execution["status"]),
                execution["durationMs"].as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms")),
                match text(&execution["source"]).as_str() {
                    "" => text(&execution["triggeredBy"]),
                    source => format!("{} {source}", text(&execution["triggeredBy"])),
                },
                text(&execution["tenant"]),
            ]
        });
        let header = ["EXECUTION", "TIME", "WORKFLOW", "TIER", "STATUS", "DURATION", "TRIGGERED BY", "TENANT"];
        output::data(&table(header, rows.collect()));
        Ok(ExitCode::SUCCESS)
    }
}
