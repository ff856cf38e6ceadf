//! Findings as a list in Markdown.

use super::inline::{code, place, sentence};
use super::neutral::neutral;
use super::review::{ReviewSide, ShownPlace};
use crate::text::Severity;
use crate::text::render::ReportedFinding;

/// `2 errors, 1 warning`, without zeros.
pub(super) fn counted(side: &ReviewSide) -> String {
    let count = |number: usize, noun: &str| match number {
        0 => None,
        1 => Some(format!("1 {noun}")),
        number => Some(format!("{number} {noun}s")),
    };
    let counts = [count(side.errors(), "error"), count(side.warnings(), "warning")];
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The findings of a side, errors first, at most `max` bytes of them.
pub(super) fn listed(side: &ReviewSide, max: usize) -> String {
    let of = |severity| side.findings.iter().filter(move |finding| finding.severity == severity);
    let mut text = String::new();
    let mut omitted = 0;
    for finding in of(Severity::Error).chain(of(Severity::Warning)) {
        let item = item(side, finding);
        if omitted == 0 && text.len() + item.len() <= max {
            text += &item;
        } else {
            omitted += 1;
        }
    }
    if omitted > 0 {
        text += &format!("- and {omitted} more; `evenkeel validate` shows all\n");
    }
    text
}

fn item(side: &ReviewSide, finding: &ReportedFinding) -> String {
    let severity = match finding.severity {
        Severity::Error => "**error**",
        Severity::Warning => "warning",
    };
    let at = finding.file.as_ref().map(|file| {
        let column = finding.column.map_or_else(String::new, |column| format!(":{column}"));
        let line = finding.line.map_or_else(String::new, |line| format!(":{line}{column}"));
        ShownPlace { text: neutral(&format!("{file}{line}")), link: side.link(file, finding.line) }
    });
    let at = at.map_or_else(String::new, |at| format!(" {}", place(&at)));
    let help = finding.help.as_ref().map_or_else(String::new, |help| format!("\n  - help: {}", sentence(help)));
    format!("- {severity} {}{at}: {}{help}\n", code(&finding.code), sentence(&finding.message))
}
