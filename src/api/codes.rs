//! The codes of problems, for the OpenAPI document and the reference.

use crate::connector::ErrorCode;
use crate::workflow::EXECUTIONS_PER_DAY;

/// Codes of the server's own problems, with their HTTP statuses and meanings. [`all`] adds those of calls.
const OWN: &[(&str, u16, &str)] = &[
    ("ALREADY_ACTIVE", 409, "The generation is active already."),
    ("AMBIGUOUS_ENVIRONMENT", 400, "The server has several environments, and the address names none."),
    ("AMBIGUOUS_ID", 409, "Several executions have an id with this prefix."),
    ("ANSWERED", 409, "The approval is decided already."),
    ("BUSY", 503, "Too many requests wait for the environment."),
    ("ENDED", 409, "The execution has ended."),
    ("FAILED", 500, "The request failed unexpectedly; the log has the cause."),
    (
        "FORBIDDEN",
        403,
        "The caller lacks the right or the role, or has it in other environments or for other tenants only.",
    ),
    ("FOREIGN_ORIGIN", 400, "The host or origin of the request is not allowed (`--allow-host`)."),
    ("INTERNAL", 500, "The response cannot be made, which is a bug."),
    ("INVALID_DEFINITIONS", 422, "The definitions have errors; `findings` lists them."),
    ("INVALID_TOKEN", 401, "The server does not know the token."),
    ("NOTHING_TO_OVERRIDE", 400, "No source has a definition of this name."),
    ("NOT_APPROVABLE", 409, "No approval permits the plan."),
    ("NOT_ENDED", 409, "The execution has not ended."),
    ("NOT_IN_DEV", 404, "`evenkeel dev` does not have this; `evenkeel serve` does."),
    ("NOT_PENDING", 409, "The dead letter is not pending any more."),
    ("NOT_READY", 503, "An environment has no active generation yet."),
    ("NOT_SELECTED", 409, "The environment does not select the definition."),
    ("NOT_WAITED_FOR", 409, "The execution does not wait for this name; `waiting` lists the names that it waits for."),
    ("NO_GENERATION", 409, "The environment has no such generation, or none at all."),
    ("NO_PLAN", 409, "There is no plan to read."),
    ("OWNED_BY_SOURCE", 409, "A source or an override owns the definition."),
    ("PRECONDITION_FAILED", 412, "The definition is not the one that `If-Match` or `If-None-Match` expects."),
    ("PROTECTED", 409, "The definition is protected from removal."),
    ("REFUSED", 409, "The environment cannot carry the command out; 503 if the store is the cause."),
    ("STALE", 409, "The environment changed meanwhile; try again."),
    ("STALE_PLAN", 409, "Another plan waits, or none."),
    ("STUCK", 503, "The loop of an environment does not make progress."),
    ("TENANT_REQUIRED", 400, "The request needs a tenant."),
    ("UNAUTHORIZED", 401, "A token is required, or the signature of a webhook is missing or wrong."),
    ("UNDELIVERABLE", 422, "The event of the dead letter still cannot be delivered."),
    ("UNKNOWN_ENVIRONMENT", 404, "There is no environment of this name."),
    ("UNMATCHED", 409, "No route of the trigger matches the event."),
    ("UNSTORABLE", 422, "The store cannot hold the input."),
    ("UNSUPPORTED_MEDIA_TYPE", 415, "The body has a media type that the route does not read."),
    ("WRONG_ENVIRONMENT", 409, "The environment is promoted from another one only."),
];

/// All codes in alphabetical order, with their HTTP statuses and meanings.
pub fn all() -> Vec<(&'static str, u16, String)> {
    let own = OWN.iter().map(|(code, status, meaning)| (*code, *status, (*meaning).to_owned()));
    let calls = ErrorCode::DESCRIBED.iter().map(|(code, status, meaning)| (*code, *status, meaning.trim().to_owned()));
    // `BAD_REQUEST`, `NOT_FOUND` and the like are codes of calls as well.
    let mut all: Vec<_> = own.chain(calls).collect();
    // Codes that only workflows give.
    all.push(("EXECUTION_FAILED", 500, "The execution ended without an output and without a code.".to_owned()));
    let meaning = "The tenant has started the executions that its quota `executionsPerDay` allows.";
    all.push((EXECUTIONS_PER_DAY, 429, meaning.to_owned()));
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use regex::Regex;

    use super::*;

    fn sources(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                *text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }

    #[test]
    fn every_code_of_the_server_is_described_once() {
        let mut text = String::new();
        for folder in ["src/server", "src/reconcile"] {
            sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut text);
        }
        let made = Regex::new(r#"(?:Problem|CommandError)::new\(\s*(?:\d+|status),\s*"([A-Z_]+)""#).unwrap();
        let made: BTreeSet<&str> = made.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()).collect();
        assert!(made.len() > 30, "{made:?}");
        let all = all();
        let described: BTreeSet<&str> = all.iter().map(|(code, ..)| *code).collect();
        assert_eq!(described.len(), all.len(), "a code is described twice");
        assert_eq!(made.difference(&described).collect::<Vec<_>>(), Vec::<&&str>::new(), "codes without a description");
        for (code, ..) in OWN {
            assert!(made.contains(code), "{code} is described and never made");
        }
    }
}
