//! Removal of credentials from reports.

use super::report::Report;
use crate::text::codes;
use crate::text::credentials::redacted;
use crate::text::finding::Finding;

/// Removes credentials from the texts of findings, as reports end up in logs and pull requests.
pub(super) fn without_credentials(report: &Report<'_>) -> Vec<Finding> {
    let literals = report.findings.iter().filter(|finding| finding.code == &codes::LITERAL_CREDENTIAL);
    let literals: Vec<String> = literals
        .filter_map(|finding| {
            let span = finding.span()?;
            let text = report.sources.find(span.source)?.text().get(span.start as usize..span.end as usize)?;
            Some(text.trim_matches(['"', '\'']).to_owned()).filter(|text| text.len() >= 8)
        })
        .collect();
    let clean = |text: &str| {
        let mut text = redacted(text);
        for literal in &literals {
            text = text.replace(literal, "*****");
        }
        text
    };
    let cleaned = |finding: &Finding| {
        let mut finding = finding.clone();
        finding.message = clean(&finding.message);
        finding.help = finding.help.as_deref().map(clean);
        finding.labels.iter_mut().for_each(|label| label.text = clean(&label.text));
        finding
    };
    report.findings.iter().map(cleaned).collect()
}
