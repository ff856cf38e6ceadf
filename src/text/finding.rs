//! Diagnostics as values.

use super::codes::Code;
use super::severity::Severity;
use super::source::SourceMap;
use super::span::{SourceId, Span};

/// The definition that a finding is about. This layer does not know the kinds, so the kind is given by its name, such as
/// `Connector`; `definition::Id` converts into a subject and compares with one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The name of the kind.
    pub kind: &'static str,
    /// `metadata.name`.
    pub name: Box<str>,
}

/// A diagnostic: the problem, its positions and the remedy.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The stable code.
    pub code: &'static Code,
    /// The code's severity, unless this case is milder or worse.
    pub severity: Severity,
    /// One sentence without a full stop, lower case first, naming things as the author wrote them in backquotes.
    pub message: String,
    /// Positions; the first is the primary one. Empty only if no file is involved.
    pub labels: Vec<Label>,
    /// The remedy, one sentence.
    pub help: Option<String>,
    /// The definition that the finding is about; `None` for a finding about a file or a whole source.
    pub subject: Option<Box<Subject>>,
}

/// A position with an explanation.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The position.
    pub span: Span,
    /// The explanation; may be empty.
    pub text: String,
}

impl Finding {
    /// Creates a finding at one position, with the severity of its code.
    pub fn new(code: &'static Code, span: Span, message: impl Into<String>) -> Finding {
        Finding {
            code,
            severity: code.severity,
            message: message.into(),
            labels: vec![Label { span, text: String::new() }],
            help: None,
            subject: None,
        }
    }

    /// Creates a finding without a position, for one that no file is involved in.
    pub fn general(code: &'static Code, message: impl Into<String>) -> Finding {
        let message = message.into();
        Finding { code, severity: code.severity, message, labels: Vec::new(), help: None, subject: None }
    }

    /// Sets the text at the primary position.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Finding {
        if let Some(label) = self.labels.first_mut() {
            label.text = text.into();
        }
        self
    }

    /// Adds a secondary position.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Finding {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Sets the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into());
        self
    }

    /// Sets the definition that the finding is about.
    #[must_use]
    pub fn subject(mut self, subject: Subject) -> Finding {
        self.subject = Some(Box::new(subject));
        self
    }

    /// Overrides the severity of the code.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Finding {
        self.severity = severity;
        self
    }

    /// The primary position.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }

    /// Sets the file of all positions whose file is unknown.
    #[must_use]
    pub fn within(mut self, source: SourceId) -> Finding {
        for label in &mut self.labels {
            if label.span.source == SourceId::UNKNOWN {
                label.span.source = source;
            }
        }
        self
    }
}

/// Sorts findings by path, position, code and message and removes duplicates, so that the same input gives the same
/// output.
pub fn sort(findings: &mut Vec<Finding>, sources: &SourceMap) {
    fn key<'a>(finding: &'a Finding, sources: &'a SourceMap) -> impl Ord + use<'a> {
        let span = finding.span();
        let path = span.and_then(|span| sources.find(span.source)).map(|source| source.path());
        (path, span.map(|span| (span.start, span.end)), finding.code.id, finding.message.as_str())
    }
    // The findings of unchanged files are already sorted, which this stable sort exploits.
    findings.sort_by(|a, b| key(a, sources).cmp(&key(b, sources)));
    findings.dedup_by(|a, b| a.code == b.code && a.message == b.message && a.span() == b.span());
}
