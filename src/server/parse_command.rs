//! Parses the operations on environments: the last part of a path and a JSON object.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::context::bad_request;
use crate::definition::Id;
use crate::definition::common::Duration;
use crate::reconcile::commands::{CommandError, Request};
use crate::text::Digest;

/// Longest duration of an override: 30 days, in seconds.
const MAX_OVERRIDE: u64 = 30 * 24 * 3600;
/// Longest reason, in bytes.
const MAX_REASON: usize = 500;
/// The operations that `parse_command` accepts.
const OPERATIONS: [&str; 7] = ["reconcile", "suspend", "resume", "rollback", "promote", "apply", "restore"];

/// Arguments of an operation; an empty body has none.
pub(super) fn parse_arguments(body: &[u8]) -> Result<BTreeMap<String, Value>, CommandError> {
    if body.is_empty() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_slice(body).map_err(|error| bad_request(format!("the body is not a JSON object: {error}")))
}

/// The request of an operation.
pub(super) fn parse_command(verb: &str, arguments: &BTreeMap<String, Value>) -> Result<Request, CommandError> {
    let text = |name: &str| {
        let value = arguments.get(name).and_then(Value::as_str).map(str::to_owned);
        value.ok_or_else(|| bad_request(format!("`{name}` is missing")))
    };
    Ok(match verb {
        "reconcile" => Request::Reconcile,
        "suspend" => Request::Suspend { reason: parse_reason(text("reason").ok())? },
        "resume" => Request::Resume,
        "rollback" => {
            let to = arguments.get("to").and_then(Value::as_u64);
            Request::Rollback { to: to.ok_or_else(|| bad_request("`to` must be the number of a generation"))? }
        }
        "promote" => Request::Promote { from: text("from")? },
        "apply" => Request::Approve { plan: text("plan")?.parse::<Digest>().map_err(bad_request)? },
        "restore" => Request::Restore { id: text("id")?.parse::<Id>().map_err(bad_request)? },
        _ => {
            let message = format!("unknown operation `{verb}`; expected one of {}", OPERATIONS.join(", "));
            return Err(CommandError::new(404, "NotFound", message));
        }
    })
}

/// The ID of a kind and a name.
pub(super) fn parse_id(kind: &str, name: &str) -> Result<Id, CommandError> {
    format!("{kind}/{name}").parse().map_err(|error: String| bad_request(error))
}

/// Duration of an override in microseconds: 1 second to 30 days.
pub(super) fn parse_override(text: &str) -> Result<i64, CommandError> {
    let duration: Duration =
        serde_json::from_value(json!(text)).map_err(|error| bad_request(format!("override: {error}")))?;
    let seconds = duration.0.as_secs();
    if seconds == 0 || seconds > MAX_OVERRIDE {
        return Err(bad_request("override: must be between 1 second and 30 days"));
    }
    Ok(i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000) * 1_000_000)
}

/// A reason: one line of at most 500 bytes.
pub(super) fn parse_reason(text: Option<String>) -> Result<Option<String>, CommandError> {
    match text {
        Some(text) if text.len() > MAX_REASON || text.chars().any(char::is_control) => {
            Err(bad_request("reason: must be one line of at most 500 bytes"))
        }
        text => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_operation_names_the_known_ones() {
        let error = parse_command("explode", &BTreeMap::new()).unwrap_err();
        assert_eq!(error.status, 404);
        assert_eq!(
            error.message,
            "unknown operation `explode`; expected one of reconcile, suspend, resume, rollback, promote, apply, restore"
        );
    }

    #[test]
    fn every_listed_operation_is_parsed() {
        let digest = Digest::of(b"").to_string();
        let arguments = json!({"to": 3, "from": "staging", "plan": digest, "id": "Connector/a"});
        let arguments = serde_json::from_value(arguments).unwrap();
        for verb in OPERATIONS {
            assert!(parse_command(verb, &arguments).is_ok(), "{verb}");
        }
    }
}
