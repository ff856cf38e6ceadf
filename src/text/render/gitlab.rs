//! GitLab's Code Quality report: a subset of the Code Climate format, shown in merge requests beside the changed lines.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::location::Location;
use super::report::Report;
use crate::text::Digest;
use crate::text::severity::Severity;

pub(super) fn render(report: &Report<'_>) -> String {
    let mut occurrences: HashMap<(String, String), usize> = HashMap::new();
    let item = |finding: &crate::text::Finding| -> Value {
        let at = Location::first(finding, report.sources);
        // GitLab ignores an entry without a path, and resolves paths from the root of the repository.
        let path = at.as_ref().map_or(".", |at| at.file.trim_start_matches("./"));
        let line = at.as_ref().map_or(1, |at| at.line);
        let description = match &finding.help {
            Some(help) => format!("{}. Help: {help}.", finding.message),
            None => format!("{}.", finding.message),
        };
        // GitLab compares the fingerprints of two branches, so they must not change with edits above the finding. Equal
        // findings of one file are numbered.
        let occurrence = occurrences.entry((path.to_owned(), description.clone())).or_default();
        *occurrence += 1;
        let number = occurrence.to_string();
        let parts = [finding.code.id, path, description.as_str(), number.as_str()];
        json!({
            "description": description,
            "check_name": finding.code.id,
            "fingerprint": Digest::of_parts(parts.map(str::as_bytes)).hex(),
            "severity": match finding.severity {
                Severity::Error => "major",
                Severity::Warning => "minor",
            },
            "location": { "path": path, "lines": { "begin": line } },
        })
    };
    let items: Vec<Value> = report.findings.iter().map(item).collect();
    format!("{:#}\n", Value::Array(items))
}
