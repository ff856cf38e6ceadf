//! SARIF 2.1.0 (OASIS), for code scanning.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::location::{Location, level};
use super::report::Report;
use crate::text::codes::Code;
use crate::text::finding::{Finding, Label};
use crate::text::source::SourceMap;

/// Characters that are escaped in a path: all except the unreserved ones of RFC 3986 and the separator. `:` is escaped
/// because a first segment such as `a:b` would be read as a scheme.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

pub(super) fn render(report: &Report<'_>) -> String {
    let mut rules: Vec<&'static Code> = report.findings.iter().map(|finding| finding.code).collect();
    rules.sort_by_key(|code| code.id);
    rules.dedup();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, &rules, report.sources)).collect();
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "evenkeel",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules.iter().map(|code| rule(code)).collect::<Vec<Value>>(),
                },
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(code: &Code) -> Value {
    json!({
        "id": code.id,
        "shortDescription": { "text": code.title },
        "fullDescription": { "text": code.explanation },
        "help": { "text": code.explanation, "markdown": code.explanation },
        "defaultConfiguration": { "level": level(code.severity) },
    })
}

fn result(finding: &Finding, rules: &[&Code], sources: &SourceMap) -> Value {
    let text = match &finding.help {
        Some(help) => format!("{}. Help: {help}.", finding.message),
        None => format!("{}.", finding.message),
    };
    let mut result = json!({
        "ruleId": finding.code.id,
        "ruleIndex": rules.iter().position(|rule| *rule == finding.code).unwrap_or_default(),
        "level": level(finding.severity),
        "message": { "text": text },
    });
    let mut labels = finding.labels.iter();
    result["locations"] = labels.next().and_then(|label| location(label, sources)).into_iter().collect();
    let related: Vec<Value> = labels
        .filter_map(|label| {
            let mut related = location(label, sources)?;
            related["message"] = json!({ "text": if label.text.is_empty() { "see also" } else { &label.text } });
            Some(related)
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = Value::Array(related);
    }
    result
}

fn location(label: &Label, sources: &SourceMap) -> Option<Value> {
    let at = Location::of(label.span, sources)?;
    Some(json!({
        "physicalLocation": {
            "artifactLocation": artifact(&at.file),
            "region": {
                "startLine": at.line,
                "startColumn": at.column,
                "endLine": at.end_line,
                "endColumn": at.end_column,
            },
        },
    }))
}

fn artifact(path: &str) -> Value {
    let encoded = utf8_percent_encode(path, PATH);
    if path.starts_with('/') {
        json!({ "uri": format!("file://{encoded}") })
    } else {
        json!({ "uri": encoded.to_string(), "uriBaseId": "%SRCROOT%" })
    }
}
