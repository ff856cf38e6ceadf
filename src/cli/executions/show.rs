//! `evenkeel executions show`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::super::execution_api::ExecutionApi;
use super::super::output::{self, Paint};
use super::super::table::{excerpt, text, time};

/// Show an execution and its steps
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel executions show 01jd3kx0")]
pub(super) struct Show {
    /// Execution ID or a unique prefix of it
    #[arg(value_name = "EXECUTION")]
    id: String,
    #[command(flatten)]
    api: ExecutionApi,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let execution = self.api.get(&format!("/v1/executions/{}", self.id), &[])?;
        if let Some(code) = self.api.output.print_json(&execution) {
            return Ok(code);
        }
        output::data(&human(&execution));
        Ok(ExitCode::SUCCESS)
    }
}

fn human(execution: &Value) -> String {
    let paint = Paint::new();
    let status = text(&execution["status"]);
    let colored = match status.as_str() {
        "Completed" => paint.green(&status),
        "Failed" | "TimedOut" | "Cancelled" => paint.red(&status),
        _ => paint.bold(&status),
    };
    let mut lines = format!("{}  {colored}\n", paint.bold(&text(&execution["id"])));
    let source = text(&execution["source"]);
    lines += &format!(
        "  workflow    {} v{} ({}), generation {}\n  started by  {}{}\n",
        text(&execution["workflow"]),
        execution["version"],
        text(&execution["tier"]),
        execution["generation"],
        text(&execution["triggeredBy"]),
        if source.is_empty() { String::new() } else { format!(" {source}") },
    );
    lines += &format!("  accepted    {}\n", time(&execution["createdAt"]));
    if let Some(ms) = execution["durationMs"].as_f64() {
        lines += &format!("  took        {ms:.0} ms, attempt {}\n", execution["attempt"]);
    }
    for field in ["tenant", "event", "parent", "trace"] {
        if let Some(value) = execution[field].as_str().filter(|value| !value.is_empty()) {
            lines += &format!("  {field:<12}{value}\n");
        }
    }
    lines += &format!("  input       {}\n", excerpt(&execution["input"].to_string()));
    let error = &execution["error"];
    if error.is_object() {
        lines += &format!("  error       {}: {}\n", text(&error["code"]), text(&error["message"]));
        if let Some(file) = error["file"].as_str() {
            lines += &format!("  at          {file}:{}:{}\n", error["line"], error["column"]);
        }
    } else {
        lines += &format!("  output      {}\n", excerpt(&execution["output"].to_string()));
    }
    for step in execution["steps"].as_array().into_iter().flatten() {
        lines += &step_line(step);
    }
    lines
}

fn step_line(step: &Value) -> String {
    let micros = step["finishedAt"].as_i64().unwrap_or(0) - step["startedAt"].as_i64().unwrap_or(0);
    let result = if step["error"].is_null() { &step["output"] } else { &step["error"]["message"] };
    format!(
        "  {:<9} {:<9} {:>7.1} ms  {}  {}\n",
        text(&step["kind"]),
        text(&step["status"]),
        micros as f64 / 1000.0,
        text(&step["name"]),
        excerpt(&result.to_string()),
    )
}
