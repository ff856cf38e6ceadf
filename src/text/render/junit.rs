//! JUnit XML. There is no standard; this is the subset that Jenkins, GitLab and other CI systems support.

use std::fmt::Write;

use super::location::Location;
use super::report::Report;
use crate::text::severity::Severity;

const SUITE: &str = "evenkeel validate";

pub(super) fn render(report: &Report<'_>) -> String {
    let (tests, failures) = (report.findings.len().max(1), report.errors());
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("name=\"{SUITE}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\"");
    let _ = writeln!(out, "<testsuites {counts}>\n  <testsuite {counts} skipped=\"0\">");
    if report.findings.is_empty() {
        let _ = writeln!(out, "    <testcase classname=\"{SUITE}\" name=\"{} definitions\"/>", report.definitions);
    }
    for finding in report.findings {
        let at = Location::first(finding, report.sources);
        let file = escape(at.as_ref().map_or(SUITE, |at| at.file.as_str()));
        let place = at.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        let (code, message) = (finding.code.id, escape(&finding.message));
        let help = finding.help.as_deref().map(|help| format!("\nhelp: {}", escape(help))).unwrap_or_default();
        let text = format!("{file}{place}: {message}{help}");
        let _ = writeln!(out, "    <testcase classname=\"{file}\" name=\"{code} {file}{place}\">");
        let _ = match finding.severity {
            Severity::Error => {
                writeln!(out, "      <failure type=\"{code}\" message=\"{message}\">{text}</failure>")
            }
            Severity::Warning => writeln!(out, "      <system-out>warning[{code}]: {text}</system-out>"),
        };
        out.push_str("    </testcase>\n");
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// Escapes text for XML content and attributes. Control characters are replaced, as XML 1.0 does not allow them even as
/// references.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            control if control.is_control() => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
    out
}
