//! The arguments of one call.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

/// The arguments of one call of an action.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The input, validated against the action's schema.
    pub input: Value,
    /// The input as received; empty if the input was not received as JSON text.
    pub body: Bytes,
    /// Path parameters.
    pub path_params: BTreeMap<String, String>,
    /// Headers that the caller sent, lower case. Only overridable headers are used.
    pub headers: BTreeMap<String, String>,
    /// Query parameters that the caller sent. Only overridable parameters are used.
    pub query: BTreeMap<String, String>,
    /// The calling user, as templates see it.
    pub user: Option<Value>,
    /// The tenant of the call.
    pub tenant: Option<String>,
    /// Name of the connection. Default: the user's, the tenant's or the organization's.
    pub connection: Option<String>,
    /// The authentication method. Default: the connection's.
    pub method: Option<String>,
    /// True to use no connection even if there is one. For tests, which must be self-contained.
    pub hermetic: bool,
    /// Settings to use instead of the connection's.
    pub settings: Option<Value>,
    /// Variables that override all others.
    pub variables: BTreeMap<String, String>,
    /// Id of the call, for logs and responses.
    pub request_id: String,
    /// The trace that the call belongs to, as in the `traceparent` header (W3C Trace Context); empty for none.
    pub trace: String,
    /// The subscription of an event: `url` and `id`. If set, the requests of event subscriptions can be called.
    pub subscription: Option<Value>,
    /// The result of `now()`, in Unix seconds. Default: the current time.
    pub now: Option<i64>,
}
