//! One JSON object, for scripts and editors.

use serde::Serialize;

use super::report::Report;
use super::reported::{ReportedFinding, items};

#[derive(Serialize)]
struct Root {
    findings: Vec<ReportedFinding>,
    summary: Summary,
}

#[derive(Serialize)]
struct Summary {
    definitions: usize,
    errors: usize,
    warnings: usize,
}

pub(super) fn render(report: &Report<'_>) -> String {
    let summary = Summary { definitions: report.definitions, errors: report.errors(), warnings: report.warnings() };
    let root = Root { findings: items(report), summary };
    // Serialisation of strings and numbers cannot fail.
    let mut out = serde_json::to_string_pretty(&root).unwrap_or_default();
    out.push('\n');
    out
}
