//! One JSON object, for scripts and editors.

use serde::Serialize;

use super::location::Location;
use super::report::Report;
use crate::text::severity::Severity;

#[derive(Serialize)]
struct Root<'a> {
    findings: Vec<Item<'a>>,
    summary: Summary,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    code: &'a str,
    severity: Severity,
    message: &'a str,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    help: Option<&'a str>,
    end_line: Option<u32>,
    end_column: Option<u32>,
}

#[derive(Serialize)]
struct Summary {
    definitions: usize,
    errors: usize,
    warnings: usize,
}

pub(super) fn render(report: &Report<'_>) -> String {
    let findings = report.findings.iter().map(|finding| {
        let at = Location::first(finding, report.sources);
        Item {
            code: finding.code.id,
            severity: finding.severity,
            message: &finding.message,
            file: at.as_ref().map(|at| at.file.clone()),
            line: at.as_ref().map(|at| at.line),
            column: at.as_ref().map(|at| at.column),
            help: finding.help.as_deref(),
            end_line: at.as_ref().map(|at| at.end_line),
            end_column: at.as_ref().map(|at| at.end_column),
        }
    });
    let summary = Summary { definitions: report.definitions, errors: report.errors(), warnings: report.warnings() };
    let root = Root { findings: findings.collect(), summary };
    // Serialisation of strings and numbers cannot fail.
    let mut out = serde_json::to_string_pretty(&root).unwrap_or_default();
    out.push('\n');
    out
}
