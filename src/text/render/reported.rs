//! Findings with their positions as plain values, for documents that hold more than findings.

use serde::{Deserialize, Serialize};

use super::location::Location;
use super::redaction::without_credentials;
use super::report::Report;
use crate::text::severity::Severity;

/// A finding with its position and without credentials, in the form of `validate -o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedFinding {
    /// The stable code, such as `EK0203`.
    pub code: String,
    /// The severity.
    pub severity: Severity,
    /// The problem, one sentence without a full stop.
    pub message: String,
    /// The displayed path of the file.
    #[serde(default)]
    pub file: Option<String>,
    /// The first line, from 1.
    #[serde(default)]
    pub line: Option<u32>,
    /// The first column, from 1.
    #[serde(default)]
    pub column: Option<u32>,
    /// The remedy.
    #[serde(default)]
    pub help: Option<String>,
    /// The last line.
    #[serde(default)]
    pub end_line: Option<u32>,
    /// The column after the end.
    #[serde(default)]
    pub end_column: Option<u32>,
}

/// The findings of a report, in its order, without credentials.
pub fn reported(report: &Report<'_>) -> Vec<ReportedFinding> {
    let findings = without_credentials(report);
    items(&Report { findings: &findings, ..*report })
}

/// The findings of a report as they are.
pub(super) fn items(report: &Report<'_>) -> Vec<ReportedFinding> {
    let item = |finding: &crate::text::Finding| {
        let at = Location::first(finding, report.sources);
        ReportedFinding {
            code: finding.code.id.to_owned(),
            severity: finding.severity,
            message: finding.message.clone(),
            file: at.as_ref().map(|at| at.file.clone()),
            line: at.as_ref().map(|at| at.line),
            column: at.as_ref().map(|at| at.column),
            help: finding.help.clone(),
            end_line: at.as_ref().map(|at| at.end_line),
            end_column: at.as_ref().map(|at| at.end_column),
        }
    };
    report.findings.iter().map(item).collect()
}
