//! Locations of templates, with the names and functions that are available in each.

use std::fmt;
use std::str::FromStr;

/// The location of a template in a definition.  It determines the names and functions that the template may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldLocation {
    /// The URL of a request.
    Url,
    /// A header of a request.
    Header,
    /// A query parameter of a request.
    Query,
    /// The authentication of a connection.
    Auth,
    /// The body of a request.
    Body,
    /// The transformation of a response.
    Response,
    /// The condition of a workflow step.
    Condition,
    /// The input of a workflow step.
    Step,
    /// The mapping of an incoming webhook.
    Event,
    /// The registration of a webhook with a service.
    Subscription,
    /// The input of a poll.
    PollInput,
    /// The extraction of records from the output of a poll.
    PollOutput,
    /// The evaluation of a record of a poll.
    PollRecord,
    /// The routing of an incoming webhook.
    Route,
    /// A form shown to a user.
    Form,
}

/// The error for an unknown location name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown template location `{0}`")]
pub struct UnknownLocation(String);

struct LocationRules {
    location: FieldLocation,
    name: &'static str,
    roots: &'static [&'static str],
    functions: &'static [&'static str],
}

macro_rules! rules {
    ($location:ident, $name:literal, [$($root:literal)*], [$($function:literal)*]) => {
        LocationRules {
            location: FieldLocation::$location,
            name: $name,
            roots: &[$($root),*],
            functions: &[$($function),*],
        }
    };
}

/// The rules of every location, in the order of [`FieldLocation`].
#[rustfmt::skip]
const LOCATIONS: &[LocationRules] = &[
    rules!(Url, "url",
        ["input" "pathParams" "request" "user" "tenant" "tenant_id" "connection" "steps"],
        ["get_variable" "now" "jwt_encode"]),
    rules!(Header, "header",
        ["input" "pathParams" "body_text" "body_raw" "request" "user" "tenant" "tenant_id"
         "connection" "steps"],
        ["get_secret" "get_variable" "now" "jwt_encode"]),
    rules!(Query, "query",
        ["input" "pathParams" "body_text" "body_raw" "request" "user" "tenant" "tenant_id"
         "connection" "steps"],
        ["get_secret" "get_variable" "now" "jwt_encode"]),
    rules!(Auth, "auth",
        ["input" "pathParams" "body_text" "body_raw" "request" "user" "tenant" "tenant_id"
         "connection" "steps" "credentials" "method"],
        ["get_secret" "get_variable" "now" "jwt_encode"]),
    rules!(Body, "body",
        ["input" "pathParams" "body_text" "body_raw" "request" "user" "tenant" "tenant_id"
         "connection" "steps"],
        ["get_variable" "now" "jwt_encode"]),
    rules!(Response, "response",
        ["input" "pathParams" "request" "user" "tenant" "tenant_id" "connection" "steps"
         "response"],
        ["get_variable" "now"]),
    rules!(Condition, "condition",
        ["input" "headers" "steps" "item" "index" "user" "tenant" "tenant_id" "request"],
        ["get_variable" "now"]),
    rules!(Step, "step",
        ["input" "headers" "steps" "item" "index" "user" "tenant" "tenant_id" "request"],
        ["get_variable" "now"]),
    rules!(Event, "event",
        ["headers" "query" "body" "body_text" "payload" "tenant" "tenant_id"],
        ["now"]),
    rules!(Subscription, "subscription",
        ["subscription" "input" "pathParams" "body_text" "body_raw" "request" "user" "tenant"
         "tenant_id" "connection" "steps" "credentials"],
        ["get_variable" "get_secret" "now"]),
    rules!(PollInput, "pollInput",
        ["cursor" "since" "state" "tenant" "tenant_id" "connection"],
        ["get_variable" "now"]),
    rules!(PollOutput, "pollOutput", ["output"], []),
    rules!(PollRecord, "pollRecord", ["record" "output"], []),
    rules!(Route, "route",
        ["headers" "query" "body" "payload" "event" "tenant" "tenant_id"],
        ["now" "get_variable"]),
    rules!(Form, "form",
        ["form" "input" "tenant" "tenant_id" "user" "connection"],
        ["get_variable"]),
];

/// Functions that are available in every location.
const EVERYWHERE: &[&str] = &["range", "dict", "namespace"];

/// Root names with a fixed set of attributes.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("response", &["body", "json", "status_code", "headers"]),
    ("request", &["id", "method", "headers", "query_parameters", "body_text", "body_raw"]),
];

impl FieldLocation {
    /// All locations.
    pub fn all() -> impl Iterator<Item = FieldLocation> {
        LOCATIONS.iter().map(|rules| rules.location)
    }

    /// The location of templates with this mark (`x-evenkeel-template`) in a schema.
    pub fn of_mark(mark: &str) -> Option<FieldLocation> {
        match mark {
            "baseUrl" | "absoluteUrl" | "pathParam" | "host" => Some(FieldLocation::Url),
            "authTree" => Some(FieldLocation::Auth),
            name => name.parse().ok(),
        }
    }

    /// The name of the location, in lower camel case.
    pub fn as_str(self) -> &'static str {
        self.rules().name
    }

    /// The root names that a template may read in this location.
    pub fn roots(self) -> &'static [&'static str] {
        self.rules().roots
    }

    /// The functions that a template may call in this location, besides those that
    /// are available everywhere.
    pub fn functions(self) -> &'static [&'static str] {
        self.rules().functions
    }

    pub(super) fn may_call(self, function: &str) -> bool {
        self.functions().contains(&function) || EVERYWHERE.contains(&function)
    }

    fn rules(self) -> &'static LocationRules {
        // A test verifies that the table is in the order of the enumeration.
        &LOCATIONS[self as usize]
    }
}

impl fmt::Display for FieldLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FieldLocation {
    type Err = UnknownLocation;

    fn from_str(name: &str) -> Result<FieldLocation, UnknownLocation> {
        LOCATIONS
            .iter()
            .find(|rules| rules.name == name)
            .map(|rules| rules.location)
            .ok_or_else(|| UnknownLocation(name.to_owned()))
    }
}

/// True if a root of this name exists in any location.
pub(super) fn is_root(name: &str) -> bool {
    LOCATIONS.iter().any(|rules| rules.roots.contains(&name))
}

/// The attributes of a root, if they are fixed.
pub(super) fn attributes(root: &str) -> Option<&'static [&'static str]> {
    ATTRIBUTES.iter().find(|(name, _)| *name == root).map(|(_, attributes)| *attributes)
}

/// The candidate that is most similar to a misspelt word.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let tolerated = 1 + word.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= tolerated && distance < candidate.chars().count())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}
