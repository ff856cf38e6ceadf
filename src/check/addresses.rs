//! Literal URLs that calls use: their host must be one that the environments let calls reach.

use url::Url;

use super::settings::TrackedSettings;
use crate::catalog::Entry;
use crate::definition::egress::Policy;
use crate::definition::schema_validator::quoted_list;
use crate::text::{Finding, codes};

/// Locations of templates that start with a host.
const LOCATIONS: [&str; 4] = ["url", "baseUrl", "absoluteUrl", "host"];

pub(super) fn check(entry: &Entry, settings: TrackedSettings<'_>, findings: &mut Vec<Finding>) {
    for template in entry.facts.templates.iter().filter(|template| LOCATIONS.contains(&template.location)) {
        let Some(text) = entry.node(&template.pointer).and_then(|node| node.as_str()) else { continue };
        let Some(url) = literal_url(text, template.location == "host") else { continue };
        if let Some((reason, lacking)) = refusal(&url, settings) {
            let message = match lacking {
                None => format!("calls do not reach this URL: {reason}"),
                Some(lacking) => format!("calls do not reach this URL in {lacking}: {reason}"),
            };
            findings.push(
                Finding::new(&codes::REFUSED_ADDRESS, entry.value_span(&template.pointer), message)
                    .help("use the public address, or open it in `egress` of the Environment"),
            );
        }
    }
}

/// The reason for which calls do not reach a URL, and the environments that it holds for unless it holds for all.
fn refusal(url: &Url, settings: TrackedSettings<'_>) -> Option<(String, Option<String>)> {
    let environments = settings.egress();
    if environments.is_empty() {
        return Policy::default().refusal(url).map(|reason| (reason, None));
    }
    let refused = environments.iter().filter_map(|(name, policy)| Some((name, policy.refusal(url)?)));
    let refused: Vec<(&String, String)> = refused.collect();
    let (_, reason) = refused.first()?;
    let some = refused.len() < environments.len();
    let names: Vec<&String> = refused.iter().map(|(name, _)| *name).collect();
    Some((reason.clone(), some.then(|| quoted_list(&names))))
}

/// The URL of a template whose scheme and host are literal, up to its first expression.
fn literal_url(text: &str, is_host: bool) -> Option<Url> {
    let literal = &text[..text.find("{{").or_else(|| text.find("{%")).unwrap_or(text.len())];
    if is_host {
        // The port is another field.
        return (literal.len() == text.len()).then(|| Url::parse(&format!("https://{text}")).ok()).flatten();
    }
    let (_, rest) = literal.split_once("://")?;
    // A host that goes on in an expression is not known.
    let is_whole = literal.len() == text.len() || rest.contains(['/', '?', '#']);
    is_whole.then(|| Url::parse(literal).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::literal_url;

    #[test]
    fn only_a_literal_host_is_known() {
        let host = |text: &str| literal_url(text, false).and_then(|url| url.host_str().map(str::to_owned));
        assert_eq!(host("https://10.0.0.5/v1/{{ input.id }}").as_deref(), Some("10.0.0.5"));
        assert_eq!(host("https://0x7f.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(host("https://10.0.0.{{ get_variable('last') }}/x"), None);
        assert_eq!(host("https://{{ get_variable('region') }}.orbit.example"), None);
        assert_eq!(host("/path"), None);
        let database = |text: &str| literal_url(text, true).and_then(|url| url.host_str().map(str::to_owned));
        assert_eq!(database("169.254.169.254").as_deref(), Some("169.254.169.254"));
        assert_eq!(database("{{ get_variable('host') }}"), None);
    }
}
