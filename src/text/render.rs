//! Renderers of findings for people and for tools. Each format is a pure function of the findings: the same input gives
//! the same output.

mod github;
mod gitlab;
mod human;
mod json;
mod junit;
mod location;
mod redaction;
mod report;
mod reported;
mod sarif;

pub use github::error_command as github_error;
pub use junit::escape as xml_escape;
pub use report::{OutputFormat, Report};
pub use reported::{ReportedFinding, reported};

use redaction::without_credentials;

/// Renders a report, with a final line break unless it is empty. `color` and `width` (in columns) apply to
/// [`OutputFormat::Human`] only.
pub fn render(report: &Report<'_>, format: OutputFormat, color: bool, width: usize) -> String {
    let findings = without_credentials(report);
    let report = &Report { findings: &findings, ..*report };
    match format {
        OutputFormat::Human => human::render(report, color, width),
        OutputFormat::Json => json::render(report),
        OutputFormat::Sarif => sarif::render(report),
        OutputFormat::Junit => junit::render(report),
        OutputFormat::Github => github::render(report),
        OutputFormat::Gitlab => gitlab::render(report),
    }
}

#[cfg(test)]
mod tests;
