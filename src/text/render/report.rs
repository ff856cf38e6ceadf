//! Reports and their formats.

use std::str::FromStr;

use crate::text::finding::Finding;
use crate::text::severity::Severity;
use crate::text::source::SourceMap;

/// The format of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// Text for a terminal: source lines with marked errors.
    #[default]
    Human,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit XML, for CI systems.
    Junit,
    /// Workflow commands of GitHub Actions, shown next to the changed lines.
    Github,
    /// Code Quality report of GitLab, shown in merge requests.
    Gitlab,
}

impl OutputFormat {
    /// All formats, in the order of the documentation.
    pub const ALL: [OutputFormat; 6] = [
        OutputFormat::Human,
        OutputFormat::Json,
        OutputFormat::Sarif,
        OutputFormat::Junit,
        OutputFormat::Github,
        OutputFormat::Gitlab,
    ];

    /// The name of the format on the command line.
    pub fn name(self) -> &'static str {
        match self {
            OutputFormat::Human => "human",
            OutputFormat::Json => "json",
            OutputFormat::Sarif => "sarif",
            OutputFormat::Junit => "junit",
            OutputFormat::Github => "github",
            OutputFormat::Gitlab => "gitlab",
        }
    }
}

impl FromStr for OutputFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<OutputFormat, String> {
        let known = OutputFormat::ALL.map(OutputFormat::name);
        OutputFormat::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| format!("expected one of {}", known.join(", ")))
    }
}

/// The content of a report.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The findings, sorted ([`sort`](crate::text::sort)).
    pub findings: &'a [Finding],
    /// The files that the findings refer to.
    pub sources: &'a SourceMap,
    /// Number of definitions that were read.
    pub definitions: usize,
}

impl Report<'_> {
    /// Number of errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// Number of warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}
