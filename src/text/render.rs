//! Findings for people and for tools. Every form is a pure function of the findings: same input, same bytes.

mod github;
mod human;
mod json;
mod junit;
mod sarif;

use std::str::FromStr;

use super::credentials::redacted;
use super::{Finding, Severity, SourceMap};

pub use junit::escape as xml_escape;

/// A form of report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// For a terminal: source lines with what is wrong marked in them.
    #[default]
    Human,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit XML, which every CI shows.
    Junit,
    /// Workflow commands of GitHub Actions, shown beside the changed lines.
    Github,
}

impl Output {
    /// Every form, in the order of the documentation.
    pub const ALL: [Output; 5] = [Output::Human, Output::Json, Output::Sarif, Output::Junit, Output::Github];

    /// The name by which it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Output::Human => "human",
            Output::Json => "json",
            Output::Sarif => "sarif",
            Output::Junit => "junit",
            Output::Github => "github",
        }
    }
}

impl FromStr for Output {
    type Err = String;

    fn from_str(name: &str) -> Result<Output, String> {
        let known = Output::ALL.map(Output::name);
        Output::ALL
            .into_iter()
            .find(|output| output.name() == name)
            .ok_or_else(|| format!("expected one of {}", known.join(", ")))
    }
}

/// What is reported.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The findings, sorted ([`super::sort`]).
    pub findings: &'a [Finding],
    /// The files they are in.
    pub sources: &'a SourceMap,
    /// How many definitions were read.
    pub definitions: usize,
}

impl Report<'_> {
    /// How many findings are errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many findings are warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Renders a report, with a line break at its end unless it is empty. `color` and `width` matter to people only.
pub fn render(report: &Report<'_>, output: Output, color: bool, width: usize) -> String {
    let findings = without_credentials(report);
    let report = &Report { findings: &findings, ..*report };
    match output {
        Output::Human => human::render(report, color, width),
        Output::Json => json::render(report),
        Output::Sarif => sarif::render(report),
        Output::Junit => junit::render(report),
        Output::Github => github::render(report),
    }
}

/// Findings whose words repeat no credential: reports end up in logs and in pull requests.
fn without_credentials(report: &Report<'_>) -> Vec<Finding> {
    let literals = report.findings.iter().filter(|finding| finding.code == &super::codes::LITERAL_CREDENTIAL);
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

/// Where a finding is, as far as it is in a file.
struct Location {
    file: String,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
}

impl Location {
    fn of(span: super::Span, sources: &SourceMap) -> Option<Location> {
        let source = sources.find(span.source)?;
        let (start, end) = (source.position(span.start), source.position(span.end.max(span.start)));
        Some(Location {
            file: sources.shown(span.source),
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        })
    }

    fn first(finding: &Finding, sources: &SourceMap) -> Option<Location> {
        finding.span().and_then(|span| Location::of(span, sources))
    }
}

/// `severity` as every tool spells it.
fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Characters that would command a terminal or reorder the text around them: control characters and Unicode's
/// directional marks, overrides and isolates.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
