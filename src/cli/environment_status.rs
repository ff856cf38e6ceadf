//! The status of an environment, as text or JSON.

use std::process::ExitCode;

use serde_json::Value;

use super::api_client::one_line;
use super::output;
use super::output_format::OutputFormat;
use crate::reconcile::status::{ConditionKind, Status};
use crate::store::Micros;

/// Prints a status and returns the exit code: 0 if the environment is ready, 1 otherwise.
pub(super) fn print(value: &Value, format: OutputFormat) -> ExitCode {
    let status: Status = serde_json::from_value(value.clone()).unwrap_or_default();
    match format {
        OutputFormat::Json => output::data(&format!("{value:#}\n")),
        OutputFormat::Human => output::data(&human(&status, value)),
    }
    if status.is_ready() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn human(status: &Status, value: &Value) -> String {
    let paint = output::Paint::new();
    let name = &status.environment;
    let ready = status.condition(ConditionKind::Ready);
    let (reason, message) = ready.map_or(("Unknown", ""), |ready| (ready.reason.as_str(), ready.message.as_str()));
    let word = if status.is_ready() { paint.green("Ready") } else { paint.red("not ready") };
    let mut text = format!("{}: {word} ({reason}): {message}\n", paint.bold(name));
    if status.generation > 0 {
        let digest = status.digest.map(|digest| digest.short()).unwrap_or_default();
        text += &format!(
            "  generation  {} {digest}, {}, since {}\n",
            status.generation,
            output::count(status.definitions, "definition"),
            time(status.applied_at)
        );
    }
    for (source, revision) in &status.last_applied {
        text += &format!("  live        {}{revision}\n", source_prefix(source));
    }
    for (source, revision) in &status.last_attempted {
        if status.last_applied.get(source) != Some(revision) {
            text += &format!("  refused     {}{revision}\n", source_prefix(source));
        }
    }
    for (source, revision) in &status.history_rewritten {
        let source = source_prefix(source);
        text += &format!("  history     {source}rewritten: {revision} does not descend from the previous revision\n");
    }
    if status.errors > 0 {
        text += &format!("  findings    {}\n", output::count(status.errors, "error"));
        for finding in status.findings.iter().filter(|finding| finding["severity"] == "error").take(5) {
            text += &format!("              {}\n", one_line(finding));
        }
    }
    for drift in &status.drift {
        let until = drift.until.map_or_else(String::new, |until| format!(", allowed until {}", time(until)));
        text += &format!("  drift       {} {} by {} at {}{until}\n", drift.id, drift.how, drift.who, time(drift.at));
    }
    for held in &status.held {
        text += &format!("  held back   {held}\n");
    }
    for blocked in &status.blocked {
        text += &format!("  blocked     {}\n", blocked.message);
    }
    if let Some(pending) = &status.pending {
        text += &format!("  waits       plan {} ({})\n", pending.plan.short(), pending.reason);
    }
    let replicas = value["replicas"].as_array().map_or(0, Vec::len);
    if replicas > 1 {
        let list = value["replicas"].as_array().into_iter().flatten();
        let current = list.filter(|replica| replica["number"] == status.generation).count();
        text += &format!("  replicas    {current} of {replicas} serve this generation\n");
    }
    text
}

/// Prefix of a revision; empty for the only source.
fn source_prefix(name: &str) -> String {
    if name == crate::reconcile::sources::ONLY { String::new() } else { format!("{name} ") }
}

/// Formats microseconds since 1970 as UTC, to the second.
pub(super) fn time(at: Micros) -> String {
    jiff::Timestamp::from_microsecond(at)
        .map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}
