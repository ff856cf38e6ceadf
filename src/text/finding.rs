//! Diagnostics as values.

use super::{Code, SourceId, SourceMap, Span};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is applied while it exists.
    Error,
    /// Allowed, and most likely a mistake.
    Warning,
}

/// The definition that a finding is about. Kinds are known above this layer, so the kind is its name, such as
/// `Connector`; `definition::Id` converts into a subject and compares with one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The name of the kind.
    pub kind: &'static str,
    /// `metadata.name`.
    pub name: Box<str>,
}

/// One diagnostic: the problem, its places and the remedy.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The stable code.
    pub code: &'static Code,
    /// The code's severity, unless this case is milder or worse.
    pub severity: Severity,
    /// One sentence without a full stop, lower case first, naming things as the author wrote them in backquotes.
    pub message: String,
    /// Places; the first is where the finding is. Empty only where no file is involved.
    pub labels: Vec<Label>,
    /// The remedy, one sentence.
    pub help: Option<String>,
    /// The definition that it is about; `None` for a finding about a file or the source as a whole.
    pub subject: Option<Subject>,
}

/// A place with an explanation.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The explanation, may be empty.
    pub text: String,
}

impl Finding {
    /// A finding at one place.
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

    /// Text beside the first place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Finding {
        if let Some(label) = self.labels.first_mut() {
            label.text = text.into();
        }
        self
    }

    /// One more place.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Finding {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// The remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into());
        self
    }

    /// The definition that it is about.
    #[must_use]
    pub fn subject(mut self, subject: Subject) -> Finding {
        self.subject = Some(subject);
        self
    }

    /// Another severity than the code's.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Finding {
        self.severity = severity;
        self
    }

    /// The first place.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }

    /// Sets the file of places whose file is unknown.
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

/// Sorts by path, place, code and message, and drops repetitions: the same input gives the same bytes.
pub fn sort(findings: &mut Vec<Finding>, sources: &SourceMap) {
    fn key<'a>(finding: &'a Finding, sources: &'a SourceMap) -> impl Ord + use<'a> {
        let span = finding.span();
        let path = span.and_then(|span| sources.find(span.source)).map(|source| source.path());
        (path, span.map(|span| (span.start, span.end)), finding.code.id, finding.message.as_str())
    }
    // Findings of an unchanged part come sorted already, which this sort makes use of.
    findings.sort_by(|a, b| key(a, sources).cmp(&key(b, sources)));
    findings.dedup_by(|a, b| a.code == b.code && a.message == b.message && a.span() == b.span());
}
