//! Declarations that are accepted and not in effect yet, one finding for each use.

use crate::catalog::Entry;
use crate::definition::schema_validator::PlannedUse;
use crate::text::{Finding, codes, unescaped};

pub(super) fn check(entry: &Entry, findings: &mut Vec<Finding>) {
    findings.extend(entry.facts.planned.iter().map(|found| finding(entry, found)));
}

fn finding(entry: &Entry, found: &PlannedUse) -> Finding {
    let (what, span) = match found.pointer.rsplit_once('/') {
        None | Some(("", "spec")) => (format!("the kind `{}`", entry.id.kind), entry.value_span("/kind")),
        Some((_, field)) => (format!("`{}`", unescaped(field)), entry.key_span(&found.pointer)),
    };
    let message = format!("{what} is accepted, not in effect yet: {}", found.planned.instead);
    Finding::new(&codes::PLANNED, span, message).help(found.planned.remedy)
}
