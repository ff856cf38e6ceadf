//! Rendered requests: `dev` shows the request that a call would send, without sending it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use serde_json::Value;

use super::context::RequestContext;
use super::extract::{BodyBytes, PathParams};
use super::gateway;
use super::reply::{ApiResult, Reply};
use super::state::Server;
use crate::connector::{self, MaskedSecrets};

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
    Ok(Reply(request.rendered()?.to_json()))
}
