//! Where templates stand and what they may use there.

use std::fmt;
use std::str::FromStr;

/// Where a template stands; decides which names and functions it may use.
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
    /// What is made of a response.
    Response,
    /// The condition of a workflow step.
    Condition,
    /// The input of a workflow step.
    Step,
    /// What is made of an incoming webhook.
    Event,
    /// The registration of a webhook with a service.
    Subscription,
    /// The input of a poll.
    PollInput,
    /// What is made of the output of a poll.
    PollOutput,
    /// What is made of a record found by a poll.
    PollRecord,
    /// The routing of an incoming webhook.
    Route,
    /// A form shown to a user.
    Form,
}

/// The name of a site that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no template site `{0}`")]
pub struct UnknownLocation(String);

struct Row {
    site: FieldLocation,
    name: &'static str,
    roots: &'static [&'static str],
    functions: &'static [&'static str],
}

macro_rules! row {
    ($site:ident, $name:literal, [$($root:literal)*], [$($function:literal)*]) => {
        Row {
            site: FieldLocation::$site,
            name: $name,
            roots: &[$($root),*],
            functions: &[$($function),*],
        }
    };
}

/// One row per site, in the order of [`FieldLocation`].
#[rustfmt::skip]
const SITES: &[Row] = &[
    row!(Url, "url",
        ["input" "pathParams" "request" "user" "tenant" "tenant_id" "connection" "steps"],
        ["get_variable" "now" "jwt_encode"]),
    row!(Header, "header",
        ["input" "pathParams" "body_text" "body_raw" "request" "user" "tenant" "tenant_id"
         "connection" "steps"],
        ["get_secret" "get_variable" "now" "jwt_encode"]),
    row!(Query, "query",
        ["input" "pathParams" "body_text" "body_raw" "request" "user" "tenant" "tenant_id"
         "connection" "steps"],
        ["get_secret" "get_variable" "now" "jwt_encode"]),
    row!(Auth, "auth",
        ["input" "pathParams" "body_text" "body_raw" "request" "user" "tenant" "tenant_id"
         "connection" "steps" "credentials" "method"],
        ["get_secret" "get_variable" "now" "jwt_encode"]),
    row!(Body, "body",
        ["input" "pathParams" "body_text" "body_raw" "request" "user" "tenant" "tenant_id"
         "connection" "steps"],
        ["get_variable" "now" "jwt_encode"]),
    row!(Response, "response",
        ["input" "pathParams" "request" "user" "tenant" "tenant_id" "connection" "steps"
         "response"],
        ["get_variable" "now"]),
    row!(Condition, "condition",
        ["input" "headers" "steps" "item" "index" "user" "tenant" "tenant_id" "request"],
        ["get_variable" "now"]),
    row!(Step, "step",
        ["input" "headers" "steps" "item" "index" "user" "tenant" "tenant_id" "request"],
        ["get_variable" "now"]),
    row!(Event, "event",
        ["headers" "query" "body" "body_text" "payload" "tenant" "tenant_id"],
        ["now"]),
    row!(Subscription, "subscription",
        ["subscription" "input" "pathParams" "body_text" "body_raw" "request" "user" "tenant"
         "tenant_id" "connection" "steps" "credentials"],
        ["get_variable" "get_secret" "now"]),
    row!(PollInput, "pollInput",
        ["cursor" "since" "state" "tenant" "tenant_id" "connection"],
        ["get_variable" "now"]),
    row!(PollOutput, "pollOutput", ["output"], []),
    row!(PollRecord, "pollRecord", ["record" "output"], []),
    row!(Route, "route",
        ["headers" "query" "body" "payload" "event" "tenant" "tenant_id"],
        ["now" "get_variable"]),
    row!(Form, "form",
        ["form" "input" "tenant" "tenant_id" "user" "connection"],
        ["get_variable"]),
];

/// The functions that every site may use.
const EVERYWHERE: &[&str] = &["range", "dict", "namespace"];

/// Roots whose attributes are known.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("response", &["body", "json", "status_code", "headers"]),
    ("request", &["id", "method", "headers", "query_parameters", "body_text", "body_raw"]),
];

impl FieldLocation {
    /// All sites.
    pub fn all() -> impl Iterator<Item = FieldLocation> {
        SITES.iter().map(|row| row.site)
    }

    /// The site's name, in lower camel case.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The names a template may read here.
    pub fn roots(self) -> &'static [&'static str] {
        self.row().roots
    }

    /// The functions a template may call here, apart from those that may be
    /// called everywhere.
    pub fn functions(self) -> &'static [&'static str] {
        self.row().functions
    }

    pub(super) fn may_call(self, function: &str) -> bool {
        self.functions().contains(&function) || EVERYWHERE.contains(&function)
    }

    fn row(self) -> &'static Row {
        // A test sees to it that the table is in the order of the enumeration.
        &SITES[self as usize]
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
        SITES.iter().find(|row| row.name == name).map(|row| row.site).ok_or_else(|| UnknownLocation(name.to_owned()))
    }
}

/// Whether any site knows a root of this name.
pub(super) fn is_root(name: &str) -> bool {
    SITES.iter().any(|row| row.roots.contains(&name))
}

/// The attributes of a root, where they are known.
pub(super) fn attributes(root: &str) -> Option<&'static [&'static str]> {
    ATTRIBUTES.iter().find(|(name, _)| *name == root).map(|(_, attributes)| *attributes)
}

/// The candidate that a misspelt word probably means.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let tolerated = 1 + word.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= tolerated && distance < candidate.chars().count())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}
