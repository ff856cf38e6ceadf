//! What an application tells about: by webhook, or found by polling.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::Http;
use super::common::{Duration, SchemaValue};

/// An event of a connector: exactly one of `webhook`, `poll`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["webhook"]}, {"required": ["poll"]}]))]
pub struct Event {
    /// Title shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The entity that changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalEntity"))]
    pub entity: Option<String>,
    /// The changes it tells about; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// JSON Schema of the event's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<SchemaValue>,
    /// The application calls us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<EventWebhook>,
    /// We ask the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Change {
    Created,
    Updated,
    Deleted,
}

/// The application calls us.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventWebhook {
    /// How a call proves that it comes from the application.
    pub verify: Verify,
    /// Calls that are this event, where the application sends several kinds to one address: a template that renders to true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub when: Option<String>,
    /// What happened; a template that renders to `Created`, `Updated` or `Deleted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub change: Option<String>,
    /// The event's data: a tree of templates; the call's body where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub data: Option<super::Json>,
    /// What makes two calls the same event: a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub deduplicate: Option<String>,
    /// The request that subscribes; by hand where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<EventCall>,
    /// The request that ends the subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsubscribe: Option<EventCall>,
}

/// A request that starts or ends a subscription; it may use `subscription.url` and `subscription.id`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventCall {
    /// The request.
    #[schemars(extend("x-evenkeel-template" = "subscription"))]
    pub http: Http,
    /// Where the answer holds the subscription's id: a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "response"))]
    pub id: Option<String>,
}

/// We ask the application.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Poll {
    /// The action that lists records.
    #[schemars(extend("x-evenkeel-ref" = "LocalAction"))]
    pub action: String,
    /// Its input: a tree of templates; `{}` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "pollInput"))]
    pub input: Option<super::Json>,
    /// Time between two calls.
    #[schemars(extend("x-evenkeel-min" = "10s", "x-evenkeel-max" = "7d"))]
    pub interval: Duration,
    /// Shortest and longest time, where it adapts to how much changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<Adaptive>,
    /// Where the records are in the output: a template that renders to a list.
    #[schemars(extend("x-evenkeel-template" = "pollOutput"))]
    pub records: String,
    /// What identifies a record: a template.
    #[schemars(extend("x-evenkeel-template" = "pollRecord"))]
    pub id: String,
    /// What tells that a record changed: a template; the hash (SHA-256) of the whole record where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "pollRecord"))]
    pub version: Option<String>,
    /// The next call's `cursor`: a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "pollOutput"))]
    pub cursor: Option<String>,
    /// Does a call list every record, so that one which is missing was deleted? `false` unless set.
    #[serde(default)]
    pub complete: bool,
    /// How long records are remembered, `7d` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1h", "x-evenkeel-max" = "90d"))]
    pub remember: Option<Duration>,
}

/// Bounds of an interval that adapts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Adaptive {
    /// Shortest.
    pub min: Duration,
    /// Longest.
    pub max: Duration,
}

/// How a call proves where it comes from: exactly one of `hmacSha256`, `preset`, `apiKey`, `none`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["hmacSha256"]}, {"required": ["preset"]}, {"required": ["apiKey"]}, {"required": ["none"]}
]))]
pub struct Verify {
    /// HMAC-SHA256 of the body in a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hmac_sha256: Option<HmacSha256>,
    /// A known service's own scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<VerifyPreset>,
    /// A key in a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<VerifyKey>,
    /// Everybody may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub none: Option<super::auth::NoAuth>,
}

/// HMAC-SHA256 of the body in a header.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HmacSha256 {
    /// The header that holds the signature.
    #[schemars(extend("x-evenkeel-type" = "header"))]
    pub header: String,
    /// Name of the secret with the key.
    #[schemars(extend("x-evenkeel-ref" = "Secret"))]
    pub secret_ref: String,
    /// Text before the signature, such as `sha256=`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How the signature is written; `Hex` unless set.
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// The header with the time of the call (unix seconds), which is signed as `time.body`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "header"))]
    pub timestamp_header: Option<String>,
    /// Oldest call that is accepted, `5m` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "1h"))]
    pub tolerance: Option<Duration>,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum SignatureEncoding {
    #[default]
    Hex,
    Base64,
}

/// A known service's own scheme.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyPreset {
    /// The service.
    pub service: WebhookService,
    /// Name of the secret with the key.
    #[schemars(extend("x-evenkeel-ref" = "Secret"))]
    pub secret_ref: String,
}

/// A service that signs its webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum WebhookService {
    GitHub,
    Stripe,
    Slack,
    Shopify,
    HubSpot,
    Xero,
    StandardWebhooks,
}

/// A key in a header.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyKey {
    /// The header; `x-evenkeel-key` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "header"))]
    pub header: Option<String>,
    /// Name of the secret with the key.
    #[schemars(extend("x-evenkeel-ref" = "Secret"))]
    pub secret_ref: String,
}

/// Conditions on the fields of an event, by dotted path; all must hold. See [`Condition`] for what a condition is.
pub type Filter = BTreeMap<String, Condition>;

/// A value that the field must equal, or a map of operators that must all hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-evenkeel-code" = "EK0606"))]
pub enum Condition {
    /// Operators.
    Operators(Box<Operators>),
    /// The field equals this value.
    Equals(Scalar),
}

/// A value without parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
}

/// Operators of a condition; all must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Operators {
    /// Equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eq: Option<Scalar>,
    /// Not equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neq: Option<Scalar>,
    /// Greater than.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gt: Option<serde_json::Number>,
    /// Greater than or equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gte: Option<serde_json::Number>,
    /// Less than.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lt: Option<serde_json::Number>,
    /// Less than or equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lte: Option<serde_json::Number>,
    /// One of these.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub one_of: Option<Vec<Scalar>>,
    /// None of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub not_in: Option<Vec<Scalar>>,
    /// A list that holds this, or a text that has it in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<Scalar>,
    /// A text that starts with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_with: Option<String>,
    /// A text that ends with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_with: Option<String>,
    /// There and not null, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
}
