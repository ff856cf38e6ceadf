//! Parses the arguments of operations on environments.

use axum::http::HeaderMap;
use serde_json::json;

use super::extract::header_text;
use crate::api::Problem;
use crate::definition::Id;
use crate::definition::common::Duration;
use crate::reconcile::commands::Precondition;

/// Longest duration of an override: 30 days, in seconds.
const MAX_OVERRIDE: u64 = 30 * 24 * 3600;
/// Longest reason, in bytes.
const MAX_REASON: usize = 500;

/// The ID of a kind and a name.
pub(super) fn parse_id(kind: &str, name: &str) -> Result<Id, Problem> {
    format!("{kind}/{name}").parse().map_err(|error: String| Problem::bad_request(error))
}

/// Duration of an override in microseconds: 1 second to 30 days.
pub(super) fn parse_override(text: &str) -> Result<i64, Problem> {
    let bad = |detail: String| Problem::bad_request(format!("override: {detail}")).of_parameter("override");
    let duration: Duration = serde_json::from_value(json!(text)).map_err(|error| bad(error.to_string()))?;
    let seconds = duration.0.as_secs();
    if seconds == 0 || seconds > MAX_OVERRIDE {
        return Err(bad("must be between 1 second and 30 days".to_owned()));
    }
    Ok(i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000) * 1_000_000)
}

/// A reason: one line of at most 500 bytes.
pub(super) fn parse_reason(text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.len() > MAX_REASON || text.chars().any(char::is_control) => {
            Err(Problem::bad_request("reason: must be one line of at most 500 bytes"))
        }
        text => Ok(text),
    }
}

/// The precondition of a write: `If-Match` or `If-None-Match` (RFC 9110, section 13.1). A list of tags is not supported.
pub(super) fn parse_precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let bad = |name: &str| {
        let detail = format!("`{name}` must be one entity tag, such as \"sha256:…\" of a GET response, or `*`");
        Problem::bad_request(detail).of_parameter(name)
    };
    let value = |name: &str| match headers.get(name) {
        None => Ok(None),
        Some(_) => header_text(headers, name).map(|value| Some(value.trim())).ok_or_else(|| bad(name)),
    };
    match (value("if-match")?, value("if-none-match")?) {
        (None, None) => Ok(Precondition::None),
        (Some("*"), None) => Ok(Precondition::Exists),
        (None, Some("*")) => Ok(Precondition::Absent),
        (Some(tag), None) => {
            let digest = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            digest.and_then(|digest| digest.parse().ok()).map(Precondition::Digest).ok_or_else(|| bad("if-match"))
        }
        (_, Some(_)) => Err(bad("if-none-match")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    use crate::text::Digest;

    #[test]
    fn preconditions_are_read_as_rfc_9110_writes_them() {
        let digest = Digest::of(b"x");
        let tag = format!("\"{digest}\"");
        for (name, value, expected) in [
            ("if-match", tag.as_str(), Some(Precondition::Digest(digest))),
            ("if-match", "*", Some(Precondition::Exists)),
            ("if-none-match", "*", Some(Precondition::Absent)),
            ("if-match", &digest.to_string(), None),
            ("if-match", "W/\"sha256:1\"", None),
            ("if-none-match", &tag, None),
            ("x-other", "*", Some(Precondition::None)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
            assert_eq!(parse_precondition(&headers).ok(), expected, "{name}: {value}");
        }
    }

    #[test]
    fn overrides_last_between_a_second_and_thirty_days() {
        assert_eq!(parse_override("2h").unwrap(), 7_200_000_000);
        assert_eq!(parse_override("30d").unwrap(), 30 * 86_400_000_000);
        for text in ["0s", "10ms", "31d", "soon", ""] {
            assert_eq!(parse_override(text).unwrap_err().status, 400, "{text}");
        }
    }
}
