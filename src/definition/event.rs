//! Events of an application, received by webhook or found by polling.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::Http;
use super::common::{Duration, SchemaValue};

/// An event of a connector. Set exactly one of `webhook`, `poll`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["webhook"]}, {"required": ["poll"]}]))]
pub struct Event {
    /// Display title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Entity of the connector that changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalEntity"))]
    pub entity: Option<String>,
    /// Changes that the event reports. Others are not delivered. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// JSON Schema of the event's data. An event that does not match becomes a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<SchemaValue>,
    /// Webhook that the application calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<EventWebhook>,
    /// Polling of the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
}

/// A change of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Change {
    Created,
    Updated,
    Deleted,
}

impl Change {
    /// All changes.
    pub const ALL: [Change; 3] = [Change::Created, Change::Updated, Change::Deleted];
}

/// Webhook that the application calls.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventWebhook {
    /// Verification that a call comes from the application.
    pub verify: Verify,
    /// Condition that identifies calls of this event, if the application sends several events to one address: a
    /// template that renders to `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub when: Option<String>,
    /// Type of the change: a template that renders to `Created`, `Updated` or `Deleted`, in any case. An event with another
    /// change becomes a dead letter. Default: the change in `changes`, if it lists one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub change: Option<String>,
    /// Data of the event: a tree whose strings are templates. Default: the body of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub data: Option<super::Json>,
    /// Deduplication key: a template. Calls with the same key are the same event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "event"))]
    pub deduplicate: Option<String>,
    /// Request that creates the subscription. Without it, an event that is sent has no address in this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<EventCall>,
    /// Request that removes the subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsubscribe: Option<EventCall>,
}

/// A request that creates or removes a subscription. Its templates may use `subscription.url` and `subscription.id`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventCall {
    /// HTTP request.
    #[schemars(extend("x-evenkeel-template" = "subscription"))]
    pub http: Http,
    /// Id of the subscription: a template that reads it from the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "response"))]
    pub id: Option<String>,
}

/// Polling of the application.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Poll {
    /// Action of this connector that lists records.
    #[schemars(extend("x-evenkeel-ref" = "LocalAction"))]
    pub action: String,
    /// Input of the action: a tree whose strings are templates. Default: `{}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "pollInput"))]
    pub input: Option<super::Json>,
    /// Interval between two calls, from `10s` to `7d`.
    #[schemars(extend("x-evenkeel-min" = "10s", "x-evenkeel-max" = "7d"))]
    pub interval: Duration,
    /// Bounds of an interval that adapts to the frequency of changes. If omitted, the interval is constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<Adaptive>,
    /// Records in the output: a template that renders to a list.
    #[schemars(extend("x-evenkeel-template" = "pollOutput"))]
    pub records: String,
    /// Identity of a record: a template.
    #[schemars(extend("x-evenkeel-template" = "pollRecord"))]
    pub id: String,
    /// Version of a record: a template. A changed version means a changed record. Default: the SHA-256 digest of the
    /// record.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "pollRecord"))]
    pub version: Option<String>,
    /// Cursor of the next call: a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "pollOutput"))]
    pub cursor: Option<String>,
    /// States that each call lists every record, so that a missing record was deleted. Default: `false`.
    #[serde(default)]
    pub complete: bool,
    /// Retention of known records, from `1h` to `90d`. Default: `7d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1h", "x-evenkeel-max" = "90d"))]
    pub remember: Option<Duration>,
}

/// The bounds of an adaptive interval.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Adaptive {
    /// Minimum interval.
    pub min: Duration,
    /// Maximum interval.
    pub max: Duration,
}

/// The verification of incoming calls. Set exactly one of `hmacSha256`, `preset`, `apiKey`, `none`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["hmacSha256"]}, {"required": ["preset"]}, {"required": ["apiKey"]}, {"required": ["none"]}
]))]
pub struct Verify {
    /// HMAC-SHA256 signature of the body in a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hmac_sha256: Option<HmacSha256>,
    /// Signature scheme of a known service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<VerifyPreset>,
    /// Key in a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"header": "X-Shop-Key", "secretRef": "shop-webhook-key"}]))]
    pub api_key: Option<VerifyKey>,
    /// No verification: every call is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{}]))]
    pub none: Option<super::auth::NoAuth>,
}

/// HMAC-SHA256 signature of the body in a header.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HmacSha256 {
    /// Header that contains the signature.
    #[schemars(extend("x-evenkeel-type" = "header"))]
    pub header: String,
    /// Name of the secret that contains the key.
    #[schemars(extend("x-evenkeel-ref" = "Secret"))]
    pub secret_ref: String,
    /// Text before the signature, such as `sha256=`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Encoding of the signature. Default: `Hex`.
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// Header that contains the time of the call (Unix seconds). If set, `TIME.BODY` is signed instead of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "header"))]
    pub timestamp_header: Option<String>,
    /// Maximum age of a call, from `1s` to `1h`. Default: `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "1h"))]
    pub tolerance: Option<Duration>,
}

/// The encoding of a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum SignatureEncoding {
    #[default]
    Hex,
    Base64,
}

/// Signature scheme of a known service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyPreset {
    /// Service that sends the calls.
    pub service: WebhookService,
    /// Name of the secret that contains the key.
    #[schemars(extend("x-evenkeel-ref" = "Secret"))]
    pub secret_ref: String,
}

/// A service that signs its webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum WebhookService {
    GitHub,
    Stripe,
    Slack,
    Shopify,
    HubSpot,
    Xero,
    StandardWebhooks,
}

/// Key in a header.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyKey {
    /// Header that contains the key. Default: `x-evenkeel-key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "header"))]
    pub header: Option<String>,
    /// Name of the secret that contains the key.
    #[schemars(extend("x-evenkeel-ref" = "Secret"))]
    pub secret_ref: String,
}

/// Conditions on the fields of an event, by dotted path. All must hold, see [`Condition`].
pub type Filter = BTreeMap<String, Condition>;

/// A condition: a value that the field must equal, or a map of operators that must all hold. Example: `{ gt: 100 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-evenkeel-code" = "EK0606"))]
pub enum Condition {
    /// Operators that must all hold.
    Operators(Box<Operators>),
    /// Value that the field must equal.
    Equals(Scalar),
}

/// A scalar value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
}

/// The operators of a condition. All must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Operators {
    /// Equal to this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["new"]))]
    pub eq: Option<Scalar>,
    /// Not equal to this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["new"]))]
    pub neq: Option<Scalar>,
    /// Greater than this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [100]))]
    pub gt: Option<serde_json::Number>,
    /// Greater than or equal to this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [100]))]
    pub gte: Option<serde_json::Number>,
    /// Less than this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [100]))]
    pub lt: Option<serde_json::Number>,
    /// Less than or equal to this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [100]))]
    pub lte: Option<serde_json::Number>,
    /// Equal to one of these values.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    #[schemars(extend("examples" = [["DE", "FR"]]))]
    pub one_of: Option<Vec<Scalar>>,
    /// Equal to none of these values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    #[schemars(extend("examples" = [["DE", "FR"]]))]
    pub not_in: Option<Vec<Scalar>>,
    /// A list that contains this value, or a string that contains this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["vip"]))]
    pub contains: Option<Scalar>,
    /// A string that starts with this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["order-"]))]
    pub starts_with: Option<String>,
    /// A string that ends with this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["@example.com"]))]
    pub ends_with: Option<String>,
    /// `true`: the field exists and is not null; `false`: it is missing or null.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [true]))]
    pub exists: Option<bool>,
}
