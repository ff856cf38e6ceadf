//! Workflow commands of GitHub Actions: `::error file=…,line=…::message`.

use std::fmt::Write;

use super::location::{Location, level};
use super::report::Report;

pub(super) fn render(report: &Report<'_>) -> String {
    let mut out = String::new();
    for finding in report.findings {
        let _ = write!(out, "::{} ", level(finding.severity));
        if let Some(at) = Location::first(finding, report.sources) {
            let file = property(&at.file);
            let _ = write!(out, "file={file},line={},col={},", at.line, at.column);
            let _ = write!(out, "endLine={},endColumn={},", at.end_line, at.end_column);
        }
        let _ = write!(out, "title={}::{}", finding.code.id, data(&finding.message));
        if let Some(help) = &finding.help {
            let _ = write!(out, "%0A{}", data(help));
        }
        out.push('\n');
    }
    out
}

/// An error at a line of a file, such as a failed test.
pub fn error_command(at: Option<(&str, u32)>, title: &str, message: &str) -> String {
    let at = at.map_or_else(String::new, |(file, line)| format!("file={},line={line},", property(file)));
    format!("::error {at}title={}::{}\n", property(title), data(message))
}

/// Escapes the data of a command. A command ends with its line, so only a line break could inject another one.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
