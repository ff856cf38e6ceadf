//! Rendered requests: `dev` shows the request that a call would send, without sending it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use super::context::RequestContext;
use super::extract::{BodyBytes, PathParams};
use super::gateway;
use super::reply::{ApiResult, Reply};
use super::state::Server;
use crate::connector::{self, MaskedSecrets, PreparedRequest};

/// `POST …/connectors/{connector}/actions/{action}/render` with the input as JSON, and the headers of a call. Secrets are
/// shown by name, as `[secret NAME]`.
pub(super) async fn render(
    State(_): State<Server>,
    context: RequestContext,
    params: PathParams,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> ApiResult<Reply<Value>> {
    let call = gateway::read(&context, &headers, query.as_deref(), body)?;
    let active = context.target()?.active()?;
    let (connector, action) = (params.get("connector"), params.get("action"));
    let request = connector::prepare(&active.runtime, Arc::new(MaskedSecrets), connector, action, &call)?;
    Ok(Reply(describe(&request)))
}

/// The request in the order in which it is sent. A body that is not JSON is text.
fn describe(request: &PreparedRequest) -> Value {
    let headers: Map<String, Value> =
        request.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    let body = match serde_json::from_slice::<Value>(&request.body) {
        Ok(value) => value,
        Err(_) if request.body.is_empty() => Value::Null,
        Err(_) => Value::from(String::from_utf8_lossy(&request.body).into_owned()),
    };
    json!({"method": request.method, "url": request.url.as_str(), "headers": headers, "body": body})
}
