//! Single braces in templates: `{id}` of OpenAPI, `${x}` of a shell or JavaScript, and `{ input.x }`.

use std::ops::Range;

use crate::catalog::Entry;
use crate::definition::schema_validator::TemplateUse;
use crate::template::FieldLocation;
use crate::text::{Finding, Severity, codes};

/// A name in single braces.
struct Placeholder<'t> {
    /// The dotted name.
    name: &'t str,
    /// The range with its braces, and `$` if it has one.
    range: Range<usize>,
    has_dollar: bool,
}

/// Reports single braces around a name. In a URL they are never right; elsewhere they are reported if the name is one that
/// a template of this field could use.
pub(super) fn check(entry: &Entry, findings: &mut Vec<Finding>) {
    for template in &entry.facts.templates {
        let Some(node) = entry.node(&template.pointer) else { continue };
        let Some(text) = node.as_str().filter(|text| text.contains('{')) else { continue };
        let is_url = is_url(template.location);
        for found in placeholders(text) {
            if is_url || is_meant(entry, template, &found, text) {
                let span = entry.span(node.locate(entry.text(), found.range.clone()));
                let written = &text[found.range.clone()];
                let effect =
                    if is_url { "is sent percent-encoded, not replaced" } else { "is sent as it is, not replaced" };
                let severity = if is_url { Severity::Error } else { Severity::Warning };
                let help = replacement(entry, template, &found);
                let message = format!("`{written}` {effect}: expressions stand in double braces");
                findings.push(Finding::new(&codes::TEMPLATE_BRACES, span, message).help(help).severity(severity));
            }
        }
    }
}

/// True if a URL holds this name in single braces.
pub(super) fn has_placeholder(url: &str, name: &str) -> bool {
    placeholders(url).any(|found| found.name == name)
}

/// A URL without its names in single braces.
pub(super) fn without_placeholders(url: &str) -> String {
    let mut text = String::with_capacity(url.len());
    let mut end = 0;
    for found in placeholders(url) {
        text.push_str(&url[end..found.range.start]);
        end = found.range.end;
    }
    text + &url[end..]
}

fn is_url(location: &str) -> bool {
    matches!(location, "url" | "baseUrl" | "absoluteUrl" | "host")
}

/// True if a template was meant: a path of a known root, or a declared name after `$` or as the whole text.
fn is_meant(entry: &Entry, template: &TemplateUse, found: &Placeholder<'_>, text: &str) -> bool {
    let (root, rest) = found.name.split_once('.').unwrap_or((found.name, ""));
    let is_whole = text.trim().len() == found.range.len();
    let is_known = location(template).roots().contains(&root);
    is_known && (!rest.is_empty() || is_whole)
        || (found.has_dollar || is_whole) && declared(entry, template, found.name).is_some()
}

fn location(template: &TemplateUse) -> FieldLocation {
    let named = match template.location {
        "authTree" => "auth",
        "pathParam" | "baseUrl" | "absoluteUrl" | "host" => "url",
        other => other,
    };
    named.parse().unwrap_or(FieldLocation::Body)
}

/// The expression that reads a declared path parameter or input of this name.
fn declared(entry: &Entry, template: &TemplateUse, name: &str) -> Option<String> {
    let has = |pointer: String| entry.node(&pointer).is_some_and(|node| node.get(name).is_some());
    if let Some((request, _)) = template.pointer.split_once("/http/")
        && has(format!("{request}/http/pathParams"))
    {
        return Some(format!("pathParams.{name}"));
    }
    let owner = super::inputs::owner(entry, template)?;
    has(format!("{owner}/input/properties")).then(|| format!("input.{name}"))
}

fn replacement(entry: &Entry, template: &TemplateUse, found: &Placeholder<'_>) -> String {
    let name = found.name;
    let root = name.split('.').next().unwrap_or(name);
    if let Some(expression) = declared(entry, template, name) {
        return format!("write `{{{{ {expression} }}}}`");
    }
    if location(template).roots().contains(&root) && root != name {
        return format!("write `{{{{ {name} }}}}`");
    }
    if found.has_dollar || matches!(template.location, "baseUrl" | "host") {
        let variable = name.to_ascii_lowercase();
        return format!("write `{{{{ get_variable('{variable}') }}}}` for a variable, or `{{{{ input.{name} }}}}`");
    }
    format!("write `{{{{ pathParams.{name} }}}}` and declare it in `pathParams`, or `{{{{ input.{name} }}}}`")
}

/// The names in single braces outside of expressions, statements and comments. None if the text has a raw block, whose
/// content is literal on purpose.
fn placeholders(text: &str) -> impl Iterator<Item = Placeholder<'_>> {
    let mut at = if text.contains("raw") && text.contains("{%") { text.len() } else { 0 };
    std::iter::from_fn(move || {
        loop {
            let open = at + text.get(at..)?.find('{')?;
            let jinja = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];
            if let Some((_, end)) = jinja.iter().find(|(start, _)| text[open..].starts_with(start)) {
                at = open + 2 + text[open + 2..].find(end)? + 2;
                continue;
            }
            at = open + 1;
            let Some(length) = text[at..].find(['}', '{']).filter(|length| text[at + length..].starts_with('}')) else {
                continue;
            };
            let name = text[at..at + length].trim();
            if !is_path(name) {
                continue;
            }
            let has_dollar = text[..open].ends_with('$');
            let range = open - usize::from(has_dollar)..at + length + 1;
            at += length + 1;
            return Some(Placeholder { name, range, has_dollar });
        }
    })
}

/// True for identifiers separated by dots.
fn is_path(text: &str) -> bool {
    let identifier = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    text.len() <= 200 && text.split('.').all(identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_in_single_braces_only() {
        for (text, expected) in [
            ("/a/{id}/b/{other-id}", "{id} {other-id}"),
            ("${REGION}.example", "${REGION}"),
            ("{ input.w }", "{ input.w }"),
            ("/a/{{ input.id }}/{b}", "{b}"),
            ("{% if x %}{a}{% endif %}{# {c} #}", "{a}"),
            ("{{ {'a': 1} }} {x}", "{x}"),
            ("{% raw %}{a}{% endraw %}", ""),
            ("{\"a\": 1} {1} {} { } {a b} {viewer{id}}", "{id}"),
            ("{{ open {a}", ""),
            ("{ä} {a", ""),
        ] {
            let found: Vec<&str> = placeholders(text).map(|found| &text[found.range]).collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }
}
