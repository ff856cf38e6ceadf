//! `/v1/environments/…`: plans, overrides and operations.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::Deserialize;

use super::context::{bad_request, environment, header_text};
use super::parse_command::{parse_arguments, parse_command, parse_id, parse_override, parse_reason};
use super::response::respond;
use super::state::Server;
use crate::reconcile::commands::{CommandError, Request};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PutQuery {
    #[serde(rename = "override")]
    over: Option<String>,
    reason: Option<String>,
}

/// `PUT /v1/environments/{environment}/definitions/{kind}/{name}`: writes a definition or an override.
pub(super) async fn put_definition(
    State(server): State<Server>,
    Path((environment, kind, name)): Path<(String, String, String)>,
    Query(query): Query<PutQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = (|| {
        let id = parse_id(&kind, &name)?;
        let text = String::from_utf8(body.to_vec()).map_err(|_| bad_request("the definition is not UTF-8"))?;
        let over = query.over.as_deref().map(parse_override).transpose()?;
        let json = header_text(&headers, header::CONTENT_TYPE.as_str()).is_some_and(|kind| kind.contains("json"));
        Ok(Request::Put { id, text, json, over, reason: parse_reason(query.reason)? })
    })();
    send(&server, &environment, &headers, request).await
}

/// `DELETE /v1/environments/{environment}/definitions/{kind}/{name}`
pub(super) async fn delete_definition(
    State(server): State<Server>,
    Path((environment, kind, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let request = parse_id(&kind, &name).map(|id| Request::Delete { id });
    send(&server, &environment, &headers, request).await
}

/// `GET /v1/environments/{environment}/plan`: the pending plan.
pub(super) async fn pending_plan(
    State(server): State<Server>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let result = async {
        server.access.reader(&headers)?;
        environment(&server, &name)?.send(Request::Plan, "reader").await
    };
    respond(result.await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviewBody {
    files: BTreeMap<String, String>,
}

/// `POST /v1/environments/{environment}/plan` with `{"files": {"path": "content"}}`: the plan that the files would cause.
pub(super) async fn preview(
    State(server): State<Server>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let result = async {
        server.access.reader(&headers)?;
        let body: PreviewBody = serde_json::from_slice(&body)
            .map_err(|error| bad_request(format!("the body is not `{{\"files\": …}}`: {error}")))?;
        environment(&server, &name)?.send(Request::Preview { files: body.files }, "reader").await
    };
    respond(result.await)
}

/// `POST /v1/environments/{environment}/{verb}` with its arguments as JSON.
pub(super) async fn act(
    State(server): State<Server>,
    Path((environment, verb)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = parse_arguments(&body).and_then(|arguments| parse_command(&verb, &arguments));
    send(&server, &environment, &headers, request).await
}

/// Checks the right to write, sends the request to the environment, and adds its status to the response.
async fn send(server: &Server, name: &str, headers: &HeaderMap, request: Result<Request, CommandError>) -> Response {
    let result = async {
        let actor = server.access.writer(headers)?;
        let handle = environment(server, name)?;
        let mut value = handle.send(request?, &actor).await?;
        if value.get("status").is_none() {
            value["status"] = serde_json::to_value(&**handle.status.borrow()).unwrap_or_default();
        }
        Ok(value)
    };
    respond(result.await)
}
