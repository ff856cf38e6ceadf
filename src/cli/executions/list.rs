//! `evenkeel executions list`

use std::process::ExitCode;

use clap::Args;

use super::super::environment_args::ApiArgs;
use super::super::execution_view::{origin, status_with_waits};
use super::super::output_format::OutputFormat;
use super::super::page_args::{PageArgs, items, note_next};
use super::super::style::Style;
use super::super::table::{fixed, text_column};
use super::super::times::duration;
use super::super::watch::{Poll, WatchArgs};
use crate::api::execution::ExecutionSummary;
use crate::store::queue::ExecutionStatus;

/// List executions, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel executions list --workflow sync-contact --since 2h
  evenkeel executions list --status Failed -o json
  evenkeel executions list --watch")]
pub(super) struct List {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    watch: WatchArgs,
    /// Workflow
    #[arg(long, value_name = "WORKFLOW", help_heading = "Filters")]
    workflow: Option<String>,
    /// Status: Queued, Running, Waiting, Completed, Failed, Cancelled or TimedOut
    #[arg(long, value_name = "STATUS", value_parser = status, help_heading = "Filters")]
    status: Option<ExecutionStatus>,
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
    api: ApiArgs,
}

/// Parses a status in any case.
fn status(text: &str) -> Result<ExecutionStatus, String> {
    ExecutionStatus::from_name_ignoring_case(text).ok_or_else(|| {
        let words: Vec<&str> = ExecutionStatus::ALL.iter().map(|status| status.as_str()).collect();
        format!("expected one of {}", words.join(", "))
    })
}

impl List {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.api.connect()?;
        let read = || {
            let query = self.page.query([
                ("workflow", self.workflow.clone()),
                ("status", self.status.map(|status| status.to_string())),
                ("tenant", self.tenant.clone()),
                ("trigger", self.trigger.clone()),
                ("since", self.since.clone()),
                ("text", self.search.clone()),
            ]);
            environment.get(&["executions"], query)
        };
        if self.api.output == OutputFormat::Json && !self.watch.is_on() {
            self.api.output.print_json(&read()?);
            return Ok(ExitCode::SUCCESS);
        }
        self.watch.print(self.api.output, |style| {
            let page = read()?;
            let executions: Vec<ExecutionSummary> = items(&page, "executions")?;
            if !self.watch.is_on() {
                note_next(&page);
            }
            Ok(Poll { text: human(&executions, style), code: ExitCode::SUCCESS })
        })
    }
}

fn human(executions: &[ExecutionSummary], style: Style) -> String {
    let columns = [
        fixed("EXECUTION"),
        fixed(style.time_title()),
        text_column("WORKFLOW"),
        text_column("STATUS"),
        fixed("DURATION"),
        text_column("TRIGGERED BY"),
        text_column("TENANT"),
    ];
    let rows: Vec<[String; 7]> = executions
        .iter()
        .map(|execution| {
            [
                execution.id.clone(),
                style.time_cell(execution.created_at),
                match execution.version {
                    Some(version) => format!("{} v{version}", execution.workflow),
                    None => execution.workflow.clone(),
                },
                status_with_waits(execution),
                execution.duration_ms.map_or_else(|| "-".to_owned(), duration),
                origin(execution),
                execution.tenant.clone().unwrap_or_default(),
            ]
        })
        .collect();
    style.table(columns, &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::execution_view::summary;
    use super::*;

    #[test]
    fn the_list_says_how_long_and_for_whom_and_fits_a_terminal() {
        let rows = [
            json!({"id": "01kb8m2w9ya7c3d5e7f9g1h3j5", "workflow": "hold-orders", "version": 3, "status": "Waiting",
                "createdAt": "2026-11-29T11:57:00Z", "triggeredBy": "webhook", "source": "orders-in",
                "waitsFor": [{"kind": "approval", "name": "wait-for-boss", "until": null}]}),
            json!({"id": "01kb8m2w9ya7c3d5e7f9g1h3j4", "workflow": "note", "version": 1, "status": "Completed",
                "createdAt": "2026-11-29T11:00:00Z", "durationMs": 10_674.3, "source": "ada"}),
        ];
        let rows: Vec<ExecutionSummary> =
            rows.iter().map(|row| serde_json::from_value(summary(row)).unwrap()).collect();
        let whole = human(&rows, Style::default());
        assert!(whole.starts_with("EXECUTION ") && !whole.contains("TENANT"), "{whole}");
        for part in
            ["hold-orders v3  Waiting for approval `wait-for-boss`", "10.7 s", "manual ada", "2026-11-29T11:00:00Z"]
        {
            assert!(whole.contains(part), "{part}: {whole}");
        }
        let narrow = human(&rows, Style::with(Some(80), "2026-11-29T12:00:00Z"));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.contains("3 min") && narrow.contains("01kb8m2w9ya7c3d5e7f9g1h3j5"), "{narrow}");
    }

    #[test]
    fn a_status_is_read_in_any_case() {
        assert_eq!(status("failed"), Ok(ExecutionStatus::Failed));
        assert!(status("borken").unwrap_err().contains("Queued, Running"));
    }
}
